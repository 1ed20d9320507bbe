/* Functions of the elements of one or two dense arrays that lie in memory alike: one pass each.
 * A kernel is an expression of the vectors a and b and the parameters p and q. Comparisons are
 * such that NaN goes through as in PyTorch. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/simd.h"
#include "core/vecmath.inc.c"
#include "pointwise/gradients.inc.c"

#define FC_MAP(name, expression)                                                              \
    NOINLINE void name(int64_t count, const T *a_, const T *b_, double p_, double q_, T *out, \
                       int stream) {                                                          \
        const vec p = vset1((T)p_), q = vset1((T)q_), zero = {0};                             \
        (void)p, (void)q, (void)zero;                                                         \
        int64_t i = 0;                                                                        \
        for (; stream && i + VL <= count; i += VL) {                                          \
            const vec a = vload(a_ + i), b = vload(b_ + i);                                   \
            (void)a, (void)b;                                                                 \
            STREAM(out + i, expression);                                                      \
        }                                                                                     \
        if (stream) STREAMED();                                                               \
        for (; i + VL <= count; i += VL) {                                                    \
            const vec a = vload(a_ + i), b = vload(b_ + i);                                   \
            (void)a, (void)b;                                                                 \
            vstore(out + i, expression);                                                      \
        }                                                                                     \
        if (i < count) {                                                                      \
            T lanes[3][VEC_BYTES / TYPE_BYTES] = {{0}};                                       \
            const size_t rest = (size_t)(count - i) * sizeof(T);                              \
            memcpy(lanes[0], a_ + i, rest);                                                   \
            memcpy(lanes[1], b_ + i, rest);                                                   \
            const vec a = vload(lanes[0]), b = vload(lanes[1]);                               \
            (void)a, (void)b;                                                                 \
            vstore(lanes[2], expression);                                                     \
            memcpy(out + i, lanes[2], rest);                                                  \
        }                                                                                     \
    }

FC_MAP(map_add, a + b)
FC_MAP(map_sub, a - b)
FC_MAP(map_mul, a *b)
FC_MAP(map_relu, keep(~(ivec)(a < zero), a))
FC_MAP(map_leaky_relu, vselect((ivec)(a > zero), a, a *p))
FC_MAP(map_clamp, vselect((ivec)(a < p), p, vselect((ivec)(a > q), q, a)))
FC_MAP(map_sigmoid, vsigmoid(a))
FC_MAP(map_tanh, vtanh(a))
FC_MAP(map_silu, a *vsigmoid(a))
/* d/dx x s(x) = s + x s (1 - s) */
INLINE vec silu_slope(vec x) {
    const vec s = vsigmoid(x);
    return s * (1 + x * (1 - s));
}
/* The gradients: a is the gradient of the output, b the output; of SiLU, the input. */
FC_MAP(map_relu_backward, relu_gradient(a, b))
FC_MAP(map_leaky_relu_backward, leaky_relu_gradient(a, b, p))
FC_MAP(map_clamp_backward, clamp_gradient(a, b, p, q))
FC_MAP(map_sigmoid_backward, a *(b * (1 - b)))
FC_MAP(map_tanh_backward, a * (1 - b * b))
FC_MAP(map_silu_backward, a *silu_slope(b))

static void (*const maps[FC_MAP_KERNELS])(int64_t, const T *, const T *, double, double, T *,
                                          int) = {
    [FC_MAP_ADD] = map_add,
    [FC_MAP_SUB] = map_sub,
    [FC_MAP_MUL] = map_mul,
    [FC_MAP_RELU] = map_relu,
    [FC_MAP_LEAKY_RELU] = map_leaky_relu,
    [FC_MAP_CLAMP] = map_clamp,
    [FC_MAP_SIGMOID] = map_sigmoid,
    [FC_MAP_TANH] = map_tanh,
    [FC_MAP_SILU] = map_silu,
    [FC_MAP_RELU_BACKWARD] = map_relu_backward,
    [FC_MAP_LEAKY_RELU_BACKWARD] = map_leaky_relu_backward,
    [FC_MAP_CLAMP_BACKWARD] = map_clamp_backward,
    [FC_MAP_SIGMOID_BACKWARD] = map_sigmoid_backward,
    [FC_MAP_TANH_BACKWARD] = map_tanh_backward,
    [FC_MAP_SILU_BACKWARD] = map_silu_backward,
};

static int map(int kernel, int64_t count, const void *a, const void *b, double p, double q,
               void *out, int threads) {
    /* An operand that is overwritten has its lines in the caches already; long expressions stay
     * there (sigmoid took twice the time past them; the others are alike). */
    const int64_t bytes = count * (int64_t)sizeof(T);
    const int light = kernel != FC_MAP_SIGMOID && kernel != FC_MAP_TANH && kernel != FC_MAP_SILU &&
                      kernel != FC_MAP_SILU_BACKWARD;
    const int stream = light && out != a && out != b && STREAMS(out, bytes);
    if (threads == 1) { /* entering a parallel region of one costs as much as a small array */
        maps[kernel](count, a, b, p, q, out, stream);
        return FC_OK;
    }
    /* parts start at multiples of a cache line */
    const int64_t part = (count / threads + 63) / 64 * 64;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        const int64_t first = t * part, end = t + 1 < threads ? first + part : count;
        const int64_t last = end < count ? end : count;
        if (first < last)
            maps[kernel](last - first, (const T *)a + first, (const T *)b + first, p, q,
                         (T *)out + first, stream);
    }
    return FC_OK;
}
