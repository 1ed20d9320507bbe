/* What the blocks of a call of the implicit GEMM share: its parts, and weights packed panel by
 * panel. */
#pragma once

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/block.inc.c"
#include "gemm/pack.inc.c"
#include "gemm/tile.inc.c"

/* Each group's bias, padded to whole panels; NULL when memory is short. */
static T *pad_bias(const conv_problem *p, int64_t panels, const T *bias) {
    T *padded = fc_scratch(p->groups * panels * TILE_NR, sizeof(T));
    for (int64_t i = 0; padded && i < p->groups * panels * TILE_NR; i++) {
        const int64_t g = i / (panels * TILE_NR), k = i % (panels * TILE_NR);
        padded[i] = k < p->cols ? bias[g * p->cols + k] : 0;
    }
    return padded;
}

/* One of the problems of a call, and where its rows and taps stand among those of all. */
typedef struct {
    const conv_problem *p;
    int64_t depth0, rows_at_once, first_block;
    int direct; /* tiles write the target itself */
} gemm_part;

/* Problems that share source, target, weights, channels and columns: the phases of a stride, or
 * forward alone. Their weights are packed together, panel by panel: [part][depth][nr]. */
typedef struct {
    const gemm_part *parts;
    int64_t count, panels, depth_block;
    conv_problem all; /* the first one, but depth, taps and positions are those of all parts */
    int lines, dots, threads;
    const T *src, *w, *padded; /* padded: the bias of each group in whole panels, or NULL */
    T *kept;                   /* [group][panel][part][depth][nr] that the caller keeps, or NULL */
    T *dst;
} gemm_job;

/* Tiles write the target where its columns are whole vectors and its rows dense (line by line, only
 * evenly spaced). */
static int writes_target(const conv_problem *p, int lines, int dots) {
    int direct = p->dst_stride[1] == 1 && (dots || p->cols % VL == 0);
    int64_t dense = p->dst_stride[4];
    for (int i = 2; i >= 0 && !lines; i--) {
        direct &= p->dst_step[i] == 1 && p->dst_stride[2 + i] == dense;
        dense *= p->grid[i];
    }
    return direct && (lines || p->dst_stride[0] == dense);
}

/* Whether sums along the depth beat columns in lanes, most of which would be empty: for every
 * column run/VL multiplications and the adding up, against run that have loads to wait for. */
static int few_columns(const conv_problem *p, int lines) {
    const int64_t run = lines ? p->taps[2].count * p->channels : p->depth;
    return p->cols < VL && run >= VL && p->depth <= DOTS_DEPTH &&
           4 * p->cols * (run + 3 * VL) <= 3 * run * VL;
}

/* One group's weights as [column][depth]. */
static void pack_columns(const conv_problem *p, const T *w, int64_t group, T *out) {
    w += group * p->w_group;
    for (int64_t col = 0; col < p->cols; col++)
        for (int64_t t = 0; t < p->kernel_taps; t++)
            for (int64_t c = 0; c < p->channels && p->position[t] >= 0; c++)
                out[col * p->depth + p->position[t] * p->channels + c] =
                    w[col * p->w_col + c * p->w_channel + t];
}

/* Panel i of all groups' weights, counted through. */
INLINE void pack_panel(const gemm_job *j, int64_t i, T *out) {
    const conv_problem *all = &j->all;
    if (j->dots) {
        pack_columns(all, j->w, i / j->panels, out);
        return;
    }
    const int64_t col = i % j->panels * TILE_NR, width = fc_min(TILE_NR, all->cols - col);
    pack_weight(all, j->w, i / j->panels, col, width, fc_round_up(width, VL), 0, all->channels,
                out);
}

/* Weights that the caller keeps: measured, packed or found. */
static int keep_panels(gemm_job *j) {
    const int64_t items = TILE_NR * j->all.depth, count = j->all.groups * j->panels;
    fc_packed *packed = j->all.packed;
    void *at;
    const int status = fc_packed_next(packed, count * items, sizeof(T), &at);
    if (status || packed->mode == FC_PACKED_SIZE) return status;
    j->kept = at;
    if (packed->mode == FC_PACKED_FILL) {
#pragma omp parallel for schedule(dynamic) num_threads(j->threads) if (j->threads > 1)
        for (int64_t i = 0; i < count; i++) pack_panel(j, i, j->kept + i * items);
    }
    return FC_OK;
}
