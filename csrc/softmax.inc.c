/* Softmax, its logarithm and the cross-entropy of class indices, with their gradients, along the
 * middle axis of arrays (outer, classes, inner).
 *
 * Work is a block [count][width] of vectors in scratch memory that stays in cache, and goes down
 * its columns. Where positions are enough they are the lanes: `count` classes, `width` positions,
 * transposed on the way in and out where the classes are innermost. Otherwise a row of classes is
 * cut into `count` vectors (width = VL), and the lanes are folded after each sum. A position is
 * computed alike in whatever block it is. */

enum { FN(SOFTMAX_BLOCK) = 256, FN(SOFTMAX_BYTES) = 1 << 15 };

typedef struct {
    int kind, across; /* across: the lanes are classes */
    int64_t classes, inner, width, count;
    const T *a, *b, *weight, *grad;
    const int64_t *labels;
    int64_t ignore, grad_step;
    T *out, *loss, *sample;
} FN(softmax_job);

INLINE vec FN(fold_max)(int across, vec v) {
    if (!across) return v;
    T m = v[0];
    for (int i = 1; i < VL; i++) m = v[i] > m ? v[i] : m;
    return vset1(m);
}

INLINE vec FN(fold_sum)(int across, vec v) {
    if (!across) return v;
    T s = v[0];
    for (int i = 1; i < VL; i++) s += v[i];
    return vset1(s);
}

/* z[c] -= max, or exp(z - max); returns the sum of exp(z - max). With a label, `chosen` is z - max
 * there. */
INLINE vec FN(softmax_sum)(int across, int keep_exp, int64_t count, int64_t width, T *z,
                           const ivec *label, vec *chosen) {
    vec most = vset1((T)-INFINITY), total = {0}, at = {0};
    for (int64_t c = 0; c < count; c++) {
        const vec v = vload(z + c * width);
        most = vselect((ivec)(v > most), v, most);
    }
    most = FN(fold_max)(across, most);
    ivec class = {0};
    if (across)
        for (int i = 0; i < VL; i++) class[i] = i;
    for (int64_t c = 0; c < count; c++) {
        const vec v = vload(z + c * width) - most, e = FN(vexp)(v);
        if (label) at = vselect((ivec)(class == *label), v, at);
        class += across ? VL : 1;
        total += e;
        vstore(z + c * width, keep_exp ? e : v);
    }
    if (label) *chosen = FN(fold_sum)(across, at);
    return FN(fold_sum)(across, total);
}

/* One column of vectors. z: x or the gradient, then the result; y: the output of forward. */
INLINE void FN(softmax_column)(const FN(softmax_job) * j, int kind, int across, int64_t width, T *z,
                               const T *y, const lane_int *labels, const T *scale, T *loss) {
    const int64_t count = j->count;
    vec total = {0}, chosen = {0};
    if (kind == FC_SOFTMAX) {
        const vec share = 1 / FN(softmax_sum)(across, 1, count, width, z, NULL, NULL);
        for (int64_t c = 0; c < count; c++) vstore(z + c * width, vload(z + c * width) * share);
    } else if (kind == FC_LOG_SOFTMAX) {
        total = FN(vlog)(FN(softmax_sum)(across, 0, count, width, z, NULL, NULL));
        for (int64_t c = 0; c < count; c++) vstore(z + c * width, vload(z + c * width) - total);
    } else if (kind == FC_SOFTMAX_BACKWARD) {
        for (int64_t c = 0; c < count; c++) total += vload(z + c * width) * vload(y + c * width);
        total = FN(fold_sum)(across, total);
        for (int64_t c = 0; c < count; c++)
            vstore(z + c * width, vload(y + c * width) * (vload(z + c * width) - total));
    } else if (kind == FC_LOG_SOFTMAX_BACKWARD) {
        for (int64_t c = 0; c < count; c++) total += vload(z + c * width);
        total = FN(fold_sum)(across, total);
        for (int64_t c = 0; c < count; c++)
            vstore(z + c * width, vload(z + c * width) - FN(vexp)(vload(y + c * width)) * total);
    } else {
        ivec label;
        if (across) label = labels[0] - (ivec){0};
        else label = *(const ivec_u *)labels;
        const ivec kept = (ivec)(label >= 0);
        const vec by = across ? vset1(scale[0]) : vload(scale);
        if (kind == FC_CROSS_ENTROPY) {
            total = FN(softmax_sum)(across, 1, count, width, z, &label, &chosen);
            const vec share = 1 / total, v = (FN(vlog)(total) - chosen) * by;
            vstore(loss, FN(keep)(kept, v));
            for (int64_t c = 0; c < count; c++) vstore(z + c * width, vload(z + c * width) * share);
        } else {
            const vec one = vset1(1);
            ivec class = {0};
            if (across)
                for (int i = 0; i < VL; i++) class[i] = i;
            for (int64_t c = 0; c < count; c++) {
                const vec hit = FN(keep)((ivec)(class == label), one);
                const vec v = (vload(z + c * width) - hit) * by;
                vstore(z + c * width, FN(keep)(kept, v));
                class += across ? VL : 1;
            }
        }
    }
}

#define SOFTMAX_COLUMNS(kind)                                                                      \
    case kind:                                                                                     \
        for (int64_t i = 0; i < width; i += VL)                                                    \
            if (j->across)                                                                         \
                FN(softmax_column)(j, kind, 1, VL, z + i, y + i, labels + i, scale + i, loss + i); \
            else                                                                                   \
                FN(softmax_column)(j, kind, 0, width, z + i, y + i, labels + i, scale + i,         \
                                   loss + i);                                                      \
        break;

NOINLINE void FN(softmax_columns)(const FN(softmax_job) * j, T *z, const T *y,
                                  const lane_int *labels, const T *scale, T *loss) {
    const int64_t width = j->width;
    switch (j->kind) {
        SOFTMAX_COLUMNS(FC_SOFTMAX)
        SOFTMAX_COLUMNS(FC_LOG_SOFTMAX)
        SOFTMAX_COLUMNS(FC_SOFTMAX_BACKWARD)
        SOFTMAX_COLUMNS(FC_LOG_SOFTMAX_BACKWARD)
        SOFTMAX_COLUMNS(FC_CROSS_ENTROPY)
        SOFTMAX_COLUMNS(FC_CROSS_ENTROPY_BACKWARD)
    }
}

/* z[c][i] = src[i][c] for `rows` positions, and back. */
INLINE void FN(classes_first)(int64_t rows, int64_t C, int64_t width, const T *src, T *z) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < C; c++) z[c * width + i] = src[i * C + c];
}

INLINE void FN(classes_last)(int64_t rows, int64_t C, int64_t width, const T *z, T *dst) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < C; c++) dst[i * C + c] = z[c * width + i];
}

/* `rows` positions from p on into the block; what is left of it is `fill`. */
static void FN(softmax_load)(const FN(softmax_job) * j, int64_t p, int64_t rows, const T *src, T *z,
                             T fill) {
    const int64_t C = j->classes, W = j->width;
    if (j->across) {
        memcpy(z, src + p * C, (size_t)C * sizeof(T));
        for (int64_t c = C; c < j->count * VL; c++) z[c] = fill;
        return;
    }
    if (rows < W) memset(z, 0, (size_t)(C * W) * sizeof(T));
    if (j->inner > 1) {
        const T *s = src + p / j->inner * C * j->inner + p % j->inner;
        for (int64_t c = 0; c < C; c++)
            memcpy(z + c * W, s + c * j->inner, (size_t)rows * sizeof(T));
    } else if (C == 2) FN(classes_first)(rows, 2, W, src + p * 2, z);
    else if (C >= VL && rows == W) FN(transpose_part)(W, C, src + p * C, z, 0, W, 0, C);
    else FN(classes_first)(rows, C, W, src + p * C, z);
}

static void FN(softmax_store)(const FN(softmax_job) * j, int64_t p, int64_t rows, const T *z) {
    const int64_t C = j->classes, W = j->width;
    if (j->across) {
        memcpy(j->out + p * C, z, (size_t)C * sizeof(T));
    } else if (j->inner > 1) {
        T *d = j->out + p / j->inner * C * j->inner + p % j->inner;
        for (int64_t c = 0; c < C; c++)
            memcpy(d + c * j->inner, z + c * W, (size_t)rows * sizeof(T));
    } else if (C == 2) FN(classes_last)(rows, 2, W, z, j->out + p * 2);
    else if (C >= VL && rows == W) FN(transpose_part)(C, W, z, j->out + p * C, 0, C, 0, W);
    else FN(classes_last)(rows, C, W, z, j->out + p * C);
}

/* Positions p to p + rows, of one image. z, y: scratch for a block. */
static void FN(softmax_block)(const FN(softmax_job) * j, int64_t p, int64_t rows, T *z, T *y) {
    lane_int labels[FN(SOFTMAX_BLOCK)];
    T scale[FN(SOFTMAX_BLOCK)], loss[FN(SOFTMAX_BLOCK)];
    if (j->labels) {
        for (int64_t i = 0; i < j->width; i++) {
            const int64_t label = i < rows ? j->labels[p + i] : -1;
            const int kept = label != j->ignore && label >= 0 && label < j->classes;
            labels[i] = kept ? (lane_int)label : -1;
            scale[i] = !kept ? 0 : j->weight ? j->weight[label] : 1;
        }
        if (j->sample) memcpy(j->sample + p, scale, (size_t)rows * sizeof(T));
        if (j->grad)
            for (int64_t i = 0; i < rows; i++) scale[i] *= j->grad[(p + i) * j->grad_step];
    }
    FN(softmax_load)(j, p, rows, j->a, z, j->b ? 0 : (T)-INFINITY);
    if (j->b) FN(softmax_load)(j, p, rows, j->b, y, 0);
    FN(softmax_columns)(j, z, y, labels, scale, loss);
    FN(softmax_store)(j, p, rows, z);
    if (j->loss) memcpy(j->loss + p, loss, (size_t)rows * sizeof(T));
}

static int FN(softmax)(int kind, const fc_softmax_geom *g, const void *a, const void *b,
                       const int64_t *labels, const void *weight, const void *grad, void *out,
                       void *loss, void *sample, int threads) {
    FN(softmax_job) j = {.kind = kind, .classes = g->classes, .inner = g->inner, .a = a, .b = b};
    j.weight = weight, j.grad = grad, j.labels = labels, j.ignore = g->ignore;
    j.grad_step = g->grad_step, j.out = out, j.loss = loss, j.sample = sample;
    const int64_t C = g->classes;
    if (C < 1 || g->outer < 1 || g->inner < 1) return FC_OK;
    if (C > INT32_MAX - 64) return FC_OVERFLOW;
    j.across = g->inner == 1 && (C > 64 || (C > VL && g->outer < VL));
    int64_t limit = FN(SOFTMAX_BYTES) / (int64_t)sizeof(T) / C / VL * VL;
    limit = limit < VL ? VL : limit < FN(SOFTMAX_BLOCK) ? limit : FN(SOFTMAX_BLOCK);
    const int64_t run = g->inner > 1 ? g->inner : g->outer, lanes = (run + VL - 1) / VL * VL;
    j.width = j.across ? VL : limit < lanes ? limit : lanes;
    j.count = j.across ? (C + VL - 1) / VL : C;
    const int64_t step = j.across ? 1 : j.width, parts = (run + step - 1) / step;
    const int64_t tasks = g->inner > 1 ? g->outer * parts : parts, size = j.count * j.width;
    T *scratch = fc_scratch(2 * size * threads, sizeof(T));
    if (!scratch) return FC_NOMEM;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int t = 0; t < threads; t++) {
        T *z = scratch + 2 * size * t;
        for (int64_t i = tasks * t / threads; i < tasks * (t + 1) / threads; i++) {
            const int64_t first = i % parts * step, left = run - first;
            const int64_t p = (g->inner > 1 ? i / parts * run : 0) + first;
            FN(softmax_block)(&j, p, left < step ? left : step, z, z + size);
        }
    }
    fc_free(scratch);
    return FC_OK;
}
#undef SOFTMAX_COLUMNS
