/* Convolution from few input channels: vectors run along a whole row of the result, columns and
 * channels together, so that no lane is empty whatever the number K of output channels.
 *
 *   y[h][j*K + k] = bias[k] + sum over c, taps of x_c[h*sh + th][j*K + k + K*tw] * w[k][c][th, tw]
 *
 * where x_c[z][j*K + k] = x[z][j][c], a line of the input with each pixel repeated K times: a tap
 * along W is a shift, and the weights are vectors that recur after `period` of them: at the least
 * common multiple of K and VL. Lines hold their padding and are spread once for all rows and taps;
 * with a stride along W there is one for each of its phases. Where K is a multiple of VL, vectors
 * are parts of pixels: lines are the image as it lies, its elements are broadcast. A tile is some
 * rows of one vector: for each tap along W a line is loaded once for all the taps along H that it
 * meets.
 */
#pragma once

#include "fastconv.h"
#include "core/finish.inc.c"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"

/* Rows of a tile, and of the smaller one; a multiple of both; the longest run of taps along H; what
 * the lines of a task may take. */
enum { FLAT_ROWS = 6, FLAT_FEW = 4, FLAT_BAND = 12, FLAT_KERNEL = 5, FLAT_BYTES = 48 << 10 };
/* Taps further apart, or strides longer, would spread mostly padding. */
enum { FLAT_REACH = 32, FLAT_STRIDE = 4 };

static inline int fc_flat_can(const fc_conv_geom *g) {
    int can = g->groups == 1;
    for (int i = 0; i < 3; i++)
        can &= (g->kernel[i] - 1) * g->dilation[i] <= FLAT_REACH && g->stride[i] <= FLAT_STRIDE;
    return can;
}

/* What the tiles of a call have in common: `steps` runs of taps, at off[] from the first line. */
typedef struct {
    int64_t steps, row; /* row: elements between the lines of neighbouring taps of a run */
    const int64_t *off;
} flat_steps;

/* out[rows][VL], ld apart, with a run of kh taps along H and a stride of sh; w is [steps][kh][VL].
 */
#define FLAT_DEFINE(kh, sh, rows, load, kind)                                                     \
    NOINLINE void tile_##kind##_##kh##_##sh##_##rows(const flat_steps *s, const T *x, const T *w, \
                                                     const T *bias, T *out, int64_t ld) {         \
        vec acc[rows];                                                                            \
        UNROLL                                                                                    \
        for (int r = 0; r < (rows); r++) acc[r] = vload(bias);                                    \
        for (int64_t k = 0; k < s->steps; k++, w += (kh) * VL) {                                  \
            const T *line = x + s->off[k];                                                        \
            vec wv[kh];                                                                           \
            UNROLL                                                                                \
            for (int t = 0; t < (kh); t++) wv[t] = vload(w + t * VL);                             \
            UNROLL                                                                                \
            for (int i = 0; i < ((rows) - 1) * (sh) + (kh); i++, line += s->row) {                \
                vec a = load;                                                                     \
                PIN(a);                                                                           \
                UNROLL                                                                            \
                for (int r = 0; r < (rows); r++)                                                  \
                    if (i >= r * (sh) && i < r * (sh) + (kh)) acc[r] += a * wv[i - r * (sh)];     \
            }                                                                                     \
        }                                                                                         \
        UNROLL                                                                                    \
        for (int r = 0; r < (rows); r++) vstore(out + r * ld, acc[r]);                            \
    }
#define FLAT_EACH(F, kh, sh)        \
    F(kh, sh, 4, vload(line), flat) \
    F(kh, sh, 6, vload(line), flat) \
    F(kh, sh, 4, vset1(*line), pixel) F(kh, sh, 6, vset1(*line), pixel)
FLAT_EACH(FLAT_DEFINE, 1, 1)
FLAT_EACH(FLAT_DEFINE, 3, 1)
FLAT_EACH(FLAT_DEFINE, 5, 1)
FLAT_EACH(FLAT_DEFINE, 3, 2)
FLAT_EACH(FLAT_DEFINE, 5, 2)

typedef void (*flat_fn)(const flat_steps *, const T *, const T *, const T *, T *, int64_t);
#define FLAT_NAME(kh, sh, rows, load, kind) tile_##kind##_##kh##_##sh##_##rows,
/* [stride - 1][run][FLAT_FEW, FLAT_ROWS, and the same for pixels] */
static const flat_fn flat_tiles[2][FLAT_KERNEL + 1][4] = {
    {[1] = {FLAT_EACH(FLAT_NAME, 1, 1)},
     [3] = {FLAT_EACH(FLAT_NAME, 3, 1)},
     [5] = {FLAT_EACH(FLAT_NAME, 5, 1)}},
    {[3] = {FLAT_EACH(FLAT_NAME, 3, 2)}, [5] = {FLAT_EACH(FLAT_NAME, 5, 2)}},
};
#undef FLAT_NAME
#undef FLAT_EACH
#undef FLAT_DEFINE

typedef struct {
    const conv_problem *p;
    const T *src;
    flat_steps steps;
    int64_t run;             /* taps of a run along H */
    int pixels;              /* whether vectors are parts of pixels */
    int64_t period, vectors; /* of the weights, and of a row */
    int64_t planes, phases;  /* of lines: C and the stride along W; with pixels one of each */
    int64_t pitch, row;      /* of a line; of an input row's lines */
    int64_t band, lines;     /* rows of a task, and the rows of the input they read */
    int64_t items;           /* of all lines of a task */
    const int64_t *tap;      /* [steps][run] */
    const int64_t *channel;  /* [steps] */
} flat_job;

/* n >= VL zeros, or fewer and up to VL - 1 more. */
INLINE void flat_clear(T *out, int64_t n) {
    for (int64_t i = 0; i < n - VL; i += VL) vstore(out + i, vset1(0));
    if (n > 0) vstore(out + fc_max(0, n - VL), vset1(0));
}

typedef T half_u __attribute__((vector_size(VEC_BYTES / 2), aligned(sizeof(T)), may_alias));

/* out[j*K .. (j+1)*K) = s[j*step] for j < n; writes up to VL - 1 elements more. */
INLINE void flat_spread(const T *s, int64_t step, int64_t n, int64_t K, T *out) {
    if (K == 1) {
        for (int64_t j = 0; j < n; j++) out[j] = s[j * step];
        return;
    }
    if (K <= VL / 2) { /* half a vector is stored four times as fast */
        for (int64_t j = 0; j < n; j++, s += step, out += K) *(half_u *)out = *s - (half_u){0};
        return;
    }
    for (int64_t j = 0; j < n; j++, s += step, out += K) {
        const vec v = vset1(*s);
        vstore(out, v);
        for (int64_t k = VL; k < K; k += VL) vstore(out + k, v);
    }
}

/* out[i] = s[i] */
INLINE void flat_copy(const T *s, int64_t n, T *out) {
    int64_t i = 0;
    for (; i <= n - VL; i += VL) vstore(out + i, vload(s + i));
    for (; i < n; i++) out[i] = s[i];
}

/* A line: the columns q, q + step, ... of a row s of x, from its padding on. */
INLINE void flat_line(const flat_job *j, const T *s, int64_t q, T *out) {
    const conv_problem *p = j->p;
    const int64_t K = j->pixels ? p->channels : p->cols, step = j->phases;
    const int64_t size = p->src_size[2], columns = (j->pitch - VL) / K;
    const int64_t first = q + p->taps[2].off[0];
    int64_t w0 = first < 0 ? fc_ceil_div(-first, step) : 0;
    int64_t w1 = first < size ? fc_ceil_div(size - first, step) : 0;
    w0 = fc_min(w0, columns), w1 = fc_max(w0, fc_min(w1, columns));
    s += (first + w0 * step) * p->src_stride[4];
    flat_clear(out, w0 * K);
    if (j->pixels) flat_copy(s, (w1 - w0) * K, out + w0 * K);
    else flat_spread(s, step * p->src_stride[4], w1 - w0, K, out + w0 * K);
    flat_clear(out + w1 * K, j->pitch - w1 * K);
}

/* The lines of output rows h0 to h0 + rows: [tap d][plane][row][phase][pitch]. */
NOINLINE void flat_fill(const flat_job *j, int64_t n, int64_t d, int64_t h0, int64_t rows,
                        T *lines) {
    const conv_problem *p = j->p;
    const tap_axis *td = &p->taps[0];
    const int64_t *st = p->src_stride, *size = p->src_size;
    const int64_t z0 = h0 * p->src_step[1] + p->taps[1].off[0];
    const int64_t most = j->lines - (j->band - fc_round_up(rows, FLAT_FEW)) * p->src_step[1];
    for (int64_t a = 0; a < td->count * j->planes; a++, lines += (j->lines - most) * j->row) {
        const int64_t zd = d * p->src_step[0] + td->off[a / j->planes];
        const T *plane = j->src + n * st[0] + zd * st[2] + a % j->planes;
        for (int64_t zh = z0; zh < z0 + most; zh++, lines += j->row) {
            if (zd < 0 || zd >= size[0] || zh < 0 || zh >= size[1]) {
                flat_clear(lines, j->row);
                continue;
            }
            for (int64_t q = 0; q < j->phases; q++)
                flat_line(j, plane + zh * st[3], q, lines + q * j->pitch);
        }
    }
}

/* Runs along H where the taps are neighbours and there is a tile, else one tap at a time. */
static void flat_plan(flat_job *j, const int64_t kernel[3], int threads, int64_t *list) {
    const conv_problem *p = j->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t C = p->channels, K = p->cols, sh = p->src_step[1], sw = p->src_step[2];
    int runs = sh <= 2 && th->count <= FLAT_KERNEL && flat_tiles[sh - 1][th->count][0];
    for (int64_t k = 1; k < th->count; k++) runs &= th->off[k] == th->off[k - 1] + 1;
    j->run = runs ? th->count : 1;
    j->period = K / fc_gcd(K, VL);
    j->pixels = K % VL == 0;
    j->planes = j->pixels ? 1 : C;
    j->phases = j->pixels ? 1 : sw;
    j->vectors = fc_ceil_div(p->grid[2] * K, VL);
    const int64_t wide = tw->off[tw->count - 1] - tw->off[0];
    j->pitch = j->pixels ? ((p->grid[2] - 1) * sw + wide + 1) * C : j->vectors * VL + wide / sw * K;
    j->pitch += VL;
    j->row = j->phases * j->pitch;
    const int64_t reach = th->off[th->count - 1] - th->off[0];
    const int64_t each = td->count * j->planes * j->row; /* of a row of the input */
    const int64_t fit = FLAT_BYTES / (int64_t)sizeof(T) / each - reach - 1;
    const int64_t least = fc_min(fc_round_up(p->grid[1], FLAT_FEW), FLAT_BAND);
    int64_t rows = fc_max(least, fit / sh / FLAT_BAND * FLAT_BAND);
    while (rows > least && p->batch * p->grid[0] * fc_ceil_div(p->grid[1], rows) < 2 * threads)
        rows = fc_max(least, fc_round_up(rows / 2, FLAT_FEW));
    j->band = fc_min(rows, fc_round_up(p->grid[1], FLAT_FEW));
    j->lines = (j->band - 1) * sh + reach + 1;
    j->items = j->lines * each;
    int64_t *off = list, *channel = list + p->depth, *tap = channel + p->depth;
    j->steps = (flat_steps){0, runs ? j->row : sh * j->row, off};
    j->channel = channel, j->tap = tap;
    for (int64_t a = 0; a < td->count; a++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t b = 0; b < th->count; b += j->run)
                for (int64_t e = 0; e < tw->count; e++) {
                    const int64_t o = tw->off[e] - tw->off[0], plane = j->pixels ? 0 : c;
                    *channel++ = c;
                    off[j->steps.steps++] =
                        ((a * j->planes + plane) * j->lines + th->off[b] - th->off[0]) * j->row +
                        (j->pixels ? o * C + c : o % sw * j->pitch + o / sw * K);
                    for (int64_t t = b; t < b + j->run; t++)
                        *tap++ = (td->tap[a] * kernel[1] + th->tap[t]) * kernel[2] + tw->tap[e];
                }
}

/* [period][steps][run][VL], and the bias [period][VL] */
static void flat_pack(const flat_job *j, const T *w, const T *bias, T *out, T *starts) {
    const conv_problem *p = j->p;
    for (int64_t v = 0; v < j->period; v++)
        for (int64_t i = 0; i < j->steps.steps; i++)
            for (int64_t t = 0; t < j->run; t++)
                for (int64_t l = 0; l < VL; l++)
                    *out++ = w[(v * VL + l) % p->cols * p->w_col + j->channel[i] * p->w_channel +
                               j->tap[i * j->run + t]];
    for (int64_t i = 0; i < j->period * VL; i++) starts[i] = bias ? bias[i % p->cols] : 0;
}

/* `count` rows of the result from `lines` on, which hold those of `tall` rows. */
static void flat_rows(const flat_job *j, const T *lines, const T *w, const T *bias, int64_t tall,
                      int64_t count, T *dst) {
    const conv_problem *p = j->p;
    const int64_t width = p->grid[2] * p->cols, ld = p->dst_stride[3];
    const int64_t sh = j->run > 1 ? p->src_step[1] : 1, next = p->src_step[2] * p->channels;
    const flat_fn tile = flat_tiles[sh - 1][j->run][2 * j->pixels + (tall == FLAT_ROWS)];
    T local[FLAT_ROWS * VEC_BYTES / TYPE_BYTES];
    for (int64_t v = 0, k = 0; v < j->vectors; v++, k = k + 1 < j->period ? k + 1 : 0) {
        const T *x = lines + (j->pixels ? v / j->period * next : v * VL),
                *wv = w + k * j->steps.steps * j->run * VL;
        const int64_t left = fc_min(VL, width - v * VL);
        if (left == VL && count == tall) {
            tile(&j->steps, x, wv, bias + k * VL, dst + v * VL, ld);
            continue;
        }
        tile(&j->steps, x, wv, bias + k * VL, local, VL);
        for (int64_t r = 0; r < count; r++)
            for (int64_t i = 0; i < left; i++) dst[r * ld + v * VL + i] = local[r * VL + i];
    }
}

/* A band of `rows` rows; the last tile overlaps the one before. */
static void flat_band(const flat_job *j, const T *lines, const T *w, const T *bias, int64_t rows,
                      T *dst) {
    const conv_problem *p = j->p;
    const int64_t down = p->src_step[1] * j->row;
    for (int64_t h = 0; h < rows;) {
        const int64_t left = rows - h;
        const int few = left <= FLAT_FEW || left == 2 * FLAT_FEW || rows < FLAT_ROWS;
        const int64_t tall = few ? FLAT_FEW : FLAT_ROWS;
        if (tall > left) h = fc_max(0, rows - tall);
        flat_rows(j, lines + h * down, w, bias, tall, fc_min(tall, rows),
                  dst + h * p->dst_stride[3]);
        h += tall;
    }
}

/* The epilogue on `rows` rows; coef: centre, scale and shift, [period][VL] each, or NULL. */
static void flat_finish(const flat_job *j, const T *coef, int64_t rows, const T *target, T *y) {
    const conv_problem *p = j->p;
    const fc_epilogue *e = p->epilogue;
    const int64_t width = p->grid[2] * p->cols, apart = j->period * VL;
    for (int64_t h = 0; h < rows; h++, y += p->dst_stride[3]) {
        const T *r = e->residual ? (const T *)e->residual + (y - target) : NULL;
        if (!coef) {
            finish_run(e, width, NULL, 0, 1, y, r, y);
            continue;
        }
        for (int64_t i = 0; i < width; i += apart)
            finish_run(e, fc_min(apart, width - i), coef, apart, 1, y + i, r ? r + i : NULL, y + i);
    }
}

/* Tasks are bands of rows of an image. */
static int flat_solve(const conv_problem *p, const int64_t kernel[3], const T *src, const T *w,
                      const T *bias, T *dst, int threads) {
    int64_t *list = fc_scratch(3 * p->depth, sizeof *list);
    if (!list) return FC_NOMEM;
    flat_job job = {.p = p, .src = src};
    flat_plan(&job, kernel, threads, list);
    const int64_t bands = fc_ceil_div(p->grid[1], job.band), tasks = p->batch * p->grid[0] * bands;
    const int64_t each = fc_round_up(job.items + VL, 16);
    if (tasks < threads) threads = (int)tasks;
    const fc_epilogue *e = p->epilogue;
    const T *given = e ? e->coef : NULL;
    const int64_t apart = job.period * VL;
    T *weight = fc_scratch(apart * (p->depth + 4), sizeof(T));
    T *scratch = fc_scratch(threads * each, sizeof(T));
    if (weight && scratch) {
        T *starts = weight + apart * p->depth, *coef = starts + apart;
        flat_pack(&job, w, bias, weight, starts);
        for (int64_t i = 0; given && i < 3 * apart; i++)
            coef[i] = given[i / apart * p->cols + i % apart % p->cols];
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++) {
            T *lines = scratch + fc_thread() * each;
            const int64_t h0 = i % bands * job.band, d = i / bands % p->grid[0];
            const int64_t n = i / bands / p->grid[0], *s = p->dst_stride;
            const int64_t rows = fc_min(job.band, p->grid[1] - h0);
            flat_fill(&job, n, d, h0, rows, lines);
            T *y = dst + n * s[0] + d * s[2] + h0 * s[3];
            flat_band(&job, lines, weight, starts, rows, y);
            if (e) flat_finish(&job, given ? coef : NULL, rows, dst, y);
        }
    }
    const int status = weight && scratch ? FC_OK : FC_NOMEM;
    fc_free(scratch);
    fc_free(weight);
    fc_free(list);
    return status;
}

/* Channels-last results, and inputs; a geometry without much padding. */
static int flat_check(const fc_conv_geom *g) {
    if (!fc_flat_can(g) || g->y_stride[4] != g->out_channels) return FC_UNSUPPORTED;
    if (g->in_channels > 1 && (g->x_stride[1] != 1 || g->x_stride[4] != g->in_channels))
        return FC_UNSUPPORTED;
    return fc_conv_check(g);
}

static int conv_forward_flat(const fc_conv_geom *g, const void *x, const void *w, const void *bias,
                             void *y, int threads) {
    conv_problem p;
    int status = flat_check(g);
    if (status) return status;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = flat_solve(&p, g->kernel, x, w, bias, y, threads);
    conv_problem_free(&p);
    return status;
}
