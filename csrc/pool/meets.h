/* Which windows a pixel is in, found along each axis by itself. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"

/* Which (output, tap) meet input i of an axis: entries begin[i] .. begin[i + 1]. share is one over
 * the output's divisor size. */
typedef struct {
    int64_t *begin, *output, *tap;
    double *share;
} fc_meets;

static inline int64_t fc_most_taps(const fc_pool_geom *g, int axis) {
    int64_t most = 1;
    for (int64_t o = 0; o < g->out_size[axis]; o++) {
        const int64_t count = g->windows[axis][g->out_size[axis] + o];
        if (count > most) most = count;
    }
    return most;
}

static inline int fc_meets_init(fc_meets *m, const fc_pool_geom *g, int axis) {
    const int64_t in = g->in_size[axis], out = g->out_size[axis];
    const int64_t *start = g->windows[axis], *count = start + out, *step = count + out;
    int64_t entries = 0;
    for (int64_t o = 0; o < out; o++) entries += count[o];
    m->begin = fc_scratch(in + 2 + 3 * entries, sizeof(int64_t));
    if (!m->begin) return FC_NOMEM;
    m->output = m->begin + in + 2;
    m->tap = m->output + entries;
    m->share = (double *)(m->tap + entries);
    memset(m->begin, 0, (size_t)(in + 2) * sizeof(int64_t));
    /* counts two places on, so that filling them moves begin[i + 1] to where i ends */
    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < count[o]; k++) m->begin[start[o] + k * step[o] + 2]++;
    for (int64_t i = 0; i < in; i++) m->begin[i + 2] += m->begin[i + 1];
    for (int64_t o = 0; o < out; o++)
        for (int64_t k = 0; k < count[o]; k++) {
            const int64_t at = m->begin[start[o] + k * step[o] + 1]++;
            m->output[at] = o;
            m->tap[at] = k;
            m->share[at] = g->divisor != 0 ? 1 : 1 / (double)(step + out)[o];
        }
    return FC_OK;
}

/* Windows of the pixel that is in most. */
static inline int64_t fc_most_met(const fc_meets *m, int64_t in) {
    int64_t most = 0;
    for (int64_t i = 0; i < in; i++)
        if (m->begin[i + 1] - m->begin[i] > most) most = m->begin[i + 1] - m->begin[i];
    return most;
}

/* Of the windows that a row of pixels is in (their rows), and of those that a pixel is in: where
 * they are in y, the tap, the share of an average. As many at a time. */
enum { FC_LINES = 8, FC_PAIRS = 32 };
typedef struct {
    int64_t at[FC_PAIRS];
    int tap[FC_PAIRS];
    double share[FC_PAIRS];
} fc_pairs;
