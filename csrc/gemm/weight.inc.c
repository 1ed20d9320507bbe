/* Backward weight as a GEMM over the positions: dW[k][d] = sum over rows of dY[row][k] * X[row][d],
 * in blocks of rows. The tile reads one operand by columns, the other by rows, both as they lie as
 * long as pixels are short; long ones, of which few would fit into the cache at a time, are
 * transposed once for all panels, or copied panel by panel. X is packed where a row is no pixel. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/layout.inc.c"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/block.inc.c"
#include "gemm/pack.inc.c"
#include "gemm/tile.inc.c"

TILE_EACH_NRV(TILE_AHEAD_ROWS, 6)
TILE_EACH_NRV(TILE_AHEAD_COLS, 6)
/* [A by rows][nrv - 1] */
static const tile_ahead_fn tiles_ahead[2][TILE_NRV] = {{TILE_EACH_NRV(TILE_AHEAD_COLS_NAME, 6)},
                                                       {TILE_EACH_NRV(TILE_AHEAD_ROWS_NAME, 6)}};

/* Pixels of so many bytes share few sets of L1, and are copied for a block with so many rows (or
 * columns, where they are transposed) to use the copy. */
enum { LONG_PIXEL = 2048, COPY_USES = 64, TURN_USES = 256 };
/* Where all rows fit one block, dW of so many bytes is written once, past the caches: the optimiser
 * comes for it when they hold something else. */
enum { GRAD_STREAM = 1 << 20 };
/* From few rows, dW is written faster than memory takes it; from so many bytes on, past the caches.
 */
enum { STREAM_ROWS = 16, STREAM_BYTES = 32 << 20, STREAM_COLS = 4, STREAM_TASK = 64 };

INLINE int is_long(int64_t pitch) { return pitch * (int64_t)sizeof(T) >= LONG_PIXEL; }

/* One operand. */
typedef struct {
    const T *at;          /* NULL: X, packed block by block */
    int64_t pitch, count; /* channels of a group */
    int64_t size, taps;   /* of a block: channels, and of X how many taps of each */
} weight_side;

/* All that the blocks share: the tile's rows are columns of `a`, its columns those of `b`. */
typedef struct {
    const conv_problem *p;
    const T *x;
    weight_side a, b;
    int swapped; /* a is X, b is dY: the sums are dW transposed */
    int stream;  /* dW goes past the caches where rows are few enough to be summed up at once */
    int64_t pack_items, acc_items, turned_items, panel_items;
} weight_job;

/* One block of dW: m columns of `a` from a0, n = taps * channels of `b` from channel b0 and tap t0
 * on, summed over the rows [row0, row0+rows). */
typedef struct {
    const weight_job *job;
    T *dw, *scratch;
    int64_t group, a0, m, b0, channels, t0, taps, n, row0, rows;
} weight_block;

/* out[column][row] = from[row][column], in squares; the last ones overlap where a side is no whole
 * number of them. */
static void turn(const T *from, int64_t pitch, int64_t rows, int64_t cols, T *out,
                 int64_t out_pitch) {
    if (rows < VL || cols < VL) {
        for (int64_t k = 0; k < cols; k++)
            for (int64_t r = 0; r < rows; r++) out[k * out_pitch + r] = from[r * pitch + k];
        return;
    }
    for (int64_t i = 0; i < rows; i += VL) {
        const int64_t r = fc_min(i, rows - VL);
        for (int64_t j = 0; j < cols; j += VL) {
            const int64_t k = fc_min(j, cols - VL);
            transpose_square(from + r * pitch + k, pitch, out + k * out_pitch + r, out_pitch);
        }
    }
}

/* out[rows][nrv*VL] from rows of so many elements. */
INLINE void copy_vectors(const int nrv, const T *from, int64_t pitch, int64_t rows, T *out) {
    for (int64_t r = 0; r < rows; r++, from += pitch, out += nrv * VL) {
        UNROLL
        for (int j = 0; j < nrv; j++) vstore(out + j * VL, vload(from + j * VL));
    }
}

/* out[rows][nr] from rows of `width` elements, zero behind them. */
static void copy_panel(const T *from, int64_t pitch, int64_t rows, int64_t width, int64_t nr,
                       T *out) {
    if (width == TILE_NR) {
        copy_vectors(TILE_NRV, from, pitch, rows, out);
        return;
    }
    for (int64_t r = 0; r < rows; r++, from += pitch, out += nr) {
        int64_t j = 0;
        for (; j + VL <= width; j += VL) vstore(out + j, vload(from + j));
        for (; j < nr; j++) out[j] = j < width ? from[j] : 0;
    }
}

/* Columns of lines that the next block will read, `pitch` apart. */
typedef struct {
    const T *at[2];
    int64_t pitch[2], lines[2];
} weight_next;

/* acc[m][ld] (+)= a * panel[rows][ldb], tile by tile; each asks for a column of lines. */
static void weight_multiply(int by_rows, int64_t m, int64_t rows, int64_t nrv, const T *a,
                            int64_t lda, const T *panel, int64_t ldb, T *acc, int64_t ld, int mode,
                            weight_next *next) {
    for (int64_t i = 0; i < m; i += TILE_MR) {
        const T *ai = a + (by_rows ? i * lda : i);
        T *c = acc + i * ld;
        if (m - i < TILE_MR) {
            const tile_fn f =
                by_rows ? tiles_by_rows[m - i - 1][nrv - 1] : tiles_by_cols[m - i - 1][nrv - 1];
            f(rows, ai, lda, panel, ldb, c, ld, NULL, mode == TILE_ADD ? TILE_ADD : TILE_STORE);
            continue;
        }
        const int side = next->lines[0] == 0;
        const int more = next->lines[side] > 0;
        tiles_ahead[by_rows][nrv - 1](rows, ai, lda, panel, ldb, c, ld, mode,
                                      more ? next->at[side] : ai, more ? next->pitch[side] : 0);
        next->lines[side] -= more;
        next->at[side] += more ? 64 / sizeof(T) : 0;
    }
}

/* The sums acc[m][ld] to dW (K, C/groups, taps), from rows [tap][channel]. */
static void weight_lay_out(const weight_block *b, const T *acc, int64_t ld) {
    const conv_problem *p = b->job->p;
    const int64_t C = p->channels, all = p->ntaps, n = b->channels;
    T *dw = b->dw + b->group * p->cols * C * all;
    for (int64_t i = 0; i < b->m; i++, acc += ld) {
        if (b->job->swapped) {
            for (int64_t k = 0; k < n; k++) dw[(b->b0 + k) * C + b->a0 + i] = acc[k];
            continue;
        }
        T *o = dw + ((b->a0 + i) * C + b->b0) * all + b->t0;
        if (all == 1) memcpy(o, acc, (size_t)n * sizeof(T));
        else lay_out_taps(acc, n, b->taps, n, o, all);
    }
}

static void weight_run_block(const weight_block *b) {
    const weight_job *j = b->job;
    const conv_problem *p = j->p;
    T *const pack = b->scratch, *const turned = pack + j->pack_items;
    T *const panel = turned + j->turned_items;
    /* With one tap dW is laid out as the sums are. */
    const int in_place = !j->swapped && b->n % VL == 0 && p->ntaps == 1;
    const int64_t ld = in_place ? j->b.count : fc_round_up(b->n, VL);
    T *acc = panel + j->panel_items;
    if (in_place) acc = b->dw + (b->group * j->a.count + b->a0) * ld + b->b0;
    /* Equal blocks of rows, equal panels of columns. */
    const int64_t parts = b->rows <= PIXEL_BLOCK ? 1 : fc_ceil_div(b->rows, PIXEL_PART);
    const int64_t most = fc_ceil_div(b->rows, parts);
    const int64_t vectors = fc_ceil_div(b->n, VL);
    const int64_t width = fc_ceil_div(vectors, fc_ceil_div(vectors, TILE_NRV)) * VL;
    const int turns = is_long(j->a.pitch) && b->n >= TURN_USES;
    const int64_t pitch = j->b.at ? j->b.pitch : row_pitch(b->n);
    conv_problem part = *p;
    part.channels = b->channels;
    const int stream = in_place && j->stream && parts == 1 && (uintptr_t)acc % VEC_BYTES == 0;
    for (int64_t done = 0; done < b->rows; done += most) {
        const int mode = done ? TILE_ADD : stream ? TILE_STREAM : TILE_STORE;
        const int64_t row = b->row0 + done, rows = fc_min(most, b->rows - done);
        const T *a = j->a.at + b->group * j->a.count + b->a0 + row * j->a.pitch, *from = pack;
        const int64_t lines = done + rows < b->rows ? 64 / (int64_t)sizeof(T) : INT64_MAX;
        weight_next next = {{a + rows * j->a.pitch, NULL}, {j->a.pitch, pitch}, {b->m / lines, 0}};
        if (j->b.at) {
            from = j->b.at + b->group * j->b.count + b->b0 + row * pitch;
            next.at[1] = from + rows * pitch;
            next.lines[1] = b->n / lines;
        } else {
            pack_rows(&part, j->x, b->group * p->channels + b->b0, row, rows, b->t0 * b->channels,
                      b->n, pack, pitch);
        }
        int64_t lda = j->a.pitch;
        if (turns) {
            lda = row_pitch(most);
            turn(a, j->a.pitch, rows, b->m, turned, lda);
            a = turned;
        }
        for (int64_t n = 0; n < b->n; n += width) {
            const int64_t some = fc_min(width, b->n - n), nr = fc_round_up(some, VL);
            /* The last vector of a pixel may reach past the array. */
            const int copies = some < nr || (is_long(pitch) && b->m >= COPY_USES);
            if (copies) copy_panel(from + n, pitch, rows, some, nr, panel);
            weight_multiply(turns, b->m, rows, nr / VL, a, lda, copies ? panel : from + n,
                            copies ? nr : pitch, acc + n, ld, mode, &next);
        }
    }
    if (stream) STREAMED();
    if (!in_place) weight_lay_out(b, acc, ld);
}

/* dW of a large fully connected layer and few rows. Four rows of dW at a time share the loads of x;
 * a task is STREAM_TASK of them. */
static int weight_streams(const conv_problem *p, const T *dw) {
    return conv_is_pointwise(p) && p->groups == 1 && p->rows > 0 && p->rows <= STREAM_ROWS &&
           p->channels % VL == 0 && (uintptr_t)dw % VEC_BYTES == 0 &&
           p->cols * p->channels >= STREAM_BYTES / (int64_t)sizeof(T);
}

static void weight_stream(const conv_problem *p, const T *dy, const T *x, T *dw, int threads) {
    const int64_t K = p->cols, C = p->channels, tasks = fc_ceil_div(K, STREAM_TASK);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < tasks; i++) {
            const int64_t end = fc_min(K, (i + 1) * STREAM_TASK);
            for (int64_t k = i * STREAM_TASK; k < end; k += STREAM_COLS) {
                const int64_t n = fc_min(STREAM_COLS, end - k);
                for (int64_t c = 0; c < C; c += VL) {
                    vec sum[STREAM_COLS];
                    UNROLL
                    for (int j = 0; j < STREAM_COLS; j++) sum[j] = vset1(0);
                    for (int64_t r = 0; r < p->rows; r++) {
                        const T *g = dy + r * p->dst_stride[4] + k;
                        const vec v = vload(x + r * p->src_stride[4] + c);
                        UNROLL
                        for (int j = 0; j < STREAM_COLS; j++) sum[j] += g[j < n ? j : 0] * v;
                    }
                    UNROLL
                    for (int j = 0; j < STREAM_COLS; j++)
                        if (j < n) STREAM(dw + (k + j) * C + c, sum[j]);
                }
            }
        }
        STREAMED();
    }
}

/* Equal blocks of both sides, smaller ones where they would not feed the threads. A block has all
 * taps of its channels, which lie together in dW, unless they are too many for whole vectors. */
static void weight_cut(weight_job *j, int64_t times, int threads) {
    weight_side *a = &j->a, *b = &j->b;
    const int64_t wide = DEPTH_BLOCK_BYTES / (int64_t)sizeof(T), taps = b->taps;
    const int64_t unit = taps > 1 ? VL : TILE_NR;
    int64_t most = wide;
    if (taps > 1 && taps * fc_min(b->count, VL) <= 2 * wide) {
        const int64_t each = taps * (COL_BLOCK + PIXEL_BLOCK) * (int64_t)sizeof(T);
        most = fc_max(unit, fc_l2_bytes() / 2 / each / unit * unit);
    }
    b->size = fc_ceil_div(b->count, fc_ceil_div(b->count, most));
    b->size = fc_min(b->count, fc_round_up(b->size, unit));
    b->taps = fc_min(taps, fc_max(1, 2 * wide / b->size));
    a->size = fc_ceil_div(a->count, fc_ceil_div(a->count, COL_BLOCK));
    a->size = fc_min(a->count, fc_round_up(a->size, TILE_MR));
    while (threads > 1 && b->size > unit &&
           times * fc_ceil_div(b->count, b->size) * fc_ceil_div(taps, b->taps) *
                   fc_ceil_div(a->count, a->size) <
               4 * threads)
        b->size = fc_round_up(b->size / 2, unit);
}

static int conv_backward_weight_gemm(const fc_conv_geom *g, const void *dy, const void *x,
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
    if (weight_streams(&p, dw)) {
        weight_stream(&p, dy, x, dw, threads);
        conv_problem_free(&p);
        return FC_OK;
    }
    weight_job job = {.p = &p, .x = x, .a = {dy, p.dst_stride[4], p.cols, 0, 1}};
    job.b = (weight_side){NULL, 0, p.channels, 0, p.ntaps};
    if (conv_is_pointwise(&p)) {
        job.b = (weight_side){x, p.src_stride[4], p.channels, 0, 1};
        /* Few channels would not fill the tile's vectors: they are its rows. */
        const int64_t K = p.cols, C = p.channels;
        job.swapped =
            C < K && K >= 2 * VL && (C <= VL || fc_round_up(C, VL) * K > fc_round_up(K, VL) * C);
    }
    if (job.swapped) {
        const weight_side a = job.b;
        job.b = job.a;
        job.a = a;
    }
    const int64_t weights = p.groups * p.cols * p.depth;
    int64_t splits = 1;
    if (weights < SMALL_WEIGHT) splits = fc_max(1, fc_min(MAX_SPLITS, p.rows / ROWS_PER_SPLIT));
    weight_side *a = &job.a, *b = &job.b;
    weight_cut(&job, p.groups * splits, threads);
    job.stream = splits == 1 && weights * (int64_t)sizeof(T) >= GRAD_STREAM && b->count % VL == 0;
    const int64_t na = fc_ceil_div(a->count, a->size), nb = fc_ceil_div(b->count, b->size);
    const int64_t nt = fc_ceil_div(p.ntaps, b->taps), most = b->size * b->taps;
    const int64_t tasks = p.groups * splits * na * nb * nt;
    if (tasks < threads) threads = (int)tasks;
    if (!b->at) job.pack_items = fc_round_up(PIXEL_BLOCK * row_pitch(most) + TILE_NR, 16);
    job.turned_items = a->size * row_pitch(PIXEL_BLOCK);
    job.panel_items = PIXEL_BLOCK * TILE_NR;
    job.acc_items = a->size * fc_round_up(most, VL);
    const int64_t items =
        fc_round_up(job.pack_items + job.turned_items + job.panel_items + job.acc_items, 16);
    T *scratch = fc_scratch(threads * items, sizeof(T));
    T *partial = splits > 1 ? fc_scratch(splits * weights, sizeof(T)) : (T *)dw;
    if (!scratch || !partial) {
        status = FC_NOMEM;
    } else {
        const int64_t chunk = fc_ceil_div(p.rows, splits);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++) {
            const int64_t it = i % nt, ib = i / nt % nb, ia = i / nt / nb % na;
            const int64_t s = i / nt / nb / na % splits;
            weight_block block = {
                .job = &job,
                .dw = partial + s * weights,
                .scratch = scratch + fc_thread() * items,
                .group = i / nt / nb / na / splits,
                .a0 = ia * a->size,
                .m = fc_min(a->size, a->count - ia * a->size),
                .b0 = ib * b->size,
                .channels = fc_min(b->size, b->count - ib * b->size),
                .t0 = it * b->taps,
                .taps = fc_min(b->taps, p.ntaps - it * b->taps),
                .row0 = s * chunk,
                .rows = fc_min(chunk, p.rows - s * chunk),
            };
            block.n = block.channels * block.taps;
            weight_run_block(&block);
        }
        for (int64_t i = 0; i < weights && splits > 1; i++) {
            T sum = 0;
            for (int64_t s = 0; s < splits; s++) sum += partial[s * weights + i];
            ((T *)dw)[i] = sum;
        }
    }
    if (partial != dw) fc_free(partial);
    fc_free(scratch);
    conv_problem_free(&p);
    return status;
}
