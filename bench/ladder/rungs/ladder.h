/* What the C rungs share: their one function, and vectors from the compiler's extensions.
 *
 *   y[k][i][j] = sum over c, r, s of x[c][i + r][j + s] * w[k][c][r][s]
 *
 * x is (C, H+2, W+2), its border included, w (K, C, 3, 3), y (K, H, W); a rung whose layout is
 * channels-last gets x as (H+2, W+2, C) and y as (H, W, K). SLACK elements behind the operands may
 * be read, and mean nothing. Behind y nothing may be written. */
#ifndef LADDER_H
#define LADDER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads);

#if defined(__AVX512F__)
#define VEC_BYTES 64
#elif defined(__AVX__)
#define VEC_BYTES 32
#else
#define VEC_BYTES 16
#endif

/* A tile is MR x NV vectors: with NV vectors of one operand and a broadcast of the other it must
 * fit the 32 or 16 vector registers. */
enum { VL = VEC_BYTES / 4, MR = 6, SLACK = 64 };
#if defined(__AVX512F__) || defined(__aarch64__)
enum { NV = 4, NR = NV * VL };
#else
enum { NV = 2, NR = NV * VL };
#endif

typedef float vec __attribute__((vector_size(VEC_BYTES)));
typedef float vec_u __attribute__((vector_size(VEC_BYTES), aligned(4), may_alias));

static inline vec load(const float *p) { return *(const vec_u *)p; }
static inline void store(float *p, vec v) { *(vec_u *)p = v; }
static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* n floats and SLACK, on a cache line. */
static inline float *scratch(int64_t n) {
    float *p = aligned_alloc(64, (size_t)ceil_div(n + SLACK, 16) * 64);
    if (!p) abort();
    return p;
}

#define INLINE static inline __attribute__((always_inline))
/* On loops of constant length around registers: a loop left rolled would keep them in memory. */
#define UNROLL _Pragma("GCC unroll 32")
#endif
