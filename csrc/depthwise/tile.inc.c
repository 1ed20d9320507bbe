/* The register tiles of depthwise and grouped convolution, forward and backward input.
 *
 * A tile is P neighbouring outputs times the kw taps of a kernel row: P + kw - 1 vectors of x
 * (2P + kw - 2 with stride 2) and kw of the weight for P * kw FMAs. Columns beyond the edge read a
 * vector of zeros. */
#pragma once

#include "core/simd.h"

#define DW_POSITIONS 8 /* and down to DW_LEAST, so that rows of 7, 10 or 12 divide well */
/* Rows of a block; bytes of x that neighbouring rows of it share: they and the weights stay in L1.
 */
enum { DW_LEAST = 4, DW_ROWS = 8, DW_BLOCK_BYTES = 24 << 10 };
#define DW_UNROLL _Pragma("GCC unroll 32")
#define DW_SPAN (DW_POSITIONS - DW_LEAST + 1)

/* One row of kw taps at the first position of a row of outputs. */
typedef struct {
    const T *x;
    int64_t w, part; /* offset of its weights; its place among the parts of a kernel row */
} dw_line;

/* What the tiles of a block have in common. A lane is a channel of the target; x has `count`
 * channels of each group, laid out as depthwise/layout.inc.c says. */
typedef struct {
    const T *weight, *bias; /* at the block's first lane; bias may be NULL */
    int64_t pitch;          /* of x: between taps, or between positions where kw = 1 */
    int64_t w_pitch, w_channel, y_pitch, vectors; /* of w: between taps, channels of a group */
    int64_t count, plane, lane, lanes; /* plane: x's pitch; first lane of the block, of a group */
    const uint32_t *inside; /* of each part: bit j says that column j of the tile's x is inside */
} dw_block;

/* Lane l of the result is lane l / group * group + j of x: channel j of every group. */
#define DW_LANE(l, group, j) ((l) / (group) * (group) + (j))
#if VEC_BYTES / TYPE_BYTES == 2
#define DW_SPREAD(x, n, j) SHUFFLE(x, x, DW_LANE(0, n, j), DW_LANE(1, n, j))
#elif VEC_BYTES / TYPE_BYTES == 4
#define DW_SPREAD(x, n, j) \
    SHUFFLE(x, x, DW_LANE(0, n, j), DW_LANE(1, n, j), DW_LANE(2, n, j), DW_LANE(3, n, j))
#elif VEC_BYTES / TYPE_BYTES == 8
#define DW_SPREAD(x, n, j)                                                                \
    SHUFFLE(x, x, DW_LANE(0, n, j), DW_LANE(1, n, j), DW_LANE(2, n, j), DW_LANE(3, n, j), \
            DW_LANE(4, n, j), DW_LANE(5, n, j), DW_LANE(6, n, j), DW_LANE(7, n, j))
#else
#define DW_SPREAD(x, n, j)                                                                \
    SHUFFLE(x, x, DW_LANE(0, n, j), DW_LANE(1, n, j), DW_LANE(2, n, j), DW_LANE(3, n, j), \
            DW_LANE(4, n, j), DW_LANE(5, n, j), DW_LANE(6, n, j), DW_LANE(7, n, j),       \
            DW_LANE(8, n, j), DW_LANE(9, n, j), DW_LANE(10, n, j), DW_LANE(11, n, j),     \
            DW_LANE(12, n, j), DW_LANE(13, n, j), DW_LANE(14, n, j), DW_LANE(15, n, j))
#endif

/* The operand of channel j of a group, from x at the vector's place (at channel j itself where a
 * group is whole vectors, group = VL). The cases are constants, as shuffles must be. */
INLINE vec dw_spread(const int group, const int j, const T *x) {
    if (group >= VL && group > 1) return vset1(*x);
    const vec v = vload(x);
    switch (group > 1 ? group + j : 0) {
#if VEC_BYTES / TYPE_BYTES > 2
        case 2:
            return DW_SPREAD(v, 2, 0);
        case 3:
            return DW_SPREAD(v, 2, 1);
#endif
#if VEC_BYTES / TYPE_BYTES > 4
        case 4:
            return DW_SPREAD(v, 4, 0);
        case 5:
            return DW_SPREAD(v, 4, 1);
        case 6:
            return DW_SPREAD(v, 4, 2);
        case 7:
            return DW_SPREAD(v, 4, 3);
#endif
#if VEC_BYTES / TYPE_BYTES > 8
        case 8:
            return DW_SPREAD(v, 8, 0);
        case 9:
            return DW_SPREAD(v, 8, 1);
        case 10:
            return DW_SPREAD(v, 8, 2);
        case 11:
            return DW_SPREAD(v, 8, 3);
        case 12:
            return DW_SPREAD(v, 8, 4);
        case 13:
            return DW_SPREAD(v, 8, 5);
        case 14:
            return DW_SPREAD(v, 8, 6);
        case 15:
            return DW_SPREAD(v, 8, 7);
#endif
        default:
            return v;
    }
}

/* acc[i] += w[k] * x[i*step + k][channel j of the lane's group], k < kw, i < np. */
INLINE void dw_taps(const int group, const int kw, const int step, const int np, const int j,
                    const T *w, int64_t w_pitch, const T *x, int64_t pitch, uint32_t inside,
                    vec *acc) {
    static const T zeros[VL] __attribute__((aligned(64)));
    const T *zero = zeros;
    /* Here and with PIN: one j after the other, or there are more vectors than registers. */
    if (group > 1) __asm__ volatile("" : "+r"(inside), "+r"(zero) : : "memory");
    vec wv[7];
    UNROLL
    for (int k = 0; k < kw; k++) wv[k] = vload(w + k * w_pitch);
    DW_UNROLL
    for (int q = 0; q < (np - 1) * step + kw; q++) {
        const vec xv = dw_spread(group, j, inside & 1u << q ? x : zero);
        UNROLL
        for (int k = 0; k < kw; k++) {
            const int i = (q - k) / step;
            if (q >= k && i * step == q - k && i < np) acc[i] += wv[k] * xv;
        }
        x += pitch;
    }
    if (group > 1) {
        UNROLL
        for (int i = 0; i < np; i++) PIN(acc[i]);
    }
}

/* y[i][c] = bias[c] + sum over lines, j < count, k < kw of
 *     w[line][k][j][c] * x[line][i*step + k][channel j of c's group] */
INLINE void tile_dw(const int group, const int kw, const int step, const int np, const dw_block *b,
                    const dw_line *lines, int64_t count, int64_t offset, T *y) {
    const int64_t pitch = b->pitch, w_pitch = b->w_pitch, y_pitch = b->y_pitch;
    for (int64_t c = 0; c < b->vectors * VL; c += VL) {
        vec acc[DW_POSITIONS];
        const vec start = b->bias ? vload(b->bias + c) : vset1(0);
        UNROLL
        for (int i = 0; i < np; i++) acc[i] = start;
        const int whole = group > 1 && group >= VL; /* a group is whole vectors */
        const int64_t first = whole ? (b->lane + c) / b->lanes * b->count : b->lane + c;
        for (int64_t e = 0; e < count; e++) {
            const uint32_t inside = b->inside[lines[e].part];
            const T *x = lines[e].x + offset + first, *w = b->weight + lines[e].w + c;
            if (whole) {
                for (int64_t j = 0; j < b->count; j++, w += b->w_channel)
                    dw_taps(group, kw, step, np, 0, w, w_pitch, x + j, pitch, inside, acc);
                continue;
            }
            if (group == 1) { /* planes are lines of their own */
                dw_taps(group, kw, step, np, 0, w, w_pitch, x, pitch, inside, acc);
                continue;
            }
            for (int64_t j0 = 0; j0 < b->count; j0 += group, x += b->plane) {
                UNROLL
                for (int j = 0; j < group; j++, w += b->w_channel) {
                    if (j && j0 + j >= b->count) break;
                    dw_taps(group, kw, step, np, j, w, w_pitch, x, pitch, inside, acc);
                }
            }
        }
        T *o = y + c;
        UNROLL
        for (int i = 0; i < np; i++) {
            vstore(o, acc[i]);
            o += y_pitch;
        }
    }
}

typedef void (*dw_tile_fn)(const dw_block *, const dw_line *, int64_t count, int64_t offset, T *y);
/* [step - 1][kw][positions - DW_LEAST]; NULL where there is none */
typedef dw_tile_fn dw_tile_table[2][8][DW_SPAN];
#define DW_TILE(kw, step, np) DW_GROUP_TILE(1, kw, step, np)
#define DW_GROUP_TILE(group, kw, step, np)                                                        \
    NOINLINE void tile_dw_##group##_##kw##_##step##_##np(const dw_block *b, const dw_line *lines, \
                                                         int64_t count, int64_t offset, T *y) {   \
        tile_dw(group, kw, step, np, b, lines, count, offset, y);                                 \
    }
#define DW_TILES(kw, step) \
    DW_TILE(kw, step, 4) DW_TILE(kw, step, 5) DW_TILE(kw, step, 6) DW_TILE(kw, step, 7)
#define DW_NAMES(kw, step)                                                                 \
    tile_dw_1_##kw##_##step##_4, tile_dw_1_##kw##_##step##_5, tile_dw_1_##kw##_##step##_6, \
        tile_dw_1_##kw##_##step##_7
#define DW_TILES_8(kw, step) DW_TILES(kw, step) DW_TILE(kw, step, 8)
#define DW_NAMES_8(kw, step) DW_NAMES(kw, step), tile_dw_1_##kw##_##step##_8
/* 7 weights and 8 sums need more than 16 registers. */
#if VEC_BYTES == 64 || defined(__aarch64__)
#define DW_TILES_7 DW_TILES_8
#define DW_NAMES_7 DW_NAMES_8
#else
#define DW_TILES_7 DW_TILES
#define DW_NAMES_7 DW_NAMES
#endif
DW_TILES_8(1, 1)
DW_TILES_8(2, 1)
DW_TILES_8(3, 1)
DW_TILES_8(4, 1)
DW_TILES_8(5, 1)
DW_TILES_7(7, 1)
DW_TILES_8(3, 2)
DW_TILES_8(5, 2)
DW_TILES_7(7, 2)
#define DW_TABLE                                                                         \
    {                                                                                    \
        {[1] = {DW_NAMES_8(1, 1)}, [2] = {DW_NAMES_8(2, 1)}, [3] = {DW_NAMES_8(3, 1)},   \
         [4] = {DW_NAMES_8(4, 1)}, [5] = {DW_NAMES_8(5, 1)}, [7] = {DW_NAMES_7(7, 1)}},  \
        {                                                                                \
            [3] = {DW_NAMES_8(3, 2)}, [5] = {DW_NAMES_8(5, 2)}, [7] = {DW_NAMES_7(7, 2)} \
        }                                                                                \
    }
static const dw_tile_table dw_tiles = DW_TABLE;
