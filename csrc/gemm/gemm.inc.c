/* Convolution as an implicit GEMM, in three directions.
 *
 *   forward, backward input: Y[row][col]  = sum over d of X[row][d] * W[d][col]
 *   backward weight:         dW[k][d]     = sum over rows of dY[row][k] * X[row][d]
 *
 * X[row][d] is the source as row's taps see it (core/problem.h); only a block of it is ever packed,
 * small enough for L2, and a 1x1 convolution reads the source as it lies. The target may have any
 * strides; the source needs channel stride 1 (channels-last). */
#pragma once

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/block.inc.c"
#include "gemm/few_rows.inc.c"
#include "gemm/job.inc.c"
#include "gemm/lines.inc.c"
#include "gemm/tile.inc.c"

/* Weights packed ahead, in turns of columns and groups that keep them bounded, then blocks of rows.
 * Tasks are (group, row block, panel range): every element of the target belongs to one task and
 * sums its depth in one order, whatever the number of threads. */
static int gemm_many_rows(const gemm_job *j, int64_t row_blocks, int64_t mb) {
    const conv_problem *all = &j->all;
    const int64_t groups = all->groups, panels = j->panels;
    int threads = j->threads;
    const int64_t panel_items = TILE_NR * all->depth;
    const int64_t turn =
        fc_min(panels, fc_max(1, WEIGHT_BYTES / (panel_items * (int64_t)sizeof(T))));
    int64_t splits = 1; /* of the columns, where rows are few */
    if (row_blocks * groups < threads)
        splits = fc_min(turn, fc_ceil_div(threads, row_blocks * groups));
    const int64_t tasks = groups * row_blocks * splits;
    if (tasks < threads) threads = (int)tasks;

    int64_t pack_items = 0, stage_items = 0, runs = 0;
    for (int64_t q = 0; q < j->count; q++) {
        const conv_problem *p = j->parts[q].p;
        const int64_t rows = j->parts[q].rows_at_once;
        int64_t items = rows * row_pitch(fc_min(j->depth_block, p->depth)), w0, w1;
        if (j->lines) {
            items = line_inside(p, &w0, &w1) * (rows / p->grid[2]) * row_pitch(p->depth);
            runs = fc_max(runs, p->taps[0].count * p->taps[1].count);
        }
        pack_items = fc_max(pack_items, fc_round_up(items + VL, 16));
        if (!j->parts[q].direct)
            stage_items = fc_max(stage_items, rows * fc_ceil_div(turn, splits) * TILE_NR);
    }
    const int64_t group_bytes = turn * panel_items * (int64_t)sizeof(T);
    const int64_t groups_at_once =
        turn < panels ? 1 : fc_min(groups, fc_max(1, WEIGHT_BYTES / group_bytes));
    const int64_t offset_items = mb + 2 * runs;
    T *weight = j->kept ? NULL : fc_scratch(groups_at_once * turn * panel_items, sizeof(T));
    T *pack = fc_scratch(threads * pack_items, sizeof(T));
    T *stage = fc_scratch(threads * stage_items, sizeof(T));
    int64_t *offset = fc_scratch(threads * offset_items, sizeof(int64_t));
    const int status = (weight || j->kept) && pack && stage && offset ? FC_OK : FC_NOMEM;
    for (int64_t g0 = 0; status == FC_OK && g0 < groups; g0 += groups_at_once) {
        const int64_t ng = fc_min(groups_at_once, groups - g0);
        for (int64_t t0 = 0; t0 < panels; t0 += turn) {
            const int64_t nt = fc_min(turn, panels - t0);
            const int64_t step = fc_ceil_div(nt, splits);
#pragma omp parallel num_threads(threads) if (threads > 1)
            {
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < (j->kept ? 0 : ng * nt); i++) {
                    const int64_t g = i / nt, t = i % nt;
                    pack_panel(j, (g0 + g) * panels + t0 + t,
                               weight + (g * turn + t) * panel_items);
                }
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < ng * row_blocks * splits; i++) {
                    const int64_t s = i % splits, r = i / splits % row_blocks;
                    const int64_t g = i / splits / row_blocks, me = fc_thread();
                    const gemm_part *part = j->parts + j->count - 1;
                    while (part->first_block > r) part--;
                    const int64_t row0 = (r - part->first_block) * part->rows_at_once;
                    const gemm_block block = {
                        .p = part->p,
                        .src = j->src,
                        .weight = j->kept ? j->kept + ((g0 + g) * panels + t0) * panel_items
                                          : weight + g * turn * panel_items,
                        .panel_depth = all->depth,
                        .depth0 = part->depth0,
                        .first = t0,
                        .bias = j->padded ? j->padded + (g0 + g) * panels * TILE_NR : NULL,
                        .dst = j->dst,
                        .group = g0 + g,
                        .row0 = row0,
                        .rows = fc_min(part->rows_at_once, part->p->rows - row0),
                        .panel0 = t0 + fc_min(nt, s * step),
                        .panel1 = t0 + fc_min(nt, (s + 1) * step),
                        .depth_block = fc_ceil_div(part->p->depth,
                                                   fc_ceil_div(part->p->depth, j->depth_block)),
                        .direct = part->direct,
                        .dots = j->dots,
                        .pack = pack + me * pack_items,
                        .stage = stage + me * stage_items,
                        .offset = offset + me * offset_items,
                    };
                    (j->lines ? gemm_run_lines : gemm_run_block)(&block);
                }
            }
        }
    }
    fc_free(offset);
    fc_free(stage);
    fc_free(pack);
    fc_free(weight);
    return status;
}

/* Solve problems that share their operands, by packed blocks or line by line. */
static int gemm_solve_all(const conv_problem *problems, int64_t count, int lines, const T *src,
                          const T *w, const T *bias, T *dst, int threads) {
    const conv_problem *p = problems;
    if (count == 0) return FC_OK;
    if (p->src_stride[1] != 1 && p->channels * p->groups > 1) return FC_UNSUPPORTED;
    gemm_job job = {.count = count, .all = *p, .lines = lines, .src = src, .w = w, .dst = dst};
    conv_problem *all = &job.all;
    gemm_part *parts = fc_scratch(count, sizeof *parts);
    all->position = fc_scratch(p->kernel_taps, sizeof(int64_t));
    job.panels = fc_ceil_div(p->cols, TILE_NR);
    const int rows_of_weights = !lines && !p->packed && few_rows_dots(p);
    job.dots = 1;
    for (int64_t q = 0; q < count && !rows_of_weights; q++)
        job.dots &= few_columns(problems + q, lines);
    job.parts = parts;
    job.threads = threads;
    job.padded = bias ? pad_bias(p, job.panels, bias) : NULL;
    int status = parts && all->position && (job.padded || !bias) ? FC_OK : FC_NOMEM;

    /* Rows: enough blocks for every thread several times over, each a whole number of tiles, or of
     * lines. Depth: equal blocks of the longest part. */
    int64_t rows = 0, longest = 0, most_rows = 0, blocks = 0, most = ROW_BLOCK;
    all->ntaps = 0;
    for (int64_t i = 0; status == FC_OK && i < p->kernel_taps; i++) all->position[i] = -1;
    for (int64_t q = 0; status == FC_OK && q < count; q++) {
        const conv_problem *part = problems + q;
        if (lines && !conv_has_lines(part)) status = FC_UNSUPPORTED;
        for (int64_t i = 0; i < p->kernel_taps; i++) {
            if (part->position[i] >= 0) all->position[i] = all->ntaps + part->position[i];
        }
        parts[q] = (gemm_part){.p = part, .depth0 = all->ntaps * p->channels};
        parts[q].direct = writes_target(part, lines, job.dots);
        all->ntaps += part->ntaps;
        rows += part->rows;
        most_rows = fc_max(most_rows, part->rows);
        longest = fc_max(longest, part->depth);
    }
    all->depth = all->ntaps * all->channels;
    const int few = most_rows <= FEW_ROWS && few_rows_depth(all) <= FEW_ROWS_DEPTH;
    if (status == FC_OK && all->packed) status = keep_panels(&job);
    if (status != FC_OK || fc_only_packs(all->packed)) {
        /* nothing to compute */
    } else if (rows_of_weights || (few && !lines && !job.kept && !job.dots)) {
        status = gemm_few_rows(&job, most_rows);
    } else {
        const int64_t depth = DEPTH_BLOCK_BYTES / (int64_t)sizeof(T);
        job.depth_block = fc_ceil_div(longest, fc_ceil_div(longest, depth));
        if (threads > 1) most = fc_min(most, fc_max(48, fc_ceil_div(rows, 4 * threads)));
        int64_t largest = 0;
        for (int64_t q = 0; q < count; q++) {
            const conv_problem *part = problems + q;
            const int64_t mb = fc_ceil_div(part->rows, fc_ceil_div(part->rows, most));
            const int64_t line = part->grid[2];
            parts[q].rows_at_once = lines ? fc_max(1, mb / line) * line : fc_round_up(mb, TILE_MR);
            parts[q].first_block = blocks;
            blocks += fc_ceil_div(part->rows, parts[q].rows_at_once);
            largest = fc_max(largest, parts[q].rows_at_once);
        }
        status = gemm_many_rows(&job, blocks, largest);
    }
    fc_free((void *)job.padded);
    fc_free(all->position);
    fc_free(parts);
    return status;
}

static int gemm_solve(const conv_problem *p, int lines, const T *src, const T *w, const T *bias,
                      T *dst, int threads) {
    return gemm_solve_all(p, p->rows > 0, lines, src, w, bias, dst, threads);
}

/* ---------------------------------------------------------------- the three directions */

static int gemm_forward(const fc_conv_geom *g, int lines, const T *x, const T *w, const T *bias,
                        T *y, int threads) {
    conv_problem p;
    int status = fc_conv_check(g);
    if (status) return status;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = gemm_solve(&p, lines, x, w, bias, y, threads);
    conv_problem_free(&p);
    return status;
}

/* No tap reaches the positions of a phase: they are zero, or the bias. */
static void fill_phase(const conv_problem *p, const T *bias, T *dst) {
    const int64_t *s = p->dst_stride;
    for (int64_t n = 0; n < p->batch; n++)
        for (int64_t d = 0; d < p->grid[0]; d++)
            for (int64_t h = 0; h < p->grid[1]; h++)
                for (int64_t w = 0; w < p->grid[2]; w++) {
                    T *o = dst + n * s[0] + (d * p->dst_step[0] + p->dst_first[0]) * s[2] +
                           (h * p->dst_step[1] + p->dst_first[1]) * s[3] +
                           (w * p->dst_step[2] + p->dst_first[2]) * s[4];
                    for (int64_t c = 0; c < p->groups * p->cols; c++)
                        o[c * s[1]] = bias ? bias[c] : 0;
                }
}

static int gemm_backward_input(const fc_conv_geom *g, int lines, const T *dy, const T *w,
                               const T *bias, T *dx, int threads) {
    int status = fc_conv_check(g);
    if (status) return status;
    /* Each phase that has a tap has one of its own. */
    int64_t most = 1, count = 0, phase[3];
    for (int i = 0; i < 3; i++) most *= fc_min(g->kernel[i], g->stride[i]);
    conv_problem *parts = fc_scratch(most, sizeof *parts);
    if (!parts) return FC_NOMEM;
    FOR_EACH_PHASE(g, phase) {
        conv_problem p;
        if (status) break;
        status = conv_problem_backward_input(&p, g, phase);
        if (status == FC_OK && p.depth > 0 && p.rows > 0) {
            parts[count++] = p;
            continue;
        }
        if (status == FC_OK && !fc_only_packs(p.packed)) fill_phase(&p, bias, dx);
        conv_problem_free(&p);
    }
    if (status == FC_OK) status = gemm_solve_all(parts, count, lines, dy, w, bias, dx, threads);
    while (count > 0) conv_problem_free(parts + --count);
    fc_free(parts);
    return status;
}

/* The kernels of the table: packed (gemm), or line by line (direct). */
#define CONV_GEMM_DEFINE(name, direction, lines)                                           \
    static int name(const fc_conv_geom *g, const void *a, const void *w, const void *bias, \
                    void *out, int threads) {                                              \
        return direction(g, lines, a, w, bias, out, threads);                              \
    }
CONV_GEMM_DEFINE(conv_forward_gemm, gemm_forward, 0)
CONV_GEMM_DEFINE(conv_forward_direct, gemm_forward, 1)
CONV_GEMM_DEFINE(conv_backward_input_gemm, gemm_backward_input, 0)
CONV_GEMM_DEFINE(conv_backward_input_direct, gemm_backward_input, 1)
