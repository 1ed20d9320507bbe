/* Local response normalisation along the middle axis of arrays (outer, channels, inner):
 *
 *   base[c] = k + scale · sum of x[c + j]² for -below <= j <= above,  y = x · base^-beta
 *
 * and its gradient  g · base^-beta - 2 beta scale · x · sum of (g x base^(-beta - 1))[c - j].
 *
 * Work is a block of channels × width, whose squares lie in scratch memory between rows of zeros:
 * a window is then a sum of lines at one distance, without borders. Where the block is as wide as
 * the array (channels innermost among them), all its channels are one line. Windows are summed
 * anew, not moved on by a difference: a NaN or an infinity stays where it is, and nothing is lost
 * to rounding. The sums come from L1 or L2, beside a power that costs more. */
#pragma once

#include <math.h>
#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "core/vecmath.inc.c"

enum { RESPONSE_WIDTH = 256 };

typedef struct {
    int64_t channels, inner, width, below, above;
    T k, scale, beta, factor;
    const T *x, *g;
    T *out;
} response_job;

/* base^-beta of normal positive numbers; `odd` remembers lanes of others. */
INLINE vec response_power(vec base, T beta, ivec *odd) {
#if TYPE_BYTES == 4
    const T low = 0x1p-126f, high = 0x1.fffffep127f;
#else
    const T low = 0x1p-1022, high = 0x1.fffffffffffffp1023;
#endif
    *odd |= ~((ivec)(base >= low) & (ivec)(base <= high));
    return vexp(-beta * vlog(base));
}

static T response_scalar(T base, T beta) {
    return TYPE_BYTES == 4 ? (T)powf((float)base, -(float)beta) : (T)pow(base, -beta);
}

/* The sum of `count` vectors, `step` apart. */
INLINE vec response_window(const T *from, int64_t count, int64_t step) {
    vec sum = vload(from);
    for (int64_t j = 1; j < count; j++) sum += vload(from + j * step);
    return sum;
}

INLINE vec response_part(const T *p, int64_t n) {
    if (n >= VL) return vload(p);
    T lanes[VEC_BYTES / TYPE_BYTES] = {0};
    memcpy(lanes, p, (size_t)n * sizeof(T));
    return vload(lanes);
}

INLINE void response_put(T *p, vec v, int64_t n) {
    if (n >= VL) {
        vstore(p, v);
        return;
    }
    T lanes[VEC_BYTES / TYPE_BYTES];
    vstore(lanes, v);
    memcpy(p, lanes, (size_t)n * sizeof(T));
}

/* A line of n elements. window: the squares that begin its first window, `step` apart.
 * Forward (reach NULL): out = x base^-beta. Backward: out = g base^-beta, and reach =
 * g x base^-beta / base, which has room for a vector more. */
static void response_line(const response_job *j, int64_t n, int64_t step, const T *x, const T *g,
                          const T *window, T *out, T *reach) {
    const int64_t count = j->below + j->above + 1;
    ivec odd = {0};
    for (int64_t i = 0; i < n; i += VL) {
        const vec base = j->k + j->scale * response_window(window + i, count, step);
        const vec a = response_part(x + i, n - i);
        ivec here = {0};
        vec power = response_power(base, j->beta, &here);
        if (n - i >= VL) odd |= here;
        else
            for (int l = 0; l < n - i; l++) odd[l] |= here[l];
        if (reach) {
            const vec b = response_part(g + i, n - i);
            power *= b;
            vstore(reach + i, power * a / base);
            response_put(out + i, power, n - i);
        } else {
            response_put(out + i, power * a, n - i);
        }
    }
    int any = 0;
    for (int l = 0; l < VL; l++) any |= odd[l] != 0;
    if (!any) return;
    for (int64_t i = 0; i < n; i++) { /* zero, denormal, negative, infinite or NaN bases */
        T sum = 0;
        for (int64_t w = 0; w < count; w++) sum += window[i + w * step];
        const T base = j->k + j->scale * sum, power = response_scalar(base, j->beta);
        if (reach) {
            reach[i] = g[i] * x[i] * power / base;
            out[i] = g[i] * power;
        } else {
            out[i] = x[i] * power;
        }
    }
}

/* out -= factor · x · sum of the reach, a line of n elements. */
static void response_finish(const response_job *j, int64_t n, int64_t step, const T *x,
                            const T *reach, T *out) {
    const int64_t count = j->below + j->above + 1;
    for (int64_t i = 0; i < n; i += VL) {
        const vec sum = response_window(reach + i, count, step);
        const vec a = response_part(x + i, n - i), b = response_part(out + i, n - i);
        response_put(out + i, b - j->factor * a * sum, n - i);
    }
}

/* Block `part` of one outer index; scratch: twice (channels + below + above) · width + VL. */
static void response_block(const response_job *j, int64_t outer, int64_t part, T *scratch) {
    const int64_t C = j->channels, first = part * j->width;
    const int64_t nb = fc_min(j->width, j->inner - first), whole = nb == j->inner;
    const int64_t at = outer * C * j->inner + first;
    const int64_t lines = whole ? 1 : C, n = whole ? C * nb : nb;
    const int64_t items = (C + j->below + j->above) * nb + VL;
    T *squares = scratch, *reach = scratch + items;
    memset(squares, 0, (size_t)(j->below * nb) * sizeof(T));
    for (int64_t c = 0; c < lines; c++) {
        const T *x = j->x + at + c * j->inner;
        T *to = squares + j->below * nb + c * nb;
        for (int64_t i = 0; i < n; i++) to[i] = x[i] * x[i];
    }
    memset(squares + (j->below + C) * nb, 0, (size_t)(j->above * nb + VL) * sizeof(T));
    /* the gradient's window is the other way round: `above` channels lie before it */
    T *mine = j->g ? reach + j->above * nb : NULL;
    for (int64_t c = 0; c < lines; c++) {
        const int64_t line = at + c * j->inner;
        response_line(j, n, nb, j->x + line, j->g ? j->g + line : NULL, squares + c * nb,
                      j->out + line, mine ? mine + c * nb : NULL);
    }
    if (!mine) return;
    memset(reach, 0, (size_t)(j->above * nb) * sizeof(T));
    memset(mine + C * nb, 0, (size_t)(j->below * nb + VL) * sizeof(T));
    for (int64_t c = 0; c < lines; c++) {
        const int64_t line = at + c * j->inner;
        response_finish(j, n, nb, j->x + line, reach + c * nb, j->out + line);
    }
}

static int local_response(const fc_response_geom *g, const void *x, const void *grad, void *out,
                          int threads) {
    response_job job = {
        g->channels, g->inner,   fc_min(g->inner, RESPONSE_WIDTH), g->below, g->above, (T)g->k,
        (T)g->scale, (T)g->beta, (T)(2 * g->beta * g->scale),      x,        grad,     out};
    if (g->outer == 0 || g->channels == 0 || g->inner == 0) return FC_OK;
    const int64_t parts = (g->inner + job.width - 1) / job.width, tasks = g->outer * parts;
    int64_t each;
    if (__builtin_mul_overflow(g->channels + g->below + g->above, job.width, &each) ||
        __builtin_mul_overflow(each + VL, 2, &each))
        return FC_OVERFLOW;
    threads = (int)fc_min(threads, tasks);
    T *scratch = fc_scratch(threads * each, sizeof(T));
    if (!scratch) return FC_NOMEM;
    if (threads == 1) {
        for (int64_t t = 0; t < tasks; t++) response_block(&job, t / parts, t % parts, scratch);
    } else {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t t = 0; t < tasks; t++)
            response_block(&job, t / parts, t % parts, scratch + fc_thread() * each);
    }
    fc_free(scratch);
    return FC_OK;
}
