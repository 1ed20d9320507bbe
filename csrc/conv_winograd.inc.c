/* Winograd convolution F(4x4, 3x3): 36 products where the direct algorithm takes 144.
 *
 *   Y = At [ (G f Gt) . (Bt d B) ] A
 *
 * With V[point][tile][depth] the transformed input and U[point][depth][col] the transformed
 * weights, the products are 36 GEMMs. A block of tiles at a time, small enough that V and the
 * products stay in L2: nothing of the size of the image is written but the output. The axes without
 * a kernel of 3 stay as they are: F(4, 3) along W for 1-D, and a kernel's depth adds to the GEMM's
 * depth for 3-D. Forward and backward input are both conv_problem's taps with unit stride.
 *
 * Per tile and vector of channels the transforms cost 144 + 120 FMAs beside 36 K and 36 C of the
 * GEMMs: below a tenth from 64 channels on. */
#include "winograd_grid.h"

#ifndef WIN_BLOCKS
#define WIN_BLOCKS
/* Bytes of V and of one panel's products: with the panel of U that streams by they share L2. */
enum { WIN_BLOCK_BYTES = 448 << 10, WIN_MAX_TILES = 48, WIN_MIN_TILES = 12, WIN_PACK_CHANNELS = 8 };
#endif

/* Sizes of the packed operands of one problem. */
typedef struct {
    int64_t channels; /* whole vectors */
    int64_t depth;    /* taps along D times channels */
    int64_t pitch;    /* of a row of V: an odd number of cache lines */
    int64_t panels, panel_items;
    int64_t u_skip; /* between the points of U: no power of two, which would share cache sets */
} FN(win_sizes);

INLINE FN(win_sizes) FN(win_sizes_of)(const conv_problem *p, const win_grid *g) {
    FN(win_sizes) s;
    const int64_t line = 64 / sizeof(T);
    s.channels = fc_round_up(p->channels, VL);
    s.depth = p->taps[0].count * s.channels;
    s.pitch = (fc_ceil_div(s.depth, line) | 1) * line;
    s.panels = fc_ceil_div(p->cols, TILE_NR);
    s.u_skip = line;
    s.panel_items = g->points * (s.depth * TILE_NR + s.u_skip);
    return s;
}

/* One panel of U[point][depth][nr], from weights packed a few channels at a time. */
static void FN(win_pack)(const conv_problem *p, const win_grid *g, const T *w, int64_t group,
                         int64_t panel, T *scratch, T *u) {
    const FN(win_sizes) z = FN(win_sizes_of)(p, g);
    const int64_t col0 = panel * TILE_NR, width = fc_min(TILE_NR, p->cols - col0);
    const int64_t nr = fc_round_up(width, VL), line = g->two ? 9 : 3;
    const int64_t plane = z.depth * nr + z.u_skip;
    const FN(win_place) to = {WIN_IN * plane, plane};
    for (int64_t c0 = 0; c0 < p->channels; c0 += WIN_PACK_CHANNELS) {
        const int64_t n = fc_min(WIN_PACK_CHANNELS, p->channels - c0);
        FN(pack_weight)(p, w, group, col0, width, nr, c0, c0 + n, scratch);
        const FN(win_place) from = {3 * n * nr, n * nr};
        for (int64_t a = 0; a < p->taps[0].count; a++)
            for (int64_t c = 0; c < n; c++)
                FN(win_filter)(g->two, nr, scratch + (a * line * n + c) * nr, from,
                               u + (a * z.channels + c0 + c) * nr, to, NULL);
    }
    for (int64_t a = 0; a < p->taps[0].count; a++) /* channels that only fill the last vector */
        for (int x = 0; x < g->points; x++)
            memset(u + x * plane + (a * z.channels + p->channels) * nr, 0,
                   (size_t)((z.channels - p->channels) * nr) * sizeof(T));
}

/* A block of tiles [first, first+count) and a range of panels. */
typedef struct {
    const conv_problem *p;
    const win_grid *grid;
    FN(win_sizes) size;
    const T *src, *weight, *bias; /* weight: the group's panels; bias: the group's, padded */
    T *dst;
    int64_t group, first, count, panel0, panel1;
    T *v, *m, *local; /* local: one tile as a whole, zero outside the source */
} FN(win_block);

/* The tile's input of tap a along D, transformed by f to v(point) plane apart. */
static void FN(win_load)(const FN(win_block) * b, const win_tile *t, int64_t a, FN(win_fn) f, T *v,
                         int64_t plane) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t *st = p->src_stride, C = p->channels, Cp = b->size.channels;
    const int ni = g->two ? WIN_IN : 1;
    const int64_t sd = t->d + p->taps[0].off[a];
    const int64_t sh = t->h + p->taps[1].off[0], sw = t->w + p->taps[2].off[0];
    const int64_t end_h = sh + (ni - 1) * g->step_h, end_w = sw + (WIN_IN - 1) * g->step_w;
    const int in_depth = sd >= 0 && sd < p->src_size[0];
    const T *slice = b->src + t->n * st[0] + sd * st[2] + b->group * C;
    const FN(win_place) to = {WIN_IN * plane, plane};
    if (C == Cp && in_depth && sh >= 0 && end_h < p->src_size[1] && sw >= 0 &&
        end_w < p->src_size[2]) {
        const FN(win_place) from = {g->step_h * st[3], g->step_w * st[4]};
        f(g->two, C, slice + sh * st[3] + sw * st[4], from, v, to, NULL);
        return;
    }
    T *local = b->local;
    for (int i = 0; i < ni; i++) {
        const int64_t h = sh + i * g->step_h;
        for (int j = 0; j < WIN_IN; j++, local += Cp) {
            const int64_t w = sw + j * g->step_w;
            int64_t c = 0;
            if (in_depth && h >= 0 && h < p->src_size[1] && w >= 0 && w < p->src_size[2]) {
                memcpy(local, slice + h * st[3] + w * st[4], (size_t)C * sizeof(T));
                c = C;
            }
            for (; c < Cp; c++) local[c] = 0;
        }
    }
    f(g->two, Cp, b->local, (FN(win_place)){WIN_IN * Cp, Cp}, v, to, NULL);
}

/* The tile's products m(point) plane apart, transformed to columns [col, col+width) of the target.
 */
static void FN(win_store)(const FN(win_block) * b, const win_tile *t, int64_t col, int64_t width,
                          const T *m, int64_t plane) {
    const conv_problem *p = b->p;
    const win_grid *g = b->grid;
    const int64_t *st = p->dst_stride, nr = fc_round_up(width, VL);
    const T *bias = b->bias ? b->bias + col : NULL;
    const FN(win_place) from = {WIN_IN * plane, plane}, to = {g->step_h * st[3], g->step_w * st[4]};
    T *y = b->dst + t->n * st[0] + t->d * st[2] + t->h * st[3] + t->w * st[4] +
           (b->group * p->cols + col) * st[1];
    if (t->rows == (g->two ? WIN_OUT : 1) && t->cols == WIN_OUT && width == nr && st[1] == 1) {
        FN(win_output)(g->two, nr, m, from, y, to, bias);
        return;
    }
    FN(win_output)(g->two, nr, m, from, b->local, (FN(win_place)){WIN_OUT * nr, nr}, bias);
    for (int64_t i = 0; i < t->rows; i++) {
        for (int64_t j = 0; j < t->cols; j++) {
            const T *s = b->local + (i * WIN_OUT + j) * nr;
            T *o = y + i * to.row + j * to.col;
            for (int64_t k = 0; k < width; k++) o[k * st[1]] = s[k];
        }
    }
}

static void FN(win_run_block)(const FN(win_block) * b) {
    const conv_problem *p = b->p;
    const int64_t depth = b->size.depth, pitch = b->size.pitch, plane = b->count * pitch;
    for (int64_t i = 0; i < b->count; i++) {
        const win_tile t = win_tile_at(p, b->grid, b->first + i);
        for (int64_t a = 0; t.rows && a < p->taps[0].count; a++)
            FN(win_load)(b, &t, a, FN(win_input), b->v + i * pitch + a * b->size.channels, plane);
    }
    for (int64_t panel = b->panel0; panel < b->panel1; panel++) {
        const int64_t col = panel * TILE_NR, width = fc_min(TILE_NR, p->cols - col);
        const int64_t nrv = fc_ceil_div(width, VL), nr = nrv * VL;
        const T *u = b->weight + panel * b->size.panel_items;
        for (int x = 0; x < b->grid->points; x++) {
            const T *v = b->v + x * plane, *ux = u + x * (depth * nr + b->size.u_skip);
            T *m = b->m + x * b->count * nr;
            for (int64_t i = 0; i < b->count; i += TILE_MR) {
                const tile_fn f = FN(tiles_by_rows)[fc_min(TILE_MR, b->count - i) - 1][nrv - 1];
                f(depth, v + i * pitch, pitch, ux, nr, m + i * nr, nr, NULL, TILE_STORE);
            }
        }
        for (int64_t i = 0; i < b->count; i++) {
            const win_tile t = win_tile_at(p, b->grid, b->first + i);
            if (t.rows) FN(win_store)(b, &t, col, width, b->m + i * nr, b->count * nr);
        }
    }
}

/* Tasks are (group, block of tiles, range of panels): each writes its own part of the target. */
static int FN(win_solve)(const conv_problem *p, const T *src, const T *w, const T *bias, T *dst,
                         int threads) {
    if (p->src_stride[1] != 1 && p->channels * p->groups > 1) return FC_UNSUPPORTED;
    const win_grid grid = win_grid_of(p);
    if (grid.tiles == 0) return FC_OK;
    const FN(win_sizes) z = FN(win_sizes_of)(p, &grid);
    int64_t count = WIN_BLOCK_BYTES / ((int64_t)sizeof(T) * grid.points * (z.pitch + TILE_NR));
    count = fc_min(fc_max(count, WIN_MIN_TILES), WIN_MAX_TILES);
    if (threads > 1) count = fc_min(count, fc_max(WIN_MIN_TILES, grid.tiles / (2 * threads)));
    count = fc_round_up(fc_ceil_div(grid.tiles, fc_ceil_div(grid.tiles, count)), TILE_MR);
    const int64_t blocks = fc_ceil_div(grid.tiles, count);
    int64_t splits = 1;
    if (blocks * p->groups < threads)
        splits = fc_min(z.panels, fc_ceil_div(threads, blocks * p->groups));
    const int64_t tasks = p->groups * blocks * splits, step = fc_ceil_div(z.panels, splits);

    const int64_t v_items = grid.points * count * z.pitch, m_items = grid.points * count * TILE_NR;
    const int64_t local_items = WIN_IN * WIN_IN * fc_max(z.channels, TILE_NR);
    const int64_t pack_items = p->ntaps * WIN_PACK_CHANNELS * TILE_NR;
    const int64_t each = fc_max(v_items + m_items + local_items, pack_items);
    T *u = fc_scratch(p->groups * z.panels * z.panel_items, sizeof(T));
    T *scratch = fc_scratch(threads * each, sizeof(T));
    T *padded = bias ? FN(pad_bias)(p, z.panels, bias) : NULL;
    const int status = u && scratch && (padded || !bias) ? FC_OK : FC_NOMEM;
    if (status == FC_OK) {
#pragma omp parallel num_threads(threads) if (threads > 1)
        {
            T *mine = scratch + fc_thread() * each;
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < p->groups * z.panels; i++)
                FN(win_pack)(p, &grid, w, i / z.panels, i % z.panels, mine, u + i * z.panel_items);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < tasks; i++) {
                const int64_t s = i % splits, block = i / splits % blocks, g = i / splits / blocks;
                const FN(win_block) b = {
                    .p = p,
                    .grid = &grid,
                    .size = z,
                    .src = src,
                    .weight = u + g * z.panels * z.panel_items,
                    .bias = bias ? padded + g * z.panels * TILE_NR : NULL,
                    .dst = dst,
                    .group = g,
                    .first = block * count,
                    .count = fc_min(count, grid.tiles - block * count),
                    .panel0 = s * step,
                    .panel1 = fc_min(z.panels, (s + 1) * step),
                    .v = mine,
                    .m = mine + v_items,
                    .local = mine + v_items + m_items,
                };
                FN(win_run_block)(&b);
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
    if (!winograd_can(g)) return FC_UNSUPPORTED;
    conv_problem p;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = FN(win_solve)(&p, x, w, bias, y, threads);
    conv_problem_free(&p);
    return status;
}

static int FN(conv_backward_input_winograd)(const fc_conv_geom *g, const void *dy, const void *w,
                                            const void *bias, void *dx, int threads) {
    static const int64_t phase[3];
    int status = fc_conv_check(g);
    if (status) return status;
    if (!winograd_can(g)) return FC_UNSUPPORTED;
    conv_problem p;
    status = conv_problem_backward_input(&p, g, phase);
    if (status == FC_OK) status = FN(win_solve)(&p, dy, w, bias, dx, threads);
    conv_problem_free(&p);
    return status;
}
