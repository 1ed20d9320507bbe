/* Winograd convolution F(4x4, 3x3): 36 products where the direct algorithm takes 144.
 *
 *   Y = At [ (G f Gt) . (Bt d B) ] A
 *
 * With V[point][tile][depth] the transformed input and U[point][depth][col] the transformed
 * weights, the products are 36 GEMMs. A block of tiles at a time, small enough that V and the
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
enum { WIN_BLOCK_BYTES = 448 << 10, WIN_MAX_TILES = 48, WIN_MIN_TILES = 12, WIN_PACK_CHANNELS = 8 };
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
    int64_t samples; /* inputs of a tile: 36 or 6 */
} FN(win_sizes);

INLINE FN(win_sizes) FN(win_sizes_of)(const conv_problem *p, const win_grid *g) {
    FN(win_sizes) s;
    const int64_t line = 64 / sizeof(T);
    s.depth = fc_round_up(g->groups * p->channels, VL);
    s.pitch = (fc_ceil_div(s.depth, line) | 1) * line;
    s.panels = fc_ceil_div(p->cols, TILE_NR);
    s.u_skip = line;
    s.panel_items = g->points * (s.depth * TILE_NR + s.u_skip);
    s.samples = g->two ? WIN_IN * WIN_IN : WIN_IN;
    return s;
}

/* One panel of U[point][depth][nr], from weights packed a few channels at a time. scratch holds
 * taps * WIN_PACK_CHANNELS + 9 rows of TILE_NR. */
static void FN(win_pack)(const conv_problem *p, const win_grid *g, const T *w, int64_t group,
                         int64_t panel, T *scratch, T *u) {
    const FN(win_sizes) z = FN(win_sizes_of)(p, g);
    const int64_t col0 = panel * TILE_NR, width = fc_min(TILE_NR, p->cols - col0);
    const int64_t nr = fc_round_up(width, VL), C = p->channels, plane = z.depth * nr + z.u_skip;
    const FN(win_place) to = {WIN_IN * plane, plane}, from = {WIN_TAPS * nr, nr};
    T *filter = scratch + p->ntaps * WIN_PACK_CHANNELS * TILE_NR;
    for (int64_t c0 = 0; c0 < C; c0 += WIN_PACK_CHANNELS) {
        const int64_t n = fc_min(WIN_PACK_CHANNELS, C - c0);
        FN(pack_weight)(p, w, group, col0, width, nr, c0, c0 + n, scratch);
        for (int64_t k = 0; k < g->groups; k++) {
            int64_t at[3], tap[WIN_TAPS * WIN_TAPS];
            win_group_at(g, k, at);
            for (int i = 0; i < (g->two ? WIN_TAPS : 1); i++)
                for (int j = 0; j < WIN_TAPS; j++)
                    tap[i * WIN_TAPS + j] = win_tap_at(p, g, at, i, j);
            for (int64_t c = 0; c < n; c++) {
                for (int i = 0; i < (g->two ? WIN_TAPS * WIN_TAPS : WIN_TAPS); i++) {
                    const T *s = scratch + (tap[i] * n + c) * nr;
                    for (int64_t e = 0; e < nr; e += VL)
                        vstore(filter + i * nr + e, tap[i] < 0 ? vset1(0) : vload(s + e));
                }
                FN(win_filter)(g->two, nr, filter, from, u + (k * C + c0 + c) * nr, to, NULL);
            }
        }
    }
    for (int x = 0; x < g->points; x++) /* the depth that only fills the last vector */
        memset(u + x * plane + g->groups * C * nr, 0,
               (size_t)((z.depth - g->groups * C) * nr) * sizeof(T));
}

/* A block of tiles [first, first+count) and a range of panels. */
typedef struct {
    const conv_problem *p;
    const win_grid *grid;
    FN(win_sizes) size;
    const T *src, *weight, *bias; /* weight: packed from panel `base`; bias: the group's, padded */
    T *dst;
    int64_t group, first, count, base, panel0, panel1;
    T *v, *m, *local; /* local: one tile as a whole, zero outside the source */
} FN(win_block);

/* Copy the tile's inputs of one group to local[sample][ld], zero outside the source. With `spill`
 * a copy may write 4 elements of each sample, however few the channels. */
static void FN(win_gather)(const FN(win_block) * b, const win_tile *t, const int64_t at[3],
                           T *local, int64_t ld, int spill) {
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
    for (int i = 0; i < (g->two ? WIN_IN : 1); i++) {
        const int64_t h = s[row] + i * g->axis[row].src_step;
        const int no_row = out || (g->two && (h < 0 || h >= p->src_size[row]));
        const T *line = g->two ? src + h * st[2 + row] : src;
        for (int j = 0; j < WIN_IN; j++, local += ld) {
            const int64_t w = first + j * step;
            if (no_row || w < 0 || w >= size) {
                for (int64_t c = 0; c < C; c++) local[c] = 0;
            } else if (spill && C <= 4 && line + w * st[2 + g->col] + 4 <= limit) {
                memcpy(local, line + w * st[2 + g->col], 4 * sizeof(T));
            } else {
                memcpy(local, line + w * st[2 + g->col], (size_t)C * sizeof(T));
            }
        }
    }
}

/* Whether all inputs of the tile's group lie inside the source; *from is where the first one is. */
static int FN(win_inside)(const FN(win_block) * b, const win_tile *t, const int64_t at[3],
                          const T **from) {
    const conv_problem *p = b->p;
    const T *src = b->src + t->n * p->src_stride[0] + b->group * p->channels;
    for (int i = 0; i < 3; i++) {
        const win_axis *a = &b->grid->axis[i];
        const int64_t s = t->first[i] * p->src_step[i] + a->origin[at[i]];
        if (s < 0 || s + (a->samples - 1) * a->src_step >= p->src_size[i]) return 0;
        src += s * p->src_stride[2 + i];
    }
    *from = src;
    return 1;
}

/* The tile's inputs of all groups, transformed by f to v(point) plane apart. */
static void FN(win_load)(const FN(win_block) * b, const win_tile *t, FN(win_fn) f, T *v,
                         int64_t plane) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t C = p->channels, depth = b->size.depth, *st = p->src_stride;
    const FN(win_place) to = {WIN_IN * plane, plane};
    const FN(win_place) lie = {g->two ? g->axis[g->row].src_step * st[2 + g->row] : 0,
                               g->axis[g->col].src_step * st[2 + g->col]};
    int64_t at[3];
    if (C % VL == 0) {
        for (int64_t k = 0; k < g->groups; k++, v += C) {
            const T *from;
            win_group_at(g, k, at);
            if (FN(win_inside)(b, t, at, &from)) {
                f(g->two, C, from, lie, v, to, NULL);
            } else {
                FN(win_gather)(b, t, at, b->local, C, 0);
                f(g->two, C, b->local, (FN(win_place)){WIN_IN * C, C}, v, to, NULL);
            }
        }
        return;
    }
    /* Ragged channels: the groups side by side, so that only the last vector has empty lanes. What
     * a group's copies spill, the next group or the zeros at the end overwrite. */
    for (int64_t k = 0; k < g->groups; k++) {
        win_group_at(g, k, at);
        FN(win_gather)(b, t, at, b->local + k * C, depth, k * C + 4 <= depth);
    }
    for (int64_t i = 0; i < b->size.samples; i++)
        for (int64_t c = g->groups * C; c < depth; c++) b->local[i * depth + c] = 0;
    f(g->two, depth, b->local, (FN(win_place)){WIN_IN * depth, depth}, v, to, NULL);
}

/* Where the tile's first output lies in a tensor of the target's form, and its neighbours. */
INLINE FN(win_place) FN(win_target)(const FN(win_block) * b, const win_tile *t, int64_t *offset) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t *st = p->dst_stride;
    *offset = t->n * st[0];
    FN(win_place) to = {0, 0};
    for (int i = 0; i < 3; i++) {
        *offset += (t->first[i] * p->dst_step[i] + p->dst_first[i]) * st[2 + i];
        const int64_t step = g->axis[i].step * p->dst_step[i] * st[2 + i];
        if (i == g->row) to.row = step;
        if (i == g->col) to.col = step;
    }
    return to;
}

/* The tile's products m(point) plane apart, transformed to columns [col, col+width) of the target.
 */
static void FN(win_store)(const FN(win_block) * b, const win_tile *t, int64_t col, int64_t width,
                          const T *m, int64_t plane) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t nr = fc_round_up(width, VL), cs = p->dst_stride[1];
    const int64_t rows = g->two ? t->count[g->row] : 1, cols = t->count[g->col];
    const T *bias = b->bias ? b->bias + col : NULL;
    const FN(win_place) from = {WIN_IN * plane, plane};
    int64_t offset;
    const FN(win_place) to = FN(win_target)(b, t, &offset);
    T *y = b->dst + offset + (b->group * p->cols + col) * cs;
    if (rows == (g->two ? WIN_OUT : 1) && cols == WIN_OUT && width == nr && cs == 1) {
        FN(win_output)(g->two, nr, m, from, y, to, bias);
    } else {
        FN(win_output)(g->two, nr, m, from, b->local, (FN(win_place)){WIN_OUT * nr, nr}, bias);
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < cols; j++) {
                const T *s = b->local + (i * WIN_OUT + j) * nr;
                T *o = y + i * to.row + j * to.col;
                for (int64_t k = 0; k < width; k++) o[k * cs] = s[k];
            }
        }
    }
    for (int64_t i = 0; p->epilogue && i < rows * cols; i++)
        FN(finish_part)(p->epilogue, width, b->dst, y + i / cols * to.row + i % cols * to.col);
}

static void FN(win_run_block)(const FN(win_block) * b) {
    const conv_problem *p = b->p;
    const int64_t depth = b->size.depth, pitch = b->size.pitch, plane = b->count * pitch;
    for (int64_t i = 0; i < b->count; i++) {
        const win_tile t = win_tile_at(p, b->grid, b->first + i);
        if (t.count[0]) FN(win_load)(b, &t, FN(win_input), b->v + i * pitch, plane);
    }
    for (int64_t panel = b->panel0; panel < b->panel1; panel++) {
        const int64_t col = panel * TILE_NR, width = fc_min(TILE_NR, p->cols - col);
        const int64_t nrv = fc_ceil_div(width, VL), nr = nrv * VL;
        const T *u = b->weight + (panel - b->base) * b->size.panel_items;
        for (int x = 0; x < b->grid->points; x++) {
            const T *v = b->v + x * plane, *ux = u + x * (depth * nr + b->size.u_skip);
            T *m = b->m + x * b->count * nr;
            for (int64_t d = 0; d < depth; d += WIN_SUM) {
                const int64_t n = fc_min(WIN_SUM, depth - d);
                const int mode = d ? TILE_ADD : TILE_STORE;
                for (int64_t i = 0; i < b->count; i += TILE_MR) {
                    const tile_fn f = FN(tiles_by_rows)[fc_min(TILE_MR, b->count - i) - 1][nrv - 1];
                    f(n, v + i * pitch + d, pitch, ux + d * nr, nr, m + i * nr, nr, NULL, mode);
                }
            }
        }
        for (int64_t i = 0; i < b->count; i++) {
            const win_tile t = win_tile_at(p, b->grid, b->first + i);
            if (t.count[0]) FN(win_store)(b, &t, col, width, b->m + i * nr, b->count * nr);
        }
    }
}

/* Weights that the caller keeps: *kept[group][panel], packed now if that is asked. */
static int FN(win_keep)(const conv_problem *p, const win_grid *grid, const FN(win_sizes) * z,
                        const T *w, T **kept, int threads) {
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
        FN(win_pack)(p, grid, w, i / z->panels, i % z->panels, scratch + fc_thread() * each,
                     *kept + i * z->panel_items);
    fc_free(scratch);
    return FC_OK;
}

/* Tasks are (group, block of tiles, range of panels): each writes its own part of the target. */
static int FN(win_solve)(const conv_problem *p, const win_grid *grid, const T *src, const T *w,
                         const T *bias, T *dst, int threads) {
    if (p->src_stride[1] != 1 && p->channels * p->groups > 1) return FC_UNSUPPORTED;
    if (grid->tiles == 0) return FC_OK;
    const FN(win_sizes) z = FN(win_sizes_of)(p, grid);
    T *kept = NULL;
    if (p->packed) {
        const int packed = FN(win_keep)(p, grid, &z, w, &kept, threads);
        if (packed || fc_only_packs(p->packed)) return packed;
    }
    int64_t count = WIN_BLOCK_BYTES / ((int64_t)sizeof(T) * grid->points * (z.pitch + TILE_NR));
    count = fc_min(fc_max(count, WIN_MIN_TILES), WIN_MAX_TILES);
    if (threads > 1) count = fc_min(count, fc_max(WIN_MIN_TILES, grid->tiles / (2 * threads)));
    count = fc_round_up(fc_ceil_div(grid->tiles, fc_ceil_div(grid->tiles, count)), TILE_MR);
    const int64_t blocks = fc_ceil_div(grid->tiles, count);
    /* U in turns that keep it bounded: groups first, else panels of one group. */
    const int64_t most = fc_max(1, WEIGHT_BYTES / (z.panel_items * (int64_t)sizeof(T)));
    const int64_t turn = fc_min(z.panels, most);
    const int64_t groups_at_once = fc_max(1, fc_min(p->groups, most / z.panels));
    int64_t splits = 1;
    if (blocks * groups_at_once < threads)
        splits = fc_min(turn, fc_ceil_div(threads, blocks * groups_at_once));

    const int64_t v_items = grid->points * count * z.pitch,
                  m_items = grid->points * count * TILE_NR;
    const int64_t local_items = z.samples * fc_max(z.depth, TILE_NR) + VL;
    const int64_t pack_items = (p->ntaps * WIN_PACK_CHANNELS + 9) * TILE_NR;
    const int64_t each = fc_max(v_items + m_items + local_items, pack_items);
    T *u = kept ? NULL : fc_scratch(groups_at_once * turn * z.panel_items, sizeof(T));
    T *scratch = fc_scratch(threads * each, sizeof(T));
    T *padded = bias ? FN(pad_bias)(p, z.panels, bias) : NULL;
    const int status = (u || kept) && scratch && (padded || !bias) ? FC_OK : FC_NOMEM;
    for (int64_t g0 = 0; status == FC_OK && g0 < p->groups; g0 += groups_at_once) {
        const int64_t ng = fc_min(groups_at_once, p->groups - g0);
        for (int64_t t0 = 0; t0 < z.panels; t0 += turn) {
            const int64_t nt = fc_min(turn, z.panels - t0), step = fc_ceil_div(nt, splits);
#pragma omp parallel num_threads(threads) if (threads > 1)
            {
                T *mine = scratch + fc_thread() * each;
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < (kept ? 0 : ng * nt); i++)
                    FN(win_pack)(p, grid, w, g0 + i / nt, t0 + i % nt, mine,
                                 u + (i / nt * turn + i % nt) * z.panel_items);
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < ng * blocks * splits; i++) {
                    const int64_t s = i % splits, block = i / splits % blocks;
                    const int64_t g = i / splits / blocks;
                    const FN(win_block) b = {
                        .p = p,
                        .grid = grid,
                        .size = z,
                        .src = src,
                        .weight = kept ? kept + ((g0 + g) * z.panels + t0) * z.panel_items
                                       : u + g * turn * z.panel_items,
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
                        .local = mine + v_items + m_items,
                    };
                    FN(win_run_block)(&b);
                }
            }
        }
    }
    fc_free(padded);
    fc_free(scratch);
    fc_free(u);
    return status;
}

static int FN(conv_forward_winograd)(const fc_conv_geom *g, const void *x, const void *w,
                                     const void *bias, void *y, int threads) {
    int status = fc_conv_check(g);
    if (status) return status;
    conv_problem p;
    win_grid grid = {0};
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = win_grid_make(&grid, &p);
    if (status == FC_OK) status = FN(win_solve)(&p, &grid, x, w, bias, y, threads);
    win_grid_free(&grid);
    conv_problem_free(&p);
    return status;
}

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
            status = win_grid_make(&grid, &p);
            if (status == FC_OK && win_gain(&p, &grid) >= WIN_LEAST_GAIN) {
                status = FN(win_solve)(&p, &grid, dy, w, bias, dx, threads);
            } else if (status == FC_OK || status == FC_UNSUPPORTED) {
                status = FN(gemm_solve)(&p, 0, dy, w, bias, dx, threads);
            }
        }
        win_grid_free(&grid);
        conv_problem_free(&p);
    }
    return status;
}
