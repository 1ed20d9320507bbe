/* Winograd convolution in its plain case: 3x3 taps side by side, stride 1, images, one group. That
 * is what most layers are, forward and backward input. What else there is (taps in groups, phases
 * of a stride, slabs of a volume, groups of channels) goes by winograd/winograd.inc.c, with the
 * same transforms, chains of sums and form of weights.
 *
 *   Y = At [ (G w Gt) . (Bt x B) ] A      36 products for 4x4 outputs of 6x6 inputs, not 144
 *
 * With V[point][tile][C] the transformed tiles and U[point][C][K] the transformed weights, the
 * products are a GEMM for each of the 36 points. A block of tiles goes from its first transform to
 * its last while it is in L2: nothing of the size of the image is written but Y. A tile at the
 * lower or right edge has fewer outputs, and with them fewer points: the GEMM of a point takes the
 * rows of the tiles that have it, which lie one after the other. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/finish.inc.c"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/block.inc.c"
#include "gemm/job.inc.c"
#include "gemm/pack.inc.c"
#include "gemm/tile.inc.c"
#include "winograd/sizes.h"
#include "winograd/transform.inc.c"

enum { PLAIN_POINTS = WIN_IN * WIN_IN };

typedef struct {
    const conv_problem *p;
    int64_t down, across, tiles; /* of an image; of all images */
    int64_t block, blocks;       /* tiles of a block */
    int64_t panels, panel_items; /* of U: [point][depth][nr], a panel of TILE_NR columns or less */
    int64_t depth, pitch;        /* channels in whole vectors; a row of V: odd cache lines */
    win_transform input, output;
    const T *src, *w; /* channels-last; as p says */
    const T *bias;    /* [panels * TILE_NR] or NULL */
    const T *kept;    /* U[panel], which the caller keeps, or NULL */
    const T *lying;   /* taps[panel][chain][tap][channel][nr], which it keeps instead, or NULL */
    T *dst;
    int *spread; /* set where a result was not finite */
} win_plain;

/* A tile: its image, its first output, and how many outputs it has. */
typedef struct {
    int64_t n, i, j;
    int high, wide;
} plain_tile;

static plain_tile plain_tile_at(const win_plain *a, int64_t index) {
    const int64_t i = index / a->across % a->down * WIN_OUT, j = index % a->across * WIN_OUT;
    return (plain_tile){index / (a->across * a->down), i, j,
                        (int)fc_min(WIN_OUT, a->p->grid[1] - i),
                        (int)fc_min(WIN_OUT, a->p->grid[2] - j)};
}

/* The first row of every point in planes of `plane` elements; on by a row where a tile has it. */
INLINE void plain_begin(int64_t *at, int64_t plane) {
    for (int x = 0; x < PLAIN_POINTS; x++) at[x] = x * plane;
}
INLINE void plain_advance(const plain_tile *t, int64_t pitch, int64_t *at) {
    for (int i = 0; i < t->high + 2; i++) {
        UNROLL
        for (int j = 0; j < WIN_IN; j++) at[i * WIN_IN + j] += j < t->wide + 2 ? pitch : 0;
    }
}

/* ---------------------------------------------------------------- weights */

/* taps[9][n][nr] to u[point][n][nr], whose points are `plane` apart. */
static void plain_transform_weights(int64_t n, int64_t nr, const T *taps, T *u, int64_t plane) {
    const win_place lie = {3 * n * nr, n * nr};
    int64_t at[PLAIN_POINTS];
    plain_begin(at, plane);
    for (int64_t c = 0; c < n; c++)
        win_filter(3, 3, nr, taps + c * nr, u + c * nr, lie, at, NULL, NULL);
}

/* A panel of U; scratch [9 * WIN_PACK_CHANNELS][TILE_NR]. */
static void plain_pack(const win_plain *a, int64_t panel, T *scratch, T *u) {
    const int64_t C = a->p->channels, col = panel * TILE_NR;
    const int64_t width = fc_min(TILE_NR, a->p->cols - col), nr = fc_round_up(width, VL);
    const int64_t plane = a->depth * nr + WIN_SKIP;
    for (int64_t c = 0; c < C; c += WIN_PACK_CHANNELS) {
        const int64_t n = fc_min(WIN_PACK_CHANNELS, C - c);
        pack_weight(a->p, a->w, 0, col, width, nr, c, c + n, scratch);
        plain_transform_weights(n, nr, scratch, u + c * nr, plane);
    }
    for (int x = 0; x < PLAIN_POINTS && C < a->depth; x++)
        memset(u + x * plane + C * nr, 0, (size_t)((a->depth - C) * nr) * sizeof(T));
}

/* Weights that the caller keeps, measured, packed or found: U, or where that is large the taps
 * panel by panel, which memory delivers in a quarter of the time. */
static int plain_keep(win_plain *a, int threads) {
    const conv_problem *p = a->p;
    const int taps = win_keeps_taps(PLAIN_POINTS, p->channels, p->cols, sizeof(T));
    const int64_t items = taps ? 9 * p->channels * TILE_NR : a->panel_items;
    void *at;
    int status = fc_packed_next(p->packed, a->panels * items, sizeof(T), &at);
    if (status || p->packed->mode == FC_PACKED_SIZE) return status;
    a->kept = taps ? NULL : at;
    a->lying = taps ? at : NULL;
    if (p->packed->mode == FC_PACKED_USE) return FC_OK;
    const int64_t each = 9 * WIN_PACK_CHANNELS * TILE_NR;
    T *scratch = fc_scratch(threads * each, sizeof(T));
    if (!scratch) return FC_NOMEM;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t i = 0; i < a->panels; i++) {
        const int64_t width = fc_min(TILE_NR, p->cols - i * TILE_NR), nr = fc_round_up(width, VL);
        T *to = (T *)at + i * items;
        if (!taps) plain_pack(a, i, scratch + fc_thread() * each, to);
        for (int64_t c = 0; taps && c < p->channels; c += WIN_SUM, to += 9 * WIN_SUM * nr)
            pack_weight(p, a->w, 0, i * TILE_NR, width, nr, c, fc_min(p->channels, c + WIN_SUM),
                        to);
    }
    fc_free(scratch);
    return FC_OK;
}

/* ---------------------------------------------------------------- a block of tiles */

typedef struct {
    int64_t first, count;       /* tiles */
    int64_t rows[PLAIN_POINTS]; /* of V: tiles that have the point */
    T *v, *m, *chunk, *local;   /* V; products of a panel; U of a chain; a tile as a whole */
    T odd[VL];                  /* not zero where a result was not finite */
} plain_block;

/* A tile's inputs from x: where they lie, or copied to local[6][6][depth] with zeros outside. */
static const T *plain_inputs(const win_plain *a, const plain_tile *t, T *local, win_place *place) {
    const conv_problem *p = a->p;
    const int64_t *st = p->src_stride, C = p->channels;
    const int64_t top = t->i + p->taps[1].off[0], left = t->j + p->taps[2].off[0];
    const int high = t->high + 2, wide = t->wide + 2;
    const T *src = a->src + t->n * st[0];
    *place = (win_place){st[3], st[4]};
    if (C % VL == 0 && top >= 0 && left >= 0 && top + high <= p->src_size[1] &&
        left + wide <= p->src_size[2])
        return src + top * st[3] + left * st[4];
    *place = (win_place){WIN_IN * a->depth, a->depth};
    for (int i = 0; i < high; i++)
        for (int j = 0; j < wide; j++) {
            const int64_t h = top + i, w = left + j;
            const int in = h >= 0 && h < p->src_size[1] && w >= 0 && w < p->src_size[2];
            T *to = local + (i * WIN_IN + j) * a->depth;
            if (in) win_copy(to, src + h * st[3] + w * st[4], C);
            for (int64_t c = in ? C : 0; c < a->depth; c++) to[c] = 0;
        }
    return local;
}

static void plain_load(const win_plain *a, plain_block *b) {
    int64_t at[PLAIN_POINTS];
    plain_begin(at, a->block * a->pitch);
    for (int64_t i = 0; i < b->count; i++) {
        const plain_tile t = plain_tile_at(a, b->first + i);
        win_place place;
        const T *x = plain_inputs(a, &t, b->local, &place);
        win_transform_tile(&a->input, t.high, t.wide, 3, 3, a->depth, x, b->v, place, at, NULL,
                           NULL);
        plain_advance(&t, a->pitch, at);
    }
    for (int x = 0; x < PLAIN_POINTS; x++) b->rows[x] = at[x] / a->pitch - x * a->block;
}

/* Point x: m[row][nr] (+)= V[row][d .. d + length) * u[length][nr], in chains of WIN_SUM. */
static void plain_multiply(const win_plain *a, const plain_block *b, int x, int64_t nr, int64_t d,
                           int64_t length, const T *u) {
    const T *v = b->v + x * a->block * a->pitch + d;
    T *m = b->m + x * a->block * nr;
    for (int64_t k = 0; k < length; k += WIN_SUM) {
        const int64_t n = fc_min(WIN_SUM, length - k);
        for (int64_t i = 0; i < b->rows[x]; i += TILE_MR) {
            const tile_fn f = tiles_by_rows[fc_min(TILE_MR, b->rows[x] - i) - 1][nr / VL - 1];
            f(n, v + i * a->pitch + k, a->pitch, u + k * nr, nr, m + i * nr, nr, NULL,
              d + k ? TILE_ADD : TILE_STORE);
        }
    }
}

/* All products of a panel, from U or, where that is NULL, from taps a chain of channels at a time,
 * which are packed now unless they lie packed. */
static void plain_products(const win_plain *a, const plain_block *b, int64_t panel, int64_t width,
                           const T *u) {
    const int64_t C = a->p->channels, nr = fc_round_up(width, VL);
    for (int x = 0; u && x < PLAIN_POINTS; x++)
        plain_multiply(a, b, x, nr, 0, a->depth, u + x * (a->depth * nr + WIN_SKIP));
    const T *taps = a->lying ? a->lying + panel * 9 * C * TILE_NR : b->local;
    for (int64_t c = 0; !u && c < C; c += WIN_SUM, taps += a->lying ? 9 * WIN_SUM * nr : 0) {
        const int64_t n = fc_min(WIN_SUM, C - c), plane = WIN_SUM * nr + WIN_SKIP;
        if (!a->lying) pack_weight(a->p, a->w, 0, panel * TILE_NR, width, nr, c, c + n, b->local);
        plain_transform_weights(n, nr, taps, b->chunk, plane);
        for (int x = 0; x < PLAIN_POINTS; x++)
            plain_multiply(a, b, x, nr, c, n, b->chunk + x * plane);
    }
}

/* A panel's products, transformed to columns [col, col + width) of y, with bias and epilogue. */
static void plain_store(const win_plain *a, plain_block *b, int64_t col, int64_t width) {
    const conv_problem *p = a->p;
    const int64_t nr = fc_round_up(width, VL), *st = p->dst_stride;
    const int whole = width == nr && st[1] == 1;
    const T *bias = a->bias ? a->bias + col : NULL;
    int64_t at[PLAIN_POINTS];
    plain_begin(at, a->block * nr);
    for (int64_t k = 0; k < b->count; k++) {
        const plain_tile t = plain_tile_at(a, b->first + k);
        T *y = a->dst + t.n * st[0] + t.i * st[3] + t.j * st[4] + col * st[1];
        const win_place lie = {st[3], st[4]}, local = {WIN_OUT * nr, nr};
        win_transform_tile(&a->output, t.high, t.wide, 3, 3, nr, b->m, whole ? y : b->local,
                           whole ? lie : local, at, bias, b->odd);
        for (int i = 0; (!whole || p->epilogue) && i < t.high; i++)
            for (int j = 0; j < t.wide; j++) {
                const T *from = b->local + (i * WIN_OUT + j) * nr;
                T *to = y + i * st[3] + j * st[4];
                for (int64_t e = 0; !whole && e < width; e++) to[e * st[1]] = from[e];
                if (p->epilogue) finish_part(p->epilogue, width, col, to, a->dst, to);
            }
        plain_advance(&t, nr, at);
    }
}

/* ---------------------------------------------------------------- all of them */

/* Tasks are (block of tiles, range of panels), each of which writes its own part of y. U is made
 * ahead, in turns that keep it bounded, unless it is kept or each block makes it (`raw`). */
static int plain_run(const win_plain *a, int raw, int threads) {
    const int ahead = !raw && !a->kept;
    const int64_t most = fc_max(1, WEIGHT_BYTES / (a->panel_items * (int64_t)sizeof(T)));
    const int64_t turn = ahead ? fc_min(a->panels, most) : a->panels;
    const int64_t splits = a->blocks < threads ? fc_min(turn, fc_ceil_div(threads, a->blocks)) : 1;
    const int64_t v_items = PLAIN_POINTS * a->block * a->pitch;
    const int64_t m_items = PLAIN_POINTS * a->block * TILE_NR;
    const int64_t chunk_items = raw ? PLAIN_POINTS * (WIN_SUM * TILE_NR + WIN_SKIP) : 0;
    const int64_t local_items = fc_max(9 * (raw ? WIN_SUM : WIN_PACK_CHANNELS) * TILE_NR,
                                       PLAIN_POINTS * fc_max(a->depth, TILE_NR) + VL);
    const int64_t each = v_items + m_items + chunk_items + local_items;
    T *u = ahead ? fc_scratch(turn * a->panel_items, sizeof(T)) : NULL;
    T *scratch = fc_scratch(threads * each, sizeof(T));
    const int status = (u || !ahead) && scratch ? FC_OK : FC_NOMEM;
    for (int64_t t0 = 0; status == FC_OK && t0 < a->panels; t0 += turn) {
        const int64_t nt = fc_min(turn, a->panels - t0), step = fc_ceil_div(nt, splits);
#pragma omp parallel num_threads(threads) if (threads > 1)
        {
            T *mine = scratch + fc_thread() * each;
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < (ahead ? nt : 0); i++)
                plain_pack(a, t0 + i, mine, u + i * a->panel_items);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < a->blocks * splits; i++) {
                plain_block b = {.first = i / splits * a->block, .v = mine};
                b.count = fc_min(a->block, a->tiles - b.first);
                b.m = b.v + v_items, b.chunk = b.m + m_items, b.local = b.chunk + chunk_items;
                plain_load(a, &b);
                const int64_t end = fc_min(nt, (i % splits + 1) * step);
                for (int64_t t = i % splits * step; t < end; t++) {
                    const int64_t col = (t0 + t) * TILE_NR;
                    const int64_t width = fc_min(TILE_NR, a->p->cols - col);
                    const T *panel = a->kept ? a->kept + (t0 + t) * a->panel_items
                                     : ahead ? u + t * a->panel_items
                                             : NULL;
                    plain_products(a, &b, t0 + t, width, panel);
                    plain_store(a, &b, col, width);
                }
                win_tell(b.odd, a->spread);
            }
        }
    }
    fc_free(scratch);
    fc_free(u);
    return status;
}

static int win_is_plain(const conv_problem *p) {
    int plain = p->groups == 1 && p->taps[0].count == 1 && p->taps[0].off[0] == 0;
    plain &= p->grid[0] == 1 && p->src_size[0] == 1;
    for (int i = 0; i < 3; i++) plain &= p->src_step[i] == 1 && p->dst_step[i] == 1;
    for (int i = 1; i < 3; i++)
        plain &= p->taps[i].count == 3 && p->taps[i].off[2] == p->taps[i].off[0] + 2;
    return plain;
}

static int win_plain_solve(const conv_problem *p, const T *src, const T *w, const T *bias, T *dst,
                           int threads) {
    const int64_t line = 64 / sizeof(T), H = p->grid[1], W = p->grid[2];
    int spread = 0;
    if (p->src_stride[1] != 1 && p->channels > 1) return FC_UNSUPPORTED;
    win_plain a = {.p = p, .src = src, .w = w, .dst = dst, .spread = &spread};
    a.down = fc_ceil_div(H, WIN_OUT), a.across = fc_ceil_div(W, WIN_OUT);
    a.tiles = p->batch * a.down * a.across;
    a.depth = fc_round_up(p->channels, VL);
    a.pitch = (fc_ceil_div(a.depth, line) | 1) * line;
    a.panels = fc_ceil_div(p->cols, TILE_NR);
    a.panel_items = PLAIN_POINTS * (a.depth * TILE_NR + WIN_SKIP);
    win_transforms_of_3(&a.input, &a.output, H % WIN_OUT || W % WIN_OUT);
    int status = p->packed ? plain_keep(&a, threads) : FC_OK;
    if (status || fc_only_packs(p->packed)) return status;

    /* Few tiles, or more weights than stay in L3: each block transforms those it needs. */
    const int64_t tile_bytes = PLAIN_POINTS * (int64_t)sizeof(T) * (a.pitch + TILE_NR);
    const int64_t u_bytes = PLAIN_POINTS * p->channels * p->cols * (int64_t)sizeof(T);
    const int many = a.lying || a.tiles <= WIN_FUSED_TILES || u_bytes > WIN_KEEP_BYTES;
    a.block = many ? fc_min(WIN_FUSED_TILES, WIN_FUSED_BYTES / tile_bytes)
                   : fc_min(WIN_MAX_TILES, win_block_bytes(u_bytes) / tile_bytes);
    a.block = fc_max(a.block, WIN_MIN_TILES);
    if (threads > 1 && !(many && a.panels >= threads))
        a.block = fc_min(a.block, fc_max(WIN_MIN_TILES, a.tiles / (2 * threads)));
    a.block = fc_round_up(win_equal(a.tiles, a.block), TILE_MR);
    a.blocks = fc_ceil_div(a.tiles, a.block);

    a.bias = bias ? pad_bias(p, a.panels, bias) : NULL;
    status = a.bias || !bias ? plain_run(&a, many && !a.kept, threads) : FC_NOMEM;
    fc_free((void *)a.bias);
    return status == FC_OK && spread ? FC_NOT_FINITE : status;
}
