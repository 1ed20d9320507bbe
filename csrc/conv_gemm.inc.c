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
#include "conv_pack.inc.c"

#define TILE_ROW_OF(F, mr) {TILE_EACH_NRV(F, mr)}
TILE_DEFINE_ROW(1)
TILE_DEFINE_ROW(2)
TILE_DEFINE_ROW(3)
TILE_DEFINE_ROW(4)
TILE_DEFINE_ROW(5)
TILE_DEFINE_ROW(6)
/* [mr - 1][nrv - 1] */
static const tile_fn FN(tiles_by_rows)[TILE_MR][TILE_NRV] = {
    TILE_ROW_OF(TILE_NAME_ROWS, 1), TILE_ROW_OF(TILE_NAME_ROWS, 2), TILE_ROW_OF(TILE_NAME_ROWS, 3),
    TILE_ROW_OF(TILE_NAME_ROWS, 4), TILE_ROW_OF(TILE_NAME_ROWS, 5), TILE_ROW_OF(TILE_NAME_ROWS, 6)};
static const tile_fn FN(tiles_by_cols)[TILE_MR][TILE_NRV] = {
    TILE_ROW_OF(TILE_NAME_COLS, 1), TILE_ROW_OF(TILE_NAME_COLS, 2), TILE_ROW_OF(TILE_NAME_COLS, 3),
    TILE_ROW_OF(TILE_NAME_COLS, 4), TILE_ROW_OF(TILE_NAME_COLS, 5), TILE_ROW_OF(TILE_NAME_COLS, 6)};

#ifndef CONV_GEMM_BLOCKS
#define CONV_GEMM_BLOCKS
/* Bytes: a packed block of X (rows x depth) takes a third of a 1 MiB L2; beside it stream one panel
 * of W (depth x TILE_NR) and the target's rows. */
enum { ROW_BLOCK = 192, DEPTH_BLOCK_BYTES = 1536, PIXEL_BLOCK = 240, COL_BLOCK = 240 };
/* Packed weights of one call stay below this; more columns go in turns. */
#define WEIGHT_BYTES (INT64_C(32) << 20)
/* Weights with fewer elements than this are summed in partial sums, or they would not feed two
 * threads; the split depends on the shape alone, so results do not depend on the threads. */
enum { SMALL_WEIGHT = 8192, MAX_SPLITS = 16, ROWS_PER_SPLIT = 1024 };
#endif

/* A packed row's pitch: room for what the last copy spills, and an odd number of cache lines, so
 * that rows do not share cache sets. */
INLINE int64_t FN(pitch)(int64_t depth) {
    const int64_t line = 64 / sizeof(T);
    return (fc_ceil_div(depth + VL, line) | 1) * line;
}

/* Element offset of each target position of the rows [row0, row0+count). */
static void FN(target_offsets)(const conv_problem *p, int64_t row0, int64_t count, int64_t *out) {
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
    int direct; /* tiles write the target itself; otherwise `stage`, which is laid out at the end */
    T *pack, *stage;
    int64_t *offset; /* [rows]: elements from dst; behind them the runs of a line */
} FN(gemm_block);

/* stage[row][ld] to the target: rows where channels are adjacent, transposed where they are not. */
static void FN(lay_out)(const FN(gemm_block) * b, int64_t col0, int64_t width, int64_t ld) {
    const int64_t cs = b->p->dst_stride[1], *o = b->offset;
    T *dst = b->dst + (b->group * b->p->cols + col0) * cs;
    for (int64_t i = 0; i < b->rows;) {
        /* Positions that follow each other in the target. */
        int64_t n = 1;
        while (cs != 1 && n < VL && i + n < b->rows && o[i + n] == o[i] + n) n++;
        const T *s = b->stage + i * ld;
        int64_t k = 0;
        if (n == VL) {
            for (; k + VL <= width; k += VL)
                FN(transpose_square)(s + k, ld, dst + o[i] + k * cs, cs);
        }
        for (int64_t r = 0; r < n; r++)
            for (int64_t e = k; e < width; e++) dst[o[i + r] + e * cs] = s[r * ld + e];
        i += n;
    }
}

/* The epilogue of the block's columns; only a channels-last target has one here. */
static void FN(finish_block)(const FN(gemm_block) * b, int64_t col0, int64_t col1) {
    T *y = b->dst + b->group * b->p->cols + col0;
    for (int64_t i = 0; b->p->epilogue && i < b->rows; i++)
        FN(finish_part)(b->p->epilogue, col1 - col0, b->dst, y + b->offset[i]);
}

static void FN(gemm_run_block)(const FN(gemm_block) * b) {
    const conv_problem *p = b->p;
    const int pointwise = conv_is_pointwise(p);
    const int64_t pitch = pointwise ? p->src_stride[4] : FN(pitch)(b->depth_block);
    const int64_t col0 = b->panel0 * TILE_NR, col1 = fc_min(p->cols, b->panel1 * TILE_NR);
    const int64_t ld = b->direct ? p->dst_stride[4] : fc_round_up(col1 - col0, VL);
    FN(target_offsets)(p, b->row0, b->rows, b->offset);
    T *out = b->direct ? b->dst + b->offset[0] + b->group * p->cols + col0 : b->stage;
    for (int64_t d0 = 0; d0 < p->depth; d0 += b->depth_block) {
        const int64_t len = fc_min(b->depth_block, p->depth - d0);
        const T *a = b->pack;
        if (pointwise) {
            a = b->src + b->row0 * pitch + b->group * p->channels + d0;
        } else {
            FN(pack_rows)(p, b->src, b->group, b->row0, b->rows, d0, len, b->pack, pitch);
        }
        const int mode = d0 ? TILE_ADD : b->bias ? TILE_BIAS : TILE_STORE;
        for (int64_t col = col0; col < col1; col += TILE_NR) {
            const int64_t nrv = fc_ceil_div(fc_min(TILE_NR, col1 - col), VL), nr = nrv * VL;
            const T *w = b->weight + (col - b->first * TILE_NR) * p->depth + d0 * nr;
            for (int64_t i = 0; i < b->rows; i += TILE_MR) {
                const int64_t mr = fc_min(TILE_MR, b->rows - i);
                FN(tiles_by_rows)
                [mr - 1][nrv - 1](len, a + i *pitch, pitch, w, nr, out + i *ld + col - col0, ld,
                                  b->bias ? b->bias + col : NULL, mode);
            }
        }
    }
    if (!b->direct) FN(lay_out)(b, col0, col1 - col0, ld);
    FN(finish_block)(b, col0, col1);
}

#include "conv_lines.inc.c"

/* Each group's bias, padded to whole panels; NULL when memory is short. */
static T *FN(pad_bias)(const conv_problem *p, int64_t panels, const T *bias) {
    T *padded = fc_scratch(p->groups * panels * TILE_NR, sizeof(T));
    for (int64_t i = 0; padded && i < p->groups * panels * TILE_NR; i++) {
        const int64_t g = i / (panels * TILE_NR), k = i % (panels * TILE_NR);
        padded[i] = k < p->cols ? bias[g * p->cols + k] : 0;
    }
    return padded;
}

/* Solve one problem, by packed blocks or line by line. Tasks are (group, row block, panel range):
 * every element of the target belongs to one task and sums its depth in one order, whatever the
 * number of threads. */
static int FN(gemm_solve)(const conv_problem *p, int lines, const T *src, const T *w, const T *bias,
                          T *dst, int threads) {
    if (p->src_stride[1] != 1 && p->channels * p->groups > 1) return FC_UNSUPPORTED;
    if (p->rows == 0) return FC_OK;
    if (lines && !conv_has_lines(p)) return FC_UNSUPPORTED;
    const int64_t panels = fc_ceil_div(p->cols, TILE_NR);
    const int64_t most = DEPTH_BLOCK_BYTES / (int64_t)sizeof(T);
    const int64_t depth_block = fc_ceil_div(p->depth, fc_ceil_div(p->depth, most));
    /* Rows: enough blocks for every thread several times over, each a whole number of tiles, or of
     * lines. */
    int64_t mb = ROW_BLOCK;
    if (threads > 1) mb = fc_min(mb, fc_max(48, fc_ceil_div(p->rows, 4 * threads)));
    mb = fc_ceil_div(p->rows, fc_ceil_div(p->rows, mb));
    mb = lines ? fc_max(1, mb / p->grid[2]) * p->grid[2] : fc_round_up(mb, TILE_MR);
    const int64_t row_blocks = fc_ceil_div(p->rows, mb);
    /* Columns: in turns that keep packed weights bounded, and split where rows are few. */
    const int64_t panel_items = TILE_NR * p->depth;
    const int64_t turn =
        fc_min(panels, fc_max(1, WEIGHT_BYTES / (panel_items * (int64_t)sizeof(T))));
    int64_t splits = 1;
    if (row_blocks * p->groups < threads) {
        splits = fc_min(turn, fc_ceil_div(threads, row_blocks * p->groups));
    }
    const int64_t tasks = p->groups * row_blocks * splits;
    if (tasks < threads) threads = (int)tasks;

    /* Tiles write the target where its columns are whole vectors and its rows dense (line by line,
     * only evenly spaced). */
    int direct = p->dst_stride[1] == 1 && p->cols % VL == 0;
    int64_t dense = p->dst_stride[4];
    for (int i = 2; i >= 0 && !lines; i--) {
        direct &= p->dst_step[i] == 1 && p->dst_stride[2 + i] == dense;
        dense *= p->grid[i];
    }
    direct &= lines || p->dst_stride[0] == dense;
    const int64_t pitch = FN(pitch)(lines ? p->depth : depth_block);
    int64_t w0, w1;
    const int64_t pack_rows = lines ? FN(line_inside)(p, &w0, &w1) * (mb / p->grid[2]) : mb;
    const int64_t pack_items = fc_round_up(pack_rows * pitch + VL, 16);
    const int64_t stage_items = direct ? 0 : mb * fc_ceil_div(turn, splits) * TILE_NR;
    const int64_t group_bytes = turn * panel_items * (int64_t)sizeof(T);
    const int64_t groups_at_once =
        turn < panels ? 1 : fc_min(p->groups, fc_max(1, WEIGHT_BYTES / group_bytes));
    const int64_t offset_items = mb + 2 * p->taps[0].count * p->taps[1].count;
    T *weight = fc_scratch(groups_at_once * turn * panel_items, sizeof(T));
    T *pack = fc_scratch(threads * pack_items, sizeof(T));
    T *stage = fc_scratch(threads * stage_items, sizeof(T));
    int64_t *offset = fc_scratch(threads * offset_items, sizeof(int64_t));
    T *padded = bias ? FN(pad_bias)(p, panels, bias) : NULL;
    int status = weight && pack && stage && offset && (padded || !bias) ? FC_OK : FC_NOMEM;
    for (int64_t g0 = 0; status == FC_OK && g0 < p->groups; g0 += groups_at_once) {
        const int64_t ng = fc_min(groups_at_once, p->groups - g0);
        for (int64_t t0 = 0; t0 < panels; t0 += turn) {
            const int64_t nt = fc_min(turn, panels - t0);
            const int64_t step = fc_ceil_div(nt, splits);
#pragma omp parallel num_threads(threads) if (threads > 1)
            {
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < ng * nt; i++) {
                    const int64_t panel = t0 + i % nt, width = p->cols - panel * TILE_NR;
                    const int64_t nr = fc_min(TILE_NR, fc_round_up(width, VL));
                    FN(pack_weight)(p, w, g0 + i / nt, panel * TILE_NR, fc_min(width, nr), nr, 0,
                                    p->channels, weight + (i / nt * turn + i % nt) * panel_items);
                }
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < ng * row_blocks * splits; i++) {
                    const int64_t s = i % splits, r = i / splits % row_blocks;
                    const int64_t g = i / splits / row_blocks, me = fc_thread();
                    FN(gemm_block)
                    block = {
                        .p = p,
                        .src = src,
                        .weight = weight + g * turn * panel_items,
                        .first = t0,
                        .bias = bias ? padded + (g0 + g) * panels * TILE_NR : NULL,
                        .dst = dst,
                        .group = g0 + g,
                        .row0 = r * mb,
                        .rows = fc_min(mb, p->rows - r * mb),
                        .panel0 = t0 + fc_min(nt, s * step),
                        .panel1 = t0 + fc_min(nt, (s + 1) * step),
                        .depth_block = depth_block,
                        .direct = direct,
                        .pack = pack + me * pack_items,
                        .stage = stage + me * stage_items,
                        .offset = offset + me * offset_items,
                    };
                    (lines ? FN(gemm_run_lines) : FN(gemm_run_block))(&block);
                }
            }
        }
    }
    fc_free(padded);
    fc_free(offset);
    fc_free(stage);
    fc_free(pack);
    fc_free(weight);
    return status;
}

/* ---------------------------------------------------------------- the three directions */

static int FN(gemm_forward)(const fc_conv_geom *g, int lines, const T *x, const T *w, const T *bias,
                            T *y, int threads) {
    conv_problem p;
    int status = fc_conv_check(g);
    if (status) return status;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = FN(gemm_solve)(&p, lines, x, w, bias, y, threads);
    conv_problem_free(&p);
    return status;
}

/* No tap reaches the positions of a phase: they are zero, or the bias. */
static void FN(fill_phase)(const conv_problem *p, const T *bias, T *dst) {
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

static int FN(gemm_backward_input)(const fc_conv_geom *g, int lines, const T *dy, const T *w,
                                   const T *bias, T *dx, int threads) {
    int status = fc_conv_check(g);
    int64_t phase[3];
    FOR_EACH_PHASE(g, phase) {
        if (status) return status;
        conv_problem p;
        status = conv_problem_backward_input(&p, g, phase);
        if (status == FC_OK && p.depth == 0) {
            FN(fill_phase)(&p, bias, dx);
        } else if (status == FC_OK) {
            status = FN(gemm_solve)(&p, lines, dy, w, bias, dx, threads);
        }
        conv_problem_free(&p);
    }
    return status;
}

/* The kernels of the table: packed (gemm), or line by line (direct). */
#define CONV_GEMM_DEFINE(name, direction, lines)                                               \
    static int FN(name)(const fc_conv_geom *g, const void *a, const void *w, const void *bias, \
                        void *out, int threads) {                                              \
        return FN(direction)(g, lines, a, w, bias, out, threads);                              \
    }
CONV_GEMM_DEFINE(conv_forward_gemm, gemm_forward, 0)
CONV_GEMM_DEFINE(conv_forward_direct, gemm_forward, 1)
CONV_GEMM_DEFINE(conv_backward_input_gemm, gemm_backward_input, 0)
CONV_GEMM_DEFINE(conv_backward_input_direct, gemm_backward_input, 1)

/* One block of dW: `kb` output channels from k0 times the depth [d0, d0+len), summed over the rows
 * [row0, row0+rows) into acc[kb][ld], then laid out as (K, C/groups, taps). */
typedef struct {
    const conv_problem *p;
    const T *dy, *x;
    T *dw;
    int64_t group, k0, kb, d0, len, row0, rows;
    T *pack, *acc;
} FN(weight_block);

static void FN(weight_run_block)(const FN(weight_block) * b) {
    const conv_problem *p = b->p;
    const int64_t C = p->channels, K = p->cols, dy_pitch = p->dst_stride[4];
    /* The last vector of a pixel may reach past the array: only the packed copy allows that. */
    const int whole = b->len % VL == 0, pointwise = whole && conv_is_pointwise(p);
    const int64_t pitch = pointwise ? p->src_stride[4] : FN(pitch)(b->len);
    /* With one tap dW is laid out as the sums are. */
    const int in_place = whole && p->ntaps == 1;
    const int64_t ld = in_place ? C : fc_round_up(b->len, VL);
    T *acc = in_place ? b->dw + (b->group * K + b->k0) * C + b->d0 : b->acc;
    const T *dy = b->dy + b->group * K + b->k0;
    for (int64_t done = 0; done < b->rows; done += PIXEL_BLOCK) {
        const int64_t row = b->row0 + done, n = fc_min(PIXEL_BLOCK, b->rows - done);
        const T *x = b->pack;
        if (pointwise) {
            x = b->x + row * pitch + b->group * C + b->d0;
        } else {
            FN(pack_rows)(p, b->x, b->group, row, n, b->d0, b->len, b->pack, pitch);
        }
        for (int64_t j = 0; j < b->len; j += TILE_NR) {
            const int64_t nrv = fc_ceil_div(fc_min(TILE_NR, b->len - j), VL);
            for (int64_t i = 0; i < b->kb; i += TILE_MR) {
                const tile_fn f = FN(tiles_by_cols)[fc_min(TILE_MR, b->kb - i) - 1][nrv - 1];
                f(n, dy + row * dy_pitch + i, dy_pitch, x + j, pitch, acc + i * ld + j, ld, NULL,
                  done ? TILE_ADD : TILE_STORE);
            }
        }
    }
    if (in_place) return;
    const int64_t taps = p->ntaps;
    for (int64_t i = 0; i < b->kb; i++) {
        T *o = b->dw + ((b->group * K + b->k0 + i) * C) * taps;
        const T *a = b->acc + i * ld;
        int64_t tap = b->d0 / C, c = b->d0 % C;
        for (int64_t left = b->len; left > 0; tap++, c = 0) {
            const int64_t c1 = fc_min(C, c + left);
            left -= c1 - c;
            for (; c < c1; c++) o[c * taps + tap] = *a++;
        }
    }
}

static int FN(conv_backward_weight_gemm)(const fc_conv_geom *g, const void *dy, const void *x,
                                         const void *bias, void *dw, int threads) {
    (void)bias;
    conv_problem p;
    int status = fc_conv_check(g);
    if (status) return status;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK && p.channels * p.groups > 1 && p.src_stride[1] != 1)
        status = FC_UNSUPPORTED;
    if (status == FC_OK && p.cols * p.groups > 1 && p.dst_stride[1] != 1) status = FC_UNSUPPORTED;
    if (status) {
        conv_problem_free(&p);
        return status;
    }
    const int64_t weights = p.groups * p.cols * p.depth;
    int64_t splits = 1;
    if (weights < SMALL_WEIGHT) splits = fc_max(1, fc_min(MAX_SPLITS, p.rows / ROWS_PER_SPLIT));
    /* Blocks of the depth and of K: smaller ones where they would not feed the threads. */
    int64_t kb = fc_min(p.cols, COL_BLOCK), db = DEPTH_BLOCK_BYTES / (int64_t)sizeof(T);
    db = fc_min(p.depth, fc_round_up(fc_ceil_div(p.depth, fc_ceil_div(p.depth, db)), TILE_NR));
    kb = fc_ceil_div(p.cols, fc_ceil_div(p.cols, kb));
    kb = fc_min(p.cols, fc_round_up(kb, TILE_MR));
    while (threads > 1 && db > TILE_NR &&
           p.groups * splits * fc_ceil_div(p.depth, db) * fc_ceil_div(p.cols, kb) < 4 * threads) {
        db = fc_round_up(db / 2, TILE_NR);
    }
    const int64_t nk = fc_ceil_div(p.cols, kb), nd = fc_ceil_div(p.depth, db);
    const int64_t tasks = p.groups * splits * nk * nd;
    if (tasks < threads) threads = (int)tasks;
    const int64_t pack_items = PIXEL_BLOCK * FN(pitch)(db) + TILE_NR;
    const int64_t acc_items = kb * fc_round_up(db, VL);
    T *pack = fc_scratch(threads * pack_items, sizeof(T));
    T *acc = fc_scratch(threads * acc_items, sizeof(T));
    T *partial = splits > 1 ? fc_scratch(splits * weights, sizeof(T)) : (T *)dw;
    if (!pack || !acc || !partial) {
        status = FC_NOMEM;
    } else {
        const int64_t chunk = fc_ceil_div(p.rows, splits);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++) {
            const int64_t d = i % nd, k = i / nd % nk, s = i / nd / nk % splits, me = fc_thread();
            FN(weight_block)
            block = {
                .p = &p,
                .dy = dy,
                .x = x,
                .dw = partial + s * weights,
                .group = i / nd / nk / splits,
                .k0 = k * kb,
                .kb = fc_min(kb, p.cols - k * kb),
                .d0 = d * db,
                .len = fc_min(db, p.depth - d * db),
                .row0 = s * chunk,
                .rows = fc_min(chunk, p.rows - s * chunk),
                .pack = pack + me * pack_items,
                .acc = acc + me * acc_items,
            };
            FN(weight_run_block)(&block);
        }
        if (splits > 1) {
            for (int64_t i = 0; i < weights; i++) {
                T sum = 0;
                for (int64_t s = 0; s < splits; s++) sum += partial[s * weights + i];
                ((T *)dw)[i] = sum;
            }
        }
    }
    if (partial != dw) fc_free(partial);
    fc_free(acc);
    fc_free(pack);
    conv_problem_free(&p);
    return status;
}
