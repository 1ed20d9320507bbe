/* The epilogue of a convolution (fc_epilogue) on a vector. coef: centre, scale and shift of the
 * first element, `apart` elements apart, and those of the next `step` (0 or 1) further; or NULL.
 * NaN stays NaN, and a slope of 0 gives 0 also for -inf. */
#pragma once

#include "fastconv.h"
#include "core/simd.h"

INLINE vec finish_vector(const fc_epilogue *e, vec v, const T *coef, int64_t apart,
                         const int64_t step, const T *r) {
    const vec zero = vset1(0), slope = vset1((T)e->slope), limit = vset1((T)e->limit);
    if (coef && step) v = (v - vload(coef)) * vload(coef + apart) + vload(coef + 2 * apart);
    if (coef && !step) v = (v - vset1(*coef)) * vset1(coef[apart]) + vset1(coef[2 * apart]);
    if (r) v += vload(r);
    v = vselect((ivec)(v < zero), e->slope == 0 ? zero : v * slope, v);
    return vselect((ivec)(v > limit), limit, v);
}

/* The same on `count` neighbouring elements, from `from` to `y`, which may be the same: the last
 * vector overlaps the one before and is read ahead of it. */
INLINE void finish_run(const fc_epilogue *e, int64_t count, const T *coef, int64_t apart,
                       const int64_t step, const T *from, const T *r, T *y) {
    const int64_t end = count - VL;
    if (end >= 0) {
        const vec last = vload(from + end);
        for (int64_t i = 0; i < end; i += VL)
            vstore(y + i, finish_vector(e, vload(from + i), coef ? coef + i * step : NULL, apart,
                                        step, r ? r + i : NULL));
        vstore(y + end, finish_vector(e, last, coef ? coef + end * step : NULL, apart, step,
                                      r ? r + end : NULL));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        const T *c = coef ? coef + i * step : NULL;
        T v = c ? (from[i] - c[0]) * c[apart] + c[2 * apart] : from[i];
        if (r) v += r[i];
        if (v < 0) v = e->slope == 0 ? 0 : v * (T)e->slope;
        y[i] = v > (T)e->limit ? (T)e->limit : v;
    }
}

/* `count` channels of a position, from channel `first` on, to their place y in a channels-last
 * target. */
static void finish_part(const fc_epilogue *e, int64_t count, int64_t first, const T *from,
                        const T *target, T *y) {
    const T *r = e->residual ? (const T *)e->residual + (y - target) : NULL;
    const T *coef = e->coef;
    if (coef) {
        finish_run(e, count, coef + first, e->channels, 1, from, r, y);
    } else {
        finish_run(e, count, NULL, 0, 1, from, r, y);
    }
}

/* A whole result, dense: channels-last, or each channel's `space` positions side by side. */
static void finish(const fc_epilogue *e, int64_t batch, int64_t space, int last, void *out) {
    const int64_t C = e->channels, rows = batch * (last ? space : C), width = last ? C : space;
    const T *coef = e->coef, *residual = e->residual;
    T *y = out;
    if (!coef) {
        finish_run(e, rows * width, NULL, 0, 1, y, residual, y);
        return;
    }
    for (int64_t i = 0; i < rows; i++, y += width) {
        const T *r = residual ? residual + i * width : NULL;
        if (last) {
            finish_run(e, width, coef, C, 1, y, r, y);
        } else {
            finish_run(e, width, coef + i % C, C, 0, y, r, y);
        }
    }
}
