/* The epilogue of a convolution (fc_epilogue) on `count` neighbouring elements, from `from` to `y`,
 * which may be the same. coef: centre, scale and shift of the first, `apart` elements apart, and
 * those of the next `step` (0 or 1) further; or NULL. NaN stays NaN, and a slope of 0 gives 0 also
 * for -inf. */
INLINE void FN(finish_run)(const fc_epilogue *e, int64_t count, const T *coef, int64_t apart,
                           const int64_t step, const T *from, const T *r, T *y) {
    const vec zero = vset1(0), slope = vset1((T)e->slope), limit = vset1((T)e->limit);
    const T *scale = coef + apart, *shift = scale + apart;
    int64_t i = 0;
    for (; i + VL <= count; i += VL) {
        vec v = vload(from + i);
        if (coef && step) v = (v - vload(coef + i)) * vload(scale + i) + vload(shift + i);
        if (coef && !step) v = (v - vset1(*coef)) * vset1(*scale) + vset1(*shift);
        if (r) v += vload(r + i);
        const vec below = e->slope == 0 ? zero : v * slope;
        v = vselect((ivec)(v < zero), below, v);
        vstore(y + i, vselect((ivec)(v > limit), limit, v));
    }
    for (; i < count; i++) {
        T v = from[i];
        if (coef) v = (v - coef[i * step]) * scale[i * step] + shift[i * step];
        if (r) v += r[i];
        if (v < 0) v = e->slope == 0 ? 0 : v * (T)e->slope;
        y[i] = v > (T)e->limit ? (T)e->limit : v;
    }
}

/* `count` channels of a position, from channel `first` on, to their place y in a channels-last
 * target. */
static void FN(finish_part)(const fc_epilogue *e, int64_t count, int64_t first, const T *from,
                            const T *target, T *y) {
    const T *r = e->residual ? (const T *)e->residual + (y - target) : NULL;
    const T *coef = e->coef;
    if (coef) {
        FN(finish_run)(e, count, coef + first, e->channels, 1, from, r, y);
    } else {
        FN(finish_run)(e, count, NULL, 0, 1, from, r, y);
    }
}

/* A whole result, dense: channels-last, or each channel's `space` positions side by side. */
static void FN(finish)(const fc_epilogue *e, int64_t batch, int64_t space, int last, void *out) {
    const int64_t C = e->channels, rows = batch * (last ? space : C), width = last ? C : space;
    const T *coef = e->coef, *residual = e->residual;
    T *y = out;
    if (!coef) {
        FN(finish_run)(e, rows * width, NULL, 0, 1, y, residual, y);
        return;
    }
    for (int64_t i = 0; i < rows; i++, y += width) {
        const T *r = residual ? residual + i * width : NULL;
        if (last) {
            FN(finish_run)(e, width, coef, C, 1, y, r, y);
        } else {
            FN(finish_run)(e, width, coef + i % C, C, 0, y, r, y);
        }
    }
}
