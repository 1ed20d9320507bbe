/* Resampling: every axis by a sparse matrix of its own.
 *
 *   out[n, d, h, w, c] = sum D[d, i] H[h, j] W[w, k] x[n, i, j, k, c]
 *
 * A row of W is given as starts, indices and weights (CSR). Upsampling, downsampling and, by the
 * transposed matrices, their gradients are all of this form. A line of the result is a sum of lines
 * of x (D and H), and then of its elements (W): the sum stays in L1 or L2, so large tensors are at
 * the bandwidth of the memory. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/simd.h"

#define RESAMPLE_TERMS 4 /* of a sum in registers */

/* One vector of a sum of `count` terms. */
INLINE vec resample_vec(const int count, const T *const *from, const vec *by, int64_t i) {
    vec sum = by[0] * vload(from[0] + i);
    UNROLL
    for (int k = 1; k < count; k++) sum += by[k] * vload(from[k] + i);
    return sum;
}

/* out[i] = sum over k of weight[k] * x[index[k] * step + i], n elements; where there is a vector,
 * the last one ends with them. count: at most RESAMPLE_TERMS, a constant. stream: whole vectors go
 * past the caches. */
INLINE void resample_sum(const int count, const T *x, const int64_t *index, int64_t step,
                         const T *weight, int64_t n, T *out, int stream) {
    const T *from[RESAMPLE_TERMS];
    vec by[RESAMPLE_TERMS];
    UNROLL
    for (int k = 0; k < count; k++) {
        from[k] = x + index[k] * step;
        by[k] = vset1(weight[k]);
    }
    int64_t i = 0;
    for (; stream && i < n; i += VL) STREAM(out + i, resample_vec(count, from, by, i));
    for (; i + VL <= n; i += VL) vstore(out + i, resample_vec(count, from, by, i));
    if (i < n && n >= VL) {
        vstore(out + n - VL, resample_vec(count, from, by, n - VL));
        return;
    }
    for (; i < n; i++) {
        T sum = weight[0] * from[0][i];
        for (int k = 1; k < count; k++) sum += weight[k] * from[k][i];
        out[i] = sum;
    }
}

/* The same of any number of terms. */
INLINE void resample_many(int64_t terms, const T *x, const int64_t *index, int64_t step,
                          const T *weight, int64_t n, T *out) {
    for (int64_t i = 0; i < n && n >= VL; i += VL) {
        const int64_t at = i + VL <= n ? i : n - VL;
        vec sum = {0};
        for (int64_t k = 0; k < terms; k++) sum += weight[k] * vload(x + index[k] * step + at);
        vstore(out + at, sum);
    }
    for (int64_t i = 0; i < n && n < VL; i++) {
        T sum = 0;
        for (int64_t k = 0; k < terms; k++) sum += weight[k] * x[index[k] * step + i];
        out[i] = sum;
    }
}

INLINE void resample_any(int64_t terms, const T *x, const int64_t *index, int64_t step,
                         const T *weight, int64_t n, T *out, int stream) {
    if (terms == 1 && weight[0] == 1 && !stream) {
        const T *from = x + index[0] * step;
        if (n < VL)
            for (int64_t i = 0; i < n; i++) out[i] = from[i];
        else memcpy(out, from, (size_t)n * sizeof(T));
    } else if (terms == 1) resample_sum(1, x, index, step, weight, n, out, stream);
    else if (terms == 2) resample_sum(2, x, index, step, weight, n, out, stream);
    else if (terms == 3) resample_sum(3, x, index, step, weight, n, out, stream);
    else if (terms == 4) resample_sum(4, x, index, step, weight, n, out, stream);
    else resample_many(terms, x, index, step, weight, n, out);
}

/* One line of single elements: W alone. */
INLINE void resample_elements(const int64_t *starts, const int64_t *index, const T *weight,
                              const T *x, int64_t n, T *out) {
    for (int64_t w = 0; w < n; w++) {
        int64_t k = starts[w];
        const int64_t end = starts[w + 1];
        T sum = 0;
        if (k < end) {
            sum = weight[k] * x[index[k]];
            for (k++; k < end; k++) sum += weight[k] * x[index[k]];
        }
        out[w] = sum;
    }
}

/* Lines [first, end) of the result; at, factor: room for the most terms of a sum; sum: a line. */
static void resample_lines(const fc_resample_geom *g, const T *x, T *out, int64_t first,
                           int64_t end, int64_t *at, T *factor, T *sum, int stream) {
    const int64_t C = g->inner, width = g->in_size[2] * C, out_width = g->out_size[2] * C;
    const int64_t *starts = g->starts[2], *index = g->index[2];
    const T *weight[3] = {g->weight[0], g->weight[1], g->weight[2]};
    for (int64_t line = first; line < end; line++) {
        const int64_t h = line % g->out_size[1], d = line / g->out_size[1] % g->out_size[0];
        const T *image =
            x + line / g->out_size[1] / g->out_size[0] * g->in_size[0] * g->in_size[1] * width;
        int64_t count = 0;
        for (int64_t i = g->starts[0][d]; i < g->starts[0][d + 1]; i++) {
            for (int64_t j = g->starts[1][h]; j < g->starts[1][h + 1]; j++, count++) {
                at[count] = (g->index[0][i] * g->in_size[1] + g->index[1][j]) * width;
                factor[count] = weight[0][i] * weight[1][j];
            }
        }
        T *to = out + line * out_width;
        const T *from = sum;
        if (count == 1 && factor[0] == 1) from = image + at[0];
        else resample_any(count, image, at, 1, factor, width, sum, 0);
        if (C == 1) {
            resample_elements(starts, index, weight[2], from, g->out_size[2], to);
            continue;
        }
        for (int64_t w = 0; w < g->out_size[2]; w++, to += C) {
            const int64_t k = starts[w], n = starts[w + 1] - k;
            resample_any(n, from, index + k, C, weight[2] + k, C, to, stream);
        }
    }
    if (stream) STREAMED();
}

static int resample(const fc_resample_geom *g, const void *x, void *out, int threads) {
    int64_t most = 1, rows = 1;
    for (int i = 0; i < 3; i++) {
        int64_t longest = 0;
        for (int64_t o = 0; o < g->out_size[i]; o++)
            if (g->starts[i][o + 1] - g->starts[i][o] > longest)
                longest = g->starts[i][o + 1] - g->starts[i][o];
        if (i < 2) rows *= longest;
        else if (longest > most) most = longest;
    }
    if (rows > most) most = rows;
    const int64_t lines = g->batch * g->out_size[0] * g->out_size[1],
                  width = g->in_size[2] * g->inner;
    int64_t *at = fc_scratch(threads * most, sizeof(int64_t));
    T *scratch = fc_scratch(threads * (width + most), sizeof(T));
    const int status = at && scratch ? FC_OK : FC_NOMEM;
    const int64_t bytes = lines * g->out_size[2] * g->inner * (int64_t)sizeof(T);
    const int stream = STREAMS(out, bytes) && g->inner % VL == 0;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int t = 0; t < (status == FC_OK ? threads : 0); t++)
        resample_lines(g, x, out, lines * t / threads, lines * (t + 1) / threads, at + t * most,
                       scratch + t * (width + most), scratch + t * (width + most) + most, stream);
    fc_free(scratch);
    fc_free(at);
    return status;
}
