/* Normalisation: statistics and gradient sums per channel (a read of every operand), and the maps
 * that follow from them (a read and a write). All are bound by memory.
 *
 * Channels-last memory is taken as rows of `width` elements = `repeat` pixels, a whole number of
 * vectors where that is possible, so that few channels run as many do. Coefficients are laid out
 * over a row beforehand. Sums go over blocks of rows and strips of columns in T, with the
 * accumulators of a strip in L1: from memory, one row after the other streams 2.5 times as fast as
 * four side by side, whose sums could stay in registers. Block sums are added in double, in order:
 * results do not depend on the number of threads. */
#ifndef NORM_ROWS
#define NORM_ROWS 128   /* rows of a block of sums */
#define NORM_STRIP 1024 /* columns of a block of sums */
#define NORM_WIDTH 2048 /* elements of a row of several pixels, at most */
#define NORM_PART 16384 /* elements of a task */
#define NORM_SAMPLES 8
enum { NORM_MOMENTS, NORM_GRADIENT, NORM_MASKED };
typedef struct {
    int64_t repeat, width, rows, rest; /* of a set: rows of width, then rest elements */
} norm_cut;
#endif

static norm_cut FN(norm_cut)(const fc_norm_geom *g) {
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
static T *FN(norm_rows)(const fc_norm_geom *g, const norm_cut *cut, const T *coef, int count) {
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

/* ---------------------------------------------------------------- sums */

/* What is summed up: v, and v * d with d = x - centre, where v is d itself (moments), a gradient,
 * or a gradient that passes where the output y of a ReLU is positive (or NaN) and not `stop`. */
#define NORM_VALUE(v, d, i)                                             \
    const vec d = vload(x + (i)) - c;                                   \
    vec v = kind == NORM_MOMENTS ? d : vload(gy + (i));                 \
    if (kind == NORM_MASKED) {                                          \
        const vec zero = {0}, out = vload(y + (i)), top = vset1(stop);  \
        v = vselect((ivec)(out <= zero) | (ivec)(out == top), zero, v); \
    }
#define NORM_SCALAR(v, d, i)                \
    const T d = x[i] - c;                   \
    T v = kind == NORM_MOMENTS ? d : gy[i]; \
    if (kind == NORM_MASKED && (y[i] <= 0 || y[i] == stop)) v = 0;

/* What y equals where the limit cut it off: nothing does if there is none. */
INLINE T FN(norm_stop)(double limit) { return limit < INFINITY ? (T)limit : NAN; }

/* first[j] += v, second[j] += v * d over one row. */
INLINE void FN(norm_add_row)(int kind, int64_t count, const T *gy, const T *x, const T *y, T stop,
                             const T *centre, T *first, T *second) {
    int64_t j = 0;
    for (; j + VL <= count; j += VL) {
        const vec c = vload(centre + j);
        NORM_VALUE(v, d, j)
        vstore(first + j, vload(first + j) + v);
        vstore(second + j, vload(second + j) + v * d);
    }
    for (; j < count; j++) {
        const T c = centre[j];
        NORM_SCALAR(v, d, j)
        first[j] += v;
        second[j] += v * d;
    }
}

INLINE void FN(norm_add_block)(int kind, int64_t rows, int64_t width, int64_t count, int64_t rest,
                               const T *gy, const T *x, const T *y, T stop, const T *centre,
                               T *first, T *second) {
    memset(first, 0, (size_t)count * sizeof(T));
    memset(second, 0, (size_t)count * sizeof(T));
    for (int64_t r = 0; r <= rows; r++) {
        const int64_t at = r * width, n = r < rows ? count : rest;
        FN(norm_add_row)(kind, n, gy + at, x + at, y + at, stop, centre, first, second);
    }
}

/* Columns [0, count) of `rows` rows, and of a last one [0, rest), from x on. */
NOINLINE void FN(norm_block)(int kind, int64_t rows, int64_t width, int64_t count, int64_t rest,
                             const T *gy, const T *x, const T *y, T stop, const T *centre, T *first,
                             T *second) {
    if (kind == NORM_MOMENTS)
        FN(norm_add_block)(NORM_MOMENTS, rows, width, count, rest, x, x, x, stop, centre, first,
                           second);
    else if (kind == NORM_GRADIENT)
        FN(norm_add_block)(NORM_GRADIENT, rows, width, count, rest, gy, x, x, stop, centre, first,
                           second);
    else
        FN(norm_add_block)(NORM_MASKED, rows, width, count, rest, gy, x, y, stop, centre, first,
                           second);
}

/* sum[2] of one channel's run of memory: `count` elements, 2048 at a time. */
INLINE void FN(norm_add_line)(int kind, int64_t count, const T *gy, const T *x, const T *y, T stop,
                              T centre, double *sum) {
    const vec c_vec = vset1(centre);
    sum[0] = sum[1] = 0;
    for (int64_t first = 0; first < count; first += 2048) {
        const int64_t end = first + 2048 < count ? first + 2048 : count;
        vec a[4] = {{0}, {0}, {0}, {0}}, b[4] = {{0}, {0}, {0}, {0}};
        int64_t i = first;
        {
            const vec c = c_vec;
            for (; i + 4 * VL <= end; i += 4 * VL) {
                UNROLL
                for (int k = 0; k < 4; k++) {
                    NORM_VALUE(v, d, i + k * VL)
                    a[k] += v;
                    b[k] += v * d;
                }
            }
            for (; i + VL <= end; i += VL) {
                NORM_VALUE(v, d, i)
                a[0] += v;
                b[0] += v * d;
            }
            if (i < end) { /* d and v are 0 where nothing is left */
                const size_t rest = (size_t)(end - i) * sizeof(T);
                T lanes[3][VL] = {{0}};
                vstore(lanes[1], c);
                memcpy(lanes[0], gy + i, rest);
                memcpy(lanes[1], x + i, rest);
                memcpy(lanes[2], y + i, rest);
                const T *gy = lanes[0], *x = lanes[1], *y = lanes[2];
                NORM_VALUE(v, d, 0)
                a[0] += v;
                b[0] += v * d;
            }
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

NOINLINE void FN(norm_line)(int kind, int64_t count, const T *gy, const T *x, const T *y, T stop,
                            T centre, double *sum) {
    if (kind == NORM_MOMENTS) FN(norm_add_line)(NORM_MOMENTS, count, x, x, x, stop, centre, sum);
    else if (kind == NORM_GRADIENT)
        FN(norm_add_line)(NORM_GRADIENT, count, gy, x, x, stop, centre, sum);
    else FN(norm_add_line)(NORM_MASKED, count, gy, x, y, stop, centre, sum);
}

/* first[set * C + c] and second: the sums of every channel. */
static int FN(norm_sums_last)(const fc_norm_geom *g, int kind, const T *gy, const T *x, const T *y,
                              T stop, const T *centre, double *first, double *second, int threads) {
    const norm_cut cut = FN(norm_cut)(g);
    const int64_t C = g->channels, width = cut.width, image = g->batch * g->space * C;
    const int64_t blocks = cut.rows ? (cut.rows + NORM_ROWS - 1) / NORM_ROWS : 1;
    const int64_t strips = (width + NORM_STRIP - 1) / NORM_STRIP;
    int64_t tasks, cells;
    if (__builtin_mul_overflow(g->sets * blocks, strips, &tasks) ||
        __builtin_mul_overflow(g->sets * blocks * 2, width, &cells))
        return FC_OVERFLOW;
    T *row = FN(norm_rows)(g, &cut, centre, 1), *part = fc_scratch(cells, sizeof(T));
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
        const int64_t at = set * image + r * width + j;
        T *sums = part + (set * blocks + block) * 2 * width + j;
        FN(norm_block)(kind, rows, width, count, rest, gy + at, x + at, y + at, stop,
                       row + set * width + j, sums, sums + width);
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

static int FN(norm_sums)(const fc_norm_geom *g, int kind, const T *gy, const T *x, const T *y,
                         T stop, const T *centre, double *first, double *second, int threads) {
    if (g->last) return FN(norm_sums_last)(g, kind, gy, x, y, stop, centre, first, second, threads);
    const int64_t C = g->channels, S = g->space, lines = g->sets * g->batch * C;
    const int64_t parts = (S + NORM_PART - 1) / NORM_PART;
    int64_t tasks;
    if (__builtin_mul_overflow(lines, parts, &tasks)) return FC_OVERFLOW;
    double *part = fc_scratch(tasks, 2 * sizeof(double));
    if (!part) return FC_NOMEM;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t task = 0; task < tasks; task++) {
        const int64_t line = task / parts, s = task % parts * NORM_PART, at = line * S + s;
        const int64_t count = s + NORM_PART < S ? NORM_PART : S - s;
        const T c = centre[line / C / g->batch * C + line % C];
        FN(norm_line)(kind, count, gy + at, x + at, y + at, stop, c, part + 2 * task);
    }
    for (int64_t i = 0; i < g->sets * C; i++) {
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

/* The sums go over x minus a guess at the mean from a few samples, so that those of the squares do
 * not cancel where the mean is large. */
static int FN(norm_statistics)(const fc_norm_geom *g, const void *x, double *mean, double *var,
                               int threads) {
    const int64_t C = g->channels, P = g->batch * g->space, all = g->sets * C;
    const int64_t samples = P < NORM_SAMPLES ? P : NORM_SAMPLES;
    T *centre = fc_scratch(all, sizeof(T));
    if (!centre) return FC_NOMEM;
    for (int64_t i = 0; i < all; i++) mean[i] = 0;
    for (int64_t set = 0; set < g->sets; set++)
        for (int64_t k = 0; k < samples; k++) {
            const int64_t p = P / samples * k, n = p / g->space, s = p % g->space;
            const T *from = (const T *)x + (set * g->batch + n) * C * g->space;
            from += g->last ? s * C : s;
            const int64_t step = g->last ? 1 : g->space;
            for (int64_t c = 0; c < C; c++) mean[set * C + c] += (double)from[c * step];
        }
    for (int64_t i = 0; i < all; i++) {
        const T guess = (T)(mean[i] / (double)samples);
        centre[i] = guess - guess == 0 ? guess : 0; /* not where it is infinite or NaN */
    }
    const int status = FN(norm_sums)(g, NORM_MOMENTS, x, x, x, 0, centre, mean, var, threads);
    for (int64_t i = 0; i < all && !status; i++) {
        const double first = mean[i] / (double)P, second = var[i] / (double)P - first * first;
        mean[i] = (double)centre[i] + first;
        var[i] = second < 0 ? 0 : second;
    }
    fc_free(centre);
    return status;
}

static int FN(norm_backward_sums)(const fc_norm_geom *g, const void *gy, const void *x,
                                  const void *y, double limit, const void *centre, double *total,
                                  double *along, int threads) {
    return FN(norm_sums)(g, y ? NORM_MASKED : NORM_GRADIENT, gy, x, y ? y : x, FN(norm_stop)(limit),
                         centre, total, along, threads);
}

/* ---------------------------------------------------------------- maps */

/* One value for each column, or one for all. */
#define NORM_PARAMETER(p, j) (per_column ? vload((p) + (j)) : vset1(*(p)))

typedef struct {
    const T *x, *residual;
    T *y;
    int relu;
    T limit;
} FN(norm_forward);

/* y = (x - centre) * scale + shift, plus the residual, and within 0 and the limit */
INLINE void FN(norm_forward_run)(int per_column, const FN(norm_forward) * f, int64_t at,
                                 int64_t count, const T *coef, int64_t step) {
    const T *x = f->x + at, *r = f->residual ? f->residual + at : NULL;
    T *restrict y = f->y + at;
    const int relu = f->relu;
    const vec zero = {0}, limit = vset1(f->limit);
    int64_t j = 0;
    for (; j + VL <= count; j += VL) {
        const vec centre = NORM_PARAMETER(coef, j), scale = NORM_PARAMETER(coef + step, j);
        vec v = (vload(x + j) - centre) * scale + NORM_PARAMETER(coef + 2 * step, j);
        if (r) v += vload(r + j);
        if (relu) v = vselect((ivec)(v < zero), zero, vselect((ivec)(v > limit), limit, v));
        vstore(y + j, v);
    }
    for (; j < count; j++) {
        const T *p = coef + (per_column ? j : 0);
        T v = (x[j] - p[0]) * p[step] + p[2 * step];
        if (r) v += r[j];
        y[j] = relu && v < 0 ? 0 : relu && v > f->limit ? f->limit : v;
    }
}

typedef struct {
    const T *gy, *x, *y;
    T *dx, *dr;
    T stop;
} FN(norm_backward);

/* dr = gy where the output y of a ReLU is positive and not `stop`,
 * dx = dr * scale + (x - centre) * slope + level */
INLINE void FN(norm_backward_run)(int per_column, const FN(norm_backward) * b, int64_t at,
                                  int64_t count, const T *coef, int64_t step) {
    const T *gy = b->gy + at, *x = b->x ? b->x + at : NULL, *y = b->y ? b->y + at : NULL;
    T *restrict dx = b->dx ? b->dx + at : NULL, *restrict dr = b->dr ? b->dr + at : NULL;
    const vec zero = {0}, stop = vset1(b->stop);
    int64_t j = 0;
    for (; j + VL <= count; j += VL) {
        vec v = vload(gy + j);
        if (y) {
            const vec out = vload(y + j);
            v = vselect((ivec)(out <= zero) | (ivec)(out == stop), zero, v);
        }
        if (dr) vstore(dr + j, v);
        if (!dx) continue;
        v *= NORM_PARAMETER(coef + step, j);
        if (x) {
            const vec d = vload(x + j) - NORM_PARAMETER(coef, j);
            v += d * NORM_PARAMETER(coef + 2 * step, j) + NORM_PARAMETER(coef + 3 * step, j);
        }
        vstore(dx + j, v);
    }
    for (; j < count; j++) {
        const T *p = coef + (per_column ? j : 0);
        T v = y && (y[j] <= 0 || y[j] == b->stop) ? 0 : gy[j];
        if (dr) dr[j] = v;
        if (!dx) continue;
        v *= p[step];
        if (x) v += (x[j] - p[0]) * p[2 * step] + p[3 * step];
        dx[j] = v;
    }
}

/* A task of either map: `count` elements from `at` on. */
NOINLINE void FN(norm_map_rows)(const FN(norm_forward) * f, const FN(norm_backward) * b, int64_t at,
                                int64_t count, const T *coef, int64_t width) {
    for (int64_t done = 0; done < count; done += width) {
        const int64_t n = done + width < count ? width : count - done;
        if (f) FN(norm_forward_run)(1, f, at + done, n, coef, width);
        else FN(norm_backward_run)(1, b, at + done, n, coef, width);
    }
}

NOINLINE void FN(norm_map_line)(const FN(norm_forward) * f, const FN(norm_backward) * b, int64_t at,
                                int64_t count, const T *coef, int64_t step) {
    if (f) FN(norm_forward_run)(0, f, at, count, coef, step);
    else FN(norm_backward_run)(0, b, at, count, coef, step);
}

/* coef: `count` coefficients for each channel, [count][sets * C]. */
static int FN(norm_map)(const fc_norm_geom *g, const FN(norm_forward) * f,
                        const FN(norm_backward) * b, const T *coef, int count, int threads) {
    const int64_t C = g->channels, S = g->space;
    int64_t tasks;
    if (!g->last) {
        const int64_t parts = (S + NORM_PART - 1) / NORM_PART;
        if (__builtin_mul_overflow(g->sets * g->batch * C, parts, &tasks)) return FC_OVERFLOW;
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t task = 0; task < tasks; task++) {
            const int64_t line = task / parts, s = task % parts * NORM_PART;
            const int64_t n = s + NORM_PART < S ? NORM_PART : S - s;
            const T *of = coef + line / C / g->batch * C + line % C;
            FN(norm_map_line)(f, b, line * S + s, n, of, g->sets * C);
        }
        return FC_OK;
    }
    const norm_cut cut = FN(norm_cut)(g);
    const int64_t image = g->batch * S * C;
    const int64_t part = (NORM_PART + cut.width - 1) / cut.width * cut.width;
    const int64_t parts = (image + part - 1) / part;
    if (__builtin_mul_overflow(g->sets, parts, &tasks)) return FC_OVERFLOW;
    T *rows = FN(norm_rows)(g, &cut, coef, count);
    if (!rows) return FC_NOMEM;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t task = 0; task < tasks; task++) {
        const int64_t set = task / parts, first = task % parts * part;
        const int64_t n = first + part < image ? part : image - first;
        FN(norm_map_rows)(f, b, set * image + first, n, rows + set * count * cut.width, cut.width);
    }
    fc_free(rows);
    return FC_OK;
}

static int FN(norm_apply)(const fc_norm_geom *g, const void *x, const void *coef,
                          const void *residual, int relu, double limit, void *y, int threads) {
    const FN(norm_forward) f = {x, residual, y, relu, (T)limit};
    return FN(norm_map)(g, &f, NULL, coef, 3, threads);
}

static int FN(norm_backward_apply)(const fc_norm_geom *g, const void *gy, const void *x,
                                   const void *y, double limit, const void *coef, void *dx,
                                   void *dr, int threads) {
    const FN(norm_backward) b = {gy, x, y, dx, dr, FN(norm_stop)(limit)};
    return FN(norm_map)(g, NULL, &b, coef, 4, threads);
}
#undef NORM_VALUE
#undef NORM_SCALAR
#undef NORM_PARAMETER
