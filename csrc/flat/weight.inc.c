/* Backward weight of flat/flat.inc.c, from the same lines: the sums over columns of
 *
 *   dw[k][c][th, tw] = sum over n, h, j of dy[h][j*K + k] * x_c[h*sh + th][j*K + k + K*tw]
 *
 * are taken lane by lane, for vectors of a row that are `period` apart, and the lanes of an output
 * channel are added up at the end. A tile has the sums of a run of taps along H and some along W in
 * registers and goes over all rows of a task, a few (d0 to d3) at a time, which share their lines.
 */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "flat/flat.inc.c"
#include "gemm/tile.inc.c"

/* The parts that a sum is cut into, by shape alone; the most taps along W of a tile; the vectors
 * that it adds up from zero. */
enum { FLAT_PARTS = 16, FLAT_TAPS = 5, FLAT_CHAIN = 64 };
/* Rows that share lines: with their sums, they fit the registers. */
#if TILE_NRV == 4
#define FLAT_SUM_ROWS 4
#else
#define FLAT_SUM_ROWS 2
#endif

/* What a tile goes over: `groups` of FLAT_SUM_ROWS rows with `count` vectors each. */
typedef struct {
    int64_t groups, count;
    int64_t dy_next, dy_row;       /* from a vector to the next one; between rows */
    int64_t x_next, x_row, x_down; /* x_row: to the next tap of a run; x_down: to the next group */
    const int64_t *off;            /* of the taps along W */
} flat_sum;

/* sums[taps][kh][VL] +=, at the end: shorter chains of roundings. */
#define FLAT_SUM_DEFINE(kh, sh, taps, load, kind)                                                \
    NOINLINE void tile_##kind##_##kh##_##sh##_##taps(const flat_sum *s, const T *x, const T *dy, \
                                                     T *sums) {                                  \
        vec acc[taps][kh];                                                                       \
        UNROLL                                                                                   \
        for (int t = 0; t < (taps); t++) {                                                       \
            UNROLL                                                                               \
            for (int k = 0; k < (kh); k++) acc[t][k] = vset1(0);                                 \
        }                                                                                        \
        for (int64_t g = 0; g < s->groups; g++) {                                                \
            const T *dv = dy + g * FLAT_SUM_ROWS * s->dy_row, *xv = x + g * s->x_down;           \
            for (int64_t v = 0; v < s->count; v++, dv += s->dy_next, xv += s->x_next) {          \
                const T *last = dv + (FLAT_SUM_ROWS - 2) * s->dy_row;                            \
                const vec d0 = vload(dv), d1 = vload(dv + s->dy_row);                            \
                const vec d2 = vload(last), d3 = vload(last + s->dy_row);                        \
                const T *line = xv;                                                              \
                UNROLL                                                                           \
                for (int i = 0; i < (FLAT_SUM_ROWS - 1) * (sh) + (kh); i++) {                    \
                    UNROLL                                                                       \
                    for (int t = 0; t < (taps); t++) {                                           \
                        const T *at = line + s->off[t];                                          \
                        vec a = load;                                                            \
                        PIN(a);                                                                  \
                        UNROLL                                                                   \
                        for (int r = 0; r < FLAT_SUM_ROWS; r++)                                  \
                            if (i >= r * (sh) && i < r * (sh) + (kh))                            \
                                acc[t][i - r * (sh)] += a * (r == 0   ? d0                       \
                                                             : r == 1 ? d1                       \
                                                             : r == 2 ? d2                       \
                                                                      : d3);                     \
                    }                                                                            \
                    line += s->x_row;                                                            \
                }                                                                                \
            }                                                                                    \
        }                                                                                        \
        UNROLL                                                                                   \
        for (int t = 0; t < (taps); t++) {                                                       \
            UNROLL                                                                               \
            for (int k = 0; k < (kh); k++) {                                                     \
                T *to = sums + (t * (kh) + k) * VL;                                              \
                vstore(to, vload(to) + acc[t][k]);                                               \
            }                                                                                    \
        }                                                                                        \
    }
#define FLAT_SUM_BOTH(F, kh, sh, taps) \
    F(kh, sh, taps, vload(at), flat_sum) F(kh, sh, taps, vset1(*at), pixel_sum)
#if TILE_NRV == 4
#define FLAT_SUM_EACH(F) \
    F(1, 1, 1)           \
    F(1, 1, 3)           \
    F(1, 1, 5)           \
    F(3, 1, 1)           \
    F(3, 1, 3)           \
    F(3, 1, 5) F(5, 1, 1) F(5, 1, 3) F(5, 1, 5) F(3, 2, 1) F(3, 2, 3) F(5, 2, 1) F(5, 2, 5)
#else
#define FLAT_SUM_EACH(F) \
    F(1, 1, 1)           \
    F(1, 1, 3)           \
    F(1, 1, 5)           \
    F(3, 1, 1) F(3, 1, 3) F(5, 1, 1) F(5, 1, 2) F(3, 2, 1) F(3, 2, 2) F(5, 2, 1)
#endif
#define FLAT_SUM_TILES(kh, sh, taps) FLAT_SUM_BOTH(FLAT_SUM_DEFINE, kh, sh, taps)
FLAT_SUM_EACH(FLAT_SUM_TILES)

typedef void (*flat_sum_fn)(const flat_sum *, const T *, const T *, T *);
#define FLAT_SUM_NAMES(kh, sh, taps)                            \
    [(sh) - 1][kh][taps] = {tile_flat_sum_##kh##_##sh##_##taps, \
                            tile_pixel_sum_##kh##_##sh##_##taps},
/* [stride - 1][run][taps along W][pixels] */
static const flat_sum_fn flat_sums[2][FLAT_KERNEL + 1][FLAT_TAPS + 1][2] = {
    FLAT_SUM_EACH(FLAT_SUM_NAMES)};
#undef FLAT_SUM_NAMES
#undef FLAT_SUM_TILES
#undef FLAT_SUM_BOTH
#undef FLAT_SUM_EACH
#undef FLAT_SUM_DEFINE

/* `rows` rows of dy, made whole vectors and whole groups by zeros. */
static void flat_rows_of(const flat_job *j, const T *dy, int64_t rows, T *out) {
    const int64_t width = j->p->grid[2] * j->p->cols, pitch = j->vectors * VL;
    for (int64_t h = 0; h < rows; h++, dy += j->p->dst_stride[3], out += pitch) {
        vstore(out + pitch - VL, vset1(0));
        flat_copy(dy, width, out);
    }
    flat_clear(out, (fc_round_up(rows, FLAT_SUM_ROWS) - rows) * pitch);
}

/* Add a task's products to sums [tap d, channel][run of taps along H][period][tap along W][run]. */
static void flat_sum_band(const flat_job *j, const T *lines, const T *dy, int64_t rows, T *sums) {
    const conv_problem *p = j->p;
    const int64_t wide = p->taps[2].count;
    const int64_t sh = j->run > 1 ? p->src_step[1] : 1;
    const int64_t groups = fc_ceil_div(rows, FLAT_SUM_ROWS);
    flat_sum s = {.dy_next = j->period * VL,
                  .dy_row = j->vectors * VL,
                  .x_next = j->pixels ? p->src_step[2] * p->channels : j->period * VL,
                  .x_row = j->steps.row,
                  .x_down = FLAT_SUM_ROWS * p->src_step[1] * j->row};
    for (int64_t i = 0; i < j->steps.steps; i += wide) { /* tap d, channel, run along H */
        for (int64_t k = 0; k < fc_min(j->period, j->vectors); k++) {
            const T *x = lines + (j->pixels ? 0 : k * VL);
            const int64_t count = fc_ceil_div(j->vectors - k, j->period);
            for (int64_t t = 0; t < wide;) {
                int64_t taps = fc_min(FLAT_TAPS, wide - t);
                while (!flat_sums[sh - 1][j->run][taps][0]) taps--;
                s.off = j->steps.off + i + t;
                T *to = sums + ((i * j->period + k * wide + t) * j->run) * VL;
                for (int64_t v = 0; v < count; v += FLAT_CHAIN) {
                    s.count = fc_min(FLAT_CHAIN, count - v);
                    s.groups = fc_max(1, FLAT_CHAIN / s.count);
                    for (int64_t g = 0; g < groups; g += s.groups) {
                        s.groups = fc_min(s.groups, groups - g);
                        flat_sums[sh - 1][j->run][taps][j->pixels](
                            &s, x + v * s.x_next + g * s.x_down,
                            dy + k * VL + v * s.dy_next + g * FLAT_SUM_ROWS * s.dy_row, to);
                    }
                }
                t += taps;
            }
        }
    }
}

/* dw from the parts' sums, in their order: into the first part's, then lane by lane. */
static void flat_sum_up(const flat_job *j, int64_t parts, T *sums, T *dw) {
    const conv_problem *p = j->p;
    const int64_t K = p->cols, wide = p->taps[2].count, items = j->period * p->depth * VL;
    for (int64_t s = 1; s < parts; s++)
        for (int64_t i = 0; i < items; i += VL)
            vstore(sums + i, vload(sums + i) + vload(sums + s * items + i));
    for (int64_t i = 0; i < j->steps.steps; i++)
        for (int64_t t = 0; t < j->run; t++) {
            T *o = dw + j->channel[i] * p->w_channel + j->tap[i * j->run + t];
            for (int64_t k = 0; k < K; k++) o[k * p->w_col] = 0;
            for (int64_t e = 0, k = 0; e < j->period; e++) {
                const int64_t at = i / wide * wide * j->period + e * wide + i % wide;
                const T *v = sums + (at * j->run + t) * VL;
                for (int l = 0; l < VL; l++) {
                    o[k * p->w_col] += v[l];
                    if (++k == K) k = 0;
                }
            }
        }
}

static int flat_sum_solve(const conv_problem *p, const int64_t kernel[3], const T *dy, const T *x,
                          T *dw, int threads) {
    int64_t *list = fc_scratch(3 * p->depth, sizeof *list);
    if (!list) return FC_NOMEM;
    flat_job job = {.p = p, .src = x};
    flat_plan(&job, kernel, 0, list);
    const int64_t bands = fc_ceil_div(p->grid[1], job.band), tasks = p->batch * p->grid[0] * bands;
    const int64_t parts = fc_min(FLAT_PARTS, tasks), items = job.period * p->depth * VL;
    const int64_t lines = fc_round_up(job.items + VL, 16);
    const int64_t each = lines + fc_round_up(job.band * job.vectors * VL + VL, 16);
    if (parts < threads) threads = (int)parts;
    T *sums = fc_scratch(parts * items, sizeof(T));
    T *scratch = fc_scratch(threads * each, sizeof(T));
    if (sums && scratch) {
        memset(sums, 0, (size_t)(parts * items) * sizeof(T));
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t s = 0; s < parts; s++) {
            T *own = scratch + fc_thread() * each;
            for (int64_t i = s * tasks / parts; i < (s + 1) * tasks / parts; i++) {
                const int64_t h0 = i % bands * job.band, d = i / bands % p->grid[0];
                const int64_t n = i / bands / p->grid[0], *st = p->dst_stride;
                const int64_t rows = fc_min(job.band, p->grid[1] - h0);
                flat_fill(&job, n, d, h0, rows, own);
                flat_rows_of(&job, dy + n * st[0] + d * st[2] + h0 * st[3], rows, own + lines);
                flat_sum_band(&job, own, own + lines, rows, sums + s * items);
            }
        }
        flat_sum_up(&job, parts, sums, dw);
    }
    const int status = sums && scratch ? FC_OK : FC_NOMEM;
    fc_free(scratch);
    fc_free(sums);
    fc_free(list);
    return status;
}

static int conv_backward_weight_flat(const fc_conv_geom *g, const void *dy, const void *x,
                                     const void *bias, void *dw, int threads) {
    (void)bias;
    conv_problem p;
    int status = flat_check(g);
    if (status) return status;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = flat_sum_solve(&p, g->kernel, dy, x, dw, threads);
    conv_problem_free(&p);
    return status;
}
