/* The GEMM where rows are few and weights many: the last layers of a network, fully connected ones.
 *
 * Weights packed ahead would be written to memory and read again for a handful of rows. Here a task
 * goes down the depth in blocks of channels, with all their taps: weights are read once, in the
 * order in which they lie, and a panel of them is packed into L2 just before its products. X is
 * packed for all rows of the task, which share every panel. */
#pragma once

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/block.inc.c"
#include "gemm/dot_tile.inc.c"
#include "gemm/job.inc.c"
#include "gemm/pack.inc.c"
#include "gemm/tile.inc.c"

/* Rows of the longest part, and depth of a block: X in L2 beside a panel of weights. */
enum { FEW_ROWS = 256, FEW_ROWS_DEPTH = 2048 };
/* So few that a row of weights as it lies makes a column of dots, in blocks of this depth where
 * they are read several times. */
enum { DOT_ROWS = 16, DOT_DEPTH_BYTES = 8192, DOT_CHANNELS = 1 << 16 };
/* Channels of a block where they are the rows of W as it lies, or copied to L1: all columns of a
 * block come before the next one, so that memory streams. */
enum { SWEEP_LYING = 8, SWEEP_COPIED = 64 };

/* Whether a column's weights lie together, and rows are pixels. */
static int few_rows_dots(const conv_problem *all) {
    return all->rows <= DOT_ROWS && all->kernel_taps == 1 && all->w_channel == 1 &&
           all->channels >= VL && all->channels <= DOT_CHANNELS && conv_is_pointwise(all);
}

/* Whether the weights of a channel lie together, and one tile reads them once. */
static int few_rows_lying(const conv_problem *all) {
    return all->kernel_taps == 1 && all->w_col == 1 && all->rows <= TILE_MR &&
           conv_is_pointwise(all);
}

/* Channels of a block: equal blocks, in whole vectors. */
static int64_t few_rows_channels(const conv_problem *all) {
    const int64_t depth = DEPTH_BLOCK_BYTES / (int64_t)sizeof(T), C = all->channels;
    int64_t most = fc_max(VL, depth / all->ntaps / VL * VL);
    if (few_rows_dots(all)) {
        most = all->rows <= DOT_COLS ? C : DOT_DEPTH_BYTES / (int64_t)sizeof(T);
    } else if (all->w_col == 1) {
        most = few_rows_lying(all) ? SWEEP_LYING : SWEEP_COPIED;
    }
    return fc_min(C, fc_round_up(fc_ceil_div(C, fc_ceil_div(C, most)), all->w_col == 1 ? 1 : VL));
}

static int64_t few_rows_depth(const conv_problem *all) {
    return all->ntaps * few_rows_channels(all);
}

/* One task: a share of every part's rows times the panels [panel0, panel1) of a group. */
typedef struct {
    const gemm_job *job;
    int64_t group, share, shares, panel0, panel1, channels;
    T *pack, *panel, *stage;
    int64_t *offset;
} few_rows_task;

/* The task's rows of a part: [*row0, *row0 + the result). */
static int64_t few_rows_of(const few_rows_task *t, const conv_problem *p, int64_t *row0) {
    const int64_t step = fc_round_up(fc_ceil_div(p->rows, t->shares), TILE_MR);
    *row0 = fc_min(p->rows, t->share * step);
    return fc_min(p->rows, *row0 + step) - *row0;
}

/* The task as dots of the rows of W, from memory, and those of X: out[row][column]. */
static void few_rows_run_dots(const few_rows_task *t, T *out, int64_t ld) {
    const gemm_job *j = t->job;
    const conv_problem *all = &j->all;
    const int64_t col0 = t->panel0 * TILE_NR, step = all->src_stride[4];
    const int64_t run[2] = {0, 0};
    int64_t row0;
    dot_sums dots = {.rows = fc_min(all->cols, t->panel1 * TILE_NR) - col0,
                     .cols = few_rows_of(t, all, &row0),
                     .runs = 1,
                     .streams = 1,
                     .seg = run,
                     .lda = all->w_col,
                     .ldb = step,
                     .ci = 1,
                     .cj = ld,
                     .c = out};
    for (int64_t c0 = 0; c0 < all->channels; c0 += t->channels) {
        dots.length = fc_min(t->channels, all->channels - c0);
        dots.a = j->w + t->group * all->w_group + col0 * all->w_col + c0;
        dots.b = j->src + row0 * step + t->group * all->channels + c0;
        dots.add = c0 > 0;
        dots.bias_i = j->padded && !c0 ? j->padded + t->group * j->panels * TILE_NR + col0 : NULL;
        multiply_dots(&dots);
    }
}

/* The task where a tile holds all rows, and the columns of W lie together: each block of rows of W
 * is read once, from one end to the other. */
static void few_rows_run_lying(const few_rows_task *t, T *out, int64_t ld) {
    const gemm_job *j = t->job;
    const conv_problem *all = &j->all;
    const int64_t col1 = fc_min(all->cols, t->panel1 * TILE_NR), pitch = all->src_stride[4];
    const T *bias = j->padded ? j->padded + t->group * j->panels * TILE_NR : NULL;
    int64_t row0;
    const int64_t rows = few_rows_of(t, all, &row0);
    for (int64_t c0 = 0; c0 < all->channels; c0 += t->channels) {
        const int64_t n = fc_min(t->channels, all->channels - c0);
        const T *a = j->src + row0 * pitch + t->group * all->channels + c0;
        const int mode = c0 ? TILE_ADD : bias ? TILE_BIAS : TILE_STORE;
        for (int64_t col = t->panel0 * TILE_NR; col < col1; col += TILE_NR) {
            const int64_t width = fc_min(TILE_NR, col1 - col), nr = fc_round_up(width, VL);
            const T *w = j->w + t->group * all->w_group + c0 * all->w_channel + col;
            if (width < nr) copy_weight(all, w, width, nr, n, t->panel);
            multiply(rows, n, nr / VL, a, pitch, width < nr ? t->panel : w,
                     width < nr ? nr : all->w_channel, out + col - t->panel0 * TILE_NR, ld,
                     bias ? bias + col : NULL, mode);
        }
    }
}

static void few_rows_run(const few_rows_task *t) {
    const gemm_job *j = t->job;
    const conv_problem *all = &j->all;
    const int64_t C = all->channels, col0 = t->panel0 * TILE_NR;
    const int64_t col1 = fc_min(all->cols, t->panel1 * TILE_NR);
    const int64_t staged = fc_round_up(col1 - col0, VL);
    const T *bias = j->padded ? j->padded + t->group * j->panels * TILE_NR : NULL;
    const int lying = few_rows_lying(all);
    if (j->dots || lying) {
        int64_t row0;
        few_rows_of(t, all, &row0);
        const int64_t ld = j->parts->direct ? all->dst_stride[4] : staged;
        T *target = j->dst + row0 * ld + t->group * all->cols + col0;
        if (!j->parts->direct) target = t->stage;
        (j->dots ? few_rows_run_dots : few_rows_run_lying)(t, target, ld);
    }
    for (int64_t c0 = 0; c0 < C && !j->dots && !lying; c0 += t->channels) {
        const int64_t c1 = fc_min(C, c0 + t->channels);
        const int mode = c0 ? TILE_ADD : bias ? TILE_BIAS : TILE_STORE;
        for (int64_t col = col0 - TILE_NR; col < col1; col += TILE_NR) {
            /* The first turn packs X, the others multiply. */
            const int packs = col < col0;
            const int64_t width = fc_min(TILE_NR, all->cols - col), nrv = fc_ceil_div(width, VL);
            const int64_t ldw = nrv * VL;
            int64_t row0;
            if (!packs) pack_weight(all, j->w, t->group, col, width, ldw, c0, c1, t->panel);
            T *pack = t->pack, *stage = t->stage;
            for (int64_t q = 0; q < j->count; q++) {
                const gemm_part *part = j->parts + q;
                conv_problem p = *part->p;
                const int64_t rows = few_rows_of(t, &p, &row0);
                if (rows == 0) continue;
                p.channels = c1 - c0;
                p.depth = p.ntaps * p.channels;
                const int pointwise = conv_is_pointwise(&p);
                const int64_t pitch = pointwise ? p.src_stride[4] : row_pitch(p.depth);
                const T *a = pack;
                if (pointwise) {
                    a = j->src + row0 * pitch + t->group * C + c0;
                } else {
                    if (packs)
                        pack_rows(&p, j->src, t->group * C + c0, row0, rows, 0, p.depth, pack,
                                  pitch);
                    pack += rows * pitch + VL;
                }
                T *out = stage + col - col0;
                const int64_t ld = part->direct ? p.dst_stride[4] : staged;
                if (part->direct) {
                    out = j->dst + row0 * ld + t->group * p.cols + col;
                } else {
                    stage += rows * staged;
                }
                if (packs) continue;
                const T *wq = t->panel + part->depth0 / C * p.channels * ldw;
                multiply(rows, p.depth, nrv, a, pitch, wq, ldw, out, ld, bias ? bias + col : NULL,
                         mode);
            }
        }
    }
    T *stage = t->stage;
    for (int64_t q = 0; q < j->count; q++) {
        gemm_block b = {.p = j->parts[q].p, .group = t->group, .dst = j->dst, .stage = stage};
        b.rows = few_rows_of(t, b.p, &b.row0);
        b.offset = t->offset;
        if (b.rows == 0 || (j->parts[q].direct && !b.p->epilogue)) continue;
        target_offsets(b.p, b.row0, b.rows, b.offset);
        if (!j->parts[q].direct) {
            lay_out(&b, col0, col1 - col0, staged);
            stage += b.rows * staged;
        }
        finish_block(&b, col0, col1);
    }
}

/* Solve the job; `most` is the number of rows of its longest part. */
static int gemm_few_rows(const gemm_job *j, int64_t most) {
    const conv_problem *all = &j->all;
    /* Panels shared out to the threads, and rows too where panels are few. */
    int threads = j->threads;
    const int64_t splits = fc_min(j->panels, 2 * threads);
    int64_t shares = 1;
    if (splits * all->groups < threads)
        shares = fc_min(fc_ceil_div(most, TILE_MR), fc_ceil_div(threads, splits * all->groups));
    const int64_t step = fc_ceil_div(j->panels, splits), tasks = all->groups * shares * splits;
    if (tasks < threads) threads = (int)tasks;
    const int64_t channels = few_rows_channels(all);
    int64_t pack_items = 0, stage_items = 0;
    for (int64_t q = 0; q < j->count; q++) {
        const conv_problem *p = j->parts[q].p;
        const int64_t rows = fc_round_up(fc_ceil_div(p->rows, shares), TILE_MR);
        if (!conv_is_pointwise(p)) pack_items += rows * row_pitch(p->ntaps * channels) + VL;
        if (!j->parts[q].direct) stage_items += rows * step * TILE_NR;
    }
    const int64_t panel_items = all->ntaps * channels * TILE_NR;
    pack_items = fc_round_up(pack_items, 16);
    T *scratch = fc_scratch(threads * (pack_items + panel_items + stage_items), sizeof(T));
    int64_t *offset = fc_scratch(threads * (most + TILE_MR), sizeof(int64_t));
    const int status = scratch && offset ? FC_OK : FC_NOMEM;
    if (status == FC_OK) {
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++) {
            const int64_t s = i % splits, me = fc_thread();
            T *own = scratch + me * (pack_items + panel_items + stage_items);
            const few_rows_task task = {
                .job = j,
                .group = i / splits / shares,
                .share = i / splits % shares,
                .shares = shares,
                .panel0 = fc_min(j->panels, s * step),
                .panel1 = fc_min(j->panels, (s + 1) * step),
                .channels = channels,
                .pack = own,
                .panel = own + pack_items,
                .stage = own + pack_items + panel_items,
                .offset = offset + me * (most + TILE_MR),
            };
            if (task.panel0 < task.panel1) few_rows_run(&task);
        }
    }
    fc_free(offset);
    fc_free(scratch);
    return status;
}
