/* NCHW <-> channels-last is a transpose per image: dst[c][r] = src[r][c]. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/simd.h"

/* The low and the high half of a and b interleaved: a0 b0 a1 b1 ... */
#if VEC_BYTES / TYPE_BYTES == 2
#define INTERLEAVE_LOW 0, 2
#define INTERLEAVE_HIGH 1, 3
#elif VEC_BYTES / TYPE_BYTES == 4
#define INTERLEAVE_LOW 0, 4, 1, 5
#define INTERLEAVE_HIGH 2, 6, 3, 7
#elif VEC_BYTES / TYPE_BYTES == 8
#define INTERLEAVE_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define INTERLEAVE_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define INTERLEAVE_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define INTERLEAVE_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

/* VL x VL elements: with n = VL, log2 n rounds of row' 2i, 2i+1 = interleave(row i, row i + n/2)
 * rotate the bits of (row, column) by log2 n, which swaps row and column. */
INLINE void transpose_vectors(vec *a) {
    enum { N = VEC_BYTES / TYPE_BYTES };
    vec b[N];
    UNROLL
    for (int n = N; n > 1; n /= 2) {
        UNROLL
        for (int i = 0; i < N / 2; i++) {
            b[2 * i] = SHUFFLE(a[i], a[i + N / 2], INTERLEAVE_LOW);
            b[2 * i + 1] = SHUFFLE(a[i], a[i + N / 2], INTERLEAVE_HIGH);
        }
        UNROLL
        for (int i = 0; i < N; i++) a[i] = b[i];
    }
}
INLINE void transpose_square(const T *src, int64_t src_row, T *dst, int64_t dst_row) {
    enum { N = VEC_BYTES / TYPE_BYTES };
    vec a[N];
    UNROLL
    for (int i = 0; i < N; i++) a[i] = vload(src + i * src_row);
    transpose_vectors(a);
    UNROLL
    for (int i = 0; i < N; i++) vstore(dst + i * dst_row, a[i]);
}
/* out[c][i], rows of `step`, from from[i][c], i < m <= VL, c < n. Rows are stored as whole vectors,
 * one after the other: what one spills is padding of the next, up to `limit`. */
static void transpose_rows(const T *const *from, int m, int64_t n, T *out, int64_t step,
                           const T *limit) {
    enum { N = VEC_BYTES / TYPE_BYTES };
    int64_t c = 0;
    for (; c + N <= n; c += N, out += N * step) {
        vec a[N];
        UNROLL
        for (int i = 0; i < N; i++) a[i] = vload(from[i < m ? i : 0] + c);
        transpose_vectors(a);
        UNROLL
        for (int i = 0; i < N; i++) {
            T *o = out + i * step;
            if (o + N <= limit) vstore(o, a[i]);
            else memcpy(o, &a[i], (size_t)m * sizeof(T));
        }
    }
    for (; c < n; c++, out += step)
        for (int i = 0; i < m; i++) out[i] = from[i][c];
}
/* Lane i of the result is the sum of the lanes of a[i], for VL vectors: half as many in every
 * round, each with the lanes of two interleaved. */
INLINE vec sum_square(const vec *a) {
    enum { N = VEC_BYTES / TYPE_BYTES };
    vec b[N];
    UNROLL
    for (int i = 0; i < N; i++) b[i] = a[i];
/* A constant trip count each, or the rounds would go through memory. */
#define HALVE(n)                                               \
    UNROLL                                                     \
    for (int i = 0; i < n && n < N; i++)                       \
        b[i] = SHUFFLE(b[i], b[(i + n) % N], INTERLEAVE_LOW) + \
               SHUFFLE(b[i], b[(i + n) % N], INTERLEAVE_HIGH);
    HALVE(8)
    HALVE(4)
    HALVE(2)
    HALVE(1)
#undef HALVE
    return b[0];
}
/* The sum of the lanes in all of them: of one half and the other in every round. */
INLINE vec sum_lanes(vec v) {
    UNROLL
    for (int n = VL; n > 1; n /= 2)
        v = SHUFFLE(v, v, INTERLEAVE_LOW) + SHUFFLE(v, v, INTERLEAVE_HIGH);
    return v;
}
/* The largest lane, NaN apart, in all of them. */
INLINE vec max_lanes(vec v) {
    UNROLL
    for (int n = VL; n > 1; n /= 2) {
        const vec a = SHUFFLE(v, v, INTERLEAVE_LOW), b = SHUFFLE(v, v, INTERLEAVE_HIGH);
        v = vselect((ivec)(a > b), a, b);
    }
    return v;
}
#undef INTERLEAVE_LOW
#undef INTERLEAVE_HIGH

/* Few rows (an image's colours): columns c0..c1, one group of `rows` elements each. */
INLINE void interleave(int rows, int64_t cols, const T *restrict src, T *restrict dst, int64_t c0,
                       int64_t c1) {
    for (int64_t c = c0; c < c1; c++)
        for (int r = 0; r < rows; r++) dst[c * rows + r] = src[r * cols + c];
}

/* Few columns: rows r0..r1. */
INLINE void deinterleave(int64_t rows, int cols, const T *restrict src, T *restrict dst, int64_t r0,
                         int64_t r1) {
    for (int64_t r = r0; r < r1; r++)
        for (int c = 0; c < cols; c++) dst[c * rows + r] = src[r * cols + c];
}

/* Rows r0..r1 and columns c0..c1 of one image. The longer side is walked in runs of many cache
 * lines, so that few pages are read or written in turn; the other's lines stay in L2. */
NOINLINE void transpose_part(int64_t rows, int64_t cols, const T *src, T *dst, int64_t r0,
                             int64_t r1, int64_t c0, int64_t c1) {
    enum { STRIP = 1024 / TYPE_BYTES };
    const int64_t whole_r = r0 + (r1 - r0) / VL * VL, whole_c = c0 + (c1 - c0) / VL * VL;
    for (int64_t strip = c0; strip < whole_c; strip += STRIP) {
        const int64_t end = strip + STRIP < whole_c ? strip + STRIP : whole_c;
        if (rows > cols) {
            for (int64_t c = strip; c < end; c += VL)
                for (int64_t r = r0; r < whole_r; r += VL)
                    transpose_square(src + r * cols + c, cols, dst + c * rows + r, rows);
        } else {
            for (int64_t r = r0; r < whole_r; r += VL)
                for (int64_t c = strip; c < end; c += VL)
                    transpose_square(src + r * cols + c, cols, dst + c * rows + r, rows);
        }
        for (int64_t r = whole_r; r < r1; r++)
            for (int64_t c = strip; c < end; c++) dst[c * rows + r] = src[r * cols + c];
    }
    for (int64_t c = whole_c; c < c1; c++)
        for (int64_t r = r0; r < r1; r++) dst[c * rows + r] = src[r * cols + c];
}

/* n elements, past the caches if `stream`. */
INLINE void store_run(const T *from, int64_t n, T *to, int stream) {
    int64_t i = 0;
    if (stream && (uintptr_t)to % VEC_BYTES == 0)
        for (; i + VL <= n; i += VL) STREAM(to + i, vload(from + i));
    memcpy(to + i, from + i, (size_t)(n - i) * sizeof(T));
}

/* out[channel * step + tap] = from[tap * pitch + channel], as many taps at a time as a vector has
 * lanes; the last ones of them once more where all of a channel's are no whole number of vectors.
 * step is the taps of a channel in `out`, of which these may be a part. */
static void lay_out_taps(const T *from, int64_t pitch, int64_t taps, int64_t channels, T *out,
                         int64_t step) {
    const T *const limit = taps == step || taps >= VL ? out + channels * step : out;
    for (int64_t done = 0; done < taps; done += VL) {
        const int64_t first = taps < VL ? 0 : done < taps - VL ? done : taps - VL;
        const int m = (int)(taps < VL ? taps : VL);
        const T *at[VL];
        for (int t = 0; t < m; t++) at[t] = from + (first + t) * pitch;
        transpose_rows(at, m, channels, out + first, step, limit);
    }
}

static int transpose(int64_t batch, int64_t rows, int64_t cols, const void *src, void *dst,
                     int threads) {
    enum { BLOCK = 256 };
    /* Cut the longer side: the shorter one is the channels. */
    const int64_t along = rows > cols ? rows : cols, parts = (along + BLOCK - 1) / BLOCK;
    int64_t image, units;
    if (__builtin_mul_overflow(rows, cols, &image) || __builtin_mul_overflow(batch, parts, &units))
        return FC_OVERFLOW;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t u = 0; u < units; u++) {
        const int64_t lo = u % parts * BLOCK, hi = lo + BLOCK < along ? lo + BLOCK : along;
        const T *s = (const T *)src + u / parts * image;
        T *d = (T *)dst + u / parts * image;
        if (rows == 3 && cols > 3) interleave(3, cols, s, d, lo, hi);
        else if (cols == 3 && rows > 3) deinterleave(rows, 3, s, d, lo, hi);
        else if (rows > cols) transpose_part(rows, cols, s, d, lo, hi, 0, cols);
        else transpose_part(rows, cols, s, d, 0, rows, lo, hi);
    }
    return FC_OK;
}

/* `width` columns of dense rows to columns of other dense rows; from and to point at the first. */
static int copy_columns(int64_t rows, int64_t width, const void *from, int64_t from_pitch,
                        int64_t from_start, void *to, int64_t to_pitch, int64_t to_start,
                        int threads) {
    if (from_start < 0 || to_start < 0 || width < 0 || from_start > from_pitch - width ||
        to_start > to_pitch - width)
        return FC_RANGE;
    const T *first = (const T *)from + from_start;
    T *target = (T *)to + to_start;
    const int64_t bytes = rows * width * (int64_t)sizeof(T);
    const int stream = STREAMS(target, bytes) && to_pitch % VL == 0 && width % VL == 0;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t r = 0; r < rows; r++) {
            const T *s = first + r * from_pitch;
            T *d = target + r * to_pitch;
            int64_t k = 0;
            for (; stream && k < width; k += VL) STREAM(d + k, vload(s + k));
            for (; k + VL <= width; k += VL) vstore(d + k, vload(s + k));
            for (; k < width; k++) d[k] = s[k];
        }
        if (stream) STREAMED();
    }
    return FC_OK;
}
