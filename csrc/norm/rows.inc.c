/* Layer normalisation: every row has statistics of its own, every column a weight and a bias.
 *
 * A row is fetched once and stays in L1 or L2 while the passes over it go on: the mean, the squares
 * about it, the map. The squares go over x minus the mean as a number of the type, and what that
 * leaves is taken off again, so that a large mean costs no accuracy. Lanes are summed up in T over
 * NORM_CHUNK elements, those sums in double. Backward adds the gradients of weight and bias over
 * blocks of rows, cut by shape alone, and the blocks in order. */
#pragma once

#include <math.h>
#include <string.h>

#include "fastconv.h"
#include "core/layout.inc.c"
#include "core/memory.h"
#include "core/simd.h"

#define NORM_CHUNK 2048

/* The sums of x - centre and, unless NULL, of its squares. */
INLINE void norm_row_moments(int64_t n, const T *x, T centre, double *first, double *second) {
    const vec c = vset1(centre);
    double s1 = 0, s2 = 0;
    for (int64_t at = 0; at < n; at += NORM_CHUNK) {
        const int64_t end = at + NORM_CHUNK < n ? at + NORM_CHUNK : n;
        vec a[4] = {{0}, {0}, {0}, {0}}, b[4] = {{0}, {0}, {0}, {0}};
        int64_t j = at;
        for (; j + 4 * VL <= end; j += 4 * VL) {
            UNROLL
            for (int k = 0; k < 4; k++) {
                const vec d = vload(x + j + k * VL) - c;
                a[k] += d;
                if (second) b[k] += d * d;
            }
        }
        for (; j + VL <= end; j += VL) {
            const vec d = vload(x + j) - c;
            a[0] += d;
            if (second) b[0] += d * d;
        }
        s1 += (double)sum_lanes((a[0] + a[1]) + (a[2] + a[3]))[0];
        if (second) s2 += (double)sum_lanes((b[0] + b[1]) + (b[2] + b[3]))[0];
        for (; j < end; j++) {
            const T d = x[j] - centre;
            s1 += (double)d;
            if (second) s2 += (double)(d * d);
        }
    }
    *first = s1;
    if (second) *second = s2;
}

/* The same in double, where squares are above what T holds. */
NOINLINE void norm_row_again(int64_t n, const T *x, T centre, double *first, double *second) {
    double s1 = 0, s2 = 0;
    for (int64_t j = 0; j < n; j++) {
        const double d = (double)x[j] - (double)centre;
        s1 += d;
        s2 += d * d;
    }
    *first = s1;
    *second = s2;
}

/* y = ((x - centre) * scale + shift) * weight + bias; stats: the mean, and `rows` behind it
 * 1 / sqrt(variance + eps). */
NOINLINE void norm_row(int64_t n, const T *x, const T *weight, const T *bias, double eps, T *y,
                       double *stats, int64_t rows) {
    double sum, first, second;
    norm_row_moments(n, x, 0, &sum, NULL);
    const T centre = (T)(sum / (double)n);
    norm_row_moments(n, x, centre, &first, &second);
    if (sizeof(T) < sizeof(double) && isinf(second)) norm_row_again(n, x, centre, &first, &second);
    first /= (double)n;
    const double var = second / (double)n - first * first;
    const double inverse = 1 / sqrt((var < 0 ? 0 : var) + eps);
    stats[0] = (double)centre + first;
    stats[rows] = inverse;
    const T scale = (T)inverse, shift = (T)(-first * inverse);
    const vec c = vset1(centre), s = vset1(scale), h = vset1(shift);
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        vstore(y + j, ((vload(x + j) - c) * s + h) * vload(weight + j) + vload(bias + j));
    for (; j < n; j++) y[j] = ((x[j] - centre) * scale + shift) * weight[j] + bias[j];
}

/* weight, or a row of `value` in scratch memory (to be freed): NULL if there is none. */
static const T *norm_or_constant(int64_t n, const T *weight, T value, T **made) {
    *made = NULL;
    if (weight) return weight;
    if (!(*made = fc_scratch(n, sizeof(T)))) return NULL;
    for (int64_t j = 0; j < n; j++) (*made)[j] = value;
    return *made;
}

static int layer_norm(int64_t rows, int64_t n, const void *x, const void *weight, const void *bias,
                      double eps, void *y, double *stats, int threads) {
    T *ones, *zeros;
    const T *w = norm_or_constant(n, weight, 1, &ones);
    const T *b = norm_or_constant(n, bias, 0, &zeros);
    const int status = w && b ? FC_OK : FC_NOMEM;
    if (!status) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t r = 0; r < rows; r++)
            norm_row(n, (const T *)x + r * n, w, b, eps, (T *)y + r * n, stats + r, rows);
    }
    fc_free(ones);
    fc_free(zeros);
    return status;
}

/* xhat and e = dy * weight of the elements from i on. */
#define NORM_ROW_VALUE(xhat, e, i)                 \
    const vec xhat = (vload(x + (i)) - c) * s + h; \
    const vec e = vload(dy + (i)) * vload(weight + (i));
#define NORM_ROW_STEP(i, k)                                                       \
    {                                                                             \
        NORM_ROW_VALUE(xhat, e, i)                                                \
        a[k] += e;                                                                \
        b[k] += e * xhat;                                                         \
        if (affine) {                                                             \
            vstore(dweight + (i), vload(dweight + (i)) + vload(dy + (i)) * xhat); \
            vstore(dbias + (i), vload(dbias + (i)) + vload(dy + (i)));            \
        }                                                                         \
    }

/* sums: those of e and e * xhat; with `affine` also dweight += dy * xhat, dbias += dy. */
INLINE void norm_row_sums(int affine, int64_t n, const T *dy, const T *x, const T *weight, T centre,
                          T scale, T shift, double *sums, T *dweight, T *dbias) {
    const vec c = vset1(centre), s = vset1(scale), h = vset1(shift);
    sums[0] = sums[1] = 0;
    for (int64_t at = 0; at < n; at += NORM_CHUNK) {
        const int64_t end = at + NORM_CHUNK < n ? at + NORM_CHUNK : n;
        vec a[2] = {{0}, {0}}, b[2] = {{0}, {0}};
        int64_t j = at;
        for (; j + 2 * VL <= end; j += 2 * VL) {
            NORM_ROW_STEP(j, 0)
            NORM_ROW_STEP(j + VL, 1)
        }
        for (; j + VL <= end; j += VL) NORM_ROW_STEP(j, 0)
        sums[0] += (double)sum_lanes(a[0] + a[1])[0];
        sums[1] += (double)sum_lanes(b[0] + b[1])[0];
        for (; j < end; j++) {
            const T xhat = (x[j] - centre) * scale + shift, e = dy[j] * weight[j];
            sums[0] += (double)e;
            sums[1] += (double)(e * xhat);
            if (!affine) continue;
            dweight[j] += dy[j] * xhat;
            dbias[j] += dy[j];
        }
    }
}

/* With averages over the row: dx = (e - avg(e) - xhat * avg(e * xhat)) * inverse. dx may be dy. */
NOINLINE void norm_row_backward(int64_t n, const T *dy, const T *x, const T *weight, double mean,
                                double inverse, T *dx, T *dweight, T *dbias) {
    const T centre = (T)mean, scale = (T)inverse, shift = (T)(((double)centre - mean) * inverse);
    double sums[2];
    if (dweight) norm_row_sums(1, n, dy, x, weight, centre, scale, shift, sums, dweight, dbias);
    else norm_row_sums(0, n, dy, x, weight, centre, scale, shift, sums, NULL, NULL);
    if (!dx) return;
    const T level = (T)(sums[0] / -(double)n * inverse),
            slope = (T)(sums[1] / -(double)n * inverse);
    const vec c = vset1(centre), s = vset1(scale), h = vset1(shift);
    const vec add = vset1(level), by = vset1(slope);
    int64_t j = 0;
    for (; j + VL <= n; j += VL) {
        NORM_ROW_VALUE(xhat, e, j)
        vstore(dx + j, e * s + (xhat * by + add));
    }
    for (; j < n; j++) {
        const T xhat = (x[j] - centre) * scale + shift;
        dx[j] = dy[j] * weight[j] * scale + (xhat * slope + level);
    }
}
#undef NORM_ROW_VALUE
#undef NORM_ROW_STEP

static int layer_norm_backward(int64_t rows, int64_t n, const void *dy, const void *x,
                               const void *weight, const double *stats, void *dx, void *dweight,
                               void *dbias, int threads) {
    const int affine = dweight || dbias;
    const int64_t few = (rows + 63) / 64, block = few < 32 ? 32 : few < 96 ? few : 96;
    const int64_t blocks = (rows + block - 1) / block;
    int64_t cells = 0;
    if (affine && __builtin_mul_overflow(2 * blocks, n, &cells)) return FC_OVERFLOW;
    T *ones, *part = affine ? fc_scratch(cells, sizeof(T)) : NULL;
    double *total = affine ? fc_scratch(n, 2 * sizeof(double)) : NULL;
    const T *w = norm_or_constant(n, weight, 1, &ones);
    const int status = !w || (affine && (!part || !total)) ? FC_NOMEM : FC_OK;
    if (!status) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t i = 0; i < blocks; i++) {
            T *dw = affine ? part + 2 * i * n : NULL, *db = affine ? dw + n : NULL;
            if (affine) memset(dw, 0, (size_t)n * 2 * sizeof(T));
            for (int64_t r = i * block; r < rows && r < (i + 1) * block; r++)
                norm_row_backward(n, (const T *)dy + r * n, (const T *)x + r * n, w, stats[r],
                                  stats[rows + r], dx ? (T *)dx + r * n : NULL, dw, db);
        }
    }
    if (!status && affine) {
        memset(total, 0, (size_t)n * 2 * sizeof(double));
        for (int64_t i = 0; i < blocks; i++)
            for (int64_t j = 0; j < 2 * n; j++) total[j] += (double)part[2 * i * n + j];
        for (int64_t j = 0; j < n; j++) {
            if (dweight) ((T *)dweight)[j] = (T)total[j];
            if (dbias) ((T *)dbias)[j] = (T)total[n + j];
        }
    }
    fc_free(part);
    fc_free(total);
    fc_free(ones);
    return status;
}
