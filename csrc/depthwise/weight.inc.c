/* Depthwise and grouped convolution, backward weight: partial sums of blocks of rows, added up in
 * order.
 *
 * Lanes are channels of x. Of a strip of outputs, one vector of lanes of x and what it meets of dy
 * are copied side by side, laid out as depthwise/layout.inc.c says and with zeros beyond the edge;
 * a depthwise strip is read in place where its pixels do not share a few cache sets. Tiles
 * (depthwise/sum_tile.inc.c) take some kernel rows of the strip at once. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "depthwise/depthwise.inc.c"
#include "depthwise/layout.inc.c"
#include "depthwise/sum_tile.inc.c"
#include "depthwise/tile.inc.c"
#include "gemm/pack.inc.c"

#define DW_SUM_COLS 16 /* outputs of a strip at most */
/* Pixels whose bytes are a multiple of this are copied: they share a few cache sets. So are rows of
 * more than 14 taps, which are read more than twice. */
#define DW_SUM_ALIAS 2048
/* Bytes of a strip's copy, unless it is of one row; partial sums. */
enum { DW_SUM_BYTES = 26 << 10, DW_MAX_SPLITS = 8, DW_BLOCKS_PER_SPLIT = 4 };

/* Backward weight of one convolution. */
typedef struct {
    conv_problem p;
    const dw_sum_table *tiles; /* of depthwise, groups of 2, 4, ... VL lanes */
    dw_layout from, to;        /* of x and dy */
    const T *x, *dy;
    int64_t lanes, count;     /* lanes of all groups, in whole vectors; channels of dy's group */
    int64_t tap_items, block; /* sums of a tap; lanes of a task */
    int64_t apart, skip;      /* pixels between taps; outputs between those of a strip */
    int64_t rows, row_blocks; /* rows of a block */
    int rows_apart;           /* each output row has rows of x of its own in a copy */
    int in_place;             /* where a strip may be */
    /* A strip's copies: outputs, columns and rows of x (of each tap along d), dy's elements of an
     * output. Output i meets the columns i*step + k, its tap b the row h*row_step + b*row_tap: a
     * stride beyond the kernel leaves no columns between those of two outputs. */
    int64_t cols, x_cols, x_rows, dy_col, step, row_step, row_tap;
} dw_sum_call;

/* Lanes [c, c + VL) of every plane of a pixel; all channels of the group where it is whole vectors
 * and `row` is dy's. Lanes of no channel are zero or another's. */
INLINE void dw_sum_pixel(const dw_layout *l, int64_t c, const T *s, const T *end, T *d) {
    const int64_t C = l->groups * l->channels;
    if (l->channels == l->lanes && !l->repeat) {
        if (s + c + VL <= end) {
            vstore(d, vload(s + c));
        } else {
            for (int64_t i = 0; i < VL; i++) d[i] = c + i < C ? s[c + i] : 0;
        }
    } else if (l->repeat) {
        int64_t g = c / l->lanes, left = l->lanes - c % l->lanes;
        for (int64_t i = 0; i < VL; i++) {
            d[i] = g < l->groups ? s[g] : 0;
            if (--left == 0) left = l->lanes, g++;
        }
    } else if (l->lanes >= VL) {
        const int64_t g = c / l->lanes, at = c % l->lanes;
        const int64_t n = fc_max(0, fc_min(VL, l->channels - at));
        s += g * l->channels + at;
        if (s + VL <= end) {
            vstore(d, vload(s));
        } else {
            for (int64_t i = 0; i < VL; i++) d[i] = i < n ? s[i] : 0;
        }
    } else {
        const int64_t g = c / l->lanes, n = fc_min(VL / l->lanes, l->groups - g);
        s += g * l->channels;
        for (int64_t q = 0; q < l->channels; q += l->lanes, s += l->lanes, d += VL)
            dw_copy_pixel(n, fc_min(l->lanes, l->channels - q), s, l->channels, end, d, l->lanes,
                          d + VL);
    }
}

/* The same of `count` pixels. */
static void dw_sum_pixels(const dw_layout *l, int64_t c, const T *s, int64_t pitch, const T *end,
                          T *d, int64_t d_pitch, int64_t count) {
    int64_t i = 0;
    if (l->channels == l->lanes && !l->repeat) {
        for (; i < count && s + c + VL <= end; i++, s += pitch, d += d_pitch)
            vstore(d, vload(s + c));
    }
    for (; i < count; i++, s += pitch, d += d_pitch) dw_sum_pixel(l, c, s, end, d);
}

/* One block of rows [h0, h1) of output plane (n, d). */
typedef struct {
    const dw_sum_call *call;
    int64_t n, d, h0, h1, a0, a1; /* taps along d that are inside */
    T *x, *dy;                    /* copies */
    uint32_t *inside;             /* [call->cols], and what it is of */
    int64_t inside_of[3];
} dw_sum_rows;

/* Copies of x: [tap along d][row][column]. */
static void dw_sum_copy_x(const dw_sum_rows *r, int64_t w, int64_t cols, int64_t c) {
    const dw_sum_call *call = r->call;
    const conv_problem *p = &call->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t *st = p->src_stride, K = tw->count, size = p->src_size[2];
    const int64_t first = w * p->src_step[2] + tw->off[0], rows = r->h1 - r->h0;
    /* Neighbouring outputs share what they meet, or have it one after the other. */
    const int uniform = call->step < K || K == 1;
    const int64_t apart = K == 1 ? call->skip * p->src_step[2] : call->apart;
    const T *const end = call->x + p->batch * st[0];
    cols = (cols - 1) * call->step + K;
    const int64_t q0 = first < 0 ? fc_min(cols, fc_ceil_div(-first, apart)) : 0;
    const int64_t q1 =
        first < size ? fc_max(q0, fc_min(cols, fc_ceil_div(size - first, apart))) : q0;
    for (int64_t a = r->a0; a < r->a1; a++) {
        const T *plane = call->x + r->n * st[0] + (r->d * p->src_step[0] + td->off[a]) * st[2];
        T *to = r->x + (a - r->a0) * call->x_rows * call->x_cols * VL;
        for (int64_t i = 0; i < call->x_rows; i++, to += call->x_cols * VL) {
            int64_t z = r->h0 * p->src_step[1] + th->off[0] + i;
            if (call->rows_apart) {
                if (i % call->rows >= rows) continue;
                z = (r->h0 + i % call->rows) * p->src_step[1] + th->off[i / call->rows];
            }
            if (z < 0 || z >= p->src_size[1]) continue;
            const T *row = plane + z * st[3];
            if (uniform) {
                for (int64_t q = 0; q < q0; q++) vstore(to + q * VL, vset1(0));
                dw_sum_pixels(&call->from, c, row + (first + q0 * apart) * st[4], apart * st[4],
                              end, to + q0 * VL, VL, q1 - q0);
                for (int64_t q = q1; q < cols; q++) vstore(to + q * VL, vset1(0));
                continue;
            }
            T *o = to;
            for (int64_t q = 0; q < cols; q++, o += VL) {
                const int64_t at = first + q / K * call->skip * p->src_step[2] + q % K * apart;
                if (at < 0 || at >= size) {
                    vstore(o, vset1(0));
                } else {
                    dw_sum_pixels(&call->from, c, row + at * st[4], 0, end, o, VL, 1);
                }
            }
        }
    }
}

/* Copies of dy: [row][column][dy_col]. */
static void dw_sum_copy_dy(const dw_sum_rows *r, int64_t w, int64_t cols, int64_t c) {
    const dw_sum_call *call = r->call;
    const conv_problem *p = &call->p;
    const int64_t *s = p->dst_stride, K = call->to.channels;
    const T *const end = call->dy + p->batch * s[0];
    T *o = r->dy;
    for (int64_t h = r->h0; h < r->h1; h++) {
        const T *dy = call->dy + r->n * s[0] + r->d * s[2] + h * s[3] + w * s[4];
        if (call->count == 1 || call->from.lanes < VL) {
            dw_sum_pixels(&call->to, c, dy, call->skip * s[4], end, o, call->dy_col, cols);
            o += cols * call->dy_col;
            continue;
        }
        dy += c / call->from.lanes * K; /* all channels of the group */
        for (int64_t i = 0; i < cols; i++, dy += call->skip * s[4], o += call->dy_col)
            copy_run(o, dy, K, end);
    }
}

/* A strip in copies, where neighbours on the way would share cache sets, lanes are laid out anew or
 * whole vectors would reach past the last channel; else in place. */
static int dw_sum_place(const dw_sum_rows *r, int64_t w, int64_t cols, int64_t c, dw_strip *s) {
    const dw_sum_call *call = r->call;
    const conv_problem *p = &call->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t *st = p->src_stride, *dst = p->dst_stride, x_row = call->x_cols * VL;
    if (!call->in_place || c + VL > call->from.groups * call->from.lanes) {
        dw_sum_copy_x(r, w, cols, c);
        dw_sum_copy_dy(r, w, cols, c);
        s->dy = r->dy;
        s->dy_row = cols * call->dy_col;
        s->dy_col = call->dy_col;
        s->x = r->x;
        s->x_plane = call->x_rows * x_row;
        s->x_row = call->row_step * x_row;
        s->x_line = call->row_tap * x_row;
        s->x_step = call->step * VL;
        s->x_tap = VL;
        s->step = call->step;
        return 0;
    }
    s->dy = call->dy + r->n * dst[0] + r->d * dst[2] + r->h0 * dst[3] + w * dst[4] + c;
    s->dy_row = dst[3];
    s->dy_col = call->skip * dst[4];
    s->x = call->x + r->n * st[0] + (r->d * p->src_step[0] + td->off[r->a0]) * st[2] +
           (r->h0 * p->src_step[1] + th->off[0]) * st[3] +
           (w * p->src_step[2] + tw->off[0]) * st[4] + c;
    s->x_plane = td->count > 1 ? (td->off[1] - td->off[0]) * st[2] : 0;
    s->x_row = p->src_step[1] * st[3];
    s->x_line = th->count > 1 ? (th->off[1] - th->off[0]) * st[3] : 0;
    s->x_step = call->skip * p->src_step[2] * st[4];
    s->x_tap = call->apart * st[4];
    s->step = call->skip * p->src_step[2] / call->apart;
    return 1;
}

/* Which taps [k, k + kw) of the outputs are inside; in a copy all. The next vector of lanes asks
 * for the same again. */
static void dw_sum_inside(dw_sum_rows *r, int place, int64_t w, int64_t cols, int64_t k, int kw) {
    const dw_sum_call *call = r->call;
    const conv_problem *p = &call->p;
    const int64_t first = place ? w : -1;
    if (r->inside_of[0] == first && r->inside_of[1] == k && r->inside_of[2] == cols) return;
    r->inside_of[0] = first, r->inside_of[1] = k, r->inside_of[2] = cols;
    const uint32_t all = (1u << kw) - 1;
    for (int64_t i = 0; i < cols; i++) {
        const int64_t z = (w + i * call->skip) * p->src_step[2] + p->taps[2].off[k];
        const int64_t last = z + (kw - 1) * call->apart;
        r->inside[i] = all;
        if (!place || (z >= 0 && last < p->src_size[2])) continue;
        for (int t = 0; t < kw; t++) {
            const int64_t at = z + t * call->apart;
            if (at < 0 || at >= p->src_size[2]) r->inside[i] &= ~(1u << t);
        }
    }
}

/* The tiles of one vector of lanes over a strip of `cols` outputs from w on, into sum[tap]. */
static void dw_sum_strip(dw_sum_rows *r, int64_t w, int64_t cols, int64_t c, T *sum) {
    const dw_sum_call *call = r->call;
    const conv_problem *p = &call->p;
    const tap_axis *th = &p->taps[1], *tw = &p->taps[2];
    dw_strip s = {.cols = cols,
                  .count = call->count,
                  .w_line = tw->count * call->tap_items,
                  .w_pitch = call->tap_items,
                  .w_channel = call->lanes,
                  .inside = r->inside};
    const int place = dw_sum_place(r, w, cols, c, &s);
    const T *dy = s.dy;
    const dw_sum_fn(*table)[DW_SUM_LINES] =
        (*call->tiles)[call->count > 1 ? 0 : fc_min(s.step, 3) - 1];
    for (int64_t k = 0, kw; k < tw->count; k += kw) {
        const int64_t left = tw->count - k;
        kw = fc_ceil_div(left, fc_ceil_div(left, 7));
        while (!table[kw][0] || (kw > 2 && left - kw == 1)) kw--; /* few sums run slowly */
        dw_sum_inside(r, place, w, cols, k, (int)kw);
        for (int64_t h = r->h0, b0, b1; h < r->h1; h += s.rows) {
            tap_range(th, h * p->src_step[1], p->src_size[1], &b0, &b1);
            /* rows that meet the same lines of the kernel go together */
            for (s.rows = 1; h + s.rows < r->h1; s.rows++) {
                int64_t c0, c1;
                tap_range(th, (h + s.rows) * p->src_step[1], p->src_size[1], &c0, &c1);
                if (c0 != b0 || c1 != b1) break;
            }
            s.dy = dy + (h - r->h0) * s.dy_row;
            for (int64_t a = r->a0; a < r->a1; a++) {
                int most = DW_SUM_LINES;
                while (!table[kw][most - 1]) most--;
                for (int64_t b = b0, n; b < b1; b += n) {
                    n = fc_ceil_div(b1 - b, fc_ceil_div(b1 - b, most));
                    while (!table[kw][n - 1]) n--;
                    const T *lines[DW_SUM_LINES];
                    for (int64_t i = 0; i < n; i++)
                        lines[i] = s.x + (a - r->a0) * s.x_plane + (h - r->h0) * s.x_row +
                                   (b + i) * s.x_line + k * s.x_tap;
                    s.sum = sum + ((a * th->count + b) * tw->count + k) * call->tap_items;
                    table[kw][n - 1](&s, lines);
                }
            }
        }
    }
}

/* Block i of rows, lanes [c0, c1), into sum[tap][channel of dy's group][lanes]. */
static void dw_sum_block(const dw_sum_call *call, int64_t i, int64_t c0, int64_t c1, T *copy,
                         uint32_t *inside, T *sum) {
    const conv_problem *p = &call->p;
    const int64_t W = p->grid[2], plane = i / call->row_blocks;
    dw_sum_rows r = {.call = call,
                     .n = plane / p->grid[0],
                     .d = plane % p->grid[0],
                     .h0 = i % call->row_blocks * call->rows,
                     .x = copy,
                     .inside = inside,
                     .inside_of = {-1, -1, -1},
                     .dy = copy + p->taps[0].count * call->x_rows * call->x_cols * VL};
    r.h1 = fc_min(r.h0 + call->rows, p->grid[1]);
    tap_range(&p->taps[0], r.d * p->src_step[0], p->src_size[0], &r.a0, &r.a1);
    for (int64_t f = 0; f < fc_min(call->skip, W); f++) {
        const int64_t length = fc_ceil_div(W - f, call->skip);
        const int64_t strips = fc_ceil_div(length, call->cols);
        const int64_t most =
            fc_min(call->cols, fc_round_up(fc_ceil_div(length, strips), DW_SUM_NP));
        for (int64_t w = 0; w < length; w += most) {
            const int64_t cols = fc_min(most, length - w), at = f + w * call->skip;
            for (int64_t c = c0; c < c1; c += VL) {
                dw_sum_strip(&r, at, cols, c, sum + c);
            }
        }
    }
}

/* dw[group][j][channel][tap] = the partial sums [splits][tap][j][lanes] together. */
static void dw_sum_up(const dw_sum_call *call, int64_t splits, T *sums, T *dw) {
    enum { BLOCK = 64 }; /* lanes whose dw stays in L1 */
    const dw_layout *l = &call->from;
    const int64_t taps = call->p.ntaps, items = taps * call->tap_items;
    const int64_t per = l->repeat ? 1 : l->channels, lanes = l->repeat ? 1 : l->lanes;
    const int64_t groups = l->repeat ? l->groups * l->lanes : l->groups;
    const int64_t step = fc_max(1, BLOCK / lanes);
    for (int64_t s = 1; s < splits; s++)
        for (int64_t i = 0; i < items; i += VL)
            vstore(sums + i, vload(sums + i) + vload(sums + s * items + i));
    for (int64_t j = 0; j < call->count; j++)
        for (int64_t g0 = 0; g0 < groups; g0 += step)
            for (int64_t t = 0; t < taps; t++) {
                const T *from = sums + t * call->tap_items + j * call->lanes;
                for (int64_t g = g0; g < fc_min(groups, g0 + step); g++) {
                    T *to = dw + (g * call->count + j) * per * taps + t;
                    for (int64_t i = 0; i < per; i++) to[i * taps] = from[g * lanes + i];
                }
            }
}

/* The layouts of x and dy. Lanes are x's channels, or y's where each belongs to one of x (a
 * multiplier); a group's only channel is repeated. */
static void dw_sum_lay(dw_sum_call *call) {
    const conv_problem *p = &call->p;
    const int64_t C = p->channels, K = p->cols;
    call->from = (dw_layout){p->groups, C, C, 1, 0};
    call->to = (dw_layout){p->groups, K, K, 1, 0};
    call->count = K;
    int64_t lanes = dw_lanes(C);
    if (C == 1 || K == 1) {
        dw_layout *one = C == 1 ? &call->from : &call->to;
        lanes = one->lanes = C == 1 ? K : C;
        one->repeat = lanes > 1;
        call->count = 1;
    } else {
        call->from.lanes = lanes;
        if (lanes < VL) call->to.lanes = lanes;
        call->tiles += fc_log2(fc_min(lanes, VL));
    }
    call->lanes = fc_round_up(p->groups * lanes, VL);
    const int64_t planes = fc_ceil_div(call->count, lanes);
    call->dy_col = call->count == 1 ? VL
                   : lanes < VL     ? planes * VL
                                    : fc_round_up(K, VL); /* copies in whole vectors */
    call->tap_items = (lanes < VL && call->count > 1 ? planes * lanes : call->count) * call->lanes;
}

/* Strips, and rows of a block whose copies stay in L1. */
static void dw_sum_cut(dw_sum_call *call) {
    const conv_problem *p = &call->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t far = th->count > 1 ? th->off[1] - th->off[0] : 1;
    call->apart = tw->count > 1 ? tw->off[1] - tw->off[0] : 1;
    call->skip = call->apart / fc_gcd(p->src_step[2], call->apart);
    call->step = fc_min(call->skip * p->src_step[2] / call->apart, tw->count);
    call->cols = fc_min(p->grid[1] == 1 ? 4 * DW_SUM_COLS : DW_SUM_COLS,
                        fc_round_up(fc_ceil_div(p->grid[2], call->skip), DW_SUM_NP));
    call->x_cols = (call->cols - 1) * call->step + tw->count;
    for (call->rows = fc_min(DW_ROWS, p->grid[1]);; call->rows = fc_ceil_div(call->rows, 2)) {
        call->row_step = p->src_step[1];
        call->row_tap = far;
        call->rows_apart = 0;
        call->x_rows = (call->rows - 1) * call->row_step + (th->count - 1) * far + 1;
        if (call->x_rows > call->rows * th->count) { /* few of them are shared */
            call->rows_apart = 1;
            call->row_step = 1;
            call->row_tap = call->rows;
            call->x_rows = call->rows * th->count;
        }
        const int64_t items =
            td->count * call->x_rows * call->x_cols * VL + call->rows * call->cols * call->dy_col;
        if (call->rows == 1 || items * (int64_t)sizeof(T) <= DW_SUM_BYTES) break;
    }
    call->row_blocks = fc_ceil_div(p->grid[1], call->rows);
    call->in_place = call->count == 1 && !call->from.repeat && !call->to.repeat &&
                     call->lanes * (int64_t)sizeof(T) % DW_SUM_ALIAS != 0 && tw->count <= 14;
}

static int dw_sum_solve(dw_sum_call *call, T *dw, int threads) {
    const conv_problem *p = &call->p;
    dw_sum_lay(call);
    dw_sum_cut(call);
    /* Splits by shape alone, so that sums do not depend on the threads. */
    const int64_t blocks = p->batch * p->grid[0] * call->row_blocks;
    const int64_t splits = fc_max(1, fc_min(DW_MAX_SPLITS, blocks / DW_BLOCKS_PER_SPLIT));
    call->block = call->lanes;
    while (threads > 1 && splits * fc_ceil_div(call->lanes, call->block) < 2 * threads &&
           call->block > VL)
        call->block = fc_round_up(call->block / 2, VL);
    const int64_t items = p->ntaps * call->tap_items, parts = fc_ceil_div(call->lanes, call->block);
    const int64_t each = p->taps[0].count * call->x_rows * call->x_cols * VL +
                         call->rows * call->cols * call->dy_col + VL;
    T *sums = fc_scratch(splits * items, sizeof(T));
    T *copies = fc_scratch(threads * each, sizeof(T));
    uint32_t *inside = fc_scratch(threads * call->cols, sizeof *inside);
    const int status = sums && copies && inside ? FC_OK : FC_NOMEM;
    if (status == FC_OK) {
        memset(sums, 0, (size_t)(splits * items) * sizeof(T));
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < splits * parts; i++) {
            const int64_t s = i / parts, c0 = i % parts * call->block;
            for (int64_t b = s * blocks / splits; b < (s + 1) * blocks / splits; b++)
                dw_sum_block(call, b, c0, fc_min(call->lanes, c0 + call->block),
                             copies + fc_thread() * each, inside + fc_thread() * call->cols,
                             sums + s * items);
        }
        dw_sum_up(call, splits, sums, dw);
    }
    fc_free(inside);
    fc_free(copies);
    fc_free(sums);
    return status;
}

static int dw_backward_weight(const fc_conv_geom *g, const dw_sum_table *tiles, const T *dy,
                              const T *x, T *dw, int threads) {
    dw_sum_call call = {.tiles = tiles, .x = x, .dy = dy};
    int status = conv_problem_forward(&call.p, g);
    if (status == FC_OK) status = dw_sum_solve(&call, dw, threads);
    conv_problem_free(&call.p);
    return status;
}

static int conv_backward_weight_depthwise(const fc_conv_geom *g, const void *dy, const void *x,
                                          const void *bias, void *dw, int threads) {
    (void)bias;
    const int status = g->in_channels == g->groups ? dw_check(g) : FC_UNSUPPORTED;
    return status ? status : dw_backward_weight(g, &dw_sums, dy, x, dw, threads);
}
