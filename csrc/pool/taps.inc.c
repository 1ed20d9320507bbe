/* Pooling for training, channels-last. The maximum's place is kept as a byte, the number of the
 * tap in its window: (kd * KH + kh) * KW + kw with the largest counts KH and KW. The gradients of
 * maxima and averages are gathered: an element of dx is the sum over the windows that it is in, so
 * it is written once and belongs to one task. */
#pragma once

#include <math.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/simd.h"
#include "pool/lanes.inc.c"
#include "pool/meets.h"
#include "pool/pool.inc.c"
#include "pool/spread.inc.c"
#include "pool/window.h"

/* The maxima of one window and their taps, NV vectors of channels from x on (its first tap): step
 * are elements between taps. n lanes are used; x_end NULL: memory lies behind all of them. */
INLINE void max_window(int NV, const int64_t count[3], const int64_t step[3], const T *x, int64_t n,
                       const T *x_end, int64_t KH, int64_t KW, vec *best, ivec *where) {
    UNROLL
    for (int i = 0; i < NV; i++) best[i] = vset1(-(T)INFINITY), where[i] = (ivec){0};
    for (int64_t d = 0; d < count[0]; d++)
        for (int64_t h = 0; h < count[1]; h++) {
            const T *at = x + d * step[0] + h * step[1];
            lane_int tap = (lane_int)((d * KH + h) * KW);
            for (int64_t w = 0; w < count[2]; w++, at += step[2], tap++) UNROLL
            for (int i = 0; i < NV; i++)
                max_step(&best[i], &where[i], x_end ? load_part(at, n, x_end) : vload(at + i * VL),
                         tap);
        }
}

/* A row of pixels of y and their taps (NULL: maxima only); x: the first row of its windows. What
 * lies behind a pixel is written later, up to `left` elements. */
INLINE void max_line(const fc_pool_geom *g, const T *x, const T *x_end, T *y, uint8_t *taps,
                     int64_t left, const fc_window *win, int64_t KH, int64_t KW) {
    enum { NV = 4 };
    const int64_t C = g->channels, W = g->out_size[2], row = g->in_size[2] * C;
    const int64_t *start = g->windows[2], *kw = start + W, *step_w = kw + W;
    int64_t count[3] = {win->count[0], win->count[1], 0};
    int64_t step[3] = {win->step[0] * g->in_size[1] * row, win->step[1] * row, 0};
    vec best[NV];
    ivec where[NV];
    for (int64_t w = 0; w < W; w++, left -= C, y += C) {
        const T *at = x + start[w] * C;
        int64_t c = 0;
        count[2] = kw[w];
        step[2] = step_w[w] * C;
        for (; c + NV * VL <= C; c += NV * VL) {
            max_window(NV, count, step, at + c, NV * VL, NULL, KH, KW, best, where);
            UNROLL
            for (int i = 0; i < NV; i++) {
                vstore(y + c + i * VL, best[i]);
                if (taps) store_taps(taps + c + i * VL, where[i], VL, VL);
            }
        }
        for (; c < C; c += VL) {
            max_window(1, count, step, at + c, C - c, x_end, KH, KW, best, where);
            store_part(y + c, best[0], C - c, y + left);
            if (taps) store_taps(taps + c, where[0], C - c, left - c);
        }
        if (taps) taps += C;
    }
}

/* Rows begin..end of y. */
NOINLINE void max_taps_rows(const fc_pool_geom *g, const T *x, T *y, uint8_t *taps, int64_t begin,
                            int64_t end, int64_t KH, int64_t KW, const spread_lines *table) {
    const int64_t D = g->out_size[0], H = g->out_size[1], C = g->channels;
    const int64_t line = g->out_size[2] * C, row = g->in_size[2] * C, S = fc_volume(g->in_size);
    const T *x_end = x + g->batch * C * S;
    for (int64_t r = begin; r < end; r++) {
        const int64_t n = r / (D * H), left = (end - r) * line;
        const fc_window win = fc_window_at(g, r / H % D, r % H, 0);
        const T *first = x + n * C * S + (win.start[0] * g->in_size[1] + win.start[1]) * row;
        const int64_t rows =
            (win.count[0] - 1) * win.step[0] * g->in_size[1] + (win.count[1] - 1) * win.step[1] + 1;
        const int inner = x_end - first - rows * row >= VL;
        T *to = y + r * line;
        if (table->parts && table->short_lines)
            max_spread_short(g, table, first, x_end, to, taps ? taps + r * line : NULL, &win, KH,
                             KW);
        else if (table->parts)
            max_spread(g, table, first, to, taps ? taps + r * line : NULL, &win, KH, KW);
        else if (taps && inner) max_line(g, first, NULL, to, taps + r * line, left, &win, KH, KW);
        else if (taps) max_line(g, first, x_end, to, taps + r * line, left, &win, KH, KW);
        else max_line(g, first, inner ? NULL : x_end, to, NULL, left, &win, KH, KW);
    }
}

static int max_pool_taps_forward(const fc_pool_geom *g, const void *x, void *y, uint8_t *taps,
                                 int threads) {
    if (!fc_channels_last(g->x_stride) || !fc_channels_last(g->y_stride)) return FC_UNSUPPORTED;
    const int64_t KH = fc_most_taps(g, 1), KW = fc_most_taps(g, 2);
    if (taps && fc_most_taps(g, 0) * KH * KW > 256) return FC_UNSUPPORTED;
    const int64_t rows = g->batch * g->out_size[0] * g->out_size[1];
    spread_lines table = {0};
    if (rows >= FC_SPREAD_ROWS) table = spread_table(g, NULL, KW);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int t = 0; t < threads; t++)
        max_taps_rows(g, x, y, taps, rows * t / threads, rows * (t + 1) / threads, KH, KW, &table);
    fc_free(table.parts);
    return FC_OK;
}

/* dx of one pixel from some of its windows: of maxima (taps) where the tap is the kept one, of
 * averages the share. `more`: added to what is there. y_left, x_left: elements from dy and dx on
 * that may be read and written. */
INLINE void gather_pixel(int64_t C, const T *dy, const uint8_t *taps, int64_t y_left,
                         const fc_pairs *pairs, int count, int more, T *dx, int64_t x_left) {
    enum { NV = 4 };
    int64_t c = 0;
    for (; c + NV * VL <= C; c += NV * VL) {
        vec sum[NV];
        UNROLL
        for (int i = 0; i < NV; i++) sum[i] = more ? vload(dx + c + i * VL) : (vec){0};
        for (int j = 0; j < count; j++) {
            const int64_t at = pairs->at[j] + c;
            const vec share = vset1((T)pairs->share[j]);
            const ivec tap = (lane_int)pairs->tap[j] - (ivec){0};
            UNROLL
            for (int i = 0; i < NV; i++) {
                const vec v = vload(dy + at + i * VL);
                if (taps) {
                    const ivec mine = load_taps(taps + at + i * VL, VL, VL) == tap;
                    sum[i] += (vec)((ivec)v & mine);
                } else {
                    sum[i] += v * share;
                }
            }
        }
        UNROLL
        for (int i = 0; i < NV; i++) vstore(dx + c + i * VL, sum[i]);
    }
    for (; c < C; c += VL) {
        vec sum = more ? load_part(dx + c, C - c, dx + x_left) : (vec){0};
        for (int j = 0; j < count; j++) {
            const int64_t at = pairs->at[j] + c;
            const vec v = load_part(dy + at, C - c, dy + y_left);
            if (taps) {
                const ivec tap = (lane_int)pairs->tap[j] - (ivec){0};
                const ivec mine = load_taps(taps + at, C - c, y_left - at) == tap;
                sum += (vec)((ivec)v & mine);
            } else {
                sum += v * vset1((T)pairs->share[j]);
            }
        }
        store_part(dx + c, sum, C - c, dx + x_left);
    }
}

/* A row of W pixels of dx from `lines` rows of windows; `more`: added to what is there. */
INLINE void gather_line(int64_t C, int64_t W, const T *dy, const uint8_t *taps, int64_t y_left,
                        const fc_pairs *line, int lines, const fc_meets *m, int more, T *dx) {
    for (int64_t w = 0; w < W; w++, dx += C) {
        fc_pairs pairs;
        int count = 0, add = more;
        /* what lies behind the pixel is written later, or holds sums already */
        const int64_t x_left = more ? C : (W - w) * C;
        for (int r = 0; r < lines; r++)
            for (int64_t e = m->begin[w]; e < m->begin[w + 1]; e++) {
                if (count == FC_PAIRS) {
                    gather_pixel(C, dy, taps, y_left, &pairs, count, add, dx, x_left);
                    count = 0, add = 1;
                }
                pairs.at[count] = line->at[r] + m->output[e] * C;
                if (taps) pairs.tap[count] = line->tap[r] + (int)m->tap[e];
                else pairs.share[count] = line->share[r] * m->share[e];
                count++;
            }
        gather_pixel(C, dy, taps, y_left, &pairs, count, add, dx, x_left);
    }
}

/* One row (n, d, h) of dx. */
INLINE void gather_row(const fc_pool_geom *g, const fc_meets meets[3], const T *dy,
                       const uint8_t *taps, T *dx, int64_t row, int64_t KH, int64_t KW,
                       const spread_lines *table) {
    const int64_t D = g->in_size[0], H = g->in_size[1], W = g->in_size[2], C = g->channels;
    const int64_t oH = g->out_size[1], oW = g->out_size[2], P = fc_volume(g->out_size);
    const int64_t n = row / (D * H), d = row / H % D, h = row % H;
    const int64_t y_left = (g->batch - n) * P * C;
    const double whole = g->divisor != 0 ? 1 / g->divisor : 1;
    const fc_meets *md = &meets[0], *mh = &meets[1];
    fc_pairs line;
    int lines = 0, more = 0;
    dy += n * P * C;
    if (taps) taps += n * P * C;
    dx += row * W * C;
    for (int64_t a = md->begin[d]; a < md->begin[d + 1]; a++)
        for (int64_t b = mh->begin[h]; b < mh->begin[h + 1]; b++) {
            if (lines == FC_LINES) {
                gather_line(C, W, dy, taps, y_left, &line, lines, &meets[2], more, dx);
                lines = 0, more = 1;
            }
            line.at[lines] = (md->output[a] * oH + mh->output[b]) * oW * C;
            line.tap[lines] = (int)((md->tap[a] * KH + mh->tap[b]) * KW);
            line.share[lines] = md->share[a] * mh->share[b] * whole;
            lines++;
        }
    if (table && table->parts && table->short_lines)
        gather_spread_short(table, dy, taps, y_left, &line, lines, dx);
    else if (table && table->parts) gather_spread(table, dy, taps, &line, lines, dx);
    else gather_line(C, W, dy, taps, y_left, &line, lines, &meets[2], more, dx);
}

NOINLINE void gather_max_row(const fc_pool_geom *g, const fc_meets meets[3], const T *dy,
                             const uint8_t *taps, T *dx, int64_t row, int64_t KH, int64_t KW,
                             const spread_lines *table) {
    gather_row(g, meets, dy, taps, dx, row, KH, KW, table);
}

NOINLINE void gather_avg_row(const fc_pool_geom *g, const fc_meets meets[3], const T *dy, T *dx,
                             int64_t row) {
    gather_row(g, meets, dy, NULL, dx, row, 1, 1, NULL);
}

static int gather(const fc_pool_geom *g, const void *dy, const uint8_t *taps, void *dx,
                  int threads) {
    if (!fc_channels_last(g->x_stride) || !fc_channels_last(g->y_stride)) return FC_UNSUPPORTED;
    fc_meets meets[3] = {{0}, {0}, {0}};
    int status = FC_OK;
    for (int a = 0; a < 3 && !status; a++) status = fc_meets_init(&meets[a], g, a);
    if (!status) {
        const int64_t KH = fc_most_taps(g, 1), KW = fc_most_taps(g, 2);
        const int64_t rows = g->batch * g->in_size[0] * g->in_size[1];
        const int64_t passes = fc_most_met(&meets[2], g->in_size[2]);
        const int64_t lines =
            fc_most_met(&meets[0], g->in_size[0]) * fc_most_met(&meets[1], g->in_size[1]);
        spread_lines table = {0};
        if (taps && rows >= FC_SPREAD_ROWS && lines <= FC_LINES)
            table = spread_table(g, &meets[2], passes);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t row = 0; row < rows; row++) {
            if (taps) gather_max_row(g, meets, dy, taps, dx, row, KH, KW, &table);
            else gather_avg_row(g, meets, dy, dx, row);
        }
        fc_free(table.parts);
    }
    for (int a = 0; a < 3; a++) fc_free(meets[a].begin);
    return status;
}

static int max_pool_taps_backward(const fc_pool_geom *g, const void *dy, const uint8_t *taps,
                                  void *dx, int threads) {
    return gather(g, dy, taps, dx, threads);
}
