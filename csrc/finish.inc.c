/* The epilogue of a convolution (fc_epilogue) on `count` neighbouring elements. NaN stays NaN, and
 * a slope of 0 gives 0 also for -inf. */
static void FN(finish)(const fc_epilogue *e, int64_t count, const void *residual, void *out) {
    const T *r = residual;
    T *y = out;
    const vec zero = vset1(0), slope = vset1((T)e->slope), limit = vset1((T)e->limit);
    int64_t i = 0;
    for (; i + VL <= count; i += VL) {
        vec v = vload(y + i);
        if (r) v += vload(r + i);
        const vec below = e->slope == 0 ? zero : v * slope;
        v = vselect((ivec)(v < zero), below, v);
        vstore(y + i, vselect((ivec)(v > limit), limit, v));
    }
    for (; i < count; i++) {
        T v = y[i] + (r ? r[i] : 0);
        if (v < 0) v = e->slope == 0 ? 0 : v * (T)e->slope;
        y[i] = v > (T)e->limit ? (T)e->limit : v;
    }
}

/* The same on a part of a target, the residual being laid out alike. */
INLINE void FN(finish_part)(const fc_epilogue *e, int64_t count, const T *target, T *y) {
    FN(finish)(e, count, e->residual ? (const T *)e->residual + (y - target) : NULL, y);
}
