/* The register tiles of depthwise and grouped convolution, backward weight: sums of kernel rows.
 *
 * Depthwise, neighbouring outputs share the columns of x: 4 + kw - 1 loads of a row (with stride 2
 * 6 + kw) for 4 * kw FMAs. In groups, a vector of x meets nj channels of dy, each spread over its
 * group, as many as there are registers for: kw * rows loads for kw * rows * nj FMAs.
 *
 * A tile begins at zero and adds what it has to the sums at its end: the error grows with the
 * outputs of a strip and the number of strips, not with their product. */
#pragma once

#include "core/simd.h"
#include "depthwise/tile.inc.c"

enum { DW_SUM_LINES = 5, DW_SUM_NP = 4 }; /* rows of a tile at most; outputs that share columns */

/* Rows [0, rows) of a strip of outputs, and where x lies that they meet: in copies or in place. */
typedef struct {
    const T *dy, *x;                       /* x: of the first output's first tap that is inside */
    int64_t dy_row, dy_col, x_row, x_step; /* between rows, outputs */
    int64_t x_plane, x_line, x_tap;        /* between taps along d, h, w */
    int64_t step;                          /* x_step / x_tap */
    int64_t rows, cols, count;             /* count: channels of dy's group */
    T *sum;                                /* [k][channel of dy's group][lanes] of the first line */
    int64_t w_line, w_pitch, w_channel;    /* between lines, taps, channels */
    const uint32_t *inside;                /* [cols]: bit k says that tap k is inside */
} dw_strip;

/* acc[r][k] += dy[i] * x[r][i*step + k] for DW_SUM_NP outputs; x goes on by as many. */
INLINE void dw_sum_outputs(const int kw, const int step, const int nr, const T *g, int64_t dy_col,
                           const T **x, int64_t x_tap, vec (*acc)[7]) {
    const int cols = (DW_SUM_NP - 1) * step + kw;
    vec gv[DW_SUM_NP];
    UNROLL
    for (int i = 0; i < DW_SUM_NP; i++, g += dy_col) gv[i] = vload(g);
    DW_UNROLL
    for (int q = 0; q < cols; q++) {
        UNROLL
        for (int r = 0; r < nr; r++) {
            vec xv = vload(x[r]);
            PIN(xv); /* one load, not one for each product */
            x[r] += x_tap;
            UNROLL
            for (int k = 0; k < kw; k++) {
                const int i = (q - k) / step;
                if (q >= k && i * step == q - k && i < DW_SUM_NP) acc[r][k] += gv[i] * xv;
            }
        }
        __asm__ volatile("" : : : "memory"); /* one column after the other */
    }
    UNROLL
    for (int r = 0; r < nr; r++) x[r] -= (cols - DW_SUM_NP * step) * x_tap;
}

/* sum[r][k] += dy[i] * x[line r][i*step + k] over the strip's outputs; x: of the first row. */
INLINE void tile_dw_sum(const int kw, const int step, const int nr, const dw_strip *s,
                        const T *const *lines) {
    const int64_t dy_col = s->dy_col, x_step = s->x_step, x_tap = s->x_tap, cols = s->cols;
    const uint32_t all = (1u << kw) - 1;
    vec acc[DW_SUM_LINES][7];
    UNROLL
    for (int r = 0; r < nr; r++) {
        UNROLL
        for (int k = 0; k < kw; k++) acc[r][k] = vset1(0);
    }
    for (int64_t h = 0; h < s->rows; h++) {
        const T *x[DW_SUM_LINES], *g = s->dy + h * s->dy_row;
        UNROLL
        for (int r = 0; r < nr; r++) x[r] = lines[r] + h * s->x_row;
        for (int64_t i = 0; i < cols; i++, g += dy_col) {
            const uint32_t in = s->inside[i];
            if (step <= 2 && i + DW_SUM_NP <= cols && in == all &&
                s->inside[i + DW_SUM_NP - 1] == all) {
                dw_sum_outputs(kw, step, nr, g, dy_col, x, x_tap, acc);
                i += DW_SUM_NP - 1;
                g += (DW_SUM_NP - 1) * dy_col;
                continue;
            }
            const vec gv = vload(g);
            UNROLL
            for (int k = 0; k < kw; k++) {
                if (!(in & 1u << k)) continue;
                UNROLL
                for (int r = 0; r < nr; r++) acc[r][k] += gv * vload(x[r] + k * x_tap);
            }
            UNROLL
            for (int r = 0; r < nr; r++) x[r] += x_step;
        }
    }
    UNROLL
    for (int r = 0; r < nr; r++) {
        UNROLL
        for (int k = 0; k < kw; k++) {
            T *sum = s->sum + r * s->w_line + k * s->w_pitch;
            vstore(sum, vload(sum) + acc[r][k]);
        }
    }
}

/* nj channels of dy's groups, from channel j of the plane on (at g itself where a group is whole
 * vectors). */
INLINE void dw_sum_channels(const int group, const int kw, const int nr, const int nj, const int j,
                            const dw_strip *s, const T *const *lines, const T *g0, T *sum) {
    const int64_t dy_col = s->dy_col, x_step = s->x_step, cols = s->cols;
    __asm__ volatile("" : "+r"(g0) : : "memory"); /* one block of channels after the other */
    vec acc[DW_SUM_LINES][7][8];
    UNROLL
    for (int r = 0; r < nr; r++) {
        UNROLL
        for (int k = 0; k < kw; k++) {
            UNROLL
            for (int i = 0; i < nj; i++) acc[r][k][i] = vset1(0);
        }
    }
    for (int64_t h = 0; h < s->rows; h++) {
        const T *x[DW_SUM_LINES], *g = g0 + h * s->dy_row;
        UNROLL
        for (int r = 0; r < nr; r++) x[r] = lines[r] + h * s->x_row;
        for (int64_t i = 0; i < cols; i++, g += dy_col) {
            vec gv[8];
            UNROLL
            for (int n = 0; n < nj; n++)
                gv[n] = dw_spread(group, group >= VL ? 0 : j + n, group >= VL ? g + n : g);
            UNROLL
            for (int r = 0; r < nr; r++) {
                UNROLL
                for (int k = 0; k < kw; k++) {
                    vec xv = vload(x[r] + k * VL);
                    PIN(xv); /* one load, not one for each product */
                    UNROLL
                    for (int n = 0; n < nj; n++) acc[r][k][n] += gv[n] * xv;
                }
                x[r] += x_step;
            }
        }
    }
    UNROLL
    for (int r = 0; r < nr; r++) {
        UNROLL
        for (int k = 0; k < kw; k++) {
            UNROLL
            for (int i = 0; i < nj; i++) {
                T *to = sum + r * s->w_line + k * s->w_pitch + i * s->w_channel;
                vstore(to, vload(to) + acc[r][k][i]);
            }
        }
    }
}

/* sum[r][k][j] += dy[i][channel j of the lane's group] * x[line r][i*step + k] over the strip's
 * outputs. Channels beyond the last of a group, to a multiple of nj, get sums that nobody reads. */
INLINE void tile_dw_sum_group(const int group, const int kw, const int nr, const int nj,
                              const dw_strip *s, const T *const *lines) {
    const T *g = s->dy;
    T *sum = s->sum;
    if (group >= VL) {
        int64_t j = 0;
        for (; j + nj <= s->count; j += nj, g += nj, sum += nj * s->w_channel)
            dw_sum_channels(group, kw, nr, nj, 0, s, lines, g, sum);
        for (; j < s->count; j++, g++, sum += s->w_channel)
            dw_sum_channels(group, kw, nr, 1, 0, s, lines, g, sum);
        return;
    }
    for (int64_t j0 = 0; j0 < s->count; j0 += group, g += VL) {
        UNROLL
        for (int j = 0; j < group; j += nj, sum += nj * s->w_channel) {
            if (j && j0 + j >= s->count) break;
            dw_sum_channels(group, kw, nr, nj, j, s, lines, g, sum);
        }
    }
}

typedef void (*dw_sum_fn)(const dw_strip *, const T *const *lines);
/* [step - 1][kw][lines - 1], step 3 being any other; NULL where there is none */
typedef dw_sum_fn dw_sum_table[3][8][DW_SUM_LINES];
#define DW_SUM(kw, step, nr)                                                                     \
    NOINLINE void tile_dw_sum_1_##kw##_##step##_##nr(const dw_strip *s, const T *const *lines) { \
        tile_dw_sum(kw, step, nr, s, lines);                                                     \
    }
#define DW_SUM_NAME(kw, step, nr) [step - 1][kw][nr - 1] = tile_dw_sum_1_##kw##_##step##_##nr,
/* The accumulators, four outputs and a column in registers. */
#if VEC_BYTES == 64 || defined(__aarch64__)
#define DW_SUMS_OF(F, step) \
    F(3, step, 1)           \
    F(3, step, 2)           \
    F(3, step, 3)           \
    F(3, step, 4)           \
    F(3, step, 5)           \
    F(5, step, 1)           \
    F(5, step, 2)           \
    F(5, step, 3) F(5, step, 4) F(5, step, 5) F(7, step, 1) F(7, step, 2) F(7, step, 3)
#elif VEC_BYTES == 32
#define DW_SUMS_OF(F, step) \
    F(3, step, 1) F(3, step, 2) F(3, step, 3) F(5, step, 1) F(5, step, 2) F(7, step, 1)
#else
#define DW_SUMS_OF(F, step) F(3, step, 1) F(3, step, 2) F(3, step, 3) F(5, step, 1) F(5, step, 2)
#endif
#define DW_SUMS_ANY(F, step) F(1, step, 1) F(1, step, 2) F(1, step, 3) F(1, step, 4) F(1, step, 5)
#define DW_SUMS(F)   \
    F(2, 1, 1)       \
    F(2, 1, 2)       \
    F(4, 1, 1)       \
    F(4, 1, 2)       \
    DW_SUMS_OF(F, 1) \
    DW_SUMS_OF(F, 2) \
    DW_SUMS_ANY(F, 1) DW_SUMS_ANY(F, 2) DW_SUMS_ANY(F, 3) F(3, 3, 1) F(3, 3, 2) F(3, 3, 3)
DW_SUMS(DW_SUM)
static const dw_sum_table dw_sums = {DW_SUMS(DW_SUM_NAME)};
