/* Backward weight by Winograd, F(3x3, 4x4): a tile of dy is a kernel of 4x4 taps over a tile of x.
 *
 *   dW = At [ sum over tiles of (G dy Gt) . (Bt x B) ] A
 *
 * The transforms are linear, so the sum over tiles is 36 GEMMs Z[k][tile] * V[tile][depth], and
 * only their sums are transformed back. Up to four blocks of dW whose products stay in L2: a task
 * owns a block and a part of the tiles, takes them in chunks that stay there too, and what the
 * parts give is added in order: they depend on the shape and L2, not on threads. Otherwise tiles go
 * in chunks whose V and Z stay in L3; a task owns a cut of dW and adds every chunk to it in order.
 */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/layout.inc.c"
#include "core/memory.h"
#include "core/problem.h"
#include "core/simd.h"
#include "gemm/tile.inc.c"
#include "winograd/block.inc.c"
#include "winograd/grid.h"
#include "winograd/sizes.h"
#include "winograd/slab.h"
#include "winograd/transform.inc.c"

enum { WIN_CHUNK_BYTES = 12 << 20, WIN_GRAD_TILES = 8, WIN_LEAST_ROWS = 24, WIN_MOST_ROWS = 240 };
/* Blocks of dW: more of them would transform each tile too often (more than one where tiles share
 * slices, of which chunks are cheap). V and Z have so many bytes of 1 MiB of L2, and a quarter of
 * what there is above. */
enum { WIN_MOST_BLOCKS = 4, WIN_PART_BYTES = 512 << 10, WIN_PARTS = 16, WIN_PART_TILES = 256 };

/* The tile of dy, transformed to z at the places `at`. */
static void win_load_grad(const win_block *b, const win_transform *f, const T *dy,
                          const win_tile *t, T *z, const int64_t *at) {
    const win_grid *g = b->grid;
    const int64_t K = b->p->cols, Kp = fc_round_up(K, VL);
    const int high = win_high(g, t), wide = win_wide(g, t);
    int64_t offset;
    win_place from = win_target(b, t, &offset);
    const T *y = dy + offset + b->group * K;
    if (K != Kp) {
        for (int i = 0; i < (g->two ? high : 1); i++) {
            for (int j = 0; j < wide; j++) {
                T *local = b->local + (i * WIN_OUT + j) * Kp;
                memcpy(local, y + i * from.row + j * from.col, (size_t)K * sizeof(T));
                for (int64_t k = K; k < Kp; k++) local[k] = 0;
            }
        }
        y = b->local;
        from = (win_place){WIN_OUT * Kp, Kp};
    }
    win_transform_tile(f, high, wide, f->high, f->wide, Kp, y, z, from, at, NULL, NULL);
}

/* One chunk of tiles for one group. */
typedef struct {
    win_block block; /* a slab; v = V */
    const win_transform *grad;
    const T *dy;
    int64_t z_pitch, taps;
    T *z;                    /* Z[point][tile][k] */
    T *sum, *dw;             /* sum[k - sum_k][tap][depth]; dW */
    int64_t sum_k;           /* the first output channel of the sums */
    int64_t row;             /* of dW: its channels times taps */
    int64_t (*place)[2];     /* of every tap: its group, and which one of 3x3 it is there */
    int64_t m_rows, m_pitch; /* of a cut's products */
    int64_t part;            /* of the depth: one group of taps where they differ, else V's */
    int begin, end;          /* the first, the last chunk */
    int stream;              /* dW goes past the caches */
    int *spread;             /* set where a sum was not finite */
} win_chunk;

/* What both ways share: p's sizes, and how its sums are cut. */
static win_chunk win_chunk_of(const conv_problem *p, const win_grid *grid) {
    const int64_t line = 64 / sizeof(T);
    const win_sizes size = win_sizes_of(p, grid);
    const int64_t part = grid->uneven ? p->channels : size.inner;
    const int64_t m_pitch = fc_min(TILE_NR, part);
    const int64_t z_pitch = (fc_ceil_div(fc_round_up(p->cols, VL), line) | 1) * line;
    const int64_t point_bytes = grid->points * (int64_t)sizeof(T), l2 = fc_l2_bytes();
    /* The products of a cut in a third of L2; small cuts where V and Z of all tiles nearly fit. */
    int64_t rows = l2 / 3 / (point_bytes * m_pitch) / TILE_MR * TILE_MR;
    if (grid->tiles * (size.pitch + z_pitch) * point_bytes < 2 * l2) rows = 0;
    rows = fc_max(WIN_LEAST_ROWS, fc_min(WIN_MOST_ROWS, rows));
    return (win_chunk){.block = {.p = p, .grid = grid, .size = size},
                       .z_pitch = z_pitch,
                       .m_pitch = m_pitch,
                       .m_rows = fc_min(rows, fc_round_up(p->cols, TILE_MR)),
                       .part = part,
                       .taps = grid->two ? 9 : 3};
}

INLINE int64_t win_cut_items(const win_chunk *c) {
    return c->block.grid->points * c->m_rows * c->m_pitch;
}

INLINE int64_t win_local_items(const win_chunk *c) {
    return c->block.size.samples * fc_max(c->block.size.depth, c->z_pitch) + VL;
}

/* The chunk's tiles: the rows that each point has of a line. */
static void win_chunk_slab(win_chunk *c, const win_extent *size, int64_t i) {
    win_block *b = &c->block;
    const win_grid *g = b->grid;
    b->slab = win_slab_at(b->p, g, size, i);
    const int64_t first = win_slab_line(b->p, g, &b->slab, 0, 0);
    const win_rows before = win_rows_before(b->p, g, first);
    win_rows rows = win_rows_before(b->p, g, first + b->slab.size.flat);
    win_rows_subtract(&rows, &before);
    for (int x = 0; x < g->points; x++) b->rows[x] = win_row_of(g, &rows, x / g->wide, x % g->wide);
}

/* What V and Z take for a tile; slices that tiles share are counted in part. */
static int64_t win_tile_items(const win_chunk *c) {
    const win_block *b = &c->block;
    return b->grid->points * (win_slab_share(b->p, b->grid, b->size.pitch) + c->z_pitch);
}

/* Tiles [t, end) of one line of the source's slices into V, or of dy's into Z. */
static void win_chunk_line(const win_chunk *c, int is_grad, int64_t line, int64_t t, int64_t end) {
    const win_block *b = &c->block;
    const win_grid *g = b->grid;
    const win_slab *s = &b->slab;
    const int64_t lines = is_grad ? s->size.deep : s->slices, at_line = line % lines;
    const int64_t pitch = is_grad ? c->z_pitch : b->size.pitch;
    const int64_t plane = (is_grad ? s->places : s->inputs) * pitch;
    const int64_t first = win_slab_line(b->p, g, s, line / lines, is_grad ? s->d + at_line : 0);
    int64_t at[WIN_IN * WIN_IN] = {0};
    win_rows rows = {{{0}}};
    if (t > 0) {
        const win_rows before = win_rows_before(b->p, g, first);
        rows = win_rows_before(b->p, g, first + t);
        win_rows_subtract(&rows, &before);
    }
    win_spread(g, &rows, plane, pitch, at);
    for (int x = 0; x < g->points; x++)
        at[x / g->wide * WIN_IN + x % g->wide] += line * b->rows[x] * pitch;
    win_walk walk = win_walk_at(b->p, g, first + t);
    for (; t < end; t++, win_walk_next(b->p, g, &walk)) {
        win_tile tile = walk.tile;
        if (!tile.count[0]) continue;
        if (!is_grad && g->shared > 1) tile.first[0] = s->slice + at_line - g->axis[0].origin[0];
        if (is_grad) win_load_grad(b, c->grad, c->dy, &tile, c->z, at);
        else win_load(b, &tile, b->v, at);
        win_advance(g, &tile, pitch, at);
    }
}

/* Pieces of the chunk's lines, each up to so many tiles. */
static int64_t win_chunk_pieces(const win_chunk *c, int64_t tiles) {
    const win_slab *s = &c->block.slab;
    return s->size.images * (s->slices + s->size.deep) * fc_ceil_div(s->size.flat, tiles);
}

static void win_chunk_piece(const win_chunk *c, int64_t tiles, int64_t i) {
    const win_slab *s = &c->block.slab;
    const int64_t each = fc_ceil_div(s->size.flat, tiles), t = i % each * tiles;
    const int64_t lines = s->size.images * s->slices, line = i / each;
    const int is_grad = line >= lines;
    win_chunk_line(c, is_grad, is_grad ? line - lines : line, t, fc_min(s->size.flat, t + tiles));
}

/* The sums of output channel k, sum[3x3 tap][pitch], to n channels of (K, C, taps) from c0 on: as
 * many taps at a time as a vector has lanes, the last ones once more where they are no whole number
 * of them. */
static void win_lay_out_weight(const win_chunk *c, const T *sum, int64_t pitch, int64_t k,
                               int64_t c0, int64_t n) {
    const conv_problem *p = c->block.p;
    const int64_t taps = p->ntaps;
    T *o = c->block.local, *const limit = o + n * taps; /* in L1: rows are stored in pieces */
    for (int64_t done = 0; done < taps; done += VL) {
        const int64_t first = fc_max(0, fc_min(done, taps - VL));
        const int m = (int)fc_min(VL, taps);
        const T *from[VL];
        for (int i = 0; i < m; i++) {
            const int64_t *place = c->place[first + i];
            from[i] = sum + place[1] * pitch + place[0] * p->channels;
        }
        transpose_rows(from, m, n, o + first, taps, limit);
    }
    store_run(o, n * taps, c->dw + k * c->row + c0 * taps, c->stream);
}

/* One block of the sums: rows [k0, k0+rows), depth [d0, d0+width) of one part of it. */
typedef struct {
    int64_t k0, rows, d0, width;
} win_cut;

INLINE int64_t win_cuts(const win_chunk *c) {
    return fc_ceil_div(c->block.p->cols, c->m_rows) * (c->block.size.depth / c->part) *
           fc_ceil_div(c->part, TILE_NR);
}

static win_cut win_cut_at(const win_chunk *c, int64_t i) {
    const int64_t each = fc_ceil_div(c->part, TILE_NR), parts = c->block.size.depth / c->part;
    const int64_t at = i % each * TILE_NR, k0 = i / each / parts * c->m_rows;
    return (win_cut){.k0 = k0,
                     .rows = fc_min(c->m_rows, c->block.p->cols - k0),
                     .d0 = i / each % parts * c->part + at,
                     .width = fc_min(TILE_NR, c->part - at)};
}

/* The group of taps of a block, where they differ. */
INLINE void win_cut_group(const win_chunk *c, const win_cut *cut, int64_t group[3]) {
    win_group_at(c->block.grid, cut->d0 / c->part, group);
}

/* Products of a point over `count` tiles, stored to m or added to it. */
INLINE void win_chunk_chains(const win_chunk *c, const win_cut *cut, int64_t count, const T *z,
                             const T *v, T *m, int add) {
    const int64_t pitch = c->block.size.pitch, ld = c->m_pitch;
    for (int64_t t = 0; t < count; t += WIN_SUM) {
        const int64_t some = fc_min(WIN_SUM, count - t);
        const int mode = t || add ? TILE_ADD : TILE_STORE;
        for (int64_t i = 0; i < cut->rows; i += TILE_MR)
            tiles_by_cols[fc_min(TILE_MR, cut->rows - i) - 1][cut->width / VL - 1](
                some, z + t * c->z_pitch + i, c->z_pitch, v + t * pitch, pitch, m + i * ld, ld,
                NULL, mode);
    }
}

/* The chunk's products of a block, stored to m[point][row][m_pitch] or added to it. */
static void win_chunk_multiply(const win_chunk *c, const win_cut *cut, T *m, int add) {
    const win_block *b = &c->block;
    const win_grid *g = b->grid;
    const win_slab *s = &b->slab;
    const int64_t pitch = b->size.pitch, inner = b->size.inner, ld = c->m_pitch;
    int64_t group[3], first, end;
    win_cut_group(c, cut, group);
    const int64_t slice = win_slab_tap(g, s, cut->d0 / inner, &first, &end);
    for (int x = 0; x < g->points; x++, m += c->m_rows * ld) {
        if (!win_group_has(g, group, x)) continue;
        const int64_t line = b->rows[x], count = (end - first) * line;
        if (!count && !add) memset(m, 0, (size_t)(c->m_rows * ld) * sizeof(T));
        for (int64_t i = 0; i < s->size.images; i++) {
            const int64_t row_z = x * s->places + (i * s->size.deep + first) * line;
            const int64_t row_v = x * s->inputs + (i * s->slices + slice) * line;
            win_chunk_chains(c, cut, count, c->z + row_z * c->z_pitch + cut->k0,
                             b->v + row_v * pitch + cut->d0 % inner, m, add || i);
        }
    }
}

/* m transformed back: to the sums, stored (`begin`) or added, and at the `end` from there to dW, if
 * all taps are of one group. A row that begins and ends goes to dW straight from cache. */
static void win_chunk_back(const win_chunk *c, const win_cut *cut, const T *m, int begin, int end) {
    const win_grid *g = c->block.grid;
    const int64_t depth = c->block.size.depth, pitch = begin && end ? TILE_NR : depth;
    const win_place to = {WIN_TAPS * pitch, pitch};
    const win_fn back = begin ? win_grad_filter : win_grad_filter_add;
    const int64_t channels = fc_min(cut->width, c->block.p->channels - cut->d0);
    T local[WIN_TAPS * WIN_TAPS * TILE_NR] __attribute__((aligned(64)));
    int64_t group[3], at[WIN_IN * WIN_IN];
    win_cut_group(c, cut, group);
    const int r = win_group_high(g, group), s = win_group_wide(g, group);
    for (int x = 0; x < g->points; x++)
        at[x / g->wide * WIN_IN + x % g->wide] = x * c->m_rows * c->m_pitch;
    for (int64_t i = 0; i < cut->rows; i++) {
        T *sum =
            begin && end ? local : c->sum + (cut->k0 + i - c->sum_k) * c->taps * depth + cut->d0;
        back(r, s, cut->width, m + i * c->m_pitch, sum, to, at, NULL, c->block.odd);
        if (end) win_lay_out_weight(c, sum, pitch, cut->k0 + i, cut->d0, channels);
    }
}

/* Add the chunk to one block of the sums. */
static void win_chunk_block(const win_chunk *c, int64_t i) {
    const win_cut cut = win_cut_at(c, i);
    win_chunk_multiply(c, &cut, c->block.m, 0);
    win_chunk_back(c, &cut, c->block.m, c->begin, c->end);
}

/* The only chunk's products of rows number i of the cuts, whose taps are of several groups, to
 * dW. */
static void win_chunk_rows(win_chunk *c, int64_t i, int64_t cuts) {
    const int64_t depth = c->block.size.depth;
    const win_cut first = win_cut_at(c, i * cuts);
    c->sum_k = first.k0;
    for (int64_t k = 0; k < cuts; k++) win_chunk_block(c, i * cuts + k);
    for (int64_t k = 0; k < first.rows; k++)
        win_lay_out_weight(c, c->sum + k * c->taps * depth, depth, first.k0 + k, 0,
                           c->block.p->channels);
}

/* Slabs [first, end) of an extent to the sums. */
static void win_sum_slabs(const win_chunk *part, const win_extent *size, int64_t first,
                          int64_t end) {
    win_chunk c = *part;
    win_block *b = &c.block;
    const int64_t cuts = win_cuts(&c), items = win_cut_items(&c);
    for (int64_t at = first; at < end; at++) {
        win_chunk_slab(&c, size, at);
        const int64_t pieces = win_chunk_pieces(&c, size->flat);
        for (int64_t i = 0; i < pieces; i++) win_chunk_piece(&c, size->flat, i);
        for (int64_t i = 0; i < cuts; i++) {
            const win_cut cut = win_cut_at(&c, i);
            win_chunk_multiply(&c, &cut, b->m + i * items, at > first);
        }
    }
    for (int64_t i = 0; i < cuts; i++) {
        const win_cut cut = win_cut_at(&c, i);
        win_chunk_back(&c, &cut, b->m + i * items, 1, c.end);
    }
}

/* dW in blocks of kb x cb channels, each a problem of its own whose products stay in L2. */
typedef struct {
    const conv_problem *p;
    int64_t kb, cb, wide, count;
} win_blocks;

static conv_problem win_block_at(const win_blocks *w, int64_t i, int64_t *k0, int64_t *c0) {
    conv_problem p = *w->p;
    *k0 = i / w->wide * w->kb;
    *c0 = i % w->wide * w->cb;
    p.cols = fc_min(w->kb, p.cols - *k0);
    p.channels = fc_min(w->cb, p.channels - *c0);
    return p;
}

/* The longer side is halved, in whole vectors, until the products fit. */
static win_blocks win_blocks_of(const conv_problem *p, const win_grid *grid) {
    win_blocks w = {.p = p, .kb = p->cols, .cb = p->channels};
    for (;;) {
        int64_t k0, c0;
        w.wide = fc_ceil_div(p->channels, w.cb);
        w.count = w.wide * fc_ceil_div(p->cols, w.kb);
        const conv_problem block = win_block_at(&w, 0, &k0, &c0);
        const win_chunk c = win_chunk_of(&block, grid);
        const int64_t bytes = win_cuts(&c) * win_cut_items(&c) * (int64_t)sizeof(T);
        const int64_t k = fc_round_up(fc_ceil_div(w.kb, 2), VL);
        const int64_t cs = fc_round_up(fc_ceil_div(w.cb, 2), VL);
        const int can_k = k < w.kb, can_c = p->channels % VL == 0 && cs < w.cb;
        if (bytes <= fc_l2_bytes() / 4 * 3 || !(can_k || can_c)) return w;
        if (can_c && (!can_k || w.cb * grid->groups >= w.kb)) w.cb = cs;
        else w.kb = k;
    }
}

/* A task is a block of dW and a part of the tiles. */
static int win_weight_blocks(const win_blocks *w, const win_chunk *like, const T *dy, const T *x,
                             T *dw, int threads) {
    const conv_problem *p = w->p;
    const win_grid *grid = like->block.grid;
    int64_t k0, c0;
    const conv_problem first = win_block_at(w, 0, &k0, &c0);
    const win_chunk most = win_chunk_of(&first, grid);
    const int64_t items = win_tile_items(&most);
    int64_t parts = fc_max(1, fc_min(WIN_PARTS / w->count, grid->tiles / WIN_PART_TILES));
    const int64_t bytes = WIN_PART_BYTES + (fc_l2_bytes() - (1 << 20)) / 4;
    int64_t count = bytes / ((int64_t)sizeof(T) * items);
    count = fc_max(WIN_GRAD_TILES, fc_min(WIN_SUM, count));
    count = win_equal(fc_ceil_div(grid->tiles, parts), count);
    const win_extent slab = win_slab_extent(p, grid, count);
    const int64_t slabs = win_slab_count(p, grid, &slab);
    parts = fc_min(parts, slabs);
    const int64_t v_items = grid->points * win_slab_inputs(p, grid, &slab) * most.block.size.pitch;
    const int64_t z_items = grid->points * win_slab_places(&slab) * most.z_pitch;
    const int64_t m_items = win_cuts(&most) * win_cut_items(&most);
    const int64_t each = v_items + z_items + m_items + win_local_items(&most);
    const int64_t sums = w->kb * most.taps * most.block.size.depth;
    const int64_t row = p->channels * p->ntaps;
    T *scratch = fc_scratch(threads * each, sizeof(T));
    const int direct = parts == 1 && grid->groups == 1;
    T *sum = direct ? NULL : fc_scratch(w->count * parts * sums, sizeof(T));
    const int status = scratch && (sum || direct) ? FC_OK : FC_NOMEM;
    for (int64_t group = 0; status == FC_OK && group < p->groups; group++) {
#pragma omp parallel num_threads(threads) if (threads > 1)
        {
            T *mine = scratch + fc_thread() * each;
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < w->count * parts; i++) {
                int64_t k, c;
                const conv_problem block = win_block_at(w, i / parts, &k, &c);
                win_chunk part = win_chunk_of(&block, grid);
                T odd[VL] = {0};
                part.block.odd = odd;
                part.block.input = like->block.input;
                part.grad = like->grad;
                part.block.src = x + group * p->channels + c;
                part.block.end = x + p->batch * p->src_stride[0];
                part.dy = dy + group * p->cols + k;
                part.row = row;
                part.dw = dw + (group * p->cols + k) * row + c * p->ntaps;
                part.sum = sum ? sum + i * sums : NULL;
                part.end = direct;
                part.place = like->place;
                part.block.v = mine;
                part.z = mine + v_items;
                part.block.m = mine + v_items + z_items;
                part.block.local = part.block.m + m_items;
                win_sum_slabs(&part, &slab, i % parts * slabs / parts,
                              (i % parts + 1) * slabs / parts);
                win_tell(odd, like->spread);
            }
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < (sum ? w->count * w->kb : 0); i++) { /* rows of dW's blocks */
                int64_t k, c;
                const conv_problem block = win_block_at(w, i / w->kb, &k, &c);
                win_chunk all = win_chunk_of(&block, grid);
                const int64_t depth = all.block.size.depth, n = all.taps * depth, e = i % w->kb;
                T *total = sum + i / w->kb * parts * sums + e * n;
                if (e >= block.cols) continue;
                for (int64_t s = 1; s < parts; s++)
                    for (int64_t x = 0; x < n; x++) total[x] += total[s * sums + x];
                all.row = row;
                all.dw = dw + (group * p->cols + k) * row + c * p->ntaps;
                all.place = like->place;
                all.block.local = mine + each - win_local_items(&most);
                win_lay_out_weight(&all, total, depth, e, 0, block.channels);
            }
        }
    }
    fc_free(sum);
    fc_free(scratch);
    return status;
}

/* V and Z of a chunk of tiles, made by all threads, multiplied by all. */
static int win_weight_chunks(const conv_problem *p, const win_chunk *like, const T *dy, const T *x,
                             T *dw, int threads) {
    win_chunk all = *like;
    const win_grid *grid = all.block.grid;
    const win_sizes size = all.block.size;
    const int64_t most = WIN_CHUNK_BYTES / ((int64_t)sizeof(T) * win_tile_items(&all));
    const int64_t count = win_equal(grid->tiles, fc_max(most, 2 * TILE_MR));
    const win_extent slab = win_slab_extent(p, grid, count);
    const int64_t slabs = win_slab_count(p, grid, &slab);
    const int64_t m_items = win_cut_items(&all), cuts = win_cuts(&all);
    const int64_t each = m_items + win_local_items(&all), line = all.taps * size.depth;
    /* Several groups share lines of dW, and are laid out together: of some rows, from sums in
     * cache, or of all when the last chunk is done. */
    const int shared = grid->groups > 1, by_rows = shared && slabs == 1;
    const int64_t bands = fc_ceil_div(p->cols, all.m_rows);
    T *v = fc_scratch(grid->points * win_slab_inputs(p, grid, &slab) * size.pitch, sizeof(T));
    T *z = fc_scratch(grid->points * win_slab_places(&slab) * all.z_pitch, sizeof(T));
    T *scratch = fc_scratch(threads * each, sizeof(T));
    T *sum = fc_scratch((by_rows ? threads * all.m_rows : p->cols) * line, sizeof(T));
    const int status = v && z && scratch && sum ? FC_OK : FC_NOMEM;
    all.block.src = x;
    all.block.end = x + p->batch * p->src_stride[0];
    all.block.v = v;
    all.dy = dy;
    all.z = z;
    all.sum = sum;
    all.row = p->channels * p->ntaps;
    all.stream = STREAMS(dw, p->groups * p->cols * p->depth * (int64_t)sizeof(T));
    for (int64_t group = 0; status == FC_OK && group < p->groups; group++) {
        all.block.group = group;
        all.dw = dw + group * p->cols * all.row;
        for (int64_t at = 0; at < slabs; at++) {
            win_chunk_slab(&all, &slab, at);
            const int64_t pieces = win_chunk_pieces(&all, WIN_GRAD_TILES);
            const int last = at == slabs - 1;
            all.begin = at == 0;
            all.end = last && !shared;
#pragma omp parallel num_threads(threads) if (threads > 1)
            {
                win_chunk chunk = all;
                T odd[VL] = {0};
                chunk.block.odd = odd;
                chunk.block.m = scratch + fc_thread() * each;
                chunk.block.local = chunk.block.m + m_items;
                if (by_rows) chunk.sum = sum + fc_thread() * all.m_rows * line;
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < pieces; i++) win_chunk_piece(&chunk, WIN_GRAD_TILES, i);
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < (by_rows ? bands : cuts); i++) {
                    if (by_rows) win_chunk_rows(&chunk, i, cuts / bands);
                    else win_chunk_block(&chunk, i);
                }
#pragma omp for schedule(static)
                for (int64_t k = 0; k < (shared && last && !by_rows ? p->cols : 0); k++)
                    win_lay_out_weight(&chunk, sum + k * line, size.depth, k, 0, p->channels);
                if (all.stream) STREAMED();
                win_tell(odd, all.spread);
            }
        }
    }
    fc_free(sum);
    fc_free(scratch);
    fc_free(z);
    fc_free(v);
    return status;
}

static int win_weight_solve(const conv_problem *p, const win_grid *grid, const T *dy, const T *x,
                            T *dw, int threads) {
    win_transform input, grad;
    if (!grid->tiles) {
        memset(dw, 0, (size_t)(p->groups * p->cols * p->depth) * sizeof(T));
        return FC_OK;
    }
    win_transform_make(&input, WIN_INPUT, win_input, grid, win_has_tails(p, grid));
    win_transform_make(&grad, WIN_GRAD_OUTPUT, win_grad_output, grid, win_has_tails(p, grid));
    win_chunk like = win_chunk_of(p, grid);
    like.block.input = &input;
    like.grad = &grad;
    int spread = 0;
    like.spread = &spread;
    like.place = fc_scratch(p->ntaps, sizeof *like.place);
    if (!like.place) return FC_NOMEM;
    int64_t at[3] = {0, 0, 0};
    for (int64_t k = 0; k < grid->groups; k++, win_group_next(grid, at))
        for (int x = 0; x < like.taps; x++) {
            const int64_t tap = win_tap_at(p, grid, at, x / WIN_TAPS, x % WIN_TAPS);
            if (tap >= 0) like.place[tap][0] = k, like.place[tap][1] = x;
        }
    const win_blocks blocks = win_blocks_of(p, grid);
    const int few = blocks.count <= (grid->shared > 1 ? 1 : WIN_MOST_BLOCKS);
    const int status = few ? win_weight_blocks(&blocks, &like, dy, x, dw, threads)
                           : win_weight_chunks(p, &like, dy, x, dw, threads);
    fc_free(like.place);
    return status == FC_OK && spread ? FC_NOT_FINITE : status;
}

static int conv_backward_weight_winograd(const fc_conv_geom *g, const void *dy, const void *x,
                                         const void *bias, void *dw, int threads) {
    (void)bias;
    int status = fc_conv_check(g);
    if (status) return status;
    if (g->in_channels > 1 && g->x_stride[1] != 1) return FC_UNSUPPORTED;
    if (g->out_channels > 1 && g->y_stride[1] != 1) return FC_UNSUPPORTED;
    conv_problem p;
    win_grid grid = {0};
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = win_grid_make(&grid, &p, p.channels % VL != 0);
    if (status == FC_OK) status = win_weight_solve(&p, &grid, dy, x, dw, threads);
    win_grid_free(&grid);
    conv_problem_free(&p);
    return status;
}
