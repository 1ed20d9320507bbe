/* The register tile: C[MR][NRV*VL] (+)= A[MR][depth] * B[depth][NRV*VL].
 *
 * MR rows of A are broadcast, NRV vectors of B are read as they lie. Per step of the depth a full
 * tile of MR = 6, NRV = 4 costs 24 FMAs, 4 vector loads and 6 broadcasts: the FMA units are the
 * limit as long as B streams at VEC_BYTES/6 bytes a cycle from L1 or L2.
 * Contract: pointers need no alignment; B and C rows are readable for NRV*VL elements; nothing is
 * allocated, checked or threaded here. A function named tile_ must keep its accumulators in
 * registers (`make asm`). */
#pragma once

#include "core/simd.h"

#define TILE_MR 6
#define TILE_AHEAD 8 /* rows */
/* Vectors per row of a tile: MR*NRV accumulators, NRV of B and one broadcast must fit the file. */
#if VEC_BYTES == 64 || defined(__aarch64__)
#define TILE_NRV 4
#define TILE_STEPS 4 /* of the depth at once */
#else
#define TILE_NRV 2
#define TILE_STEPS 1 /* more of them spill */
#endif
#define TILE_NR (TILE_NRV * VL)

/* How a tile meets C: overwrite it, overwrite with the bias added, add to it, or overwrite it past
 * the caches (tile_ahead alone; C and its rows begin at whole vectors). */
enum { TILE_STORE, TILE_BIAS, TILE_ADD, TILE_STREAM };

/* A(i, d) = a[i*lda + d] for tile_rows, a[d*lda + i] for tile_cols. */
typedef void (*tile_fn)(int64_t depth, const T *a, int64_t lda, const T *b, int64_t ldb, T *c,
                        int64_t ldc, const T *bias, int mode);

/* The same without a bias, and with data that comes later: each step asks L2 for the line at
 * `next`, `step` elements after the one before. */
typedef void (*tile_ahead_fn)(int64_t depth, const T *a, int64_t lda, const T *b, int64_t ldb, T *c,
                              int64_t ldc, int mode, const T *next, int64_t step);

INLINE void tile(const int mr, const int nrv, const int by_rows, const int ahead, int64_t depth,
                 const T *a, int64_t lda, const T *b, int64_t ldb, T *c, int64_t ldc, const T *bias,
                 int mode, const T *next, int64_t step) {
    vec acc[TILE_MR][TILE_NRV];
    UNROLL
    for (int i = 0; i < mr; i++) {
        UNROLL
        for (int j = 0; j < nrv; j++) acc[i][j] = vset1(0);
    }
    /* Two bases keep the addresses of six rows within base + {0, 1, 2} * lda. */
    const T *a3 = a + (by_rows ? 3 * lda : 3);
    /* Six rows prefetch, without being told, the rows of A that follow where they lie side by side,
     * as pixels do; whole tiles that read A by columns, B a few rows ahead. */
    const int whole = mr == TILE_MR && nrv == TILE_NRV, dense = by_rows && lda == depth;
    if (!ahead) next = dense ? a + mr * lda : a, step = dense ? mr : 0;
#define TILE_STEP(k)                                                                     \
    {                                                                                    \
        vec bv[TILE_NRV];                                                                \
        UNROLL                                                                           \
        for (int j = 0; j < nrv; j++) bv[j] = vload(b + j * VL);                         \
        UNROLL                                                                           \
        for (int i = 0; i < mr; i++) {                                                   \
            const vec av = vset1((i < 3 ? a : a3)[(i % 3) * (by_rows ? lda : 1) + (k)]); \
            UNROLL                                                                       \
            for (int j = 0; j < nrv; j++) acc[i][j] += av * bv[j];                       \
        }                                                                                \
        b += ldb;                                                                        \
    }
    int64_t d = 0;
    /* Fewer prefetches and additions beside the products; they are TILE_STEPS * MR elements on. */
    for (; !ahead && by_rows && d + TILE_STEPS <= depth; d += TILE_STEPS) {
        if (mr == TILE_MR) {
            __builtin_prefetch(next);
            if (TILE_STEPS * TILE_MR * TYPE_BYTES > 64) __builtin_prefetch(next + 64 / TYPE_BYTES);
        }
        UNROLL
        for (int k = 0; k < TILE_STEPS; k++) TILE_STEP(k)
        next += TILE_STEPS * step;
        a += TILE_STEPS;
        a3 += TILE_STEPS;
    }
    for (; d < depth; d++) {
        if (ahead) __builtin_prefetch(next, 0, 2);
        UNROLL
        for (int j = 0; j < nrv; j++)
            if (!ahead && whole && !by_rows) __builtin_prefetch(b + TILE_AHEAD * ldb + j * VL);
        next += step;
        TILE_STEP(0)
        a += by_rows ? 1 : lda;
        a3 += by_rows ? 1 : lda;
    }
#undef TILE_STEP
    if (mode == TILE_ADD) {
        UNROLL
        for (int i = 0; i < mr; i++) {
            UNROLL
            for (int j = 0; j < nrv; j++) {
                T *p = c + i * ldc + j * VL;
                vstore(p, vload(p) + acc[i][j]);
            }
        }
    } else if (ahead && mode == TILE_STREAM) {
        UNROLL
        for (int i = 0; i < mr; i++) {
            UNROLL
            for (int j = 0; j < nrv; j++) STREAM(c + i * ldc + j * VL, acc[i][j]);
        }
    } else if (!ahead && mode == TILE_BIAS) {
        UNROLL
        for (int j = 0; j < nrv; j++) {
            vec bj = vload(bias + j * VL);
            UNROLL
            for (int i = 0; i < mr; i++) vstore(c + i * ldc + j * VL, acc[i][j] + bj);
        }
    } else {
        UNROLL
        for (int i = 0; i < mr; i++) {
            UNROLL
            for (int j = 0; j < nrv; j++) vstore(c + i * ldc + j * VL, acc[i][j]);
        }
    }
}

#define TILE_DEFINE(mr, nrv)                                                                 \
    NOINLINE void tile_rows_##mr##x##nrv(int64_t depth, const T *a, int64_t lda, const T *b, \
                                         int64_t ldb, T *c, int64_t ldc, const T *bias,      \
                                         int mode) {                                         \
        tile(mr, nrv, 1, 0, depth, a, lda, b, ldb, c, ldc, bias, mode, NULL, 0);             \
    }                                                                                        \
    NOINLINE void tile_cols_##mr##x##nrv(int64_t depth, const T *a, int64_t lda, const T *b, \
                                         int64_t ldb, T *c, int64_t ldc, const T *bias,      \
                                         int mode) {                                         \
        tile(mr, nrv, 0, 0, depth, a, lda, b, ldb, c, ldc, bias, mode, NULL, 0);             \
    }
#define TILE_AHEAD_DEFINE(order, by_rows, mr, nrv)                                              \
    NOINLINE void tile_ahead_##order##_##mr##x##nrv(int64_t depth, const T *a, int64_t lda,     \
                                                    const T *b, int64_t ldb, T *c, int64_t ldc, \
                                                    int mode, const T *next, int64_t step) {    \
        tile(mr, nrv, by_rows, 1, depth, a, lda, b, ldb, c, ldc, NULL, mode, next, step);       \
    }
#define TILE_AHEAD_ROWS(mr, nrv) TILE_AHEAD_DEFINE(rows, 1, mr, nrv)
#define TILE_AHEAD_COLS(mr, nrv) TILE_AHEAD_DEFINE(cols, 0, mr, nrv)
#define TILE_AHEAD_ROWS_NAME(mr, nrv) tile_ahead_rows_##mr##x##nrv,
#define TILE_AHEAD_COLS_NAME(mr, nrv) tile_ahead_cols_##mr##x##nrv,
#define TILE_DEFINE_ROW(mr) TILE_EACH_NRV(TILE_DEFINE, mr)
#define TILE_NAME_ROWS(mr, nrv) tile_rows_##mr##x##nrv,
#define TILE_NAME_COLS(mr, nrv) tile_cols_##mr##x##nrv,
#if TILE_NRV == 4
#define TILE_EACH_NRV(F, mr) F(mr, 1) F(mr, 2) F(mr, 3) F(mr, 4)
#else
#define TILE_EACH_NRV(F, mr) F(mr, 1) F(mr, 2)
#endif

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
