/* Softmax, its logarithm and the cross-entropy of class indices, with their gradients, along the
 * middle axis of arrays (outer, classes, inner).
 *
 * Where positions are enough they are the lanes: work is a block [classes][width] in scratch memory
 * that stays in cache, transposed on the way in and out where the classes are innermost, and goes
 * down its columns. With many classes a row of them is the work, read and written where it lies;
 * its lanes are folded after each sum. A position is computed alike in whatever block it is. */
#pragma once

#include <math.h>
#include <string.h>

#include "fastconv.h"
#include "core/layout.inc.c"
#include "core/memory.h"
#include "core/simd.h"
#include "core/vecmath.inc.c"
#include "pointwise/gradients.inc.c"

enum { SOFTMAX_BLOCK = 256, SOFTMAX_BYTES = 1 << 15 };

typedef struct {
    int kind;
    int64_t classes, inner, width;
    const T *a, *b, *weight, *grad;
    const int64_t *labels;
    int64_t ignore, grad_step;
    T *out, *loss, *sample;
} softmax_job;

/* z[c] -= max, or exp(z - max); returns the sum of exp(z - max). With a label, `chosen` is z - max
 * there. */
INLINE vec softmax_sum(int keep_exp, int64_t C, int64_t width, T *z, const ivec *label,
                       vec *chosen) {
    vec most = vset1((T)-INFINITY), total = {0};
    for (int64_t c = 0; c < C; c++) {
        const vec v = vload(z + c * width);
        most = vselect((ivec)(v > most), v, most);
    }
    ivec class = {0};
    for (int64_t c = 0; c < C; c++, class += 1) {
        const vec v = vload(z + c * width) - most, e = vexp_falling(v);
        if (label) *chosen = vselect((ivec)(class == *label), v, *chosen);
        total += e;
        vstore(z + c * width, keep_exp ? e : v);
    }
    return total;
}

/* One column of vectors. z: x or the gradient, then the result; y: the output of forward. */
INLINE void softmax_column(const softmax_job *j, int kind, int64_t width, T *z, const T *y,
                           const lane_int *labels, const T *scale, T *loss) {
    const int64_t C = j->classes;
    vec total = {0}, chosen = {0};
    if (kind == FC_SOFTMAX) {
        const vec share = 1 / softmax_sum(1, C, width, z, NULL, NULL);
        for (int64_t c = 0; c < C; c++) vstore(z + c * width, vload(z + c * width) * share);
    } else if (kind == FC_LOG_SOFTMAX) {
        total = vlog(softmax_sum(0, C, width, z, NULL, NULL));
        for (int64_t c = 0; c < C; c++) vstore(z + c * width, vload(z + c * width) - total);
    } else if (kind == FC_SOFTMAX_BACKWARD) {
        for (int64_t c = 0; c < C; c++) total += vload(z + c * width) * vload(y + c * width);
        for (int64_t c = 0; c < C; c++)
            vstore(z + c * width, vload(y + c * width) * (vload(z + c * width) - total));
    } else if (kind == FC_LOG_SOFTMAX_BACKWARD) {
        for (int64_t c = 0; c < C; c++) total += vload(z + c * width);
        for (int64_t c = 0; c < C; c++)
            vstore(z + c * width, vload(z + c * width) - vexp(vload(y + c * width)) * total);
    } else {
        const ivec label = *(const ivec_u *)labels, kept = (ivec)(label >= 0);
        const vec by = vload(scale);
        if (kind == FC_CROSS_ENTROPY) {
            total = softmax_sum(1, C, width, z, &label, &chosen);
            const vec share = 1 / total, v = (vlog(total) - chosen) * by;
            vstore(loss, keep(kept, v));
            for (int64_t c = 0; c < C; c++) vstore(z + c * width, vload(z + c * width) * share);
        } else {
            const vec one = vset1(1);
            ivec class = {0};
            for (int64_t c = 0; c < C; c++, class += 1) {
                const vec hit = keep((ivec)(class == label), one);
                const vec v = (vload(z + c * width) - hit) * by;
                vstore(z + c * width, keep(kept, v));
            }
        }
    }
}

#define SOFTMAX_COLUMNS(kind)                                                              \
    case kind:                                                                             \
        for (int64_t i = 0; i < width; i += VL)                                            \
            softmax_column(j, kind, width, z + i, y + i, labels + i, scale + i, loss + i); \
        break;

NOINLINE void softmax_columns(const softmax_job *j, T *z, const T *y, const lane_int *labels,
                              const T *scale, T *loss) {
    const int64_t width = j->width;
    switch (j->kind) {
        SOFTMAX_COLUMNS(FC_SOFTMAX)
        SOFTMAX_COLUMNS(FC_LOG_SOFTMAX)
        SOFTMAX_COLUMNS(FC_SOFTMAX_BACKWARD)
        SOFTMAX_COLUMNS(FC_LOG_SOFTMAX_BACKWARD)
        SOFTMAX_COLUMNS(FC_CROSS_ENTROPY)
        SOFTMAX_COLUMNS(FC_CROSS_ENTROPY_BACKWARD)
    }
}

/* z[c][i] = src[i][c] for `rows` positions, and back. */
INLINE void classes_first(int64_t rows, int64_t C, int64_t width, const T *src, T *z) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < C; c++) z[c * width + i] = src[i * C + c];
}

INLINE void classes_last(int64_t rows, int64_t C, int64_t width, const T *z, T *dst) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < C; c++) dst[i * C + c] = z[c * width + i];
}

/* `rows` positions from p on into the block; what is left of it is `fill`. */
static void softmax_load(const softmax_job *j, int64_t p, int64_t rows, const T *src, T *z) {
    const int64_t C = j->classes, W = j->width;
    if (rows < W) memset(z, 0, (size_t)(C * W) * sizeof(T));
    if (j->inner > 1) {
        const T *s = src + p / j->inner * C * j->inner + p % j->inner;
        for (int64_t c = 0; c < C; c++)
            memcpy(z + c * W, s + c * j->inner, (size_t)rows * sizeof(T));
    } else if (C == 2) classes_first(rows, 2, W, src + p * 2, z);
    else if (C >= VL && rows == W) transpose_part(W, C, src + p * C, z, 0, W, 0, C);
    else classes_first(rows, C, W, src + p * C, z);
}

static void softmax_store(const softmax_job *j, int64_t p, int64_t rows, const T *z) {
    const int64_t C = j->classes, W = j->width;
    if (j->inner > 1) {
        T *d = j->out + p / j->inner * C * j->inner + p % j->inner;
        for (int64_t c = 0; c < C; c++)
            memcpy(d + c * j->inner, z + c * W, (size_t)rows * sizeof(T));
    } else if (C == 2) classes_last(rows, 2, W, z, j->out + p * 2);
    else if (C >= VL && rows == W) transpose_part(C, W, z, j->out + p * C, 0, C, 0, W);
    else classes_last(rows, C, W, z, j->out + p * C);
}

/* ---------------------------------------------------------------- rows of many classes */

/* statement for every vector of a row, at x[c]; of the last one, the lanes that are left, padded
 * with `fill`. What is assigned to v is stored if `keep`. */
#define SOFTMAX_ROW(fill, keep, statement)                                \
    {                                                                     \
        int64_t c = 0;                                                    \
        for (; c + VL <= C; c += VL) {                                    \
            vec v = vload(x + c);                                         \
            const vec w = vload(y + c);                                   \
            (void)w;                                                      \
            statement;                                                    \
            if (keep) vstore(out + c, v);                                 \
        }                                                                 \
        if (c < C) {                                                      \
            const size_t rest = (size_t)(C - c) * sizeof(T);              \
            T lanes[2][VL];                                               \
            vstore(lanes[0], vset1(fill)), vstore(lanes[1], vset1(0));    \
            memcpy(lanes[0], x + c, rest), memcpy(lanes[1], y + c, rest); \
            vec v = vload(lanes[0]);                                      \
            const vec w = vload(lanes[1]);                                \
            (void)w;                                                      \
            statement;                                                    \
            vstore(lanes[0], v);                                          \
            if (keep) memcpy(out + c, lanes[0], rest);                    \
        }                                                                 \
    }

/* The largest of a row, NaN apart: chains of four. */
INLINE vec row_most(const T *x, int64_t C) {
    vec most[4];
    UNROLL
    for (int k = 0; k < 4; k++) most[k] = vset1((T)-INFINITY);
    int64_t c = 0;
    for (; c + 4 * VL <= C; c += 4 * VL) {
        UNROLL
        for (int k = 0; k < 4; k++) {
            const vec v = vload(x + c + k * VL);
            most[k] = vselect((ivec)(v > most[k]), v, most[k]);
        }
    }
    for (; c < C; c += VL) { /* the last one again in part; there are VL of them */
        const vec v = vload(x + (c + VL <= C ? c : C - VL));
        most[0] = vselect((ivec)(v > most[0]), v, most[0]);
    }
    UNROLL
    for (int n = 2; n; n /= 2)
        for (int k = 0; k < n; k++)
            most[k] = vselect((ivec)(most[k + n] > most[k]), most[k + n], most[k]);
    return max_lanes(most[0]);
}

/* A row x of C >= VL classes, y: the output of forward (or x), label: -1 for none. */
INLINE void softmax_row_any(int kind, int64_t C, const T *x, const T *y, int64_t label, T scale,
                            T *out, T *loss) {
    vec total = {0};
    if (kind == FC_SOFTMAX || kind == FC_LOG_SOFTMAX || kind == FC_CROSS_ENTROPY) {
        const vec most = row_most(x, C);
        SOFTMAX_ROW((T)-INFINITY, kind != FC_LOG_SOFTMAX, __builtin_prefetch(x + C + c);
                    v = vexp_falling(v - most); total += v)
        total = sum_lanes(total);
        const vec log = kind == FC_SOFTMAX ? total : vlog(total);
        if (kind == FC_LOG_SOFTMAX) {
            SOFTMAX_ROW(0, 1, v = (v - most) - log)
            return;
        }
        if (kind == FC_CROSS_ENTROPY)
            *loss = label < 0 ? 0 : (log[0] - (x[label] - most[0])) * scale;
        const vec share = 1 / total;
        x = out;
        SOFTMAX_ROW(0, 1, v = v * share)
    } else if (kind == FC_SOFTMAX_BACKWARD) {
        SOFTMAX_ROW(0, 0, total += v * w)
        total = sum_lanes(total);
        SOFTMAX_ROW(0, 1, v = w * (v - total))
    } else if (kind == FC_LOG_SOFTMAX_BACKWARD) {
        SOFTMAX_ROW(0, 0, total += v)
        total = sum_lanes(total);
        SOFTMAX_ROW(0, 1, v = v - vexp(w) * total)
    } else if (label < 0) {
        memset(out, 0, (size_t)C * sizeof(T));
    } else {
        const vec by = vset1(scale);
        SOFTMAX_ROW(0, 1, v = v * by)
        out[label] = (x[label] - 1) * scale;
    }
}
#undef SOFTMAX_ROW

#define SOFTMAX_ROWS(kind)                                                              \
    case kind:                                                                          \
        softmax_row_any(kind, C, j->a + p * C, y + p * C, label, scale, j->out + p * C, \
                        j->loss + p);                                                   \
        break;

NOINLINE void softmax_row(const softmax_job *j, int64_t p) {
    const int64_t C = j->classes;
    const T *y = j->b ? j->b : j->a;
    int64_t label = -1;
    T scale = 0;
    if (j->labels) {
        label = j->labels[p];
        if (label == j->ignore || label < 0 || label >= C) label = -1;
        scale = label < 0 ? 0 : j->weight ? j->weight[label] : 1;
        if (j->sample) j->sample[p] = scale;
        if (j->grad) scale *= j->grad[p * j->grad_step];
    }
    switch (j->kind) {
        SOFTMAX_ROWS(FC_SOFTMAX)
        SOFTMAX_ROWS(FC_LOG_SOFTMAX)
        SOFTMAX_ROWS(FC_SOFTMAX_BACKWARD)
        SOFTMAX_ROWS(FC_LOG_SOFTMAX_BACKWARD)
        SOFTMAX_ROWS(FC_CROSS_ENTROPY)
        SOFTMAX_ROWS(FC_CROSS_ENTROPY_BACKWARD)
    }
}

/* ---------------------------------------------------------------- blocks of positions */

/* Positions p to p + rows, of one image. z, y: scratch for a block. */
static void softmax_block(const softmax_job *j, int64_t p, int64_t rows, T *z, T *y) {
    lane_int labels[SOFTMAX_BLOCK];
    T scale[SOFTMAX_BLOCK], loss[SOFTMAX_BLOCK];
    if (j->labels) {
        for (int64_t i = 0; i < j->width; i++) {
            const int64_t label = i < rows ? j->labels[p + i] : -1;
            const int kept = label != j->ignore && label >= 0 && label < j->classes;
            labels[i] = kept ? (lane_int)label : -1;
            scale[i] = !kept ? 0 : j->weight ? j->weight[label] : 1;
        }
        if (j->sample) memcpy(j->sample + p, scale, (size_t)rows * sizeof(T));
        if (j->grad)
            for (int64_t i = 0; i < rows; i++) scale[i] *= j->grad[(p + i) * j->grad_step];
    }
    softmax_load(j, p, rows, j->a, z);
    if (j->b) softmax_load(j, p, rows, j->b, y);
    softmax_columns(j, z, y, labels, scale, loss);
    softmax_store(j, p, rows, z);
    if (j->loss) memcpy(j->loss + p, loss, (size_t)rows * sizeof(T));
}

static int softmax(int kind, const fc_softmax_geom *g, const void *a, const void *b,
                   const int64_t *labels, const void *weight, const void *grad, void *out,
                   void *loss, void *sample, int threads) {
    softmax_job j = {.kind = kind, .classes = g->classes, .inner = g->inner, .a = a, .b = b};
    j.weight = weight, j.grad = grad, j.labels = labels, j.ignore = g->ignore;
    j.grad_step = g->grad_step, j.out = out, j.loss = loss, j.sample = sample;
    const int64_t C = g->classes;
    if (C < 1 || g->outer < 1 || g->inner < 1) return FC_OK;
    if (C > INT32_MAX - 64) return FC_OVERFLOW;
    if (g->inner == 1 && (C > 64 || (C >= VL && g->outer < VL))) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t p = 0; p < g->outer; p++) softmax_row(&j, p);
        return FC_OK;
    }
    int64_t limit = SOFTMAX_BYTES / (int64_t)sizeof(T) / C / VL * VL;
    limit = limit < VL ? VL : limit < SOFTMAX_BLOCK ? limit : SOFTMAX_BLOCK;
    const int64_t run = g->inner > 1 ? g->inner : g->outer, lanes = (run + VL - 1) / VL * VL;
    j.width = limit < lanes ? limit : lanes;
    const int64_t step = j.width, parts = (run + step - 1) / step;
    const int64_t tasks = g->inner > 1 ? g->outer * parts : parts, size = C * j.width;
    T *scratch = fc_scratch(2 * size * threads, sizeof(T));
    if (!scratch) return FC_NOMEM;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        T *z = scratch + 2 * size * t;
        for (int64_t i = tasks * t / threads; i < tasks * (t + 1) / threads; i++) {
            const int64_t first = i % parts * step, left = run - first;
            const int64_t p = (g->inner > 1 ? i / parts * run : 0) + first;
            softmax_block(&j, p, left < step ? left : step, z, z + size);
        }
    }
    fc_free(scratch);
    return FC_OK;
}
#undef SOFTMAX_COLUMNS
#undef SOFTMAX_ROWS
