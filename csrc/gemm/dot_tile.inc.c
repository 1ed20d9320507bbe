/* The register tile along the depth: C[i][j] (+)= sum over d of A[i][d] * B[j][d].
 *
 * Both operands are read as they lie, vectors run along the depth, and the lanes of DOTS sums are
 * added up at the end, VL sums at a time: about three instructions a sum. For results with too few
 * columns to fill a vector, and for a few rows against weights that are not worth packing: a row
 * of (K, C) is one column. */
#pragma once

#include "core/layout.inc.c"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/tile.inc.c"

/* Sums of a tile: with one of A and nb of B they fit the registers. At most DOT_COLS rows of B. */
#define DOTS (TILE_NRV == 4 ? 16 : VEC_BYTES == 32 ? 8 : 4)
#define DOT_COLS 4
/* Rows of A in a tile where they are streams. */
#define DOT_STREAMS(nb) ((nb) * 4 <= DOTS ? 4 : DOTS / (nb))

/* From element n on: a mask of the last n lanes. */
static const lane_int last_lanes[2 * VL] = {[VL... 2 * VL - 1] = -1};

/* A(i, e) = a[seg[2s] + i*lda + e] and B(j, e) = b[seg[2s+1] + j*ldb + e] for the runs s and
 * VL <= length elements e each; sums[i*nb + j], in whole vectors. */
INLINE void tile_dots(const int na, const int nb, int64_t runs, const int64_t *seg, int64_t length,
                      const T *a, int64_t lda, const T *b, int64_t ldb, T *sums) {
    vec acc[DOTS];
    UNROLL
    for (int i = 0; i < DOTS; i++) acc[i] = vset1(0);
    for (int64_t s = 0; s < runs; s++) {
        const T *as = a + seg[2 * s], *bs = b + seg[2 * s + 1];
        int64_t e = 0;
        for (; e + VL <= length; e += VL) {
            vec bv[DOT_COLS];
            UNROLL
            for (int j = 0; j < nb; j++) bv[j] = vload(bs + j * ldb + e);
            UNROLL
            for (int i = 0; i < na; i++) {
                const vec av = vload(as + i * lda + e);
                UNROLL
                for (int j = 0; j < nb; j++) acc[i * nb + j] += av * bv[j];
            }
        }
        if (e == length) continue;
        const ivec counted = *(const ivec_u *)(last_lanes + length % VL);
        const vec zero = vset1(0);
        e = length - VL; /* the lanes that the vectors before have left */
        vec bv[DOT_COLS];
        UNROLL
        for (int j = 0; j < nb; j++) bv[j] = vselect(counted, vload(bs + j * ldb + e), zero);
        UNROLL
        for (int i = 0; i < na; i++) {
            const vec av = vselect(counted, vload(as + i * lda + e), zero);
            UNROLL
            for (int j = 0; j < nb; j++) acc[i * nb + j] += av * bv[j];
        }
    }
    UNROLL
    for (int i = 0; i < DOTS; i += VL) vstore(sums + i, sum_square(acc + i));
}

typedef void (*dots_fn)(int64_t runs, const int64_t *seg, int64_t length, const T *a, int64_t lda,
                        const T *b, int64_t ldb, T *sums);
#define DOTS_DEFINE(name, na, nb)                                                                 \
    NOINLINE void name(int64_t runs, const int64_t *seg, int64_t length, const T *a, int64_t lda, \
                       const T *b, int64_t ldb, T *sums) {                                        \
        tile_dots(na, nb, runs, seg, length, a, lda, b, ldb, sums);                               \
    }
DOTS_DEFINE(tile_dots_1, DOTS, 1)
DOTS_DEFINE(tile_dots_2, DOTS / 2, 2)
DOTS_DEFINE(tile_dots_3, DOTS / 3, 3)
DOTS_DEFINE(tile_dots_4, DOTS / 4, 4)
/* Rows that are streams from memory: no more than a set of L1 holds, should they be apart by a
 * power of two. */
DOTS_DEFINE(tile_streams_1, DOT_STREAMS(1), 1)
DOTS_DEFINE(tile_streams_2, DOT_STREAMS(2), 2)
DOTS_DEFINE(tile_streams_3, DOT_STREAMS(3), 3)
/* Rows that are left over, one by one. */
DOTS_DEFINE(tile_dot_1, 1, 1)
DOTS_DEFINE(tile_dot_2, 1, 2)
DOTS_DEFINE(tile_dot_3, 1, 3)
DOTS_DEFINE(tile_dot_4, 1, 4)
/* [one, many, or streams of rows of A][nb - 1] */
static const dots_fn tiles_of_dots[3][DOT_COLS] = {
    {tile_dot_1, tile_dot_2, tile_dot_3, tile_dot_4},
    {tile_dots_1, tile_dots_2, tile_dots_3, tile_dots_4},
    {tile_streams_1, tile_streams_2, tile_streams_3, tile_dots_4},
};

/* C(i, j) = c[i*ci + j*cj]: A[rows] times B[cols], over the runs, plus a bias by i or by j. */
typedef struct {
    int64_t rows, cols, runs, length, lda, ldb, ci, cj;
    const int64_t *seg;
    const T *a, *b, *bias_i, *bias_j; /* a bias is NULL or a whole row or column */
    T *c;
    int add;     /* to what is there */
    int streams; /* rows of A are long, and come from memory */
} dot_sums;

/* `count` rows of sums from row i on, nb columns from j on. */
INLINE void lay_out_dots(const dot_sums *d, const T *restrict sums, int64_t i, int64_t count,
                         int64_t j, const int64_t nb) {
    T *c = d->c + i * d->ci + j * d->cj;
    if (d->cj == 1 && d->ci == nb && !d->add && !d->bias_i) { /* the sums' own order */
        if (d->bias_j) {
            for (int64_t r = 0; r < count; r++)
                for (int64_t k = 0; k < nb; k++) c[r * nb + k] = sums[r * nb + k] + d->bias_j[k];
        } else if (count * nb == DOTS) {
            UNROLL
            for (int e = 0; e < DOTS; e += VL) vstore(c + e, vload(sums + e));
        } else {
            for (int64_t e = 0; e < count * nb; e++) c[e] = sums[e];
        }
        return;
    }
    for (int64_t k = 0; k < nb; k++) {
        const T bias = d->bias_j ? d->bias_j[j + k] : 0;
        T *o = c + k * d->cj;
        for (int64_t r = 0; r < count; r++, o += d->ci) {
            T v = sums[r * nb + k] + bias;
            if (d->bias_i) v += d->bias_i[i + r];
            *o = d->add ? *o + v : v;
        }
    }
}

static void multiply_dots(const dot_sums *d) {
    T sums[DOTS];
    /* Rows of A that several turns over B read stay in cache. */
    const int64_t block = d->cols > DOT_COLS ? DOTS : d->rows;
    for (int64_t i0 = 0; i0 < d->rows; i0 += block) {
        const int64_t i1 = fc_min(d->rows, i0 + block);
        for (int64_t j = 0; j < d->cols; j += DOT_COLS) {
            const int64_t nb = fc_min(DOT_COLS, d->cols - j);
            const int64_t most = d->streams ? DOT_STREAMS(nb) : DOTS / nb;
            for (int64_t i = i0, na; i < i1; i += na) {
                const int many = i + most <= i1;
                na = many ? most : 1;
                tiles_of_dots[many ? 1 + d->streams : 0][nb - 1](d->runs, d->seg, d->length,
                                                                 d->a + i * d->lda, d->lda,
                                                                 d->b + j * d->ldb, d->ldb, sums);
                lay_out_dots(d, sums, i, na, j, nb);
            }
        }
    }
}
