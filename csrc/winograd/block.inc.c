/* A block of tiles of Winograd's algorithm in general: groups of taps, phases, slabs. The plain
 * case is winograd/plain.inc.c.
 *
 *   Y = At [ (G f Gt) . (Bt d B) ] A
 *
 * With V[point][tile][depth] the transformed input and U[point][depth][col] the transformed
 * weights, the products are 36 GEMMs. A block of tiles at a time, small enough that V and the
 * products stay in L2: nothing of the size of the image is written but the output. Kernels of other
 * sizes, strides and dilations are sums of groups of up to 3x3 taps (winograd/grid.h), which
 * lengthen the depth; 2x2 taps are F(4x4, 2x2) with 25 of the points. Forward and each phase of
 * backward input are conv_problem's taps.
 *
 * Per tile, group and vector of channels the transforms cost 144 + 120 FMAs beside 36 K and 36 C of
 * the GEMMs: below a tenth from 64 channels on. */
#pragma once

#include <string.h>

#include "core/finish.inc.c"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/pack.inc.c"
#include "gemm/tile.inc.c"
#include "winograd/grid.h"
#include "winograd/sizes.h"
#include "winograd/slab.h"
#include "winograd/transform.inc.c"

/* A phase of backward input with less gain than this goes to the GEMM. */
#define WIN_LEAST_GAIN 1.4

/* Sizes of the packed operands of one problem. */
typedef struct {
    int64_t depth; /* groups * channels, in whole vectors */
    int64_t inner; /* of a row of V: depth, of one slice where they are shared */
    int64_t pitch; /* of a row of V: an odd number of cache lines */
    int64_t panels, panel_items;
    int64_t u_skip;  /* between the points of U: no power of two, which would share cache sets */
    int64_t samples; /* inputs of a tile */
} win_sizes;

INLINE win_sizes win_sizes_of(const conv_problem *p, const win_grid *g) {
    win_sizes s;
    const int64_t line = 64 / sizeof(T);
    s.depth = fc_round_up(g->groups * p->channels, VL);
    s.inner = s.depth / g->shared;
    s.pitch = (fc_ceil_div(s.inner, line) | 1) * line;
    s.panels = fc_ceil_div(p->cols, TILE_NR);
    s.u_skip = line;
    s.panel_items = g->points * (s.depth * TILE_NR + s.u_skip);
    s.samples = g->two ? WIN_IN * WIN_IN : WIN_IN; /* with room for the most taps */
    return s;
}

/* Between the points of a panel of U. */
INLINE int64_t win_panel_plane(const conv_problem *p, const win_sizes *z, int64_t panel) {
    const int64_t width = fc_min(TILE_NR, p->cols - panel * TILE_NR);
    return z->depth * fc_round_up(width, VL) + z->u_skip;
}

/* n channels of the group `at` to u[point][channel][nr], points `plane` apart, from the problem's
 * taps as pack_weight leaves them, taps[tap][channel][nr]. filter holds 9 rows. */
static void win_transform_group(const conv_problem *p, const win_grid *g, const int64_t at[3],
                                int64_t n, int64_t nr, const T *taps, T *filter, T *u,
                                int64_t plane) {
    const int r = win_group_high(g, at), s = win_group_wide(g, at), rows = r ? r : 1;
    const int64_t first = win_tap_at(p, g, at, 0, 0);
    const int64_t down = rows > 1 ? win_tap_at(p, g, at, 1, 0) - first : 0;
    const int64_t next = s > 1 ? win_tap_at(p, g, at, 0, 1) - first : 0;
    const int full = win_tap_at(p, g, at, rows - 1, s - 1) >= 0;
    const win_place lie = {down * n * nr, next * n * nr}, from = {WIN_TAPS * nr, nr};
    int64_t points[WIN_IN * WIN_IN];
    for (int i = 0; i < g->high; i++)
        for (int j = 0; j < g->wide; j++) points[i * WIN_IN + j] = (i * g->wide + j) * plane;
    for (int64_t c = 0; c < n; c++, u += nr) {
        if (full) { /* taps as they are packed */
            win_filter(r, s, nr, taps + (first * n + c) * nr, u, lie, points, NULL, NULL);
            continue;
        }
        for (int i = 0; i < rows * s; i++) {
            const int64_t tap = win_tap_at(p, g, at, i / s, i % s);
            const T *x = taps + (tap * n + c) * nr;
            T *o = filter + (i / s * WIN_TAPS + i % s) * nr;
            for (int64_t e = 0; e < nr; e += VL) vstore(o + e, tap < 0 ? vset1(0) : vload(x + e));
        }
        win_filter(r, s, nr, filter, u, from, points, NULL, NULL);
    }
}

/* One of the problems of a call, the phases of a stride or forward alone. They share source,
 * target, weights, channels and columns: a panel of U is [part][point][depth][nr]. */
typedef struct {
    const conv_problem *p;
    win_grid grid;
    win_sizes size;
    win_transform input, output;
    int64_t tap0, u0;    /* its first tap among all parts', its place in a panel of U */
    int64_t first_block; /* where each block of tiles belongs to one part */
} win_part;

/* The parts, and what is of all. */
typedef struct {
    win_part *parts;
    int64_t count, panels, panel_items;
    conv_problem all; /* the first one, but taps and positions are those of all parts */
    const T *src, *w;
    const T *bias;  /* of each group in whole panels, or NULL */
    const T *kept;  /* U[group][panel] that the caller keeps, or NULL */
    const T *lying; /* taps[group][panel][chain][tap][channel][nr] that it keeps instead, or NULL */
    int64_t taps;   /* of `lying`, which may be more than those of all parts here */
    T *dst;
    int *spread; /* set where a result was not finite */
} win_job;

/* One panel of U from weights packed a few channels at a time. scratch holds
 * taps * WIN_PACK_CHANNELS + 9 rows of TILE_NR. */
static void win_pack(const win_job *j, int64_t group, int64_t panel, T *scratch, T *u) {
    const conv_problem *all = &j->all;
    const int64_t col0 = panel * TILE_NR, width = fc_min(TILE_NR, all->cols - col0);
    const int64_t nr = fc_round_up(width, VL), C = all->channels;
    T *filter = scratch + all->ntaps * WIN_PACK_CHANNELS * nr;
    for (int64_t c = 0; c < C; c += WIN_PACK_CHANNELS) {
        const int64_t n = fc_min(WIN_PACK_CHANNELS, C - c);
        pack_weight(all, j->w, group, col0, width, nr, c, c + n, scratch);
        for (const win_part *q = j->parts; q < j->parts + j->count; q++) {
            const int64_t plane = win_panel_plane(all, &q->size, panel);
            int64_t at[3] = {0, 0, 0};
            for (int64_t k = 0; k < q->grid.groups; k++, win_group_next(&q->grid, at))
                win_transform_group(q->p, &q->grid, at, n, nr, scratch + q->tap0 * n * nr, filter,
                                    u + q->u0 + (k * C + c) * nr, plane);
        }
    }
    for (const win_part *q = j->parts; q < j->parts + j->count; q++) {
        const int64_t fill = q->grid.groups * C, empty = q->size.depth - fill;
        const int64_t plane = win_panel_plane(all, &q->size, panel);
        for (int x = 0; x < q->grid.points && empty; x++) /* only fills the last vector */
            memset(u + q->u0 + x * plane + fill * nr, 0, (size_t)(empty * nr) * sizeof(T));
    }
}

/* A slab of tiles. */
typedef struct {
    const conv_problem *p;
    const win_grid *grid;
    const win_transform *input, *output;
    win_sizes size;
    const T *src, *end; /* of the source as a whole, where src may be some of its channels */
    const T *bias;      /* the group's, padded */
    T *dst;
    int64_t group, tap0;
    win_slab slab;
    T *v, *m;
    int64_t rows[WIN_IN * WIN_IN]; /* of each point, in a line of tiles */
    T *local;                      /* one tile as a whole, zero outside the source */
    T *odd;                        /* [VL]: not zero where a result was not finite */
} win_block;

/* Outputs of a tile along the transformed rows (0 where there are none) and columns. */
INLINE int win_high(const win_grid *g, const win_tile *t) {
    return g->two ? (int)t->count[g->row] : 0;
}
INLINE int win_wide(const win_grid *g, const win_tile *t) { return (int)t->count[g->col]; }

/* Where the tile that comes after `rows` lies in planes of rows of `pitch`, one plane for each
 * point, with the rows of its own tiles. */
INLINE void win_spread(const win_grid *g, const win_rows *rows, int64_t plane, int64_t pitch,
                       int64_t *at) {
    for (int i = 0; i < g->high; i++)
        for (int j = 0; j < g->wide; j++)
            at[i * WIN_IN + j] = (i * g->wide + j) * plane + win_row_of(g, rows, i, j) * pitch;
}

/* On to the next row of the points that the tile has. */
INLINE void win_advance(const win_grid *g, const win_tile *t, int64_t pitch, int64_t *at) {
    const int high = g->two ? win_high(g, t) + g->axis[g->row].most - 1 : 1;
    const int wide = win_wide(g, t) + g->axis[g->col].most - 1;
    if (high == WIN_IN && wide == WIN_IN) {
        for (int x = 0; x < WIN_IN * WIN_IN; x++) at[x] += pitch;
        return;
    }
    for (int i = 0; i < high; i++) {
        UNROLL
        for (int j = 0; j < WIN_IN; j++) at[i * WIN_IN + j] += j < wide ? pitch : 0;
    }
}

/* Copy the tile's inputs of one group to local[i * WIN_IN + j][ld], zero outside the source. With
 * `spill` a copy may write 4 elements of each sample, however few the channels. */
static void win_gather(const win_block *b, const win_tile *t, const int64_t at[3], T *local,
                       int64_t ld, int spill) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t *st = p->src_stride, C = p->channels;
    const T *src = b->src + t->n * st[0] + b->group * C;
    int64_t s[3];
    for (int i = 0; i < 3; i++) s[i] = t->first[i] * p->src_step[i] + g->axis[i].origin[at[i]];
    const int row = g->two ? g->row : 0, other = 3 - row - g->col;
    int out = g->two && (s[other] < 0 || s[other] >= p->src_size[other]);
    if (!g->two)
        for (int i = 0; i < 3; i++) out |= i != g->col && (s[i] < 0 || s[i] >= p->src_size[i]);
    const int64_t first = s[g->col], step = g->axis[g->col].src_step, size = p->src_size[g->col];
    if (g->two) src += s[other] * st[2 + other];
    else
        for (int i = 0; i < 3; i++) src += i != g->col ? s[i] * st[2 + i] : 0;
    const int high = g->two ? win_high(g, t) + win_group_high(g, at) - 1 : 1;
    const int wide = win_wide(g, t) + win_group_wide(g, at) - 1;
    for (int i = 0; i < high; i++) {
        const int64_t h = s[row] + i * g->axis[row].src_step;
        const int no_row = out || (g->two && (h < 0 || h >= p->src_size[row]));
        const T *line = g->two ? src + h * st[2 + row] : src;
        T *out_row = local + i * WIN_IN * ld;
        for (int j = 0; j < wide; j++, out_row += ld) {
            const int64_t w = first + j * step;
            if (no_row || w < 0 || w >= size) {
                for (int64_t c = 0; c < C; c++) out_row[c] = 0;
            } else if (spill && C <= 4 && line + w * st[2 + g->col] + 4 <= b->end) {
                memcpy(out_row, line + w * st[2 + g->col], 4 * sizeof(T));
            } else {
                win_copy(out_row, line + w * st[2 + g->col], C);
            }
        }
    }
}

/* Whether all inputs of the tile's group lie inside the source; *from is where the first one is. */
static int win_inside(const win_block *b, const win_tile *t, const int64_t at[3], const T **from) {
    const conv_problem *p = b->p;
    const T *src = b->src + t->n * p->src_stride[0] + b->group * p->channels;
    for (int i = 0; i < 3; i++) {
        const win_axis *a = &b->grid->axis[i];
        const int64_t s = t->first[i] * p->src_step[i] + a->origin[at[i]];
        const int64_t last = a->transformed ? t->count[i] + a->length[at[i]] - 2 : 0;
        if (s < 0 || s + last * a->src_step >= p->src_size[i]) return 0;
        src += s * p->src_stride[2 + i];
    }
    *from = src;
    return 1;
}

/* The tile's inputs of all groups (those of one slice where they are shared), transformed to v at
 * the places `at`. */
static void win_load(const win_block *b, const win_tile *t, T *v, const int64_t *at) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t C = p->channels, depth = b->size.depth, *st = p->src_stride;
    const int high = win_high(g, t), wide = win_wide(g, t);
    const win_place lie = {g->two ? g->axis[g->row].src_step * st[2 + g->row] : 0,
                           g->axis[g->col].src_step * st[2 + g->col]};
    int64_t tap[3] = {0, 0, 0};
    if (C % VL == 0) {
        for (int64_t k = 0; k < g->groups / g->shared; k++, v += C, win_group_next(g, tap)) {
            const T *from = b->local;
            win_place place = {WIN_IN * C, C};
            if (win_inside(b, t, tap, &from)) place = lie;
            else win_gather(b, t, tap, b->local, C, 0);
            win_transform_tile(b->input, high, wide, win_group_high(g, tap), win_group_wide(g, tap),
                               C, from, v, place, at, NULL, NULL);
        }
        return;
    }
    /* Ragged channels: the groups side by side, so that only the last vector has empty lanes. What
     * a group's copies spill, the next group or the zeros at the end overwrite. */
    for (int64_t k = 0; k < g->groups; k++, win_group_next(g, tap))
        win_gather(b, t, tap, b->local + k * C, depth, k * C + 4 <= depth);
    for (int64_t i = 0; i < b->size.samples; i++)
        for (int64_t c = g->groups * C; c < depth; c++) b->local[i * depth + c] = 0;
    win_transform_tile(b->input, high, wide, b->input->high, b->input->wide, depth, b->local, v,
                       (win_place){WIN_IN * depth, depth}, at, NULL, NULL);
}

/* Where the tile's first output lies in a tensor of the target's form, and its neighbours. */
INLINE win_place win_target(const win_block *b, const win_tile *t, int64_t *offset) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t *st = p->dst_stride;
    *offset = t->n * st[0];
    win_place to = {0, 0};
    for (int i = 0; i < 3; i++) {
        *offset += (t->first[i] * p->dst_step[i] + p->dst_first[i]) * st[2 + i];
        const int64_t step = g->axis[i].step * p->dst_step[i] * st[2 + i];
        if (i == g->row) to.row = step;
        if (i == g->col) to.col = step;
    }
    return to;
}

/* The tile's products in m at the places `at`, transformed to columns [col, col+width) of the
 * target. */
static void win_store(const win_block *b, const win_tile *t, int64_t col, int64_t width, const T *m,
                      const int64_t *at) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t nr = fc_round_up(width, VL), cs = p->dst_stride[1];
    const int high = win_high(g, t), wide = win_wide(g, t);
    const int r = b->output->high, s = b->output->wide;
    const int64_t rows = g->two ? high : 1, cols = wide;
    const T *bias = b->bias ? b->bias + col : NULL;
    int64_t offset;
    const win_place to = win_target(b, t, &offset);
    T *y = b->dst + offset + (b->group * p->cols + col) * cs;
    if (width == nr && cs == 1) {
        win_transform_tile(b->output, high, wide, r, s, nr, m, y, to, at, bias, b->odd);
    } else {
        const win_place local = {WIN_OUT * nr, nr};
        win_transform_tile(b->output, high, wide, r, s, nr, m, b->local, local, at, bias, b->odd);
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < cols; j++) {
                const T *x = b->local + (i * WIN_OUT + j) * nr;
                T *o = y + i * to.row + j * to.col;
                for (int64_t k = 0; k < width; k++) o[k * cs] = x[k];
            }
        }
    }
    for (int64_t i = 0; p->epilogue && i < rows * cols; i++) {
        T *o = y + i / cols * to.row + i % cols * to.col;
        finish_part(p->epilogue, width, b->group * p->cols + col, o, b->dst, o);
    }
}

/* n of the depth from d on of one point's products: m (+)= v * u, u from there on too. They are of
 * one tap along the depth; positions at which the first one meets nothing are cleared. */
INLINE void win_multiply_chain(const win_block *b, int x, int64_t nrv, int64_t d, int64_t n,
                               const T *u) {
    const win_slab *s = &b->slab;
    const int64_t pitch = b->size.pitch, nr = nrv * VL, line = b->rows[x];
    const T *v = b->v + x * s->inputs * pitch + d % b->size.inner;
    T *m = b->m + x * s->places * nr;
    int64_t first, end;
    v += win_slab_tap(b->grid, s, d / b->size.inner, &first, &end) * line * pitch;
    for (int64_t i = 0; i < s->size.images; i++, v += s->slices * line * pitch) {
        const int64_t count = (end - first) * line, rest = s->size.deep - end;
        if (d == 0) memset(m, 0, (size_t)(first * line * nr) * sizeof(T));
        m += first * line * nr;
        for (int64_t k = 0; k < count; k += TILE_MR) {
            const tile_fn f = tiles_by_rows[fc_min(TILE_MR, count - k) - 1][nrv - 1];
            f(n, v + k * pitch, pitch, u, nr, m + k * nr, nr, NULL, d ? TILE_ADD : TILE_STORE);
        }
        m += count * nr;
        if (d == 0) memset(m, 0, (size_t)(rest * line * nr) * sizeof(T));
        m += rest * line * nr;
    }
}

/* `length` of the depth, in chains. */
INLINE void win_multiply_point(const win_block *b, int x, int64_t nrv, int64_t d, int64_t length,
                               const T *u) {
    const int64_t inner = b->size.inner;
    for (int64_t n; length > 0; d += n, length -= n, u += n * nrv * VL) {
        n = fc_min(fc_min(WIN_SUM, length), inner - d % inner);
        win_multiply_chain(b, x, nrv, d, n, u);
    }
}

/* All products of the block. A point that some groups do not have takes the others, which lie side
 * by side along the last axis. */
static void win_multiply(const win_block *b, int64_t nrv, const T *u, int64_t plane) {
    const win_grid *g = b->grid;
    const int64_t nr = nrv * VL, C = b->p->channels;
    for (int x = 0; x < g->points; x++, u += plane) {
        if (!g->uneven) {
            win_multiply_point(b, x, nrv, 0, b->size.depth, u);
            continue;
        }
        const win_runs runs = win_runs_of(g, x);
        for (int64_t i = 0; i < runs.count; i++) {
            const int64_t d = win_run_first(g, &runs, i) * C;
            win_multiply_point(b, x, nrv, d, runs.length * C, u + d * nr);
        }
    }
}

/* The same for all parts from weights as they lie: some channels at a time are packed to `local`
 * (or have been, to be kept), each group of theirs is transformed to `chunk` and multiplied with at
 * once. */
static void win_multiply_raw(const win_job *j, const win_block *blocks, int64_t panel,
                             int64_t width, T *local, T *chunk) {
    const int64_t nrv = fc_ceil_div(width, VL), nr = nrv * VL, C = j->all.channels;
    T *filter = local + j->all.ntaps * WIN_SUM * nr;
    const T *taps = local;
    if (j->lying) taps = j->lying + (blocks->group * j->panels + panel) * C * j->taps * TILE_NR;
    for (int64_t c = 0; c < C; c += WIN_SUM, taps += j->lying ? j->taps * WIN_SUM * nr : 0) {
        const int64_t n = fc_min(WIN_SUM, C - c);
        if (!j->lying)
            pack_weight(&j->all, j->w, blocks->group, panel * TILE_NR, width, nr, c, c + n, local);
        for (const win_block *b = blocks; b < blocks + j->count; b++) {
            const win_grid *g = b->grid;
            const int64_t plane = WIN_SUM * nr + b->size.u_skip;
            int64_t at[3] = {0, 0, 0};
            for (int64_t k = 0; k < g->groups; k++, win_group_next(g, at)) {
                win_transform_group(b->p, g, at, n, nr, taps + b->tap0 * n * nr, filter, chunk,
                                    plane);
                for (int x = 0; x < g->points; x++)
                    if (win_group_has(g, at, x))
                        win_multiply_point(b, x, nrv, k * C + c, n, chunk + x * plane);
            }
        }
    }
}

/* All tiles of the block to V. */
static void win_load_all(win_block *b) {
    const win_grid *g = b->grid;
    const win_slab *s = &b->slab;
    const int64_t pitch = b->size.pitch, lines = s->size.images * s->slices;
    const win_rows none = {{{0}}};
    int64_t at[WIN_IN * WIN_IN] = {0};
    win_spread(g, &none, s->inputs * pitch, pitch, at);
    for (int64_t line = 0; line < lines; line++) {
        const int64_t first = win_slab_line(b->p, g, s, line / s->slices, 0);
        win_walk walk = win_walk_at(b->p, g, first);
        for (int64_t i = 0; i < s->size.flat; i++, win_walk_next(b->p, g, &walk)) {
            win_tile tile = walk.tile;
            if (!tile.count[0]) continue;
            if (g->shared > 1) tile.first[0] = s->slice + line % s->slices - g->axis[0].origin[0];
            win_load(b, &tile, b->v, at);
            win_advance(g, &tile, pitch, at);
        }
    }
    for (int x = 0; x < g->points; x++) {
        const int64_t rows = at[x / g->wide * WIN_IN + x % g->wide] / pitch - x * s->inputs;
        b->rows[x] = rows / fc_max(1, lines);
    }
}

/* The block's products to columns [col, col+width) of the target. */
static void win_store_all(const win_block *b, int64_t col, int64_t width) {
    const win_grid *g = b->grid;
    const win_slab *s = &b->slab;
    const int64_t nr = fc_round_up(width, VL);
    const win_rows none = {{{0}}};
    int64_t at[WIN_IN * WIN_IN] = {0};
    win_spread(g, &none, s->places * nr, nr, at);
    for (int64_t line = 0; line < s->size.images * s->size.deep; line++) {
        const int64_t image = line / s->size.deep, d = s->d + line % s->size.deep;
        win_walk walk = win_walk_at(b->p, g, win_slab_line(b->p, g, s, image, d));
        for (int64_t i = 0; i < s->size.flat; i++, win_walk_next(b->p, g, &walk)) {
            if (!walk.tile.count[0]) continue;
            win_store(b, &walk.tile, col, width, b->m, at);
            win_advance(g, &walk.tile, nr, at);
        }
    }
}
