/* One block of the implicit GEMM (gemm/gemm.inc.c): some rows of a group, packed, times panels of
 * columns. */
#pragma once

#include "core/finish.inc.c"
#include "core/layout.inc.c"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/dot_tile.inc.c"
#include "gemm/pack.inc.c"
#include "gemm/tile.inc.c"

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
