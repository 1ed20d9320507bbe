/* Bias gradient: sums over batch and space per channel. Pixels are cut into blocks of BIAS_ROWS;
 * block sums in T are added in double, in order, so the result is the same for every number of
 * threads. */
#ifndef BIAS_ROWS
#define BIAS_ROWS 512
#endif

/* sum[k] = sum over `rows` rows of K. Not in the driver: what OpenMP outlines need not inherit the
 * instruction set. */
NOINLINE void FN(bias_block)(const T *y, int64_t rows, int64_t K, T *sum) {
    int64_t k = 0;
    for (; k + 4 * VL <= K; k += 4 * VL) {
        vec acc[4] = {{0}, {0}, {0}, {0}};
        for (int64_t p = 0; p < rows; p++) {
            UNROLL
            for (int i = 0; i < 4; i++) acc[i] += vload(y + p * K + k + i * VL);
        }
        UNROLL
        for (int i = 0; i < 4; i++) vstore(sum + k + i * VL, acc[i]);
    }
    for (; k + VL <= K; k += VL) {
        vec acc = {0};
        for (int64_t p = 0; p < rows; p++) acc += vload(y + p * K + k);
        vstore(sum + k, acc);
    }
    for (; k < K; k++) {
        T acc = 0;
        for (int64_t p = 0; p < rows; p++) acc += y[p * K + k];
        sum[k] = acc;
    }
}

static int FN(conv_backward_bias)(const fc_conv_geom *g, const void *dy, void *out, int threads) {
    const T *y = dy;
    T *db = out;
    const int64_t K = g->out_channels, N = g->batch;
    const int64_t D = g->out_size[0], H = g->out_size[1], W = g->out_size[2], S = D * H * W;
    if (N == 0 || S == 0) {
        for (int64_t k = 0; k < K; k++) db[k] = 0;
        return FC_OK;
    }
    if (g->y_stride[1] != 1) { /* NCHW: a channel is N rows of S */
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0;
            for (int64_t n = 0; n < N; n++) {
                const T *row = y + n * g->y_stride[0] + k * g->y_stride[1];
                for (int64_t s0 = 0; s0 < S; s0 += BIAS_ROWS) {
                    const int64_t s1 = s0 + BIAS_ROWS < S ? s0 + BIAS_ROWS : S;
                    T part = 0;
#pragma omp simd reduction(+ : part)
                    for (int64_t s = s0; s < s1; s++) part += row[s];
                    sum += (double)part;
                }
            }
            db[k] = (T)sum;
        }
        return FC_OK;
    }
    /* channels-last: N*S rows of K */
    const int64_t P = N * S, rows = BIAS_ROWS, blocks = (P + rows - 1) / rows;
    int64_t cells;
    if (__builtin_mul_overflow(blocks, K, &cells)) return FC_OVERFLOW;
    T *part = fc_scratch(cells, sizeof(T));
    if (!part) return FC_NOMEM;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t first = b * rows, end = first + rows < P ? first + rows : P;
        FN(bias_block)(y + first * K, end - first, K, part + b * K);
    }
    for (int64_t k = 0; k < K; k++) {
        double sum = 0;
        for (int64_t b = 0; b < blocks; b++) sum += (double)part[b * K + k];
        db[k] = (T)sum;
    }
    fc_free(part);
    return FC_OK;
}
