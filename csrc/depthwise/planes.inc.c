/* Depthwise convolution of NCHW memory: vectors run along W.
 *
 * A band of rows of a plane (one channel of an image) is copied into lines with their padding, one
 * for each phase of the stride along W, where a tap of neighbouring outputs is a run of memory. A
 * tile is PLANE_ROWS rows of outputs times one column of the kernel's taps at a time: each vector
 * of x is loaded once for all the rows that it is in. It never sees an edge: the last tile of a
 * band or a row overlaps the one before. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/tile.inc.c"

/* A band's lines stay in L1; the channels of a task share what is outside the image, which is
 * cleared once. */
enum { PLANE_ROWS = 4, PLANE_KERNEL = 7, PLANE_BYTES = 24 << 10, PLANE_CHANNELS = 8 };
#if VEC_BYTES / TYPE_BYTES == 2
#define EVERY_EVEN 0, 2
#define EVERY_ODD 1, 3
#elif VEC_BYTES / TYPE_BYTES == 4
#define EVERY_EVEN 0, 2, 4, 6
#define EVERY_ODD 1, 3, 5, 7
#elif VEC_BYTES / TYPE_BYTES == 8
#define EVERY_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define EVERY_ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define EVERY_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define EVERY_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#endif
#define PLANE_NV (TILE_NRV / 2)

/* What the tiles of a call have in common: `steps` runs of taps, at off[] from the first line. */
typedef struct {
    int64_t steps, row; /* row: elements between the lines of neighbouring taps of a run */
    const int64_t *off;
} plane_steps;

/* out[PLANE_ROWS][nv*VL] with a run of kh taps along H and a stride of sh. */
#define PLANE_DEFINE(kh, sh, nv)                                                              \
    NOINLINE void tile_plane_##kh##_##sh##_##nv(const plane_steps *s, const T *x, const T *w, \
                                                T bias, T *out, int64_t ld) {                 \
        vec acc[PLANE_ROWS][nv];                                                              \
        UNROLL                                                                                \
        for (int r = 0; r < PLANE_ROWS; r++) {                                                \
            UNROLL                                                                            \
            for (int v = 0; v < (nv); v++) acc[r][v] = vset1(bias);                           \
        }                                                                                     \
        for (int64_t k = 0; k < s->steps; k++, w += (kh)) {                                   \
            const T *line = x + s->off[k];                                                    \
            vec wv[kh];                                                                       \
            UNROLL                                                                            \
            for (int t = 0; t < (kh); t++) wv[t] = vset1(w[t]);                               \
            UNROLL                                                                            \
            for (int i = 0; i < (PLANE_ROWS - 1) * (sh) + (kh); i++, line += s->row) {        \
                UNROLL                                                                        \
                for (int v = 0; v < (nv); v++) {                                              \
                    vec a = vload(line + v * VL);                                             \
                    PIN(a);                                                                   \
                    UNROLL                                                                    \
                    for (int r = 0; r < PLANE_ROWS; r++)                                      \
                        if (i >= r * (sh) && i < r * (sh) + (kh))                             \
                            acc[r][v] += a * wv[i - r * (sh)];                                \
                }                                                                             \
            }                                                                                 \
        }                                                                                     \
        UNROLL                                                                                \
        for (int r = 0; r < PLANE_ROWS; r++) {                                                \
            UNROLL                                                                            \
            for (int v = 0; v < (nv); v++) vstore(out + r * ld + v * VL, acc[r][v]);          \
        }                                                                                     \
    }
#if TILE_NRV == 4
#define PLANE_EACH(F, kh, sh) F(kh, sh, 1) F(kh, sh, 2)
#else
#define PLANE_EACH(F, kh, sh) F(kh, sh, 1)
#endif
PLANE_EACH(PLANE_DEFINE, 1, 1)
PLANE_EACH(PLANE_DEFINE, 3, 1)
PLANE_EACH(PLANE_DEFINE, 5, 1)
PLANE_EACH(PLANE_DEFINE, 3, 2)
PLANE_EACH(PLANE_DEFINE, 5, 2)
#if TILE_NRV == 4 /* seven weights need as many registers */
PLANE_EACH(PLANE_DEFINE, 7, 1)
PLANE_EACH(PLANE_DEFINE, 7, 2)
#endif

typedef void (*plane_fn)(const plane_steps *, const T *, const T *, T, T *, int64_t);
#define PLANE_NAME(kh, sh, nv) tile_plane_##kh##_##sh##_##nv,
/* [stride - 1][run][vectors - 1] */
static const plane_fn plane_tiles[2][PLANE_KERNEL + 1][PLANE_NV] = {
    {
        [1] = {PLANE_EACH(PLANE_NAME, 1, 1)},
        [3] = {PLANE_EACH(PLANE_NAME, 3, 1)},
        [5] = {PLANE_EACH(PLANE_NAME, 5, 1)},
#if TILE_NRV == 4
        [7] = {PLANE_EACH(PLANE_NAME, 7, 1)},
#endif
    },
    {
        [3] = {PLANE_EACH(PLANE_NAME, 3, 2)},
        [5] = {PLANE_EACH(PLANE_NAME, 5, 2)},
#if TILE_NRV == 4
        [7] = {PLANE_EACH(PLANE_NAME, 7, 2)},
#endif
    }};
#undef PLANE_NAME
#undef PLANE_EACH
#undef PLANE_DEFINE

typedef struct {
    const conv_problem *p;
    plane_fn tile;
    plane_steps steps;
    int64_t run, width;         /* taps of a run; columns of a tile */
    int64_t pitch, band, lines; /* of a line; rows of outputs of a band, and the rows it reads */
    const int64_t *tap;         /* [steps][run]: of a channel's weights */
} plane_job;

/* out[i] = s[i * step] */
INLINE void plane_copy(const T *s, int64_t step, int64_t n, T *out) {
    if (step == 1 && n >= VL) {
        for (int64_t i = 0; i < n - VL; i += VL) vstore(out + i, vload(s + i));
        vstore(out + n - VL, vload(s + n - VL));
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = s[i * step];
    }
}

/* even[i], odd[i] = s[2i], s[2i + 1] */
INLINE void plane_split(const T *s, int64_t n, T *even, T *odd) {
    if (n < VL) {
        for (int64_t i = 0; i < n; i++) even[i] = s[2 * i], odd[i] = s[2 * i + 1];
        return;
    }
    for (int64_t i = 0; i < n; i += VL) {
        i = fc_min(i, n - VL);
        const vec a = vload(s + 2 * i), b = vload(s + 2 * i + VL);
        vstore(even + i, SHUFFLE(a, b, EVERY_EVEN));
        vstore(odd + i, SHUFFLE(a, b, EVERY_ODD));
    }
}

/* The part of the lines that lies inside the image. */
static void plane_fill(const plane_job *j, const T *plane, int64_t h0, T *lines) {
    const conv_problem *p = j->p;
    const int64_t sw = p->src_step[2], size = p->src_size[2], left = p->taps[2].off[0];
    const int64_t z0 = h0 * p->src_step[1] + p->taps[1].off[0];
    const int64_t z1 = fc_min(p->src_size[1], z0 + j->lines);
    int64_t pairs = 0; /* of columns that a stride of 2 takes at once */
    if (sw == 2 && left <= 0) pairs = fc_max(0, fc_min(size / 2, j->pitch - fc_ceil_div(-left, 2)));
    for (int64_t z = fc_max(0, z0); z < z1; z++) {
        const T *row = plane + z * size;
        T *line = lines + (z - z0) * sw * j->pitch;
        if (pairs) { /* column 2i lies at i - left/2 of its phase */
            T *even = line + (-left % 2) * j->pitch + -left / 2;
            T *odd = line + (1 - -left % 2) * j->pitch + (1 - left) / 2;
            plane_split(row, pairs, even, odd);
        }
        for (int64_t q = 0; q < sw; q++) {
            const int64_t first = q + left; /* column of the line's first element */
            const int64_t b = first < size ? fc_min(j->pitch, fc_ceil_div(size - first, sw)) : 0;
            int64_t a = first < 0 ? fc_ceil_div(-first, sw) : 0;
            a += pairs;
            if (a < b) plane_copy(row + first + a * sw, sw, b - a, line + q * j->pitch + a);
        }
    }
}

/* A band of one plane. */
static void plane_run(const plane_job *j, const T *lines, const T *w, T bias, T *dst) {
    const conv_problem *p = j->p;
    const int64_t W = p->grid[2], down = p->src_step[1] * p->src_step[2] * j->pitch;
    for (int64_t h = 0; h < j->band; h += PLANE_ROWS) {
        h = fc_min(h, j->band - PLANE_ROWS);
        for (int64_t c = 0; c < W; c += j->width) {
            c = fc_min(c, W - j->width);
            j->tile(&j->steps, lines + h * down + c, w, bias, dst + h * W + c, W);
        }
    }
}

/* Runs along H where the taps are neighbours and there is a tile, else one tap at a time. */
static void plane_plan(plane_job *j, int64_t kernel_w, int64_t *off, int64_t *tap) {
    const conv_problem *p = j->p;
    const tap_axis *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t sh = p->src_step[1], sw = p->src_step[2], W = p->grid[2];
    int runs = sh <= 2 && th->count <= PLANE_KERNEL && plane_tiles[sh - 1][th->count][0];
    for (int64_t k = 1; k < th->count; k++) runs &= th->off[k] == th->off[k - 1] + 1;
    const int nv = W >= PLANE_NV * VL ? PLANE_NV : 1;
    j->run = runs ? th->count : 1;
    j->tile = plane_tiles[runs ? sh - 1 : 0][j->run][nv - 1];
    j->width = nv * VL;
    const int64_t reach = th->off[th->count - 1] - th->off[0];
    j->pitch = W + (tw->off[tw->count - 1] - tw->off[0]) / sw;
    const int64_t row = sw * j->pitch;
    const int64_t fit = PLANE_BYTES / (int64_t)sizeof(T) / row - reach - 1; /* rows of x */
    const int64_t rows = fc_max(PLANE_ROWS, fit / sh / PLANE_ROWS * PLANE_ROWS);
    const int64_t bands = fc_ceil_div(p->grid[1], rows);
    j->band = fc_min(p->grid[1], fc_round_up(fc_ceil_div(p->grid[1], bands), PLANE_ROWS));
    j->lines = (j->band - 1) * sh + reach + 1;
    j->steps = (plane_steps){0, runs ? row : sh * row, off};
    for (int64_t a = 0; a < th->count; a += j->run)
        for (int64_t b = 0; b < tw->count; b++) {
            const int64_t o = tw->off[b] - tw->off[0];
            off[j->steps.steps++] = (th->off[a] - th->off[0]) * row + o % sw * j->pitch + o / sw;
            for (int64_t t = a; t < a + j->run; t++) *tap++ = th->tap[t] * kernel_w + tw->tap[b];
        }
}

/* Tasks are a band of some channels of an image. */
static int planes_solve(const conv_problem *p, int64_t kernel_w, const T *src, const T *w,
                        const T *bias, T *dst, int threads) {
    const int64_t taps = p->ntaps, C = p->groups;
    int64_t *off = fc_scratch(2 * taps, sizeof *off);
    if (!off) return FC_NOMEM;
    plane_job job = {.p = p, .tap = off + taps};
    plane_plan(&job, kernel_w, off, off + taps);
    const int64_t items = job.lines * p->src_step[2] * job.pitch;
    const int64_t each = fc_round_up(items + taps, 16);
    const int64_t bands = fc_ceil_div(p->grid[1], job.band);
    const int64_t blocks = fc_ceil_div(C, PLANE_CHANNELS), tasks = p->batch * bands * blocks;
    T *scratch = fc_scratch(threads * each, sizeof(T));
    if (scratch) {
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++) {
            T *lines = scratch + fc_thread() * each, *wt = lines + items;
            const int64_t c0 = i % blocks * PLANE_CHANNELS, n = i / blocks / bands;
            const int64_t h0 = fc_min(i / blocks % bands * job.band, p->grid[1] - job.band);
            memset(lines, 0, (size_t)items * sizeof(T));
            for (int64_t c = c0; c < fc_min(C, c0 + PLANE_CHANNELS); c++) {
                for (int64_t t = 0; t < taps; t++) wt[t] = w[c * p->kernel_taps + job.tap[t]];
                plane_fill(&job, src + n * p->src_stride[0] + c * p->src_stride[1], h0, lines);
                plane_run(
                    &job, lines, wt, bias ? bias[c] : 0,
                    dst + n * p->dst_stride[0] + c * p->dst_stride[1] + h0 * p->dst_stride[3]);
            }
        }
    }
    fc_free(scratch);
    fc_free(off);
    return scratch ? FC_OK : FC_NOMEM;
}

/* Whether both arrays are NCHW planes. */
static int planes_given(const fc_conv_geom *g) {
    return g->x_stride[4] == 1 && g->y_stride[4] == 1 && g->x_stride[1] != 1 && g->y_stride[1] != 1;
}

/* Forward, and backward input of stride 1, which is a forward with the taps the other way round. */
static int planes(const fc_conv_geom *g, int backward, const T *src, const T *w, const T *bias,
                  T *dst, int threads) {
    static const int64_t phase[3] = {0};
    if (g->in_channels != g->groups || g->out_channels != g->groups) return FC_UNSUPPORTED;
    if (g->in_size[0] != 1 || g->kernel[0] != 1 || g->out_size[0] != 1) return FC_UNSUPPORTED;
    if (backward && g->stride[1] * g->stride[2] != 1) return FC_UNSUPPORTED;
    const int64_t *target = backward ? g->in_size : g->out_size;
    if (target[1] < PLANE_ROWS || target[2] < VL) return FC_UNSUPPORTED;
    conv_problem p;
    int status = fc_conv_check(g);
    if (status) return status;
    status = backward ? conv_problem_backward_input(&p, g, phase) : conv_problem_forward(&p, g);
    if (status == FC_OK) status = planes_solve(&p, g->kernel[2], src, w, bias, dst, threads);
    conv_problem_free(&p);
    return status;
}
