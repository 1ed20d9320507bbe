/* Bias gradient: sums over batch and space per channel, also of the gradient that an activation
 * lets through, in one pass. Pixels are cut into blocks of BIAS_ROWS; block sums in T are added in
 * double, in order, so the result is the same for every number of threads. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/simd.h"
#include "pointwise/gradients.inc.c"

#define BIAS_ROWS 512
enum { PLAIN_SUMS = -1 };
/* At most so many vectors added side by side, a strip of a row. */
#define SUM_STRIP 8

/* What is summed of the gradient g at the output y of an activation: one of FC_MAP_..._BACKWARD, or
 * g itself where `kind` is PLAIN_SUMS. */
INLINE vec passed(const int kind, vec g, const T *y, vec p, vec q) {
    if (kind == FC_MAP_RELU_BACKWARD) return relu_gradient(g, vload(y));
    if (kind == FC_MAP_LEAKY_RELU_BACKWARD) return leaky_relu_gradient(g, vload(y), p);
    if (kind == FC_MAP_CLAMP_BACKWARD) return clamp_gradient(g, vload(y), p, q);
    return g;
}

/* dx = what passes of g, and its sum, over `rows` rows of n vectors that lie `pitch` apart. */
INLINE void strip(const int n, const int kind, const T *g, const T *y, int64_t rows, int64_t pitch,
                  vec p, vec q, T *dx, vec *sum) {
    vec acc[SUM_STRIP] = {{0}};
    for (int64_t i = 0; i < rows * pitch; i += pitch) {
        UNROLL
        for (int s = 0; s < n; s++) {
            const int64_t at = i + s * VL;
            const vec v = passed(kind, vload(g + at), y + at, p, q);
            if (kind != PLAIN_SUMS) vstore(dx + at, v);
            acc[s] += v;
        }
    }
    UNROLL
    for (int s = 0; s < n; s++) sum[s] = acc[s];
}

/* The same over rows of `width` elements, a multiple of VL, of which channel k has every K-th: into
 * sum[k] where K = width, otherwise added to it. */
INLINE void strips(const int kind, const T *g, const T *y, int64_t rows, int64_t pitch,
                   int64_t width, int64_t K, double p_, double q_, T *dx, T *sum) {
    const vec p = vset1((T)p_), q = vset1((T)q_);
    int64_t n;
    for (int64_t k = 0; k < width; k += n * VL) {
        const int64_t left = (width - k) / VL;
        vec found[SUM_STRIP];
        n = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (n == 8) strip(8, kind, g + k, y + k, rows, pitch, p, q, dx + k, found);
        if (n == 4) strip(4, kind, g + k, y + k, rows, pitch, p, q, dx + k, found);
        if (n == 2) strip(2, kind, g + k, y + k, rows, pitch, p, q, dx + k, found);
        if (n == 1) strip(1, kind, g + k, y + k, rows, pitch, p, q, dx + k, found);
        for (int64_t s = 0; s < n; s++) {
            if (K == width) {
                vstore(sum + k + s * VL, found[s]);
                continue;
            }
            int64_t c = (k + s * VL) % K;
            for (int i = 0; i < VL; i++, c = c + 1 < K ? c + 1 : 0) sum[c] += found[s][i];
        }
    }
}

/* The same over a block of `rows` rows of K, of which channels [first, end). Whole vectors are
 * summed row by row; otherwise several rows make one of whole vectors, and the rest is a row filled
 * up with zeros. Not in the driver: what OpenMP outlines need not inherit the instruction set. */
INLINE void bias_block(const int kind, const T *g, const T *y, int64_t rows, int64_t K,
                       int64_t first, int64_t end, double p, double q, T *dx, T *sum) {
    if (K % VL == 0) {
        strips(kind, g + first, y + first, rows, K, end - first, end - first, p, q, dx + first,
               sum + first);
        return;
    }
    int64_t together = VL;
    while (together % 2 == 0 && together / 2 * K % VL == 0) together /= 2;
    const int64_t width = together * K, full = rows / together, done = full * width;
    for (int64_t k = 0; k < K; k++) sum[k] = 0;
    strips(kind, g, y, full, width, width, K, p, q, dx, sum);
    const vec p_ = vset1((T)p), q_ = vset1((T)q);
    for (int64_t i = done; i < rows * K; i += VL) {
        T lanes[3][VEC_BYTES / TYPE_BYTES] = {{0}};
        const int64_t count = rows * K - i < VL ? rows * K - i : VL;
        memcpy(lanes[0], g + i, (size_t)count * sizeof(T));
        if (kind != PLAIN_SUMS) memcpy(lanes[1], y + i, (size_t)count * sizeof(T));
        vstore(lanes[2], passed(kind, vload(lanes[0]), lanes[1], p_, q_));
        if (kind != PLAIN_SUMS) memcpy(dx + i, lanes[2], (size_t)count * sizeof(T));
        int64_t c = i % K;
        for (int64_t j = 0; j < count; j++, c = c + 1 < K ? c + 1 : 0) sum[c] += lanes[2][j];
    }
}

#define FC_SUMS(name, kind)                                                            \
    NOINLINE void name(const T *g, const T *y, int64_t rows, int64_t K, int64_t first, \
                       int64_t end, double p, double q, T *dx, T *sum) {               \
        bias_block(kind, g, y, rows, K, first, end, p, q, dx, sum);                    \
    }
FC_SUMS(sums_plain, PLAIN_SUMS)
FC_SUMS(sums_relu, FC_MAP_RELU_BACKWARD)
FC_SUMS(sums_leaky_relu, FC_MAP_LEAKY_RELU_BACKWARD)
FC_SUMS(sums_clamp, FC_MAP_CLAMP_BACKWARD)

/* db[k] = sum over P rows of K of what passes, which dx keeps: blocks of rows, and of channels
 * where vectors do not mix them. */
static int column_sums(int kind, int64_t P, int64_t K, const T *g, const T *y, double p, double q,
                       T *dx, T *db, int threads) {
    const int64_t rows = BIAS_ROWS, blocks = (P + rows - 1) / rows;
    const int64_t strip = K % VL ? K : SUM_STRIP * VL, strips = (K + strip - 1) / strip;
    int64_t cells;
    if (__builtin_mul_overflow(blocks, K, &cells)) return FC_OVERFLOW;
    T *part = fc_scratch(cells, sizeof(T));
    if (!part) return FC_NOMEM;
    void (*const sums)(const T *, const T *, int64_t, int64_t, int64_t, int64_t, double, double,
                       T *, T *) = kind == FC_MAP_RELU_BACKWARD         ? sums_relu
                                   : kind == FC_MAP_LEAKY_RELU_BACKWARD ? sums_leaky_relu
                                   : kind == FC_MAP_CLAMP_BACKWARD      ? sums_clamp
                                                                        : sums_plain;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t task = 0; task < blocks * strips; task++) {
        const int64_t b = task / strips, k = task % strips * strip;
        const int64_t at = b * rows * K, count = b * rows + rows < P ? rows : P - b * rows;
        sums(g + at, y + at, count, K, k, k + strip < K ? k + strip : K, p, q, dx + at,
             part + b * K);
    }
    for (int64_t k = 0; k < K; k++) {
        double sum = 0;
        for (int64_t b = 0; b < blocks; b++) sum += (double)part[b * K + k];
        db[k] = (T)sum;
    }
    fc_free(part);
    return FC_OK;
}

static int activation_backward(int kind, int64_t rows, int64_t channels, const void *dy,
                               const void *y, double p, double q, void *dx, void *db, int threads) {
    if (kind < FC_MAP_RELU_BACKWARD || kind > FC_MAP_CLAMP_BACKWARD) return FC_UNSUPPORTED;
    return column_sums(kind, rows, channels, dy, y, p, q, dx, db, threads);
}

/* With PLAIN_SUMS, y is not read and dx not written. */
static int conv_backward_bias(const fc_conv_geom *g, const void *dy, void *out, int threads) {
    const T *y = dy;
    T *db = out;
    const int64_t K = g->out_channels, N = g->batch;
    const int64_t D = g->out_size[0], H = g->out_size[1], W = g->out_size[2], S = D * H * W;
    if (N == 0 || S == 0) {
        for (int64_t k = 0; k < K; k++) db[k] = 0;
        return FC_OK;
    }
    if (g->y_stride[1] != 1) { /* NCHW: a channel is N rows of S */
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0;
            for (int64_t n = 0; n < N; n++) {
                const T *row = y + n * g->y_stride[0] + k * g->y_stride[1];
                for (int64_t s0 = 0; s0 < S; s0 += BIAS_ROWS) {
                    const int64_t s1 = s0 + BIAS_ROWS < S ? s0 + BIAS_ROWS : S;
                    T part = 0;
#pragma omp simd reduction(+ : part)
                    for (int64_t s = s0; s < s1; s++) part += row[s];
                    sum += (double)part;
                }
            }
            db[k] = (T)sum;
        }
        return FC_OK;
    }
    return column_sums(PLAIN_SUMS, N * S, K, y, y, 0, 0, db, db, threads);
}
