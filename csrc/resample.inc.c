/* Resampling: every axis by a sparse matrix of its own.
 *
 *   out[n, d, h, w, c] = sum D[d, i] H[h, j] W[w, k] x[n, i, j, k, c]
 *
 * A row of W is given as starts, indices and weights (CSR). Upsampling, downsampling and, by the
 * transposed matrices, their gradients are all of this form. A line of the result is a sum of lines
 * of x (D and H), and then of its elements (W): the sum stays in L1 or L2, so large tensors are at
 * the bandwidth of the memory. */

/* out[i] = sum of weight * x, n elements; a vector at a time, the tail by elements. */
INLINE void FN(resample_sum)(const int count, const T *const *x, const T *weight, int64_t n,
                             T *out) {
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        vec sum = weight[0] * vload(x[0] + i);
        UNROLL
        for (int k = 1; k < count; k++) sum += weight[k] * vload(x[k] + i);
        vstore(out + i, sum);
    }
    for (; i < n; i++) {
        T sum = weight[0] * x[0][i];
        for (int k = 1; k < count; k++) sum += weight[k] * x[k][i];
        out[i] = sum;
    }
}

/* The same for any count; nothing gives zeros. */
INLINE void FN(resample_any)(int64_t count, const T *const *x, const T *weight, int64_t n, T *out) {
    if (count == 1 && weight[0] == 1) {
        if (n < VL)
            for (int64_t i = 0; i < n; i++) out[i] = x[0][i];
        else memcpy(out, x[0], (size_t)n * sizeof(T));
    } else if (count == 1) FN(resample_sum)(1, x, weight, n, out);
    else if (count == 2) FN(resample_sum)(2, x, weight, n, out);
    else if (count == 3) FN(resample_sum)(3, x, weight, n, out);
    else if (count == 4) FN(resample_sum)(4, x, weight, n, out);
    else {
        memset(out, 0, (size_t)n * sizeof(T));
        for (int64_t k = 0; k < count; k++)
            for (int64_t i = 0; i < n; i++) out[i] += weight[k] * x[k][i];
    }
}

/* One line of single elements: W alone. */
INLINE void FN(resample_elements)(const int64_t *starts, const int64_t *index, const T *weight,
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
static void FN(resample_lines)(const fc_resample_geom *g, const T *x, T *out, int64_t first,
                               int64_t end, const T **at, T *factor, T *sum) {
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
                at[count] = image + (g->index[0][i] * g->in_size[1] + g->index[1][j]) * width;
                factor[count] = weight[0][i] * weight[1][j];
            }
        }
        const T *from = sum;
        if (count == 1 && factor[0] == 1) from = at[0];
        else FN(resample_any)(count, at, factor, width, sum);
        T *to = out + line * out_width;
        if (C == 1) {
            FN(resample_elements)(starts, index, weight[2], from, g->out_size[2], to);
            continue;
        }
        for (int64_t w = 0; w < g->out_size[2]; w++, to += C) {
            const int64_t k = starts[w], n = starts[w + 1] - k;
            for (int64_t i = 0; i < n; i++) at[i] = from + index[k + i] * C;
            FN(resample_any)(n, at, weight[2] + k, C, to);
        }
    }
}

static int FN(resample)(const fc_resample_geom *g, const void *x, void *out, int threads) {
    int64_t most = 1, rows = 1;
    for (int i = 0; i < 3; i++) {
        int64_t longest = 0;
        for (int64_t o = 0; o < g->out_size[i]; o++)
            longest = fc_max(longest, g->starts[i][o + 1] - g->starts[i][o]);
        if (i < 2) rows *= longest;
        else most = fc_max(most, longest);
    }
    most = fc_max(most, rows);
    const int64_t lines = g->batch * g->out_size[0] * g->out_size[1],
                  width = g->in_size[2] * g->inner;
    const T **at = fc_scratch(threads * most, sizeof(T *));
    T *scratch = fc_scratch(threads * (width + most), sizeof(T));
    const int status = at && scratch ? FC_OK : FC_NOMEM;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int t = 0; t < (status == FC_OK ? threads : 0); t++)
        FN(resample_lines)(g, x, out, lines * t / threads, lines * (t + 1) / threads, at + t * most,
                           scratch + t * (width + most), scratch + t * (width + most) + most);
    fc_free(scratch);
    fc_free(at);
    return status;
}
