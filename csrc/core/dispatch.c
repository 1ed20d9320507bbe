/* Which instruction set runs: the best one the CPU and the system support, capped by FASTCONV_ISA,
 * and the exported functions that call its table. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/pieces.h"
#include "fastconv.h"
#ifdef _OPENMP
#include <omp.h>
#endif

extern const fc_kernels fc_kernels_f32_generic, fc_kernels_f64_generic;
#if defined(__x86_64__)
extern const fc_kernels fc_kernels_f32_avx2, fc_kernels_f64_avx2;
extern const fc_kernels fc_kernels_f32_avx512, fc_kernels_f64_avx512;
#endif

typedef struct {
    const char *name;
    const fc_kernels *kernels[FC_DTYPES];
} isa;

/* Weakest first. */
static const isa isas[] = {
    {"generic", {&fc_kernels_f32_generic, &fc_kernels_f64_generic}},
#if defined(__x86_64__)
    {"avx2", {&fc_kernels_f32_avx2, &fc_kernels_f64_avx2}},
    {"avx512", {&fc_kernels_f32_avx512, &fc_kernels_f64_avx512}},
#endif
};
enum { ISA_COUNT = sizeof isas / sizeof *isas };

static int active;

int fc_isa_count(void) { return ISA_COUNT; }

const char *fc_isa_name(int i) { return i >= 0 && i < ISA_COUNT ? isas[i].name : NULL; }

/* __builtin_cpu_supports reads XGETBV too: the system must save the wide registers. */
int fc_isa_supported(int i) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (i == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (i == 2)
        return fc_isa_supported(1) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return i == 0;
}

int fc_set_isa(int i) {
    if (!fc_isa_supported(i)) return FC_UNSUPPORTED;
    __atomic_store_n(&active, i, __ATOMIC_RELAXED);
    return FC_OK;
}

int fc_get_isa(void) { return __atomic_load_n(&active, __ATOMIC_RELAXED); }

__attribute__((constructor)) static void choose_isa(void) {
    const char *cap = getenv("FASTCONV_ISA");
    int best = ISA_COUNT - 1;
    for (int i = 0; cap && i < ISA_COUNT; i++)
        if (!strcmp(cap, isas[i].name)) best = i;
    while (best > 0 && !fc_isa_supported(best)) best--;
    active = best;
}

static int64_t l2_bytes = INT64_C(1) << 20;

int64_t fc_l2_bytes(void) { return l2_bytes; }

/* 1 MiB where the system does not say. Kernels are measured with 1 and 2 MiB: less is taken for 1,
 * and a larger one, which cores may share, for 2. */
__attribute__((constructor)) static void ask_l2(void) {
#ifdef _SC_LEVEL2_CACHE_SIZE
    const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (bytes > l2_bytes) l2_bytes = bytes < 2 * l2_bytes ? bytes : 2 * l2_bytes;
#endif
}

/* NULL for an unknown type. */
static const fc_kernels *table_of(int isa, int dtype) {
    const int known = isa >= 0 && isa < ISA_COUNT && dtype >= 0 && dtype < FC_DTYPES;
    return known ? isas[isa].kernels[dtype] : NULL;
}

static const fc_kernels *table(int dtype) { return table_of(fc_get_isa(), dtype); }

static fc_conv_fn conv_kernel(const fc_kernels *k, int kernel) {
    return k && kernel >= 0 && kernel < FC_CONV_KERNELS ? k->conv[kernel] : NULL;
}

int fc_conv_available(int kernel, int dtype) { return conv_kernel(table(dtype), kernel) != NULL; }

/* The kernel of the same direction that touches no other outputs than a direct sum does. */
static int without_winograd(int kernel) {
    return kernel == FC_CONV_BACKWARD_INPUT_WINOGRAD    ? FC_CONV_BACKWARD_INPUT_GEMM
           : kernel == FC_CONV_BACKWARD_WEIGHT_WINOGRAD ? FC_CONV_BACKWARD_WEIGHT_GEMM
                                                        : FC_CONV_FORWARD_GEMM;
}

static int conv(const fc_kernels *k, int kernel, const fc_conv_geom *g, const void *a,
                const void *b, const void *bias, void *out, int threads) {
    fc_conv_fn f = conv_kernel(k, kernel);
    const int status = f ? f(g, a, b, bias, out, threads) : FC_UNSUPPORTED;
    if (status != FC_NOT_FINITE || g->packed) return status;
    return k->conv[without_winograd(kernel)](g, a, b, bias, out, threads);
}

static int is_backward_weight(int kernel) {
    return kernel == FC_CONV_BACKWARD_WEIGHT_GEMM || kernel == FC_CONV_BACKWARD_WEIGHT_DEPTHWISE ||
           kernel == FC_CONV_BACKWARD_WEIGHT_GROUPED ||
           kernel == FC_CONV_BACKWARD_WEIGHT_WINOGRAD || kernel == FC_CONV_BACKWARD_WEIGHT_FLAT;
}

static int add_piece(const conv_pieces *job, const fc_conv_geom *g, const void *dy, const void *x) {
    const int status = conv(job->kernels, job->kernel, g, dy, x, NULL, job->piece, job->threads);
    const float *f = job->piece;
    const double *d = job->piece;
    if (status) return status;
    if (job->dtype == FC_F64)
        for (int64_t i = 0; i < job->weights; i++) job->total[i] += d[i];
    else
        for (int64_t i = 0; i < job->weights; i++) job->total[i] += f[i];
    return FC_OK;
}

/* Backward weight of more pixels than a piece has. */
static int conv_in_pieces(const fc_kernels *k, int kernel, int dtype, const fc_conv_geom *g,
                          const void *dy, const void *x, void *dw, int threads) {
    conv_pieces job = {add_piece, k, kernel, dtype, threads, 0, dw, NULL};
    job.weights =
        g->out_channels * (g->in_channels / g->groups) * g->kernel[0] * g->kernel[1] * g->kernel[2];
    job.total = fc_scratch(job.weights, sizeof *job.total);
    if (!job.total) return FC_NOMEM;
    memset(job.total, 0, (size_t)job.weights * sizeof *job.total);
    const int status = conv_each_piece(&job, g, dy, x);
    float *f = dw;
    if (status == FC_OK && dtype == FC_F64) {
        memcpy(dw, job.total, (size_t)job.weights * sizeof *job.total);
    } else if (status == FC_OK) {
        for (int64_t i = 0; i < job.weights; i++) f[i] = (float)job.total[i];
    }
    fc_free(job.total);
    return status;
}

int fc_conv(int kernel, int dtype, const fc_conv_geom *g, const void *a, const void *b,
            const void *bias, void *out, int threads) {
    if (is_backward_weight(kernel) && fc_conv_check(g) == FC_OK && conv_pixels(g) > PIECE_PIXELS)
        return conv_in_pieces(table(dtype), kernel, dtype, g, a, b, out, threads);
    return conv(table(dtype), kernel, g, a, b, bias, out, threads);
}

/* Kernels that apply the epilogue themselves, to a channels-last result. */
static int finishes(int kernel, const fc_conv_geom *g) {
    const int can = kernel == FC_CONV_FORWARD_GEMM || kernel == FC_CONV_FORWARD_DIRECT ||
                    kernel == FC_CONV_FORWARD_WINOGRAD || kernel == FC_CONV_FORWARD_DEPTHWISE ||
                    kernel == FC_CONV_FORWARD_GROUPED || kernel == FC_CONV_FORWARD_FLAT;
    return can && g->y_stride[1] == 1;
}

static int finish(const fc_kernels *k, int kernel, const fc_conv_geom *g, const void *x,
                  const void *w, const void *bias, const fc_epilogue *e, void *y, int threads) {
    fc_conv_geom with = *g;
    if (finishes(kernel, g)) with.epilogue = e;
    const int status = conv(k, kernel, &with, x, w, bias, y, threads);
    if (status || with.epilogue) return status;
    const int last = g->y_stride[1] == 1;
    k->finish(e, g->batch, g->out_size[0] * g->out_size[1] * g->out_size[2], last, y);
    return FC_OK;
}

int fc_conv_finish(int kernel, int dtype, const fc_conv_geom *g, const void *x, const void *w,
                   const void *bias, const void *coef, const void *residual, double slope,
                   double limit, void *y, int threads) {
    const fc_epilogue epilogue = {coef, residual, g->out_channels, slope, limit};
    return finish(table(dtype), kernel, g, x, w, bias, &epilogue, y, threads);
}

/* Kernels that know fc_conv_geom.packed. */
static int keeps(int kernel) {
    return kernel == FC_CONV_FORWARD_GEMM || kernel == FC_CONV_BACKWARD_INPUT_GEMM ||
           kernel == FC_CONV_FORWARD_DIRECT || kernel == FC_CONV_BACKWARD_INPUT_DIRECT ||
           kernel == FC_CONV_FORWARD_WINOGRAD || kernel == FC_CONV_BACKWARD_INPUT_WINOGRAD;
}

int64_t fc_conv_packed_bytes(int isa, int kernel, int dtype, const fc_conv_geom *g) {
    if (!keeps(kernel)) return 0;
    fc_packed packed = {.mode = FC_PACKED_SIZE};
    fc_conv_geom with = *g;
    with.packed = &packed;
    const int status = conv(table_of(isa, dtype), kernel, &with, NULL, NULL, NULL, NULL, 1);
    return status ? -status : packed.used;
}

int fc_conv_pack(int isa, int kernel, int dtype, const fc_conv_geom *g, const void *w, void *packed,
                 int64_t bytes, int threads) {
    if (!keeps(kernel)) return FC_UNSUPPORTED;
    fc_packed fill = {FC_PACKED_FILL, packed, bytes, 0};
    fc_conv_geom with = *g;
    with.packed = &fill;
    return conv(table_of(isa, dtype), kernel, &with, NULL, w, NULL, NULL, threads);
}

int fc_conv_packed(int isa, int kernel, int dtype, const fc_conv_geom *g, const void *a,
                   const void *packed, int64_t bytes, const void *bias, int finished,
                   const void *coef, const void *residual, double slope, double limit, void *out,
                   int threads) {
    if (!keeps(kernel)) return FC_UNSUPPORTED;
    const fc_epilogue epilogue = {coef, residual, g->out_channels, slope, limit};
    fc_packed use = {FC_PACKED_USE, (void *)packed, bytes, 0};
    const fc_kernels *k = table_of(isa, dtype);
    fc_conv_geom with = *g;
    with.packed = &use;
    return finished ? finish(k, kernel, &with, a, NULL, bias, &epilogue, out, threads)
                    : conv(k, kernel, &with, a, NULL, bias, out, threads);
}

int fc_conv_backward_bias(int dtype, const fc_conv_geom *g, const void *dy, void *out,
                          int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->conv_backward_bias(g, dy, out, threads) : FC_UNSUPPORTED;
}

int fc_activation_backward(int kernel, int dtype, int64_t rows, int64_t channels, const void *dy,
                           const void *y, double p, double q, void *dx, void *db, int threads) {
    const fc_kernels *k = table(dtype);
    if (!k || kernel < FC_MAP_RELU_BACKWARD || kernel > FC_MAP_CLAMP_BACKWARD || threads < 1)
        return FC_UNSUPPORTED;
    return k->activation_backward(kernel, rows, channels, dy, y, p, q, dx, db, threads);
}

int fc_max_pool_forward(int dtype, const fc_pool_geom *g, const void *x, void *y, int64_t *indices,
                        int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->max_pool_forward(g, x, y, indices, threads) : FC_UNSUPPORTED;
}

int fc_max_pool_taps_forward(int dtype, const fc_pool_geom *g, const void *x, void *y,
                             uint8_t *taps, int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->max_pool_taps_forward(g, x, y, taps, threads) : FC_UNSUPPORTED;
}

int fc_max_pool_taps_backward(int dtype, const fc_pool_geom *g, const void *dy, const uint8_t *taps,
                              void *dx, int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->max_pool_taps_backward(g, dy, taps, dx, threads) : FC_UNSUPPORTED;
}

int fc_avg_pool_forward(int dtype, const fc_pool_geom *g, const void *x, void *y, int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->avg_pool_forward(g, x, y, threads) : FC_UNSUPPORTED;
}

int fc_avg_pool_backward(int dtype, const fc_pool_geom *g, const void *dy, void *dx, int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->avg_pool_backward(g, dy, dx, threads) : FC_UNSUPPORTED;
}

int fc_index_pool(int kernel, int dtype, const fc_pool_geom *g, const void *a,
                  const int64_t *indices, void *out, int threads) {
    const fc_kernels *k = table(dtype);
    if (!k || kernel < 0 || kernel >= FC_INDEX_KERNELS) return FC_UNSUPPORTED;
    return k->index_pool[kernel](g, a, indices, out, threads);
}

int fc_norm_statistics(int dtype, const fc_norm_geom *g, const void *x, const void *weight,
                       const void *bias, double eps, void *running_mean, void *running_var,
                       double momentum, double *stats, void *coef, int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->norm_statistics(g, x, weight, bias, eps, running_mean, running_var, momentum,
                                  stats, coef, threads)
             : FC_UNSUPPORTED;
}

int fc_norm_apply(int dtype, const fc_norm_geom *g, const void *x, const void *coef,
                  const void *residual, int relu, double limit, void *y, int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->norm_apply(g, x, coef, residual, relu, limit, y, threads) : FC_UNSUPPORTED;
}

int fc_norm_backward(int dtype, const fc_norm_geom *g, const void *dy, const void *x, const void *y,
                     int relu, double limit, const void *weight, const double *stats,
                     const void *coef, int constant, void *dx, void *dr, void *dweight, void *dbias,
                     int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->norm_backward(g, dy, x, y, relu, limit, weight, stats, coef, constant, dx, dr,
                                dweight, dbias, threads)
             : FC_UNSUPPORTED;
}

int fc_layer_norm(int dtype, int64_t rows, int64_t length, const void *x, const void *weight,
                  const void *bias, double eps, void *y, double *stats, int threads) {
    const fc_kernels *k = table(dtype);
    return k && threads > 0 ? k->layer_norm(rows, length, x, weight, bias, eps, y, stats, threads)
                            : FC_UNSUPPORTED;
}

int fc_layer_norm_backward(int dtype, int64_t rows, int64_t length, const void *dy, const void *x,
                           const void *weight, const double *stats, void *dx, void *dweight,
                           void *dbias, int threads) {
    const fc_kernels *k = table(dtype);
    return k && threads > 0 ? k->layer_norm_backward(rows, length, dy, x, weight, stats, dx,
                                                     dweight, dbias, threads)
                            : FC_UNSUPPORTED;
}

int fc_transpose(int dtype, int64_t batch, int64_t rows, int64_t cols, const void *src, void *dst,
                 int threads) {
    const fc_kernels *k = table(dtype);
    return k ? k->transpose(batch, rows, cols, src, dst, threads) : FC_UNSUPPORTED;
}

int fc_copy_columns(int dtype, int64_t rows, int64_t width, const void *from, int64_t from_pitch,
                    int64_t from_start, void *to, int64_t to_pitch, int64_t to_start, int threads) {
    const fc_kernels *k = table(dtype);
    if (!k) return FC_UNSUPPORTED;
    if (from_start < 0 || to_start < 0 || width < 0 || from_start > from_pitch - width ||
        to_start > to_pitch - width)
        return FC_RANGE;
    const int64_t bytes = dtype == FC_F32 ? 4 : 8;
    return k->copy_columns(rows, width, (const char *)from + from_start * bytes, from_pitch,
                           (char *)to + to_start * bytes, to_pitch, threads);
}

int fc_map(int kernel, int dtype, int64_t count, const void *a, const void *b, double p, double q,
           void *out, int threads) {
    const fc_kernels *k = table(dtype);
    if (!k || kernel < 0 || kernel >= FC_MAP_KERNELS || threads < 1) return FC_UNSUPPORTED;
    return k->map(kernel, count, a, b, p, q, out, threads);
}

int fc_reduce(int kind, int dtype, const fc_reduce_geom *g, const void *x, const void *b,
              const double *centre, double divisor, int wide, void *out, int threads) {
    const fc_kernels *k = table(dtype);
    if (!k || kind < 0 || kind >= FC_REDUCE_KINDS || threads < 1) return FC_UNSUPPORTED;
    return k->reduce(kind, g, x, b, centre, divisor, wide, out, threads);
}

int fc_running(int product, int dtype, const fc_reduce_geom *g, const void *x, int back, void *out,
               int threads) {
    const fc_kernels *k = table(dtype);
    return k && threads > 0 ? k->running(product, g, x, back, out, threads) : FC_UNSUPPORTED;
}

int fc_softmax(int kind, int dtype, const fc_softmax_geom *g, const void *a, const void *b,
               const int64_t *labels, const void *weight, const void *grad, void *out, void *loss,
               void *sample, int threads) {
    const fc_kernels *k = table(dtype);
    if (!k || kind < 0 || kind >= FC_SOFTMAX_KINDS || threads < 1) return FC_UNSUPPORTED;
    return k->softmax(kind, g, a, b, labels, weight, grad, out, loss, sample, threads);
}

int fc_local_response(int dtype, const fc_response_geom *g, const void *x, const void *grad,
                      void *out, int threads) {
    const fc_kernels *k = table(dtype);
    return k && threads > 0 ? k->local_response(g, x, grad, out, threads) : FC_UNSUPPORTED;
}

int fc_resample(int dtype, const fc_resample_geom *g, const void *x, void *out, int threads) {
    const fc_kernels *k = table(dtype);
    return k && threads > 0 ? k->resample(g, x, out, threads) : FC_UNSUPPORTED;
}

int fc_warp(int dtype, const fc_warp_geom *g, const void *x, const double *matrix, const void *fill,
            void *out, int threads) {
    const fc_kernels *k = table(dtype);
    if (!k || threads < 1) return FC_UNSUPPORTED;
    return k->warp[g->bytes != 0](g, x, matrix, fill, out, threads);
}

int fc_step(int method, int dtype, const void *settings, int64_t count, const fc_update *updates,
            int threads) {
    const fc_kernels *k = table(dtype);
    if (!k || method < 0 || method >= FC_METHODS || threads < 1) return FC_UNSUPPORTED;
    return k->update(method, settings, count, updates, threads);
}

double fc_fma_peak(int dtype, double seconds) {
    const fc_kernels *k = table(dtype);
    return k ? k->fma_peak(seconds) : 0.0;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double fc_stream(int64_t bytes, double seconds, int threads) {
    if (bytes < 1 || threads < 1) return 0.0;
    int64_t part = (bytes + threads - 1) / threads, total;
    if (__builtin_mul_overflow(part, (int64_t)threads, &total)) return 0.0;
    char *a = malloc((size_t)total), *b = malloc((size_t)total);
    double best = 0.0, t0 = now();
    if (a && b) {
        memset(a, 1, (size_t)total);
        memset(b, 2, (size_t)total);
        do {
            double t = now();
#pragma omp parallel for num_threads(threads) schedule(static, 1)
            for (int i = 0; i < threads; i++) memcpy(b + i * part, a + i * part, (size_t)part);
            t = now() - t;
            if (t > 0 && 2.0 * (double)total / t > best) best = 2.0 * (double)total / t;
        } while (now() - t0 < seconds);
    }
    free(a);
    free(b);
    return best;
}

const char *fc_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

int fc_openmp(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}
