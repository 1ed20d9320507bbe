/* The sums of normalisation: over all positions of a channel, of x or of a gradient (a read of
 * every operand, bound by memory). Statistics and maps are in norm.inc.c.
 *
 * Channels-last memory is taken as rows of `width` elements = `repeat` pixels, a whole number of
 * vectors where that is possible, so that few channels run as many do. Coefficients are laid out
 * over a row beforehand. Sums go over blocks of rows and strips of columns in T, with the
 * accumulators of a strip in L1: from memory, one row after the other streams 2.5 times as fast as
 * four side by side, whose sums could stay in registers. Block sums are added in double, in order:
 * results do not depend on the number of threads. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/simd.h"

#define NORM_ROWS 96    /* rows of a block of sums: of equal terms they are off by 8e-7 */
#define NORM_STRIP 1024 /* columns of a block of sums */
#define NORM_WIDTH 2048 /* elements of a row of several pixels, at most */
#define NORM_PART 16384 /* elements of a task */
#define NORM_SAMPLES 8
/* What is summed up: x - centre, a gradient, or what of it an activation lets through: by its
 * result, or by the value before it, which is computed again. */
enum { NORM_MOMENTS, NORM_GRADIENT, NORM_RESULT, NORM_AGAIN };
enum { NORM_CENTRE, NORM_SCALE, NORM_SHIFT, NORM_SLOPE, NORM_LEVEL, NORM_COEFS };
typedef struct {
    int64_t repeat, width, rows, rest; /* of a set: rows of width, then rest elements */
} norm_cut;

static norm_cut norm_cut_of(const fc_norm_geom *g) {
    const int64_t C = g->channels, P = g->batch * g->space;
    int64_t gcd = VL, r = C % VL;
    while (r) {
        const int64_t next = gcd % r;
        gcd = r;
        r = next;
    }
    int64_t repeat = VL / gcd;
    if (C > NORM_WIDTH / repeat) repeat = 1;
    else repeat *= (16 * VL + C * repeat - 1) / (C * repeat);
    return (norm_cut){repeat, repeat * C, P / repeat, P % repeat * C};
}

/* `count` arrays of coefficients [sets * C], repeated over a row: out[set][i][width]. */
static T *norm_rows(const fc_norm_geom *g, const norm_cut *cut, const T *coef, int count) {
    const int64_t C = g->channels, all = g->sets * C;
    int64_t size;
    if (__builtin_mul_overflow(g->sets * count, cut->width, &size)) return NULL;
    T *out = fc_scratch(size, sizeof(T));
    if (!out) return NULL;
    for (int64_t set = 0; set < g->sets; set++)
        for (int i = 0; i < count; i++) {
            T *row = out + (set * count + i) * cut->width;
            for (int64_t k = 0; k < cut->repeat; k++)
                memcpy(row + k * C, coef + i * all + set * C, (size_t)C * sizeof(T));
        }
    return out;
}

typedef struct {
    const T *gy, *x, *y; /* y: the activation's result, for NORM_RESULT */
    T *dx, *dr;          /* each may be NULL, or gy */
    T stop;              /* where the activation was cut off; NaN for nowhere */
} norm_operands;

/* v where the result of an activation lets it through: positive (or NaN), below `stop`. */
INLINE vec norm_through(vec v, vec out, vec stop) {
    const vec zero = {0};
    return vselect((ivec)(out <= zero) | (ivec)(out >= stop), zero, v);
}

/* v and d = x - centre of element i, with the coefficients of column j. */
#define NORM_VALUE(v, d, i, c, s, h)                                    \
    const vec d = vload(x + (i)) - (c);                                 \
    vec v = kind == NORM_MOMENTS ? d : vload(gy + (i));                 \
    if (kind == NORM_RESULT) v = norm_through(v, vload(y + (i)), stop); \
    if (kind == NORM_AGAIN) v = norm_through(v, d * (s) + (h), stop);

INLINE T norm_value(int kind, T v, T d, const T *y, T s, T h, T stop) {
    const T out = kind == NORM_RESULT ? *y : d * s + h;
    return kind >= NORM_RESULT && (out <= 0 || out >= stop) ? 0 : v;
}

/* first[j] += v, second[j] += v * d over one row; dr = v unless NULL. */
INLINE void norm_add_row(int kind, int64_t count, const norm_operands *o, int64_t at, const T *coef,
                         int64_t step, T *first, T *second) {
    const T *gy = o->gy + at, *x = o->x + at, *y = o->y + at;
    T *dr = o->dr ? o->dr + at : NULL;
    const T *scale = kind == NORM_AGAIN ? coef + NORM_SCALE * step : coef;
    const T *shift = kind == NORM_AGAIN ? coef + NORM_SHIFT * step : coef;
    const vec stop = vset1(o->stop);
    int64_t j = 0;
    for (; j + VL <= count; j += VL) {
        NORM_VALUE(v, d, j, vload(coef + j), vload(scale + j), vload(shift + j))
        vstore(first + j, vload(first + j) + v);
        vstore(second + j, vload(second + j) + v * d);
        if (dr) vstore(dr + j, v);
    }
    for (; j < count; j++) {
        const T d = x[j] - coef[j], g = kind == NORM_MOMENTS ? d : gy[j];
        const T v = norm_value(kind, g, d, y + j, scale[j], shift[j], o->stop);
        first[j] += v;
        second[j] += v * d;
        if (dr) dr[j] = v;
    }
}

INLINE void norm_add_block(int kind, int64_t rows, int64_t width, int64_t count, int64_t rest,
                           const norm_operands *o, int64_t at, const T *coef, T *first, T *second) {
    memset(first, 0, (size_t)count * sizeof(T));
    memset(second, 0, (size_t)count * sizeof(T));
    for (int64_t r = 0; r <= rows; r++)
        norm_add_row(kind, r < rows ? count : rest, o, at + r * width, coef, width, first, second);
}

/* Calls f(kind, ...), of a gradient, with a constant. */
#define NORM_KINDS(f, ...)                                     \
    if (kind == NORM_GRADIENT) f(NORM_GRADIENT, __VA_ARGS__);  \
    else if (kind == NORM_RESULT) f(NORM_RESULT, __VA_ARGS__); \
    else f(NORM_AGAIN, __VA_ARGS__);

/* Columns [0, count) of `rows` rows, and of a last one [0, rest), from element `at` on. */
NOINLINE void norm_block(int kind, int64_t rows, int64_t width, int64_t count, int64_t rest,
                         const norm_operands *o, int64_t at, const T *coef, T *first, T *second) {
    if (kind == NORM_MOMENTS)
        norm_add_block(NORM_MOMENTS, rows, width, count, rest, o, at, coef, first, second);
    else NORM_KINDS(norm_add_block, rows, width, count, rest, o, at, coef, first, second)
}

/* sum[2] of one channel's run of memory: `count` elements, 2048 at a time. */
INLINE void norm_add_line(int kind, int64_t count, const norm_operands *o, int64_t at,
                          const T *coef, int64_t step, double *sum) {
    const T *gy = o->gy + at, *x = o->x + at, *y = o->y + at;
    T *dr = o->dr ? o->dr + at : NULL;
    const int again = kind == NORM_AGAIN;
    const vec c = vset1(*coef), stop = vset1(o->stop);
    const vec s = vset1(again ? coef[NORM_SCALE * step] : 0);
    const vec h = vset1(again ? coef[NORM_SHIFT * step] : 0);
    sum[0] = sum[1] = 0;
    for (int64_t first = 0; first < count; first += 2048) {
        const int64_t end = first + 2048 < count ? first + 2048 : count;
        vec a[4] = {{0}, {0}, {0}, {0}}, b[4] = {{0}, {0}, {0}, {0}};
        int64_t i = first;
        for (; i + 4 * VL <= end; i += 4 * VL) {
            UNROLL
            for (int k = 0; k < 4; k++) {
                NORM_VALUE(v, d, i + k * VL, c, s, h)
                a[k] += v;
                b[k] += v * d;
                if (dr) vstore(dr + i + k * VL, v);
            }
        }
        for (; i + VL <= end; i += VL) {
            NORM_VALUE(v, d, i, c, s, h)
            a[0] += v;
            b[0] += v * d;
            if (dr) vstore(dr + i, v);
        }
        if (i < end) { /* d and v are 0 where nothing is left */
            const size_t rest = (size_t)(end - i) * sizeof(T);
            T lanes[3][VL] = {{0}};
            vstore(lanes[1], c);
            memcpy(lanes[0], gy + i, rest);
            memcpy(lanes[1], x + i, rest);
            memcpy(lanes[2], y + i, rest);
            const T *gy = lanes[0], *x = lanes[1], *y = lanes[2];
            NORM_VALUE(v, d, 0, c, s, h)
            a[0] += v;
            b[0] += v * d;
            vstore(lanes[0], v);
            if (dr) memcpy(dr + i, lanes[0], rest);
        }
        const vec va = (a[0] + a[1]) + (a[2] + a[3]), vb = (b[0] + b[1]) + (b[2] + b[3]);
        double sa = 0, sb = 0;
        for (int k = 0; k < VL; k++) {
            sa += (double)va[k];
            sb += (double)vb[k];
        }
        sum[0] += sa;
        sum[1] += sb;
    }
}

NOINLINE void norm_line(int kind, int64_t count, const norm_operands *o, int64_t at, const T *coef,
                        int64_t step, double *sum) {
    if (kind == NORM_MOMENTS) norm_add_line(NORM_MOMENTS, count, o, at, coef, step, sum);
    else NORM_KINDS(norm_add_line, count, o, at, coef, step, sum)
}

/* first[set * C + c] and second: the sums of every channel. */
static int norm_sums_last(const fc_norm_geom *g, int kind, const norm_operands *o, const T *coef,
                          double *first, double *second, int threads) {
    const norm_cut cut = norm_cut_of(g);
    const int64_t C = g->channels, width = cut.width, image = g->batch * g->space * C;
    const int64_t blocks = cut.rows ? (cut.rows + NORM_ROWS - 1) / NORM_ROWS : 1;
    const int64_t strips = (width + NORM_STRIP - 1) / NORM_STRIP;
    const int coefs = kind == NORM_AGAIN ? NORM_SHIFT + 1 : 1;
    int64_t tasks, cells;
    if (__builtin_mul_overflow(g->sets * blocks, strips, &tasks) ||
        __builtin_mul_overflow(g->sets * blocks * 2, width, &cells))
        return FC_OVERFLOW;
    T *row = norm_rows(g, &cut, coef, coefs), *part = fc_scratch(cells, sizeof(T));
    if (!row || !part) {
        fc_free(row);
        fc_free(part);
        return FC_NOMEM;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t task = 0; task < tasks; task++) {
        const int64_t set = task / (blocks * strips), block = task / strips % blocks;
        const int64_t j = task % strips * NORM_STRIP, r = block * NORM_ROWS;
        const int64_t count = j + NORM_STRIP < width ? NORM_STRIP : width - j;
        const int64_t rows = r + NORM_ROWS < cut.rows ? NORM_ROWS : cut.rows - r;
        const int64_t over = block == blocks - 1 ? cut.rest - j : 0;
        const int64_t rest = over < 0 ? 0 : over < count ? over : count;
        T *sums = part + (set * blocks + block) * 2 * width + j;
        norm_block(kind, rows, width, count, rest, o, set * image + r * width + j,
                   row + set * coefs * width + j, sums, sums + width);
    }
    memset(first, 0, (size_t)(g->sets * C) * sizeof(double));
    memset(second, 0, (size_t)(g->sets * C) * sizeof(double));
    for (int64_t i = 0; i < g->sets * blocks; i++) {
        double *a = first + i / blocks * C, *b = second + i / blocks * C;
        for (int64_t k = 0; k < cut.repeat; k++) {
            const T *sums = part + i * 2 * width + k * C;
            for (int64_t c = 0; c < C; c++) a[c] += (double)sums[c];
            for (int64_t c = 0; c < C; c++) b[c] += (double)sums[width + c];
        }
    }
    fc_free(row);
    fc_free(part);
    return FC_OK;
}

static int norm_sums(const fc_norm_geom *g, int kind, const norm_operands *o, const T *coef,
                     double *first, double *second, int threads) {
    if (g->last) return norm_sums_last(g, kind, o, coef, first, second, threads);
    const int64_t C = g->channels, S = g->space, all = g->sets * C;
    const int64_t parts = (S + NORM_PART - 1) / NORM_PART;
    int64_t tasks;
    if (__builtin_mul_overflow(all * g->batch, parts, &tasks)) return FC_OVERFLOW;
    double *part = fc_scratch(tasks, 2 * sizeof(double));
    if (!part) return FC_NOMEM;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t task = 0; task < tasks; task++) {
        const int64_t line = task / parts, s = task % parts * NORM_PART;
        const int64_t count = s + NORM_PART < S ? NORM_PART : S - s;
        const T *of = coef + line / C / g->batch * C + line % C;
        norm_line(kind, count, o, line * S + s, of, all, part + 2 * task);
    }
    for (int64_t i = 0; i < all; i++) {
        first[i] = second[i] = 0;
        for (int64_t n = 0; n < g->batch; n++) {
            const double *sums = part + 2 * parts * ((i / C * g->batch + n) * C + i % C);
            for (int64_t p = 0; p < parts; p++) {
                first[i] += sums[2 * p];
                second[i] += sums[2 * p + 1];
            }
        }
    }
    fc_free(part);
    return FC_OK;
}
