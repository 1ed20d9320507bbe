/* Convolution as an implicit GEMM, in three directions.
 *
 *   forward, backward input: Y[row][col]  = sum over d of X[row][d] * W[d][col]
 *   backward weight:         dW[k][d]     = sum over rows of dY[row][k] * X[row][d]
 *
 * X[row][d] is the source as row's taps see it (conv_problem.h); only a block of it is ever packed,
 * small enough for L2, and a 1x1 convolution reads the source as it lies. The target may have any
 * strides; the source needs channel stride 1 (channels-last). */
#include "conv_problem.h"
#include "gemm_tile.inc.c"
#include "dot_tile.inc.c"
#include "conv_pack.inc.c"

#define TILE_ROW_OF(F, mr) {TILE_EACH_NRV(F, mr)}
TILE_DEFINE_ROW(1)
TILE_DEFINE_ROW(2)
TILE_DEFINE_ROW(3)
TILE_DEFINE_ROW(4)
TILE_DEFINE_ROW(5)
TILE_DEFINE_ROW(6)
/* [mr - 1][nrv - 1] */
static const tile_fn tiles_by_rows[TILE_MR][TILE_NRV] = {
    TILE_ROW_OF(TILE_NAME_ROWS, 1), TILE_ROW_OF(TILE_NAME_ROWS, 2), TILE_ROW_OF(TILE_NAME_ROWS, 3),
    TILE_ROW_OF(TILE_NAME_ROWS, 4), TILE_ROW_OF(TILE_NAME_ROWS, 5), TILE_ROW_OF(TILE_NAME_ROWS, 6)};
static const tile_fn tiles_by_cols[TILE_MR][TILE_NRV] = {
    TILE_ROW_OF(TILE_NAME_COLS, 1), TILE_ROW_OF(TILE_NAME_COLS, 2), TILE_ROW_OF(TILE_NAME_COLS, 3),
    TILE_ROW_OF(TILE_NAME_COLS, 4), TILE_ROW_OF(TILE_NAME_COLS, 5), TILE_ROW_OF(TILE_NAME_COLS, 6)};

/* Bytes: a packed block of X (rows x depth) takes a third of a 1 MiB L2; beside it stream one panel
 * of W (depth x TILE_NR) and the target's rows. Backward weight takes up to PIXEL_BLOCK pixels at
 * once; more of them, whose sums are read again for every block, in blocks of PIXEL_PART. */
enum {
    ROW_BLOCK = 192,
    DEPTH_BLOCK_BYTES = 1536,
    PIXEL_BLOCK = 128,
    PIXEL_PART = 96,
    COL_BLOCK = 240
};
/* Sums along the depth in equal blocks: up to here the last one has a vector, too. */
enum { DOTS_DEPTH = 1 << 14 };
/* Packed weights of one call stay below this; more columns go in turns. */
#define WEIGHT_BYTES (INT64_C(32) << 20)
/* Weights with fewer elements than this are summed in partial sums, or they would not feed two
 * threads; the split depends on the shape alone, so results do not depend on the threads. */
enum { SMALL_WEIGHT = 8192, MAX_SPLITS = 16, ROWS_PER_SPLIT = 1024 };

/* A packed row's pitch: room for what the last copy spills, and an odd number of cache lines, so
 * that rows do not share cache sets. */
INLINE int64_t row_pitch(int64_t depth) {
    const int64_t line = 64 / sizeof(T);
    return (fc_ceil_div(depth + VL, line) | 1) * line;
}

/* Element offset of each target position of the rows [row0, row0+count). */
static void target_offsets(const conv_problem *p, int64_t row0, int64_t count, int64_t *out) {
    int64_t r = row0, w = r % p->grid[2];
    r /= p->grid[2];
    int64_t h = r % p->grid[1];
    r /= p->grid[1];
    int64_t d = r % p->grid[0], n = r / p->grid[0];
    for (int64_t i = 0; i < count; i++) {
        out[i] = n * p->dst_stride[0] + (d * p->dst_step[0] + p->dst_first[0]) * p->dst_stride[2] +
                 (h * p->dst_step[1] + p->dst_first[1]) * p->dst_stride[3] +
                 (w * p->dst_step[2] + p->dst_first[2]) * p->dst_stride[4];
        if (++w < p->grid[2]) continue;
        w = 0;
        if (++h < p->grid[1]) continue;
        h = 0;
        if (++d < p->grid[0]) continue;
        d = 0, n++;
    }
}

/* One block: rows [row0, row0+mb) of a group times its column panels [panel0, panel1). */
typedef struct {
    const conv_problem *p;
    const T *src, *weight,
        *bias; /* weight: packed from panel `first`; bias: of this group, padded */
    T *dst;
    int64_t group, row0, rows, first, panel0, panel1, depth_block;
    int64_t panel_depth, depth0; /* of all parts of the call; of those before this one */
    int direct; /* tiles write the target itself; otherwise `stage`, which is laid out at the end */
    int dots;   /* few columns: weight is [column][depth], sums run along the depth */
    T *pack, *stage;
    int64_t *offset; /* [rows]: elements from dst; behind them the runs of a line */
} gemm_block;

/* stage[row][ld] to the target: rows where channels are adjacent, transposed where they are not. */
static void lay_out(const gemm_block *b, int64_t col0, int64_t width, int64_t ld) {
    const int64_t cs = b->p->dst_stride[1], *o = b->offset;
    T *dst = b->dst + (b->group * b->p->cols + col0) * cs;
    for (int64_t i = 0; i < b->rows;) {
        /* Positions that follow each other in the target. */
        int64_t n = 1;
        while (cs != 1 && n < VL && i + n < b->rows && o[i + n] == o[i] + n) n++;
        const T *s = b->stage + i * ld;
        int64_t k = 0;
        if (n == VL) {
            for (; k + VL <= width; k += VL) transpose_square(s + k, ld, dst + o[i] + k * cs, cs);
        }
        for (int64_t r = 0; r < n; r++)
            for (int64_t e = k; e < width; e++) dst[o[i + r] + e * cs] = s[r * ld + e];
        i += n;
    }
}

/* The epilogue of the block's columns; only a channels-last target has one here. */
static void finish_block(const gemm_block *b, int64_t col0, int64_t col1) {
    const int64_t first = b->group * b->p->cols + col0;
    for (int64_t i = 0; b->p->epilogue && i < b->rows; i++) {
        T *y = b->dst + b->offset[i] + first;
        finish_part(b->p->epilogue, col1 - col0, first, y, b->dst, y);
    }
}

/* out[rows][nrv*VL] (+)= a[rows][len] * w[len][ldw], tile by tile. */
INLINE void multiply(int64_t rows, int64_t len, int64_t nrv, const T *a, int64_t pitch, const T *w,
                     int64_t ldw, T *out, int64_t ld, const T *bias, int mode) {
    for (int64_t i = 0; i < rows; i += TILE_MR) {
        const tile_fn f = tiles_by_rows[fc_min(TILE_MR, rows - i) - 1][nrv - 1];
        f(len, a + i * pitch, pitch, w, ldw, out + i * ld, ld, bias, mode);
    }
}

static void gemm_run_block(const gemm_block *b) {
    const conv_problem *p = b->p;
    const int pointwise = conv_is_pointwise(p);
    const int64_t pitch = pointwise ? p->src_stride[4] : row_pitch(b->depth_block);
    const int64_t col0 = b->panel0 * TILE_NR, col1 = fc_min(p->cols, b->panel1 * TILE_NR);
    const int64_t ld = b->direct ? p->dst_stride[4] : fc_round_up(col1 - col0, VL);
    target_offsets(p, b->row0, b->direct && !p->epilogue ? 1 : b->rows, b->offset);
    T *out = b->direct ? b->dst + b->offset[0] + b->group * p->cols + col0 : b->stage;
    for (int64_t d0 = 0; d0 < p->depth; d0 += b->depth_block) {
        const int64_t len = fc_min(b->depth_block, p->depth - d0);
        const T *a = b->pack;
        if (pointwise) {
            a = b->src + b->row0 * pitch + b->group * p->channels + d0;
        } else {
            pack_rows(p, b->src, b->group * p->channels, b->row0, b->rows, d0, len, b->pack, pitch);
        }
        const int mode = d0 ? TILE_ADD : b->bias ? TILE_BIAS : TILE_STORE;
        if (b->dots) {
            const int64_t run[2] = {0, b->depth0 + d0};
            const dot_sums dots = {.rows = b->rows,
                                   .cols = p->cols,
                                   .runs = 1,
                                   .length = len,
                                   .lda = pitch,
                                   .ldb = b->panel_depth,
                                   .ci = ld,
                                   .cj = 1,
                                   .seg = run,
                                   .a = a,
                                   .b = b->weight,
                                   .c = out,
                                   .add = d0 > 0,
                                   .bias_j = d0 ? NULL : b->bias};
            multiply_dots(&dots);
            continue;
        }
        for (int64_t col = col0; col < col1; col += TILE_NR) {
            const int64_t nrv = fc_ceil_div(fc_min(TILE_NR, col1 - col), VL), nr = nrv * VL;
            const T *w = b->weight + (col - b->first * TILE_NR) * b->panel_depth;
            multiply(b->rows, len, nrv, a, pitch, w + (b->depth0 + d0) * nr, nr, out + col - col0,
                     ld, b->bias ? b->bias + col : NULL, mode);
        }
    }
    if (!b->direct) lay_out(b, col0, col1 - col0, ld);
    finish_block(b, col0, col1);
}

#include "conv_lines.inc.c"

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

#include "conv_few_rows.inc.c"

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
