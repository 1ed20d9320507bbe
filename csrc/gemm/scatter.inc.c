/* Backward input with few input channels (the first layer of a network): a GEMM over all taps at
 * once, whose result is added to the input's gradient where each tap lies.
 *
 *   P[pixel of y][tap, c] = sum over k of dY[pixel][k] * W[k][c][tap]
 *   dX[pos*stride + off(tap)][c] += P[pos][tap, c]
 *
 * With C = 1 or 3 channels as the GEMM's columns, most lanes of a vector would be empty; taps times
 * channels fill them. P is only ever a few rows, in L1. A task owns some rows of dX: it adds into a
 * copy with a margin for the padding, so that no run of a tap needs clipping, and computes the rows
 * of dY that reach its rows again where another task needs them too. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/tile.inc.c"

enum { SCATTER_ROWS = 96, SCATTER_DEPTH = 512, SCATTER_BAND_BYTES = 256 << 10 };

typedef struct {
    const conv_problem *p; /* the forward problem: taps and steps from y to x */
    const T *dy, *weight, *bias;
    T *dx;
    int64_t cols, ld;         /* taps * channels, and in whole vectors */
    int64_t left, width;      /* positions before column 0 of x, and of a row of the band in all */
    int64_t group, n, h0, h1; /* the task: rows [h0, h1) of every depth of dX */
    T *band, *products;       /* [D][h1-h0][width*C], [SCATTER_ROWS][ld] */
} scatter_task;

/* W[k][c][tap] of one group to panels [k][nr] of columns (tap, c). */
static void scatter_pack(const conv_problem *p, const T *w, int64_t group, T *out) {
    const int64_t C = p->channels, taps = p->ntaps, cols = taps * C;
    w += group * p->w_group;
    for (int64_t j = 0; j < cols; j += TILE_NR) {
        const int64_t nr = fc_min(TILE_NR, fc_round_up(cols - j, VL));
        for (int64_t k = 0; k < p->cols; k++)
            for (int64_t i = 0; i < nr; i++, out++)
                *out = j + i < cols ? w[(k * C + (j + i) % C) * taps + (j + i) / C] : 0;
    }
}

/* Outputs whose products are added: `lines` of `rows` next to each other. From one to the next and
 * from a line to the next, elements of the band and of the products. */
typedef struct {
    int64_t lines, rows, step, line_step, ld, line_ld;
} scatter_grid;

/* One run of a tap, `count` elements: dst += src. In the last of its vectors, lanes beyond the run
 * are added as zero. */
INLINE void scatter_add(const int64_t vectors, const scatter_grid *g, int64_t count, T *dst,
                        const T *src) {
    ivec tail;
    for (int i = 0; i < VL; i++) tail[i] = i < count - (vectors - 1) * VL ? -1 : 0;
    /* Neighbours meet the same places, where a load would wait for the store before it: outputs
     * whose runs are apart come first. */
    const int64_t apart = fc_ceil_div(vectors * VL, g->step), rows = g->rows, ld = apart * g->ld;
    for (int64_t first = 0; first < fc_min(apart, rows); first++) {
        for (int64_t line = 0; line < g->lines; line++) {
            T *o = dst + line * g->line_step + first * g->step;
            const T *s = src + line * g->line_ld + first * g->ld;
            for (int64_t r = first; r < rows; r += apart, o += apart * g->step, s += ld) {
                T *const last = o + (vectors - 1) * VL;
                const vec end = vselect(tail, vload(s + (vectors - 1) * VL), vset1(0));
                if (vectors > 1) vstore(o, vload(o) + vload(s));
                vstore(last, vload(last) + end);
            }
        }
    }
}

/* Add the products of outputs from (d, h, w) on to the band. */
static void scatter_rows(const scatter_task *t, int64_t d, int64_t h, int64_t w, int64_t lines,
                         int64_t rows) {
    const conv_problem *p = t->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t C = p->channels, line = tw->count * C, pitch = t->width * C;
    const int together = tw->count == 1 || tw->off[1] == tw->off[0] + 1;
    const int64_t run = together ? line : C, runs = together ? 1 : tw->count;
    const int64_t w0 = w * p->src_step[2] + t->left, down = p->src_step[1];
    scatter_grid g = {.rows = rows,
                      .step = p->src_step[2] * C,
                      .line_step = down * pitch,
                      .ld = t->ld,
                      .line_ld = rows * t->ld};
    for (int64_t i = 0; i < td->count * th->count; i++) {
        const int64_t zd = d * p->src_step[0] + td->off[i / th->count];
        const int64_t zh = h * down + th->off[i % th->count]; /* of the first line */
        /* The lines of which this is inside the task's rows. */
        const int64_t first = zh < t->h0 ? fc_ceil_div(t->h0 - zh, down) : 0;
        const int64_t end = zh < t->h1 ? fc_min(lines, (t->h1 - 1 - zh) / down + 1) : 0;
        if (zd < 0 || zd >= p->src_size[0] || first >= end) continue;
        g.lines = end - first;
        T *o = t->band + (zd * (t->h1 - t->h0) + zh + first * down - t->h0) * pitch;
        const T *s = t->products + first * g.line_ld + i * line;
        for (int64_t k = 0; k < runs; k++) {
            T *to = o + (w0 + tw->off[k]) * C;
            const T *from = s + k * C;
            int64_t e = 0;
            for (; e + 2 * VL < run; e += VL) scatter_add(1, &g, VL, to + e, from + e);
            if (e + VL < run) scatter_add(2, &g, run - e, to + e, from + e);
            else scatter_add(1, &g, run - e, to + e, from + e);
        }
    }
}

static void scatter_run(const scatter_task *t) {
    const conv_problem *p = t->p;
    const int64_t C = p->channels, K = p->cols, pitch = t->width * C, height = t->h1 - t->h0;
    const int64_t *ys = p->dst_stride, *xs = p->src_stride, step = p->src_step[1];
    const int64_t lda = ys[4], W = p->grid[2];
    /* Whole lines of few outputs, several at a time where they follow each other. */
    const int64_t most = ys[3] == W * lda ? fc_max(1, SCATTER_ROWS / W) : 1;
    memset(t->band, 0, (size_t)(p->src_size[0] * height * pitch) * sizeof(T));
    for (int64_t d = 0; d < p->grid[0]; d++) {
        const tap_axis *th = &p->taps[1];
        int64_t h = 0, end = p->grid[1];
        while (h < end && h * step + th->off[th->count - 1] < t->h0) h++;
        while (end > h && (end - 1) * step + th->off[0] >= t->h1) end--;
        for (int64_t lines; h < end; h += lines) {
            /* to a multiple of `most`, whatever the band: an element's sum has one order */
            lines = fc_min(most - h % most, end - h);
            const T *line = t->dy + t->n * ys[0] + d * ys[2] + h * ys[3] + t->group * K;
            for (int64_t w = 0; w < W; w += SCATTER_ROWS) {
                const int64_t width = fc_min(SCATTER_ROWS, W - w), rows = lines * width;
                for (int64_t k = 0; k < K; k += SCATTER_DEPTH) {
                    const int64_t depth = fc_min(SCATTER_DEPTH, K - k);
                    for (int64_t j = 0; j < t->cols; j += TILE_NR) {
                        const int64_t nr = fc_min(TILE_NR, t->ld - j);
                        const T *b = t->weight + j * K + k * nr;
                        for (int64_t i = 0; i < rows; i += TILE_MR) {
                            const tile_fn f =
                                tiles_by_rows[fc_min(TILE_MR, rows - i) - 1][nr / VL - 1];
                            f(depth, line + (w + i) * lda + k, lda, b, nr,
                              t->products + i * t->ld + j, t->ld, NULL, k ? TILE_ADD : TILE_STORE);
                        }
                    }
                }
                scatter_rows(t, d, h, w, lines, width);
            }
        }
    }
    T *dx = t->dx + t->n * xs[0] + t->group * C * xs[1];
    const T *bias = t->bias ? t->bias + t->group * C : NULL;
    for (int64_t d = 0; d < p->src_size[0]; d++) {
        for (int64_t h = 0; h < height; h++) {
            const T *s = t->band + (d * height + h) * pitch + t->left * C;
            T *o = dx + d * xs[2] + (t->h0 + h) * xs[3];
            if (xs[1] == 1 && xs[4] == C && !bias) {
                memcpy(o, s, (size_t)(p->src_size[2] * C) * sizeof(T));
                continue;
            }
            for (int64_t c = 0; c < C; c++)
                for (int64_t w = 0; w < p->src_size[2]; w++)
                    o[w * xs[4] + c * xs[1]] = s[w * C + c] + (bias ? bias[c] : 0);
        }
    }
}

static int conv_backward_input_scatter(const fc_conv_geom *g, const void *dy, const void *w,
                                       const void *bias, void *dx, int threads) {
    int status = fc_conv_check(g);
    if (status) return status;
    if (g->out_channels > 1 && g->y_stride[1] != 1) return FC_UNSUPPORTED;
    conv_problem p;
    status = conv_problem_forward(&p, g);
    if (status) {
        conv_problem_free(&p);
        return status;
    }
    const tap_axis *tw = &p.taps[2];
    const int64_t cols = p.ntaps * p.channels, ld = fc_round_up(cols, VL);
    const int64_t left = fc_max(0, -tw->off[0]);
    const int64_t last = (p.grid[2] - 1) * p.src_step[2] + tw->off[tw->count - 1];
    const int64_t width = left + fc_max(p.src_size[2], last + 1);
    const int64_t row_items = p.src_size[0] * width * p.channels;
    int64_t height = SCATTER_BAND_BYTES / (int64_t)sizeof(T) / row_items;
    height = fc_min(p.src_size[1], fc_max(height, g->kernel[1] * g->dilation[1]));
    if (p.batch * p.groups < threads)
        height = fc_min(height, fc_ceil_div(p.src_size[1], fc_ceil_div(threads, p.batch)));
    const int64_t bands = fc_ceil_div(p.src_size[1], height);
    height = fc_ceil_div(p.src_size[1], bands);
    const int64_t band_items = height * row_items + VL, panel_items = p.cols * ld;
    /* the last run's tail reads, and drops, up to VL - 1 elements behind its products */
    const int64_t each = fc_round_up(band_items, VL) + SCATTER_ROWS * ld + VL;
    const int64_t tasks = p.groups * p.batch * bands;
    if (tasks < threads) threads = (int)tasks;
    T *weight = fc_scratch(p.groups * panel_items, sizeof(T));
    T *scratch = fc_scratch(threads * each, sizeof(T));
    if (!weight || !scratch) status = FC_NOMEM;
    for (int64_t i = 0; status == FC_OK && i < p.groups; i++)
        scatter_pack(&p, w, i, weight + i * panel_items);
    if (status == FC_OK) {
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++) {
            const int64_t band = i % bands, n = i / bands % p.batch, group = i / bands / p.batch;
            const scatter_task task = {
                .p = &p,
                .dy = dy,
                .weight = weight + group * panel_items,
                .bias = bias,
                .dx = dx,
                .cols = cols,
                .ld = ld,
                .left = left,
                .width = width,
                .group = group,
                .n = n,
                .h0 = fc_min(p.src_size[1], band * height),
                .h1 = fc_min(p.src_size[1], (band + 1) * height),
                .band = scratch + fc_thread() * each,
                .products = scratch + fc_thread() * each + fc_round_up(band_items, VL),
            };
            scatter_run(&task);
        }
    }
    fc_free(scratch);
    fc_free(weight);
    conv_problem_free(&p);
    return status;
}
