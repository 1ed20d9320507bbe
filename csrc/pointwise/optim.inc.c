/* Steps of the optimisers: one pass over a parameter, its gradient and what the method keeps. All
 * parameters are one call; threads share them by elements, cut where the vectors are, so that an
 * element is computed alike for every number of threads. */
#pragma once

#include <math.h>
#include <string.h>

#include "fastconv.h"
#include "core/simd.h"

/* The lanes of `rest` elements, 0 < rest <= VL. */
INLINE vec load_rest(const T *p, int64_t rest) {
    if (rest == VL) return vload(p);
    T lane[VEC_BYTES / TYPE_BYTES] = {0};
    memcpy(lane, p, (size_t)rest * sizeof(T));
    return vload(lane);
}

INLINE void store_rest(T *p, vec v, int64_t rest) {
    if (rest == VL) {
        vstore(p, v);
        return;
    }
    T lane[VEC_BYTES / TYPE_BYTES];
    vstore(lane, v);
    memcpy(p, lane, (size_t)rest * sizeof(T));
}

INLINE vec vsqrt(vec v) {
    UNROLL
    for (int i = 0; i < VL; i++) v[i] = TYPE_BYTES == 4 ? (T)sqrtf((float)v[i]) : (T)sqrt(v[i]);
    return v;
}

/* d = sign g + decay p;  v = momentum v + gain d, at first v = d;
 * p -= rate v, for Nesterov rate (d + momentum v), without momentum rate d. */
NOINLINE void sgd_part(const fc_sgd *s, const fc_update *u, int64_t first, int64_t end) {
    T *p = u->param, *v = u->kept[0];
    const T *g = u->grad;
    const vec rate = vset1((T)s->rate), momentum = vset1((T)s->momentum);
    const vec gain = vset1((T)s->gain), decay = vset1((T)s->decay), sign = vset1((T)s->sign);
    for (int64_t i = first; i < end; i += VL) {
        const int64_t rest = end - i < VL ? end - i : VL;
        vec at = load_rest(p + i, rest), d = sign * load_rest(g + i, rest);
        if (s->decay != 0) d += decay * at;
        if (s->momentum != 0) {
            vec speed = u->first ? d : momentum * load_rest(v + i, rest) + gain * d;
            store_rest(v + i, speed, rest);
            d = s->nesterov ? d + momentum * speed : speed;
        }
        store_rest(p + i, at - rate * d, rest);
    }
}

/* d = sign g + decay p;  m = beta1 m + (1 - beta1) d;  s = beta2 s + (1 - beta2) d²;
 * p = shrink p - rate m / (scale sqrt(s) + eps), or with the largest s so far. */
NOINLINE void adam_part(const fc_adam *a, const fc_update *u, int64_t first, int64_t end) {
    T *p = u->param, *m = u->kept[0], *s = u->kept[1], *most = u->kept[2];
    const T *g = u->grad;
    const vec beta1 = vset1((T)a->beta1), other1 = vset1((T)(1 - a->beta1));
    const vec beta2 = vset1((T)a->beta2), other2 = vset1((T)(1 - a->beta2));
    const vec decay = vset1((T)a->decay), shrink = vset1((T)a->shrink), eps = vset1((T)a->eps);
    const vec rate = vset1((T)u->rate), scale = vset1((T)u->scale), sign = vset1((T)a->sign);
    for (int64_t i = first; i < end; i += VL) {
        const int64_t rest = end - i < VL ? end - i : VL;
        vec at = load_rest(p + i, rest), d = sign * load_rest(g + i, rest);
        if (a->decay != 0) d += decay * at;
        const vec mean = beta1 * load_rest(m + i, rest) + other1 * d;
        vec square = beta2 * load_rest(s + i, rest) + other2 * (d * d);
        store_rest(m + i, mean, rest);
        store_rest(s + i, square, rest);
        if (most) {
            const vec before = load_rest(most + i, rest);
            square = vselect((ivec)(before > square), before, square);
            store_rest(most + i, square, rest);
        }
        const vec step = rate * (mean / (vsqrt(square) * scale + eps));
        store_rest(p + i, shrink * at - step, rest);
    }
}

/* Element `at` of all parameters, as an element of the one that begins at `offset`: a multiple of
 * a cache line, or its end. */
static int64_t update_cut(int64_t at, int64_t offset, int64_t count) {
    const int64_t inside = at - offset;
    if (inside <= 0) return 0;
    return inside >= count ? count : inside / 64 * 64;
}

static int step(int method, const void *settings, int64_t count, const fc_update *updates,
                int threads) {
    int64_t total = 0;
    for (int64_t k = 0; k < count; k++) total += updates[k].count;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        const int64_t part = total / threads + 1, begin = t * part, stop = begin + part;
        for (int64_t k = 0, offset = 0; k < count; offset += updates[k++].count) {
            const fc_update *u = updates + k;
            const int64_t first = update_cut(begin, offset, u->count);
            const int64_t end = update_cut(stop, offset, u->count);
            if (first >= end) continue;
            if (method == FC_SGD) sgd_part(settings, u, first, end);
            else adam_part(settings, u, first, end);
        }
    }
    return FC_OK;
}
