/* Average pooling. It is a sparse matrix an axis, as resampling is: where windows overlap, lines
 * are summed up first and pixels of that sum then (pointwise/resample.inc.c), 5 + 5 additions for a
 * window of 5x5 instead of 25. Other windows are summed up one by one (pool/pool.inc.c), their
 * gradients gathered (pool/taps.inc.c). */
#pragma once

#include "fastconv.h"
#include "core/memory.h"
#include "core/simd.h"
#include "pointwise/resample.inc.c"
#include "pool/meets.h"
#include "pool/pool.inc.c"
#include "pool/taps.inc.c"
#include "pool/window.h"

/* The inputs of every output of an axis, as fc_meets_init has the outputs of every input. */
static inline int fc_inputs_init(fc_meets *m, const fc_pool_geom *g, int axis) {
    const int64_t out = g->out_size[axis];
    const int64_t *start = g->windows[axis], *count = start + out, *step = count + out;
    int64_t entries = 0;
    for (int64_t o = 0; o < out; o++) entries += count[o];
    m->begin = fc_scratch(out + 1 + 2 * entries, sizeof(int64_t));
    if (!m->begin) return FC_NOMEM;
    m->output = m->begin + out + 1;
    m->share = (double *)(m->output + entries);
    m->begin[0] = 0;
    for (int64_t o = 0; o < out; o++) {
        int64_t at = m->begin[o];
        for (int64_t k = 0; k < count[o]; k++, at++) {
            m->output[at] = start[o] + k * step[o];
            m->share[at] = g->divisor != 0 ? 1 : 1 / (double)(step + out)[o];
        }
        m->begin[o + 1] = at;
    }
    return FC_OK;
}

/* Whether sums of lines save additions: the most lines of a sum, the pixels of a line on either
 * side, and the terms of all its pixels. Forward they must save half: a window reads and writes in
 * turns, which hides more of the memory's time than two passes over a line do. */
static inline int fc_lines_pay(const fc_pool_geom *g, int back, const fc_meets m[3],
                               const int64_t from[3], const int64_t to[3]) {
    const int64_t lines = fc_most_met(&m[0], to[0]) * fc_most_met(&m[1], to[1]);
    const int64_t terms = m[2].begin[to[2]], cost = (lines + 1) * from[2] + terms;
    return g->channels >= 8 && (back ? 1 : 2) * cost < lines * terms;
}

/* a is x, or dy with `back`. Returns whether that was the way to do it, or a status in `status`. */
static int avg_lines(const fc_pool_geom *g, int back, const void *a, void *out, int threads,
                     int *status) {
    const int64_t *from = back ? g->out_size : g->in_size, *to = back ? g->in_size : g->out_size;
    fc_meets m[3] = {{0}, {0}, {0}};
    T *weights[3] = {NULL, NULL, NULL};
    fc_resample_geom r = {.batch = g->batch, .inner = g->channels};
    *status = FC_OK;
    for (int i = 0; i < 3 && !*status; i++)
        *status = back ? fc_meets_init(&m[i], g, i) : fc_inputs_init(&m[i], g, i);
    const int pays = !*status && fc_lines_pay(g, back, m, from, to);
    for (int i = 0; i < 3 && pays && !*status; i++) {
        const int64_t terms = m[i].begin[to[i]];
        const double whole = i == 0 && g->divisor != 0 ? 1 / g->divisor : 1;
        if (!(weights[i] = fc_scratch(terms + 1, sizeof(T)))) *status = FC_NOMEM;
        for (int64_t k = 0; k < terms && !*status; k++) weights[i][k] = (T)(m[i].share[k] * whole);
        r.in_size[i] = from[i], r.out_size[i] = to[i];
        r.starts[i] = m[i].begin, r.index[i] = m[i].output, r.weight[i] = weights[i];
    }
    if (pays && !*status) *status = resample(&r, a, out, threads);
    for (int i = 0; i < 3; i++) {
        fc_free(m[i].begin);
        fc_free(weights[i]);
    }
    return pays || *status;
}

static int avg_pool_forward(const fc_pool_geom *g, const void *x, void *y, int threads) {
    const int last = fc_channels_last(g->x_stride) && fc_channels_last(g->y_stride);
    int status;
    if (last && avg_lines(g, 0, x, y, threads, &status)) return status;
    return avg_windows(g, x, y, threads);
}

static int avg_pool_backward(const fc_pool_geom *g, const void *dy, void *dx, int threads) {
    const int last = fc_channels_last(g->x_stride) && fc_channels_last(g->y_stride);
    int status;
    if (last && avg_lines(g, 1, dy, dx, threads, &status)) return status;
    if (last) return gather(g, dy, NULL, dx, threads);
    avg_backward_planes(g, dy, dx, threads);
    return FC_OK;
}
