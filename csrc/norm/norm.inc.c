/* Normalisation: statistics and gradients from the sums of norm/sums.inc.c, and the maps that
 * follow from them (a read and a write, bound by memory). The maps go backwards: what the sums read
 * last is still in cache. */
#pragma once

#include <math.h>
#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/simd.h"
#include "norm/sums.inc.c"

/* ---------------------------------------------------------------- statistics */

/* first and second: the sums of x - centre and of its squares, of channel i = set * C + c, in
 * double. */
static void norm_channel(const fc_norm_geom *g, const T *x, int64_t i, T centre, double *first,
                         double *second) {
    const int64_t C = g->channels, c = i % C;
    const T *from = x + i / C * g->batch * C * g->space;
    double s1 = 0, s2 = 0;
    for (int64_t n = 0; n < g->batch; n++, from += C * g->space)
        for (int64_t s = 0; s < g->space; s++) {
            const double d = (double)(g->last ? from[s * C + c] : from[c * g->space + s]) - centre;
            s1 += d;
            s2 += d * d;
        }
    *first = s1;
    *second = s2;
}

/* stats [3][sets * C]: mean, variance, 1 / sqrt(variance + eps), shared by `pool` channels. The
 * sums go over x minus a guess at the mean from a few samples, so that those of the squares do not
 * cancel where the mean is large. Where squares are above what T holds they are summed again. */
static int norm_moments(const fc_norm_geom *g, const T *x, double eps, double *stats, T *centre,
                        int threads) {
    const int64_t C = g->channels, P = g->batch * g->space, all = g->sets * C;
    const int64_t samples = P < NORM_SAMPLES ? P : NORM_SAMPLES;
    double *mean = stats, *var = stats + all;
    for (int64_t i = 0; i < all; i++) mean[i] = 0;
    for (int64_t set = 0; set < g->sets; set++)
        for (int64_t k = 0; k < samples; k++) {
            const int64_t p = P / samples * k, n = p / g->space, s = p % g->space;
            const T *from = x + (set * g->batch + n) * C * g->space;
            from += g->last ? s * C : s;
            const int64_t step = g->last ? 1 : g->space;
            for (int64_t c = 0; c < C; c++) mean[set * C + c] += (double)from[c * step];
        }
    for (int64_t i = 0; i < all; i++) {
        const T guess = (T)(mean[i] / (double)samples);
        centre[i] = guess - guess == 0 ? guess : 0; /* not where it is infinite or NaN */
    }
    const norm_operands o = {x, x, x, NULL, NULL, 0};
    const int status = norm_sums(g, NORM_MOMENTS, &o, centre, mean, var, threads);
    if (status) return status;
    for (int64_t i = 0; i < all; i++) {
        if (sizeof(T) < sizeof(double) && isinf(var[i])) /* squares above what a float holds */
            norm_channel(g, x, i, centre[i], &mean[i], &var[i]);
        const double first = mean[i] / (double)P, second = var[i] / (double)P - first * first;
        mean[i] = (double)centre[i] + first;
        var[i] = second < 0 ? 0 : second;
    }
    for (int64_t i = 0; g->pool > 1 && i < all; i += g->pool) {
        double m = 0, v = 0;
        for (int64_t k = i; k < i + g->pool; k++) m += mean[k] / (double)g->pool;
        for (int64_t k = i; k < i + g->pool; k++)
            v += (var[k] + (mean[k] - m) * (mean[k] - m)) / (double)g->pool;
        for (int64_t k = i; k < i + g->pool; k++) mean[k] = m, var[k] = v;
    }
    for (int64_t i = 0; i < all; i++) stats[2 * all + i] = 1 / sqrt(var[i] + eps);
    return FC_OK;
}

/* running [C] = (1 - momentum) running + momentum * (scale times the average over the sets) */
static void norm_move(const fc_norm_geom *g, T *running, const double *value, double momentum,
                      double scale) {
    for (int64_t c = 0; running && c < g->channels; c++) {
        double sum = 0;
        for (int64_t set = 0; set < g->sets; set++) sum += value[set * g->channels + c];
        const double now = sum / (double)g->sets * scale;
        running[c] = (T)((1 - momentum) * (double)running[c] + momentum * now);
    }
}

static int norm_statistics(const fc_norm_geom *g, const void *x, const void *weight,
                           const void *bias, double eps, void *running_mean, void *running_var,
                           double momentum, double *stats, void *coef, int threads) {
    const int64_t C = g->channels, all = g->sets * C, count = g->batch * g->space;
    T *centre = coef, *scale = centre + all, *shift = scale + all;
    const T *w = weight, *b = bias;
    const int status = norm_moments(g, x, eps, stats, centre, threads);
    if (status) return status;
    const double *mean = stats, *var = stats + all, *inverse = var + all;
    for (int64_t i = 0; i < all; i++) {
        const double by = inverse[i] * (w ? (double)w[i % C] : 1);
        centre[i] = (T)mean[i];
        scale[i] = (T)by;
        shift[i] = (T)(((double)centre[i] - mean[i]) * by + (b ? (double)b[i % C] : 0));
    }
    norm_move(g, running_mean, mean, momentum, 1);
    norm_move(g, running_var, var, momentum, count > 1 ? (double)count / (double)(count - 1) : 1);
    return FC_OK;
}

/* ---------------------------------------------------------------- maps */

/* One value for each column, or one for all. */
#define NORM_PARAMETER(k, j) (per_column ? vload(coef + (k) * step + (j)) : vset1(coef[(k) * step]))

typedef struct {
    const T *x, *residual;
    T *y;
    int relu;
    T limit;
    int stream; /* y goes past the caches */
} norm_forward;

/* y = (x - centre) * scale + shift, plus the residual, and within 0 and the limit */
INLINE void norm_forward_run(int per_column, int stream, const norm_forward *f, int64_t at,
                             int64_t count, const T *coef, int64_t step) {
    const T *x = f->x + at, *r = f->residual ? f->residual + at : NULL;
    T *restrict y = f->y + at;
    const int relu = f->relu;
    const vec zero = {0}, limit = vset1(f->limit);
    int64_t j = 0;
    for (; j + VL <= count; j += VL) {
        const vec d = vload(x + j) - NORM_PARAMETER(NORM_CENTRE, j);
        vec v = d * NORM_PARAMETER(NORM_SCALE, j) + NORM_PARAMETER(NORM_SHIFT, j);
        if (r) v += vload(r + j);
        if (relu) v = vselect((ivec)(v < zero), zero, vselect((ivec)(v > limit), limit, v));
        if (stream) STREAM(y + j, v);
        else vstore(y + j, v);
    }
    for (; j < count; j++) {
        const T *p = coef + (per_column ? j : 0);
        T v = (x[j] - p[0]) * p[NORM_SCALE * step] + p[NORM_SHIFT * step];
        if (r) v += r[j];
        y[j] = relu && v < 0 ? 0 : relu && v > f->limit ? f->limit : v;
    }
}

/* v = what of gy passes, dr = v,
 * dx = v * scale, unless constant + (x - centre) * slope + level */
INLINE void norm_backward_run(int kind, int constant, int per_column, const norm_operands *o,
                              int64_t at, int64_t count, const T *coef, int64_t step) {
    const T *gy = o->gy + at, *x = o->x + at, *y = o->y + at;
    T *dx = o->dx ? o->dx + at : NULL, *dr = o->dr ? o->dr + at : NULL;
    const vec stop = vset1(o->stop);
    int64_t j = 0;
    for (; j + VL <= count; j += VL) {
        NORM_VALUE(v, d, j, NORM_PARAMETER(NORM_CENTRE, j), NORM_PARAMETER(NORM_SCALE, j),
                   NORM_PARAMETER(NORM_SHIFT, j))
        if (dr) vstore(dr + j, v);
        if (!dx) continue;
        v *= NORM_PARAMETER(NORM_SCALE, j);
        if (!constant) v += d * NORM_PARAMETER(NORM_SLOPE, j) + NORM_PARAMETER(NORM_LEVEL, j);
        vstore(dx + j, v);
    }
    for (; j < count; j++) {
        const T *p = coef + (per_column ? j : 0), d = x[j] - p[0], s = p[NORM_SCALE * step];
        T v = norm_value(kind, gy[j], d, y + j, s, p[NORM_SHIFT * step], o->stop);
        if (dr) dr[j] = v;
        if (!dx) continue;
        v *= s;
        if (!constant) v += d * p[NORM_SLOPE * step] + p[NORM_LEVEL * step];
        dx[j] = v;
    }
}

INLINE void norm_backward_rows(int kind, int constant, const norm_operands *o, int64_t at,
                               int64_t count, const T *coef, int64_t width) {
    for (int64_t done = 0; done < count; done += width) {
        const int64_t n = done + width < count ? width : count - done;
        norm_backward_run(kind, constant, 1, o, at + done, n, coef, width);
    }
}

/* A task of either map: `count` elements from `at` on, in rows of `width`, or of one channel, whose
 * coefficients are `width` apart. */
NOINLINE void norm_forward_part(int rows, const norm_forward *f, int64_t at, int64_t count,
                                const T *coef, int64_t width) {
    const int stream = f->stream && at % VL == 0 && (!rows || width % VL == 0);
    for (int64_t done = 0; done < count; done += rows ? width : count) {
        const int64_t n = rows && done + width < count ? width : count - done;
        if (rows && stream) norm_forward_run(1, 1, f, at + done, n, coef, width);
        else if (rows) norm_forward_run(1, 0, f, at + done, n, coef, width);
        else if (stream) norm_forward_run(0, 1, f, at, n, coef, width);
        else norm_forward_run(0, 0, f, at, n, coef, width);
    }
    if (stream) STREAMED();
}

NOINLINE void norm_backward_part(int kind, int constant, int rows, const norm_operands *o,
                                 int64_t at, int64_t count, const T *coef, int64_t width) {
    if (rows && constant) {
        NORM_KINDS(norm_backward_rows, 1, o, at, count, coef, width)
    } else if (rows) {
        NORM_KINDS(norm_backward_rows, 0, o, at, count, coef, width)
    } else {
        NORM_KINDS(norm_backward_run, constant, 0, o, at, count, coef, width)
    }
}

/* Forward, or backward of a kind. coef: `count` coefficients for each channel, [count][sets * C].
 */
static int norm_map(const fc_norm_geom *g, const norm_forward *f, int kind, int constant,
                    const norm_operands *o, const T *coef, int count, int threads) {
    const int64_t C = g->channels, S = g->space;
    int64_t tasks;
    if (!g->last) {
        const int64_t parts = (S + NORM_PART - 1) / NORM_PART;
        if (__builtin_mul_overflow(g->sets * g->batch * C, parts, &tasks)) return FC_OVERFLOW;
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t i = 0; i < tasks; i++) {
            const int64_t task = tasks - 1 - i, line = task / parts, s = task % parts * NORM_PART;
            const int64_t n = s + NORM_PART < S ? NORM_PART : S - s;
            const T *of = coef + line / C / g->batch * C + line % C;
            if (f) norm_forward_part(0, f, line * S + s, n, of, g->sets * C);
            else norm_backward_part(kind, constant, 0, o, line * S + s, n, of, g->sets * C);
        }
        return FC_OK;
    }
    const norm_cut cut = norm_cut_of(g);
    const int64_t image = g->batch * S * C, width = cut.width;
    const int64_t part = (NORM_PART + width - 1) / width * width;
    const int64_t parts = (image + part - 1) / part;
    if (__builtin_mul_overflow(g->sets, parts, &tasks)) return FC_OVERFLOW;
    T *rows = norm_rows(g, &cut, coef, count);
    if (!rows) return FC_NOMEM;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < tasks; i++) {
        const int64_t task = tasks - 1 - i, set = task / parts, first = task % parts * part;
        const int64_t n = first + part < image ? part : image - first, at = set * image + first;
        const T *of = rows + set * count * width;
        if (f) norm_forward_part(1, f, at, n, of, width);
        else norm_backward_part(kind, constant, 1, o, at, n, of, width);
    }
    fc_free(rows);
    return FC_OK;
}

static int norm_apply(const fc_norm_geom *g, const void *x, const void *coef, const void *residual,
                      int relu, double limit, void *y, int threads) {
    const int64_t bytes = g->sets * g->batch * g->channels * g->space * (int64_t)sizeof(T);
    const norm_forward f = {x, residual, y, relu, (T)limit, STREAMS(y, bytes)};
    return norm_map(g, &f, 0, 0, NULL, coef, NORM_SHIFT + 1, threads);
}

/* ---------------------------------------------------------------- gradients */

/* With xhat = (x - mean) * inverse, e = d * weight and averages over what shares its statistics:
 * dx = inverse * (e - avg(e) - xhat * avg(e * xhat)) = d * scale + (x - centre) * slope + level.
 * total, along: the sums of d and d * (x - mean). */
static void norm_gradient(const fc_norm_geom *g, const double *total, const double *along,
                          const double *stats, const T *weight, T *coef) {
    const int64_t C = g->channels, all = g->sets * C;
    const double *mean = stats, *inverse = stats + 2 * all;
    const double count = (double)(g->batch * g->space) * (double)g->pool;
    for (int64_t i = 0; i < all; i += g->pool) {
        double level = 0, slope = 0;
        for (int64_t k = i; k < i + g->pool; k++) {
            const double scale = inverse[k] * (weight ? (double)weight[k % C] : 1);
            level += scale * total[k];
            slope += scale * along[k];
        }
        for (int64_t k = i; k < i + g->pool; k++) {
            const double by = slope * inverse[k] * inverse[k] / -count;
            coef[NORM_SLOPE * all + k] = (T)by;
            coef[NORM_LEVEL * all + k] =
                (T)(level / -count - by * (mean[k] - (double)coef[NORM_CENTRE * all + k]));
        }
    }
}

static int norm_backward(const fc_norm_geom *g, const void *gy, const void *x, const void *y,
                         int relu, double limit, const void *weight, const double *stats,
                         const void *coef, int constant, void *dx, void *dr, void *dweight,
                         void *dbias, int threads) {
    const int64_t C = g->channels, all = g->sets * C;
    int kind = y ? NORM_RESULT : relu ? NORM_AGAIN : NORM_GRADIENT, status = FC_OK;
    norm_operands o = {gy, x, y ? y : x, dx, dr, limit < INFINITY ? (T)limit : NAN};
    T *full = fc_scratch(all, NORM_COEFS * sizeof(T));
    double *total = fc_scratch(all, 2 * sizeof(double));
    if (!full || !total) {
        status = FC_NOMEM;
        goto done;
    }
    double *along = total + all;
    memcpy(full, coef, (size_t)all * (NORM_SHIFT + 1) * sizeof(T));
    memset(full + NORM_SLOPE * all, 0, (size_t)all * 2 * sizeof(T));
    if (dweight || dbias || (dx && !constant)) {
        status = norm_sums(g, kind, &o, full, total, along, threads);
        if (status) goto done;
        for (int64_t i = 0; i < all; i++) along[i] -= total[i] * (stats[i] - (double)full[i]);
        if (dx && !constant) norm_gradient(g, total, along, stats, weight, full);
        if (dr) { /* written by the sums */
            o.gy = dr, o.dr = NULL;
            kind = NORM_GRADIENT;
        }
        for (int64_t c = 0; c < C; c++) {
            double a = 0, b = 0;
            for (int64_t i = c; i < all; i += C) a += along[i] * stats[2 * all + i], b += total[i];
            if (dweight) ((T *)dweight)[c] = (T)a;
            if (dbias) ((T *)dbias)[c] = (T)b;
        }
    }
    if (o.dx || o.dr) status = norm_map(g, NULL, kind, constant, &o, full, NORM_COEFS, threads);
done:
    fc_free(full);
    fc_free(total);
    return status;
}
#undef NORM_PARAMETER
