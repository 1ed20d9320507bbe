/* Winograd convolution F(4x4, 3x3): 36 products where the direct algorithm takes 144. Compiled a
 * second time as F(6x6, 3x3): 64 for 324, forward only (winograd_tile.inc.c).
 *
 *   Y = At [ (G f Gt) . (Bt d B) ] A
 *
 * With V[point][tile][depth] the transformed input and U[point][depth][col] the transformed
 * weights, the products are 36 (64) GEMMs. A block of tiles at a time, small enough that V and the
 * products stay in L2: nothing of the size of the image is written but the output. Kernels of other
 * sizes, strides and dilations are sums of groups of 3x3 taps (winograd_grid.h), which lengthen the
 * depth. Forward and each phase of backward input are conv_problem's taps.
 *
 * Per tile, group and vector of channels the transforms cost 144 + 120 FMAs beside 36 K and 36 C of
 * the GEMMs: below a tenth from 64 channels on. */
#include "winograd_grid.h"

#ifndef WIN_BLOCKS
#define WIN_BLOCKS
/* Bytes of V and of one panel's products: with the panel of U that streams by they share L2. */
enum {
    WIN_BLOCK_BYTES = 448 << 10,
    WIN_MAX_TILES = 48,
    WIN_MIN_TILES = 12,
    WIN_PACK_CHANNELS = 16
};
/* Four times the weights, U is written to and read from memory where it does not stay in L3. So few
 * tiles that they are one block, and weights beyond WIN_KEEP_BYTES of U, are transformed a chain at
 * a time instead, by every block: 512 channels to 512 at 14x14 take 0.6 of the time. */
enum { WIN_FUSED_TILES = 64, WIN_FUSED_BYTES = 16 << 20, WIN_KEEP_BYTES = 12 << 20 };
/* Products in one chain of additions. What such sums give is added up in turn: in one chain, the
 * error of 512 channels is 2.5 times as large (docs/accuracy.md). The time is the same within a few
 * percent. */
enum { WIN_SUM = 64 };
/* A phase of backward input with less gain than this goes to the GEMM. */
#define WIN_LEAST_GAIN 1.4
#endif

/* Sizes of the packed operands of one problem. */
typedef struct {
    int64_t depth; /* groups * channels, in whole vectors */
    int64_t pitch; /* of a row of V: an odd number of cache lines */
    int64_t panels, panel_items;
    int64_t u_skip;  /* between the points of U: no power of two, which would share cache sets */
    int64_t samples; /* inputs of a tile */
} WN(sizes);

INLINE WN(sizes) WN(sizes_of)(const conv_problem *p, const win_grid *g) {
    WN(sizes) s;
    const int64_t line = 64 / sizeof(T);
    s.depth = fc_round_up(g->groups * p->channels, VL);
    s.pitch = (fc_ceil_div(s.depth, line) | 1) * line;
    s.panels = fc_ceil_div(p->cols, TILE_NR);
    s.u_skip = line;
    s.panel_items = g->points * (s.depth * TILE_NR + s.u_skip);
    s.samples = g->two ? WIN_IN * WIN_IN : WIN_IN;
    return s;
}

/* Between the points of a panel of U. */
INLINE int64_t WN(panel_plane)(const conv_problem *p, const WN(sizes) * z, int64_t panel) {
    const int64_t width = fc_min(TILE_NR, p->cols - panel * TILE_NR);
    return z->depth * fc_round_up(width, VL) + z->u_skip;
}

/* Depth [d0, d1) of one panel of U[point][depth][nr], points `plane` apart, from weights packed a
 * few channels at a time: the one place where weights are transformed. scratch holds
 * taps * WIN_PACK_CHANNELS + 9 rows of TILE_NR. */
static void WN(pack)(const conv_problem *p, const win_grid *g, const T *w, int64_t group,
                     int64_t panel, int64_t d0, int64_t d1, T *scratch, T *u, int64_t plane) {
    const int64_t col0 = panel * TILE_NR, width = fc_min(TILE_NR, p->cols - col0);
    const int64_t nr = fc_round_up(width, VL), C = p->channels;
    const WN(place) from = {WIN_TAPS * nr, nr};
    int64_t points[WIN_IN * WIN_IN];
    for (int x = 0; x < g->points; x++) points[x] = x * plane;
    T *filter = scratch + p->ntaps * WIN_PACK_CHANNELS * TILE_NR;
    for (int64_t c0 = 0; c0 < C; c0 += WIN_PACK_CHANNELS) {
        if (g->groups == 1 && (c0 + WIN_PACK_CHANNELS <= d0 || c0 >= d1)) continue;
        const int64_t n = fc_min(WIN_PACK_CHANNELS, C - c0);
        const WN(place) lie = {WIN_TAPS * n * nr, n * nr};
        FN(pack_weight)(p, w, group, col0, width, nr, c0, c0 + n, scratch);
        for (int64_t k = 0; k < g->groups; k++) {
            const int64_t taps = g->two ? WIN_TAPS * WIN_TAPS : WIN_TAPS;
            int64_t at[3], tap[WIN_TAPS * WIN_TAPS];
            int in_order = 1;
            win_group_at(g, k, at);
            for (int i = 0; i < taps; i++) {
                tap[i] = win_tap_at(p, g, at, g->two ? i / WIN_TAPS : 0, i % WIN_TAPS);
                in_order &= tap[i] == i;
            }
            for (int64_t c = 0; c < n; c++) {
                T *to = u + (k * C + c0 + c - d0) * nr;
                if (in_order) { /* 3x3 (or 3) taps, as they are packed */
                    WN(filter)(g->two, nr, scratch + c * nr, to, lie, points, NULL);
                    continue;
                }
                for (int i = 0; i < taps; i++) {
                    const T *s = scratch + (tap[i] * n + c) * nr;
                    for (int64_t e = 0; e < nr; e += VL)
                        vstore(filter + i * nr + e, tap[i] < 0 ? vset1(0) : vload(s + e));
                }
                WN(filter)(g->two, nr, filter, to, from, points, NULL);
            }
        }
    }
    const int64_t fill = fc_max(d0, g->groups * C); /* only fills the last vector */
    for (int x = 0; x < g->points && fill < d1; x++)
        memset(u + x * plane + (fill - d0) * nr, 0, (size_t)((d1 - fill) * nr) * sizeof(T));
}

/* A block of tiles [first, first+count) and a range of panels. */
typedef struct {
    const conv_problem *p;
    const win_grid *grid;
    const WN(transform) * input, *output;
    WN(sizes) size;
    const T *src, *bias; /* bias: the group's, padded */
    const T *weight;     /* U from panel `base` on, or NULL: then from raw to chunk, when needed */
    const T *raw;
    T *dst;
    int64_t group, first, count, base, panel0, panel1;
    T *v, *m, *chunk;
    T *local; /* one tile as a whole, zero outside the source */
} WN(block);

/* Outputs of a tile along the transformed rows (0 where there are none) and columns. */
INLINE int WN(high)(const win_grid *g, const win_tile *t) {
    return g->two ? (int)t->count[g->row] : 0;
}
INLINE int WN(wide)(const win_grid *g, const win_tile *t) { return (int)t->count[g->col]; }

/* Where the tile that comes after `rows` lies in planes of rows of `pitch`, one plane for each
 * point, with the rows of its own tiles. */
INLINE void WN(spread)(const win_grid *g, const win_rows *rows, int64_t plane, int64_t pitch,
                       int64_t *at) {
    for (int i = 0; i < (g->two ? WIN_IN : 1); i++)
        for (int j = 0; j < WIN_IN; j++)
            at[i * WIN_IN + j] = (i * WIN_IN + j) * plane + win_row_of(rows, i, j) * pitch;
}

/* A pixel's channels, whole vectors or not. */
INLINE void WN(copy)(T *to, const T *from, int64_t n) {
    int64_t c = 0;
    for (; c + VL <= n; c += VL) vstore(to + c, vload(from + c));
    for (; c < n; c++) to[c] = from[c];
}

/* Copy the tile's inputs of one group to local[i * WIN_IN + j][ld], zero outside the source. With
 * `spill` a copy may write 4 elements of each sample, however few the channels. */
static void WN(gather)(const WN(block) * b, const win_tile *t, const int64_t at[3], T *local,
                       int64_t ld, int spill) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t *st = p->src_stride, C = p->channels;
    const T *src = b->src + t->n * st[0] + b->group * C;
    const T *const limit = b->src + p->batch * st[0];
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
    const int high = g->two ? WN(high)(g, t) + WIN_TAPS - 1 : 1;
    const int wide = WN(wide)(g, t) + WIN_TAPS - 1;
    for (int i = 0; i < high; i++) {
        const int64_t h = s[row] + i * g->axis[row].src_step;
        const int no_row = out || (g->two && (h < 0 || h >= p->src_size[row]));
        const T *line = g->two ? src + h * st[2 + row] : src;
        T *out_row = local + i * WIN_IN * ld;
        for (int j = 0; j < wide; j++, out_row += ld) {
            const int64_t w = first + j * step;
            if (no_row || w < 0 || w >= size) {
                for (int64_t c = 0; c < C; c++) out_row[c] = 0;
            } else if (spill && C <= 4 && line + w * st[2 + g->col] + 4 <= limit) {
                memcpy(out_row, line + w * st[2 + g->col], 4 * sizeof(T));
            } else {
                WN(copy)(out_row, line + w * st[2 + g->col], C);
            }
        }
    }
}

/* Whether all inputs of the tile's group lie inside the source; *from is where the first one is. */
static int WN(inside)(const WN(block) * b, const win_tile *t, const int64_t at[3], const T **from) {
    const conv_problem *p = b->p;
    const T *src = b->src + t->n * p->src_stride[0] + b->group * p->channels;
    for (int i = 0; i < 3; i++) {
        const win_axis *a = &b->grid->axis[i];
        const int64_t s = t->first[i] * p->src_step[i] + a->origin[at[i]];
        const int64_t last = a->samples == 1 ? 0 : t->count[i] + WIN_TAPS - 2;
        if (s < 0 || s + last * a->src_step >= p->src_size[i]) return 0;
        src += s * p->src_stride[2 + i];
    }
    *from = src;
    return 1;
}

/* The tile's inputs of all groups, transformed to v at the places `at`. */
static void WN(load)(const WN(block) * b, const win_tile *t, T *v, const int64_t *at) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t C = p->channels, depth = b->size.depth, *st = p->src_stride;
    const int high = WN(high)(g, t), wide = WN(wide)(g, t);
    const WN(place) lie = {g->two ? g->axis[g->row].src_step * st[2 + g->row] : 0,
                           g->axis[g->col].src_step * st[2 + g->col]};
    int64_t tap[3];
    if (C % VL == 0) {
        for (int64_t k = 0; k < g->groups; k++, v += C) {
            const T *from = b->local;
            WN(place) place = {WIN_IN * C, C};
            win_group_at(g, k, tap);
            if (WN(inside)(b, t, tap, &from)) place = lie;
            else WN(gather)(b, t, tap, b->local, C, 0);
            WN(transform_tile)(b->input, high, wide, C, from, v, place, at, NULL);
        }
        return;
    }
    /* Ragged channels: the groups side by side, so that only the last vector has empty lanes. What
     * a group's copies spill, the next group or the zeros at the end overwrite. */
    for (int64_t k = 0; k < g->groups; k++) {
        win_group_at(g, k, tap);
        WN(gather)(b, t, tap, b->local + k * C, depth, k * C + 4 <= depth);
    }
    for (int64_t i = 0; i < b->size.samples; i++)
        for (int64_t c = g->groups * C; c < depth; c++) b->local[i * depth + c] = 0;
    WN(transform_tile)(b->input, high, wide, depth, b->local, v, (WN(place)){WIN_IN * depth, depth},
                       at, NULL);
}

/* Where the tile's first output lies in a tensor of the target's form, and its neighbours. */
INLINE WN(place) WN(target)(const WN(block) * b, const win_tile *t, int64_t *offset) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t *st = p->dst_stride;
    *offset = t->n * st[0];
    WN(place) to = {0, 0};
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
static void WN(store)(const WN(block) * b, const win_tile *t, int64_t col, int64_t width,
                      const T *m, const int64_t *at) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t nr = fc_round_up(width, VL), cs = p->dst_stride[1];
    const int high = WN(high)(g, t), wide = WN(wide)(g, t);
    const int64_t rows = g->two ? high : 1, cols = wide;
    const T *bias = b->bias ? b->bias + col : NULL;
    int64_t offset;
    const WN(place) to = WN(target)(b, t, &offset);
    T *y = b->dst + offset + (b->group * p->cols + col) * cs;
    if (width == nr && cs == 1) {
        WN(transform_tile)(b->output, high, wide, nr, m, y, to, at, bias);
    } else {
        const WN(place) local = {WIN_OUT * nr, nr};
        WN(transform_tile)(b->output, high, wide, nr, m, b->local, local, at, bias);
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < cols; j++) {
                const T *s = b->local + (i * WIN_OUT + j) * nr;
                T *o = y + i * to.row + j * to.col;
                for (int64_t k = 0; k < width; k++) o[k * cs] = s[k];
            }
        }
    }
    for (int64_t i = 0; p->epilogue && i < rows * cols; i++) {
        T *o = y + i / cols * to.row + i % cols * to.col;
        FN(finish_part)(p->epilogue, width, b->group * p->cols + col, o, b->dst, o);
    }
}

/* Depth [d0, d1) of all products of the block: m (+)= v * u, u from depth d0 on. */
static void WN(multiply)(const WN(block) * b, const win_rows *rows, int64_t nrv, int64_t d0,
                         int64_t d1, const T *u, int64_t plane) {
    const int64_t pitch = b->size.pitch, nr = nrv * VL;
    for (int x = 0; x < b->grid->points; x++, u += plane) {
        const T *v = b->v + x * b->count * pitch;
        T *m = b->m + x * b->count * nr;
        const int64_t count = win_row_of(rows, x / WIN_IN, x % WIN_IN);
        for (int64_t d = d0; d < d1; d += WIN_SUM) {
            const int64_t n = fc_min(WIN_SUM, d1 - d);
            const int mode = d ? TILE_ADD : TILE_STORE;
            for (int64_t i = 0; i < count; i += TILE_MR) {
                const tile_fn f = FN(tiles_by_rows)[fc_min(TILE_MR, count - i) - 1][nrv - 1];
                f(n, v + i * pitch + d, pitch, u + (d - d0) * nr, nr, m + i * nr, nr, NULL, mode);
            }
        }
    }
}

static void WN(run_block)(const WN(block) * b) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t depth = b->size.depth, pitch = b->size.pitch;
    int64_t at[WIN_IN * WIN_IN];
    win_rows rows = {{{0}}};
    for (int64_t i = 0; i < b->count; i++) {
        const win_tile t = win_tile_at(p, g, b->first + i);
        if (!t.count[0]) continue;
        WN(spread)(g, &rows, b->count * pitch, pitch, at);
        WN(load)(b, &t, b->v, at);
        win_rows_add(g, WIN_OUT, &t, &rows);
    }
    for (int64_t panel = b->panel0; panel < b->panel1; panel++) {
        const int64_t col = panel * TILE_NR, width = fc_min(TILE_NR, p->cols - col);
        const int64_t nrv = fc_ceil_div(width, VL), nr = nrv * VL;
        if (b->weight) {
            WN(multiply)(b, &rows, nrv, 0, depth,
                         b->weight + (panel - b->base) * b->size.panel_items,
                         WN(panel_plane)(p, &b->size, panel));
        } else {
            const int64_t plane = WIN_SUM * nr + b->size.u_skip;
            for (int64_t d = 0; d < depth; d += WIN_SUM) {
                const int64_t end = fc_min(depth, d + WIN_SUM);
                WN(pack)(p, g, b->raw, b->group, panel, d, end, b->local, b->chunk, plane);
                WN(multiply)(b, &rows, nrv, d, end, b->chunk, plane);
            }
        }
        win_rows done = {{{0}}};
        for (int64_t i = 0; i < b->count; i++) {
            const win_tile t = win_tile_at(p, g, b->first + i);
            if (!t.count[0]) continue;
            WN(spread)(g, &done, b->count * nr, nr, at);
            WN(store)(b, &t, col, width, b->m, at);
            win_rows_add(g, WIN_OUT, &t, &done);
        }
    }
}

/* Weights that the caller keeps: *kept[group][panel], packed now if that is asked. */
static int WN(keep)(const conv_problem *p, const win_grid *grid, const WN(sizes) * z, const T *w,
                    T **kept, int threads) {
    const int64_t count = p->groups * z->panels;
    void *at;
    int status = fc_packed_next(p->packed, count * z->panel_items, sizeof(T), &at);
    if (status || p->packed->mode == FC_PACKED_SIZE) return status;
    *kept = at;
    if (p->packed->mode == FC_PACKED_USE) return FC_OK;
    const int64_t each = (p->ntaps * WIN_PACK_CHANNELS + 9) * TILE_NR;
    T *scratch = fc_scratch(threads * each, sizeof(T));
    if (!scratch) return FC_NOMEM;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t i = 0; i < count; i++)
        WN(pack)(p, grid, w, i / z->panels, i % z->panels, 0, z->depth,
                 scratch + fc_thread() * each, *kept + i * z->panel_items,
                 WN(panel_plane)(p, z, i % z->panels));
    fc_free(scratch);
    return FC_OK;
}

/* Tasks are (group, block of tiles, range of panels): each writes its own part of the target. */
static int WN(solve)(const conv_problem *p, const win_grid *grid, const T *src, const T *w,
                     const T *bias, T *dst, int threads) {
    if (p->src_stride[1] != 1 && p->channels * p->groups > 1) return FC_UNSUPPORTED;
    if (grid->tiles == 0) return FC_OK;
    const WN(sizes) z = WN(sizes_of)(p, grid);
    T *kept = NULL;
    if (p->packed) {
        const int packed = WN(keep)(p, grid, &z, w, &kept, threads);
        if (packed || fc_only_packs(p->packed)) return packed;
    }
    /* Few tiles, or more weights than stay in L3: each block of tiles transforms what it needs. */
    const int64_t u_bytes = z.panels * z.panel_items * (int64_t)sizeof(T);
    const int once =
        grid->groups == 1 && (grid->tiles <= WIN_FUSED_TILES || u_bytes > WIN_KEEP_BYTES);
    const int fused = once && !kept;
    int64_t count = WIN_BLOCK_BYTES / ((int64_t)sizeof(T) * grid->points * (z.pitch + TILE_NR));
    count = once ? fc_min(WIN_FUSED_TILES, WIN_FUSED_BYTES / WIN_BLOCK_BYTES * count)
                 : fc_min(count, WIN_MAX_TILES);
    count = fc_max(count, WIN_MIN_TILES);
    if (threads > 1 && !(once && z.panels >= threads))
        count = fc_min(count, fc_max(WIN_MIN_TILES, grid->tiles / (2 * threads)));
    count = fc_round_up(fc_ceil_div(grid->tiles, fc_ceil_div(grid->tiles, count)), TILE_MR);
    const int64_t blocks = fc_ceil_div(grid->tiles, count);
    /* U in turns that keep it bounded: groups first, else panels of one group. */
    const int64_t most = fc_max(1, WEIGHT_BYTES / (z.panel_items * (int64_t)sizeof(T)));
    const int64_t turn = once ? z.panels : fc_min(z.panels, most);
    const int64_t groups_at_once = once ? p->groups : fc_max(1, fc_min(p->groups, most / z.panels));
    int64_t splits = 1;
    if (blocks * groups_at_once < threads)
        splits = fc_min(turn, fc_ceil_div(threads, blocks * groups_at_once));

    const int64_t v_items = grid->points * count * z.pitch;
    const int64_t m_items = grid->points * count * TILE_NR;
    const int64_t chunk_items = fused ? grid->points * (WIN_SUM * TILE_NR + z.u_skip) : 0;
    const int64_t pack_items = (p->ntaps * WIN_PACK_CHANNELS + 9) * TILE_NR;
    const int64_t local_items = fc_max(WIN_IN * WIN_IN * fc_max(z.depth, TILE_NR) + VL, pack_items);
    const int64_t each = v_items + m_items + chunk_items + local_items;
    T *u = fused || kept ? NULL : fc_scratch(groups_at_once * turn * z.panel_items, sizeof(T));
    T *scratch = fc_scratch(threads * each, sizeof(T));
    T *padded = bias ? FN(pad_bias)(p, z.panels, bias) : NULL;
    WN(transform) input, output;
    WN(transform_make)(&input, WIN_DATA, WN(input), win_has_tails(p, grid));
    WN(transform_make)(&output, WIN_CONTRACT, WN(output), win_has_tails(p, grid));
    const int status = (u || fused || kept) && scratch && (padded || !bias) ? FC_OK : FC_NOMEM;
    for (int64_t g0 = 0; status == FC_OK && g0 < p->groups; g0 += groups_at_once) {
        const int64_t ng = fc_min(groups_at_once, p->groups - g0);
        for (int64_t t0 = 0; t0 < z.panels; t0 += turn) {
            const int64_t nt = fc_min(turn, z.panels - t0), step = fc_ceil_div(nt, splits);
#pragma omp parallel num_threads(threads) if (threads > 1)
            {
                T *mine = scratch + fc_thread() * each;
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < (fused || kept ? 0 : ng * nt); i++) {
                    const int64_t panel = t0 + i % nt;
                    WN(pack)(p, grid, w, g0 + i / nt, panel, 0, z.depth, mine,
                             u + (i / nt * turn + i % nt) * z.panel_items,
                             WN(panel_plane)(p, &z, panel));
                }
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < ng * blocks * splits; i++) {
                    const int64_t s = i % splits, block = i / splits % blocks;
                    const int64_t g = i / splits / blocks;
                    const WN(block) b = {
                        .p = p,
                        .grid = grid,
                        .input = &input,
                        .output = &output,
                        .size = z,
                        .src = src,
                        .weight = fused  ? NULL
                                  : kept ? kept + ((g0 + g) * z.panels + t0) * z.panel_items
                                         : u + g * turn * z.panel_items,
                        .raw = w,
                        .bias = bias ? padded + (g0 + g) * z.panels * TILE_NR : NULL,
                        .dst = dst,
                        .group = g0 + g,
                        .first = block * count,
                        .count = fc_min(count, grid->tiles - block * count),
                        .base = t0,
                        .panel0 = t0 + fc_min(nt, s * step),
                        .panel1 = t0 + fc_min(nt, (s + 1) * step),
                        .v = mine,
                        .m = mine + v_items,
                        .chunk = mine + v_items + m_items,
                        .local = mine + v_items + m_items + chunk_items,
                    };
                    WN(run_block)(&b);
                }
            }
        }
    }
    fc_free(padded);
    fc_free(scratch);
    fc_free(u);
    return status;
}

static int WN(forward)(const fc_conv_geom *g, const void *x, const void *w, const void *bias,
                       void *y, int threads) {
    int status = fc_conv_check(g);
    if (status) return status;
    conv_problem p;
    win_grid grid = {0};
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = win_grid_make(&grid, &p, WIN_OUT);
    if (status == FC_OK) status = WN(solve)(&p, &grid, x, w, bias, y, threads);
    win_grid_free(&grid);
    conv_problem_free(&p);
    return status;
}

#if WIN_OUT == 4
static int FN(conv_backward_input_winograd)(const fc_conv_geom *g, const void *dy, const void *w,
                                            const void *bias, void *dx, int threads) {
    int status = fc_conv_check(g);
    int64_t phase[3];
    FOR_EACH_PHASE(g, phase) {
        if (status) return status;
        conv_problem p;
        win_grid grid = {0};
        status = conv_problem_backward_input(&p, g, phase);
        if (status == FC_OK && p.depth == 0) {
            if (!fc_only_packs(p.packed)) FN(fill_phase)(&p, bias, dx);
        } else if (status == FC_OK) {
            status = win_grid_make(&grid, &p, WIN_OUT);
            if (status == FC_OK && win_gain(&p, &grid) >= WIN_LEAST_GAIN) {
                status = WN(solve)(&p, &grid, dy, w, bias, dx, threads);
            } else if (status == FC_OK || status == FC_UNSUPPORTED) {
                status = FN(gemm_solve)(&p, 0, dy, w, bias, dx, threads);
            }
        }
        win_grid_free(&grid);
        conv_problem_free(&p);
    }
    return status;
}
#endif
