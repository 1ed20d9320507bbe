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

int fc_conv_capabilities(int kernel) {
    static const int can[FC_CONV_KERNELS] = {
#define FC_CONV_KERNEL(number, function, bits) [FC_CONV_##number] = bits,
#include "kernels.h"
    };
    return kernel >= 0 && kernel < FC_CONV_KERNELS ? can[kernel] : 0;
}

static int can(int kernel, int bits) { return (fc_conv_capabilities(kernel) & bits) != 0; }

/* The kernel of the same direction that touches no other outputs than a direct sum does. */
static int without_winograd(int kernel) {
    return can(kernel, FC_BACKWARD_INPUT)    ? FC_CONV_BACKWARD_INPUT_GEMM
           : can(kernel, FC_BACKWARD_WEIGHT) ? FC_CONV_BACKWARD_WEIGHT_GEMM
                                             : FC_CONV_FORWARD_GEMM;
}

static int conv(const fc_kernels *k, int kernel, const fc_conv_geom *g, const void *a,
                const void *b, const void *bias, void *out, int threads) {
    fc_conv_fn f = conv_kernel(k, kernel);
    const int status = f ? f(g, a, b, bias, out, threads) : FC_UNSUPPORTED;
    if (status != FC_NOT_FINITE || g->packed) return status;
    return k->conv[without_winograd(kernel)](g, a, b, bias, out, threads);
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
    if (can(kernel, FC_BACKWARD_WEIGHT) && fc_conv_check(g) == FC_OK &&
        conv_pixels(g) > PIECE_PIXELS)
        return conv_in_pieces(table(dtype), kernel, dtype, g, a, b, out, threads);
    return conv(table(dtype), kernel, g, a, b, bias, out, threads);
}

static int finish(const fc_kernels *k, int kernel, const fc_conv_geom *g, const void *x,
                  const void *w, const void *bias, const fc_epilogue *e, void *y, int threads) {
    fc_conv_geom with = *g;
    const int last = g->y_stride[1] == 1;
    if (last && can(kernel, FC_FINISHES)) with.epilogue = e;
    const int status = conv(k, kernel, &with, x, w, bias, y, threads);
    if (status || with.epilogue) return status;
    k->finish(e, g->batch, g->out_size[0] * g->out_size[1] * g->out_size[2], last, y);
    return FC_OK;
}

int fc_conv_finish(int kernel, int dtype, const fc_conv_geom *g, const void *x, const void *w,
                   const void *bias, const void *coef, const void *residual, double slope,
                   double limit, void *y, int threads) {
    const fc_epilogue epilogue = {coef, residual, g->out_channels, slope, limit};
    return finish(table(dtype), kernel, g, x, w, bias, &epilogue, y, threads);
}

int64_t fc_conv_packed_bytes(int isa, int kernel, int dtype, const fc_conv_geom *g) {
    if (!can(kernel, FC_PACKS)) return 0;
    fc_packed packed = {.mode = FC_PACKED_SIZE};
    fc_conv_geom with = *g;
    with.packed = &packed;
    const int status = conv(table_of(isa, dtype), kernel, &with, NULL, NULL, NULL, NULL, 1);
    return status ? -status : packed.used;
}

int fc_conv_pack(int isa, int kernel, int dtype, const fc_conv_geom *g, const void *w, void *packed,
                 int64_t bytes, int threads) {
    if (!can(kernel, FC_PACKS)) return FC_UNSUPPORTED;
    fc_packed fill = {FC_PACKED_FILL, packed, bytes, 0};
    fc_conv_geom with = *g;
    with.packed = &fill;
    return conv(table_of(isa, dtype), kernel, &with, NULL, w, NULL, NULL, threads);
}

int fc_conv_packed(int isa, int kernel, int dtype, const fc_conv_geom *g, const void *a,
                   const void *packed, int64_t bytes, const void *bias, int finished,
                   const void *coef, const void *residual, double slope, double limit, void *out,
                   int threads) {
    if (!can(kernel, FC_PACKS)) return FC_UNSUPPORTED;
    const fc_epilogue epilogue = {coef, residual, g->out_channels, slope, limit};
    fc_packed use = {FC_PACKED_USE, (void *)packed, bytes, 0};
    const fc_kernels *k = table_of(isa, dtype);
    fc_conv_geom with = *g;
    with.packed = &use;
    return finished ? finish(k, kernel, &with, a, NULL, bias, &epilogue, out, threads)
                    : conv(k, kernel, &with, a, NULL, bias, out, threads);
}

#define FC_FAMILY(name, parameters, names)                        \
    int fc_##name(int dtype, FC_LIST parameters) {                \
        const fc_kernels *k = table(dtype);                       \
        return k && threads > 0 ? k->name names : FC_UNSUPPORTED; \
    }
#define FC_FAMILY_OF(name, kinds, parameters, names)                     \
    int fc_##name(int kind, int dtype, FC_LIST parameters) {             \
        const fc_kernels *k = table(dtype);                              \
        const int known = k && kind >= 0 && kind < kinds && threads > 0; \
        return known ? k->name(kind, FC_LIST names) : FC_UNSUPPORTED;    \
    }
#include "kernels.h"

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
