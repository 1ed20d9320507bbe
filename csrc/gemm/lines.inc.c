/* The GEMM's forward and backward input without packing: tiles read the source as it lies.
 *
 * Where the taps along w are neighbours and a pixel holds the group's channels only, the depth of a
 * position is one run of memory for each (tap d, tap h), and the runs of neighbouring positions are
 * src_step pixels apart: A(i, e) = line[i * lda + e]. A tile takes its runs one after the other
 * with its sums in registers. Only positions whose taps leave the line at its ends are packed.
 * Worth it where few columns share a packed row: packing costs 1/8 cycle or more per element,
 * multiplying it cols/VL. */
#pragma once

#include "core/problem.h"
#include "core/simd.h"
#include "gemm/block.inc.c"
#include "gemm/dot_tile.inc.c"
#include "gemm/pack.inc.c"
#include "gemm/tile.inc.c"

/* C[mr][nrv*VL] = bias + sum over runs s of A(i, seg[2s] + e) * B(seg[2s+1] + e, j), e < length. */
INLINE void tile_runs(const int mr, const int nrv, int64_t runs, const int64_t *seg, int64_t length,
                      const T *a, int64_t lda, const T *b, T *c, int64_t ldc, const T *bias) {
    vec acc[TILE_MR][TILE_NRV];
    UNROLL
    for (int j = 0; j < nrv; j++) {
        const vec start = bias ? vload(bias + j * VL) : vset1(0);
        UNROLL
        for (int i = 0; i < mr; i++) acc[i][j] = start;
    }
    for (int64_t s = 0; s < runs; s++) {
        const T *a0 = a + seg[2 * s], *a3 = a0 + 3 * lda, *bs = b + seg[2 * s + 1] * nrv * VL;
        for (int64_t e = 0; e < length; e++, a0++, a3++, bs += nrv * VL) {
            vec bv[TILE_NRV];
            UNROLL
            for (int j = 0; j < nrv; j++) bv[j] = vload(bs + j * VL);
            UNROLL
            for (int i = 0; i < mr; i++) {
                const vec av = vset1((i < 3 ? a0 : a3)[i % 3 * lda]);
                UNROLL
                for (int j = 0; j < nrv; j++) acc[i][j] += av * bv[j];
            }
        }
    }
    UNROLL
    for (int i = 0; i < mr; i++) {
        UNROLL
        for (int j = 0; j < nrv; j++) vstore(c + i * ldc + j * VL, acc[i][j]);
    }
}

typedef void (*runs_fn)(int64_t runs, const int64_t *seg, int64_t length, const T *a, int64_t lda,
                        const T *b, T *c, int64_t ldc, const T *bias);
#define RUNS_DEFINE(mr, nrv)                                                                     \
    NOINLINE void tile_runs_##mr##x##nrv(int64_t runs, const int64_t *seg, int64_t length,       \
                                         const T *a, int64_t lda, const T *b, T *c, int64_t ldc, \
                                         const T *bias) {                                        \
        tile_runs(mr, nrv, runs, seg, length, a, lda, b, c, ldc, bias);                          \
    }
#define RUNS_NAME(mr, nrv) tile_runs_##mr##x##nrv,
TILE_EACH_NRV(RUNS_DEFINE, 1)
TILE_EACH_NRV(RUNS_DEFINE, 2)
TILE_EACH_NRV(RUNS_DEFINE, 3)
TILE_EACH_NRV(RUNS_DEFINE, 4)
TILE_EACH_NRV(RUNS_DEFINE, 5)
TILE_EACH_NRV(RUNS_DEFINE, 6)
/* [mr - 1][nrv - 1] */
static const runs_fn tiles_by_runs[TILE_MR][TILE_NRV] = {
    TILE_ROW_OF(RUNS_NAME, 1), TILE_ROW_OF(RUNS_NAME, 2), TILE_ROW_OF(RUNS_NAME, 3),
    TILE_ROW_OF(RUNS_NAME, 4), TILE_ROW_OF(RUNS_NAME, 5), TILE_ROW_OF(RUNS_NAME, 6)};

/* Positions [*w0, *w1) of a line have all their taps inside; the others are its ends. */
static int64_t line_inside(const conv_problem *p, int64_t *w0, int64_t *w1) {
    const tap_axis *tw = &p->taps[2];
    const int64_t W = p->grid[2], step = p->src_step[2];
    *w0 = 0, *w1 = W;
    while (*w0 < W && *w0 * step + tw->off[0] < 0) ++*w0;
    while (*w1 > *w0 && (*w1 - 1) * step + tw->off[tw->count - 1] >= p->src_size[2]) --*w1;
    return *w0 + W - *w1;
}

/* The block's whole lines of the grid, panel by panel. */
static void gemm_run_lines(const gemm_block *b) {
    const conv_problem *p = b->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t W = p->grid[2], length = tw->count * p->channels, *st = p->src_stride;
    const int64_t col0 = b->panel0 * TILE_NR, col1 = fc_min(p->cols, b->panel1 * TILE_NR);
    const int64_t ld = b->direct ? p->dst_step[2] * p->dst_stride[4] : fc_round_up(col1 - col0, VL);
    const int64_t lda = p->src_step[2] * st[4], pitch = row_pitch(p->depth);
    int64_t *seg = b->offset + b->rows;
    target_offsets(p, b->row0, b->rows, b->offset);
    int64_t w0, w1;
    const int64_t ends = line_inside(p, &w0, &w1);
    for (int64_t r = 0; ends && r < b->rows; r += W) {
        T *pack = b->pack + r / W * ends * pitch;
        pack_rows(p, b->src, b->group * p->channels, b->row0 + r, w0, 0, p->depth, pack, pitch);
        pack_rows(p, b->src, b->group * p->channels, b->row0 + r + w1, W - w1, 0, p->depth,
                  pack + w0 * pitch, pitch);
    }
    for (int64_t col = col0; col < col1; col += TILE_NR) {
        const int64_t nrv = fc_ceil_div(fc_min(TILE_NR, col1 - col), VL);
        const T *w = b->weight + (col - b->first * TILE_NR) * b->panel_depth + b->depth0 * nrv * VL;
        const T *bias = b->bias ? b->bias + col : NULL;
        for (int64_t r = 0; r < b->rows; r += W) {
            const int64_t line = (b->row0 + r) / W, h = line % p->grid[1];
            const int64_t d = line / p->grid[1] % p->grid[0], n = line / p->grid[1] / p->grid[0];
            int64_t runs = 0;
            for (int64_t x = 0; x < td->count * th->count; x++) {
                const int64_t sd = d * p->src_step[0] + td->off[x / th->count];
                const int64_t sh = h * p->src_step[1] + th->off[x % th->count];
                if (sd < 0 || sd >= p->src_size[0] || sh < 0 || sh >= p->src_size[1]) continue;
                seg[2 * runs] = sd * st[2] + sh * st[3] + tw->off[0] * st[4];
                seg[2 * runs++ + 1] = x * length + (b->dots ? b->depth0 : 0);
            }
            const T *src = b->src + n * st[0] + b->group * p->channels;
            T *out = b->direct ? b->dst + b->offset[r] + b->group * p->cols + col
                               : b->stage + r * ld + col - col0;
            if (b->dots) {
                dot_sums dots = {.rows = w1 - w0,
                                 .cols = p->cols,
                                 .runs = runs,
                                 .length = length,
                                 .lda = lda,
                                 .ldb = b->panel_depth,
                                 .ci = ld,
                                 .cj = 1,
                                 .seg = seg,
                                 .a = src + w0 * lda,
                                 .b = b->weight,
                                 .c = out + w0 * ld,
                                 .bias_j = bias};
                multiply_dots(&dots);
                const int64_t whole[2] = {0, b->depth0};
                dots.runs = 1, dots.length = p->depth, dots.seg = whole, dots.lda = pitch;
                dots.a = b->pack + r / W * ends * pitch;
                dots.rows = w0, dots.c = out;
                multiply_dots(&dots);
                dots.a += w0 * pitch, dots.rows = W - w1, dots.c = out + w1 * ld;
                multiply_dots(&dots);
                continue;
            }
            for (int64_t i = w0; i < w1; i += TILE_MR)
                tiles_by_runs[fc_min(TILE_MR, w1 - i) - 1][nrv - 1](
                    runs, seg, length, src + i * lda, lda, w, out + i * ld, ld, bias);
            const T *pack = b->pack + r / W * ends * pitch;
            const int mode = bias ? TILE_BIAS : TILE_STORE;
            for (int64_t i = 0; i < ends;) {
                const int64_t end = i < w0 ? w0 : ends, mr = fc_min(TILE_MR, end - i);
                const tile_fn f = tiles_by_rows[mr - 1][nrv - 1];
                f(p->depth, pack + i * pitch, pitch, w, nrv * VL,
                  out + (i < w0 ? i : i - w0 + w1) * ld, ld, bias, mode);
                i += mr;
            }
        }
    }
    if (!b->direct) lay_out(b, col0, col1 - col0, ld);
    finish_block(b, col0, col1);
}
