/* Sums and products along the middle axis of arrays (outer, length, inner): a read of the operand,
 * bound by memory. Whatever the type, terms are taken in double and added in double: sums of floats
 * are those of doubles, rounded once. Chains are short, and what each addition to their sum loses
 * is kept (Knuth's two-sum), so that sums of doubles do not lose with their length either.
 *
 * A task is a block of a run of memory (inner = 1), or of rows and a strip of columns, whose
 * accumulators lie in L1; narrow rows are taken several at a time. Blocks depend on the shape alone
 * and are joined in order: results do not depend on the number of threads. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/simd.h"
#include "core/vecmath.inc.c"

#define REDUCE_STRIP 1024 /* columns of a block of rows, and elements whose exp is stored */
#define REDUCE_RUN 65536  /* elements of a block of a run, and about those of one of rows */
#define REDUCE_ROWS 128   /* rows of a block, at least */
#define REDUCE_TASK 16384 /* elements of a task of several short runs */
#define REDUCE_CHAIN 16   /* vectors added to one before what is lost is kept */
#define REDUCE_LANES (VEC_BYTES / 8)
#define DL ((int64_t)REDUCE_LANES)

typedef double dvec __attribute__((vector_size(VEC_BYTES)));
typedef double dvec_u __attribute__((vector_size(VEC_BYTES), aligned(8), may_alias));
typedef T narrow_u
    __attribute__((vector_size(REDUCE_LANES * TYPE_BYTES), aligned(TYPE_BYTES), may_alias));

INLINE dvec wide(const T *p) { return __builtin_convertvector(*(const narrow_u *)p, dvec); }

/* What is added of an element v: kind is a constant. */
INLINE dvec reduce_term(int kind, dvec v, dvec c, const T *b) {
    if (kind == FC_SUM_SQUARES) return (v - c) * (v - c);
    if (kind == FC_SUM_PRODUCTS) return v * wide(b);
    return v;
}

INLINE double reduce_term1(int kind, double v, double c, const T *b) {
    if (kind == FC_SUM_SQUARES) return (v - c) * (v - c);
    if (kind == FC_SUM_PRODUCTS) return v * (double)*b;
    return v;
}

typedef struct {
    dvec sum, lost;
} totals;

INLINE void totals_add(totals *t, dvec v) {
    const dvec sum = t->sum + v, back = sum - t->sum;
    t->lost += (t->sum - (sum - back)) + (v - back);
    t->sum = sum;
}

typedef struct {
    double sum, lost;
} total;

INLINE void total_add(total *t, double v) {
    const double sum = t->sum + v, back = sum - t->sum;
    t->lost += (t->sum - (sum - back)) + (v - back);
    t->sum = sum;
}

/* Beyond the finite numbers nothing was lost that can be told. */
INLINE double total_of(total t) { return t.lost - t.lost == 0 ? t.sum + t.lost : t.sum; }

/* z[i] = exp(x[i] - centre[i * step]); z has room for whole vectors. */
NOINLINE void reduce_exp(int64_t n, const T *x, const double *centre, int64_t step, T *z) {
    const int64_t end = (n + VL - 1) / VL * VL;
    for (int64_t i = 0; i < n; i++) z[i] = x[i] - (T)centre[i * step];
    for (int64_t i = n; i < end; i++) z[i] = 0;
    for (int64_t i = 0; i < end; i += VL) vstore(z + i, vexp(vload(z + i)));
}

/* ---------------------------------------------------------------- runs of memory */

/* The product of n elements. */
NOINLINE double reduce_product(int64_t n, const T *x) {
    double all = 1;
    int64_t i = 0;
    if (n >= 4 * DL) {
        dvec a[4];
        UNROLL
        for (int k = 0; k < 4; k++) a[k] = (dvec){0} + 1;
        for (; i + 4 * DL <= n; i += 4 * DL) {
            UNROLL
            for (int k = 0; k < 4; k++) a[k] *= wide(x + i + k * DL);
        }
        const dvec v = (a[0] * a[1]) * (a[2] * a[3]);
        for (int k = 0; k < DL; k++) all *= v[k];
    }
    for (; i < n; i++) all *= (double)x[i];
    return all;
}

/* In pairs: a short run is mostly this. */
INLINE double sum_of_lanes(dvec v) {
    double lanes[REDUCE_LANES];
    *(dvec_u *)lanes = v;
    UNROLL
    for (int m = REDUCE_LANES / 2; m; m /= 2)
        for (int k = 0; k < m; k++) lanes[k] += lanes[k + m];
    return lanes[0];
}

INLINE double reduce_run(int kind, int64_t n, const T *x, const T *b, double centre) {
    const dvec c = (dvec){0} + centre;
    total all = {0, 0};
    int64_t i = 0;
    if (n >= 4 * DL) {
        totals t = {{0}, {0}};
        for (; i + 8 * DL * REDUCE_CHAIN <= n;) {
            dvec a[8] = {{0}};
            for (int s = 0; s < REDUCE_CHAIN; s++, i += 8 * DL) {
                UNROLL
                for (int k = 0; k < 8; k++)
                    a[k] += reduce_term(kind, wide(x + i + k * DL), c, b ? b + i + k * DL : b);
            }
            UNROLL
            for (int m = 4; m; m /= 2)
                for (int k = 0; k < m; k++) a[k] += a[k + m];
            totals_add(&t, a[0]);
        }
        dvec a[4] = {{0}};
        for (; i + 4 * DL <= n; i += 4 * DL) {
            UNROLL
            for (int k = 0; k < 4; k++)
                a[k] += reduce_term(kind, wide(x + i + k * DL), c, b ? b + i + k * DL : b);
        }
        totals_add(&t, (a[0] + a[1]) + (a[2] + a[3]));
        all = (total){sum_of_lanes(t.sum), sum_of_lanes(t.lost)};
    }
    double rest = 0;
    for (; i < n; i++) rest += reduce_term1(kind, (double)x[i], centre, b ? b + i : b);
    total_add(&all, rest);
    return total_of(all);
}

/* exp is stored for a stretch, then summed. */
INLINE double reduce_run_exp(int64_t n, const T *x, const double *centre) {
    T z[REDUCE_STRIP];
    double sum = 0;
    for (int64_t i = 0; i < n; i += REDUCE_STRIP) {
        const int64_t count = i + REDUCE_STRIP < n ? REDUCE_STRIP : n - i;
        reduce_exp(count, x + i, centre, 0, z);
        sum += reduce_run(FC_SUM, count, z, NULL, 0);
    }
    return sum;
}

NOINLINE double reduce_line(int kind, int64_t n, const T *x, const T *b, const double *centre) {
    static const double none;
    const double c = centre ? *centre : 0;
    if (kind == FC_SUM) return reduce_run(FC_SUM, n, x, NULL, 0);
    if (kind == FC_SUM_SQUARES) return reduce_run(FC_SUM_SQUARES, n, x, NULL, c);
    if (kind == FC_SUM_PRODUCTS) return reduce_run(FC_SUM_PRODUCTS, n, x, b, 0);
    if (kind == FC_PRODUCT) return reduce_product(n, x);
    return reduce_run_exp(n, x, centre ? centre : &none);
}

/* ---------------------------------------------------------------- columns */

/* sums[j] (+)= the terms of x[r * pitch + j] for r < rows, j < count. */
INLINE void reduce_rows(int kind, int64_t rows, int64_t count, int64_t pitch, const T *x,
                        const T *b, const double *centre, double *sums) {
    T z[REDUCE_STRIP];
    for (int64_t r = 0; r < rows; r++, x += pitch) {
        const T *v = x, *w = b ? b + r * pitch : x;
        if (kind == FC_SUM_EXP) reduce_exp(count, x, centre, 1, z), v = z;
        int64_t j = 0;
        for (; j + DL <= count; j += DL) {
            dvec c = {0};
            if (kind == FC_SUM_SQUARES) c = *(const dvec_u *)(centre + j);
            const dvec term = reduce_term(kind, wide(v + j), c, w + j);
            dvec_u *sum = (dvec_u *)(sums + j);
            *sum = kind == FC_PRODUCT ? *sum * term : *sum + term;
        }
        for (; j < count; j++) {
            const double c = kind == FC_SUM_SQUARES ? centre[j] : 0;
            const double term = reduce_term1(kind, (double)v[j], c, w + j);
            sums[j] = kind == FC_PRODUCT ? sums[j] * term : sums[j] + term;
        }
    }
}

NOINLINE void reduce_columns(int kind, int64_t rows, int64_t count, int64_t pitch, const T *x,
                             const T *b, const double *centre, double *sums) {
    if (kind == FC_SUM) reduce_rows(FC_SUM, rows, count, pitch, x, NULL, NULL, sums);
    if (kind == FC_SUM_SQUARES)
        reduce_rows(FC_SUM_SQUARES, rows, count, pitch, x, NULL, centre, sums);
    if (kind == FC_SUM_PRODUCTS) reduce_rows(FC_SUM_PRODUCTS, rows, count, pitch, x, b, NULL, sums);
    if (kind == FC_SUM_EXP) reduce_rows(FC_SUM_EXP, rows, count, pitch, x, NULL, centre, sums);
    if (kind == FC_PRODUCT) reduce_rows(FC_PRODUCT, rows, count, pitch, x, NULL, NULL, sums);
}

/* ---------------------------------------------------------------- the work */

typedef struct {
    int kind, wide;
    int64_t outer, length, inner;
    int64_t together;             /* rows of `inner` taken as one */
    int64_t rows, blocks;         /* of a block: rows, or of a run elements; blocks of a length */
    int64_t strips, group, tasks; /* strips of columns; whole lengths of a task */
    const T *x, *b;
    const double *centre;
    double divisor, *part;
    void *out;
} reduce_job;

INLINE void reduce_write(const reduce_job *j, int64_t at, double total) {
    total /= j->divisor;
    if (j->wide) ((double *)j->out)[at] = total;
    else ((T *)j->out)[at] = (T)total;
}

/* Rows [first, first + rows) of array o, columns [k, k + count) -> sums[count]. */
INLINE void reduce_block(const reduce_job *j, int64_t o, int64_t first, int64_t rows, int64_t k,
                         int64_t count, double *sums) {
    const int64_t inner = j->inner, at = (o * j->length + first) * inner + k;
    const double start = j->kind == FC_PRODUCT, *centre = j->centre;
    const T *x = j->x + at, *b = j->b ? j->b + at : NULL;
    double zeros[REDUCE_STRIP], repeated[REDUCE_STRIP], wide[REDUCE_STRIP];
    if (centre) centre += o * inner + k;
    else if (j->kind == FC_SUM_SQUARES || j->kind == FC_SUM_EXP) {
        memset(zeros, 0, (size_t)count * sizeof(double));
        centre = zeros;
    }
    for (int64_t i = 0; i < count; i++) sums[i] = start;
    const int64_t together = j->together, width = together * inner, full = rows / together;
    if (together > 1 && full) {
        for (int64_t i = 0; i < width; i++) wide[i] = start;
        for (int64_t i = 0; centre && i < width; i++) repeated[i] = centre[i % inner];
        reduce_columns(j->kind, full, width, width, x, b, repeated, wide);
        for (int64_t r = 0; r < together; r++)
            for (int64_t i = 0; i < inner; i++)
                sums[i] = j->kind == FC_PRODUCT ? sums[i] * wide[r * inner + i]
                                                : sums[i] + wide[r * inner + i];
        x += full * width;
        if (b) b += full * width;
        rows -= full * together;
    }
    reduce_columns(j->kind, rows, count, inner, x, b, centre, sums);
}

NOINLINE void reduce_task(const reduce_job *j, int64_t task) {
    const int64_t strip = task % j->strips, block = task / j->strips % j->blocks;
    const int64_t first = block * j->rows, group = task / j->strips / j->blocks * j->group;
    const int64_t rows = first + j->rows < j->length ? j->rows : j->length - first;
    const int64_t end = group + j->group < j->outer ? group + j->group : j->outer;
    const int64_t k = strip * REDUCE_STRIP, left = j->inner - k;
    const int64_t count = left < REDUCE_STRIP ? left : REDUCE_STRIP;
    for (int64_t o = group; o < end; o++) {
        double sums[REDUCE_STRIP];
        if (j->inner == 1) {
            const int64_t at = o * j->length + first;
            *sums = reduce_line(j->kind, rows, j->x + at, j->b ? j->b + at : NULL,
                                j->centre ? j->centre + o : NULL);
        } else reduce_block(j, o, first, rows, k, count, sums);
        if (j->part) {
            double *part = j->part + (o * j->blocks + block) * j->inner + k;
            memcpy(part, sums, (size_t)count * sizeof(double));
        } else {
            for (int64_t i = 0; i < count; i++) reduce_write(j, o * j->inner + k + i, sums[i]);
        }
    }
}

/* The blocks of array o, columns [k, k + count), in order. */
NOINLINE void reduce_join(const reduce_job *j, int64_t o, int64_t k, int64_t count) {
    const double *part = j->part + o * j->blocks * j->inner + k;
    total all[REDUCE_STRIP];
    for (int64_t i = 0; i < count; i++) all[i] = (total){j->kind == FC_PRODUCT, 0};
    for (int64_t block = 0; block < j->blocks; block++, part += j->inner)
        for (int64_t i = 0; i < count; i++) {
            if (j->kind == FC_PRODUCT) all[i].sum *= part[i];
            else total_add(all + i, part[i]);
        }
    for (int64_t i = 0; i < count; i++) reduce_write(j, o * j->inner + k + i, total_of(all[i]));
}

/* How many narrow rows make one of whole vectors that is wide enough: a row's sums are read again a
 * row later, when they have to be there. */
static int64_t reduce_together(int64_t length, int64_t inner) {
    if (inner >= 16 * DL) return 1;
    int64_t together = DL;
    while (together % 2 == 0 && together / 2 * inner % DL == 0) together /= 2;
    together *= (32 * DL + together * inner - 1) / (together * inner);
    while (together * inner > REDUCE_STRIP) together /= 2;
    return length >= 8 * together ? together : 1;
}

static int reduce(int kind, const fc_reduce_geom *g, const void *x, const void *b,
                  const double *centre, double divisor, int wide, void *out, int threads) {
    reduce_job j = {.kind = kind, .wide = wide, .x = x, .b = b, .centre = centre, .out = out};
    const int64_t outer = g->outer, length = g->length, inner = g->inner;
    j.outer = outer, j.length = length, j.inner = inner, j.divisor = divisor, j.together = 1;
    if (outer < 1 || inner < 1) return FC_OK;
    int64_t cells, size;
    if (__builtin_mul_overflow(length, inner, &size) || __builtin_mul_overflow(size, outer, &cells))
        return FC_OVERFLOW;
    j.rows = REDUCE_RUN;
    if (inner > 1) {
        const int64_t columns = inner < REDUCE_STRIP ? inner : REDUCE_STRIP;
        j.together = reduce_together(length, inner);
        j.rows = (REDUCE_RUN / columns + j.together - 1) / j.together * j.together;
        if (j.rows < REDUCE_ROWS) j.rows = REDUCE_ROWS;
    }
    j.strips = (inner + REDUCE_STRIP - 1) / REDUCE_STRIP;
    j.blocks = length > j.rows ? (length + j.rows - 1) / j.rows : 1;
    j.group = j.blocks > 1 || size >= REDUCE_TASK ? 1 : size ? REDUCE_TASK / size : REDUCE_TASK;
    j.tasks = (outer + j.group - 1) / j.group * j.blocks * j.strips;
    if (j.blocks > 1) {
        if (__builtin_mul_overflow(outer * inner, j.blocks, &cells)) return FC_OVERFLOW;
        j.part = fc_scratch(cells, sizeof(double));
        if (!j.part) return FC_NOMEM;
    }
    if (threads == 1) {
        for (int64_t task = 0; task < j.tasks; task++) reduce_task(&j, task);
    } else {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t task = 0; task < j.tasks; task++) reduce_task(&j, task);
    }
    if (!j.part) return FC_OK;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && cells > 100000)
    for (int64_t i = 0; i < outer * j.strips; i++) {
        const int64_t k = i % j.strips * REDUCE_STRIP, left = inner - k;
        reduce_join(&j, i / j.strips, k, left < REDUCE_STRIP ? left : REDUCE_STRIP);
    }
    fc_free(j.part);
    return FC_OK;
}

/* ---------------------------------------------------------------- running sums and products */

/* Columns [k, k + count) of array o; with `back` from the last row on. */
INLINE void running_strip(int product, const fc_reduce_geom *g, int64_t o, int64_t k, int64_t count,
                          int back, const T *x, T *out) {
    double sums[REDUCE_STRIP];
    for (int64_t i = 0; i < count; i++) sums[i] = product;
    for (int64_t r = 0; r < g->length; r++) {
        const int64_t row = o * g->length + (back ? g->length - 1 - r : r);
        const T *from = x + row * g->inner + k;
        T *to = out + row * g->inner + k;
        for (int64_t i = 0; i < count; i++) {
            sums[i] = product ? sums[i] * (double)from[i] : sums[i] + (double)from[i];
            to[i] = (T)sums[i];
        }
    }
}

NOINLINE void running_columns(int product, const fc_reduce_geom *g, int64_t o, int64_t k,
                              int64_t count, int back, const T *x, T *out) {
    if (product) running_strip(1, g, o, k, count, back, x, out);
    else running_strip(0, g, o, k, count, back, x, out);
}

static int running(int product, const fc_reduce_geom *g, const void *x, int back, void *out,
                   int threads) {
    if (g->outer < 1 || g->length < 1 || g->inner < 1) return FC_OK;
    const int64_t strips = (g->inner + REDUCE_STRIP - 1) / REDUCE_STRIP;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t task = 0; task < g->outer * strips; task++) {
        const int64_t k = task % strips * REDUCE_STRIP, left = g->inner - k;
        running_columns(product, g, task / strips, k, left < REDUCE_STRIP ? left : REDUCE_STRIP,
                        back, x, out);
    }
    return FC_OK;
}
#undef DL
