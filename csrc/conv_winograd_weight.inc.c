/* Backward weight by Winograd, F(3x3, 4x4): a tile of dy is a kernel of 4x4 taps over a tile of x.
 *
 *   dW = At [ sum over tiles of (G dy Gt) . (Bt x B) ] A
 *
 * The transforms are linear, so the sum over tiles is 36 GEMMs Z[k][tile] * V[tile][depth], and
 * only their sums are transformed back. Tiles go in chunks whose V and Z stay in L3; a task owns a
 * block of dW and adds every chunk to it in one order, whatever the number of threads. Where all
 * products of a group stay in L2, a task owns a part of the tiles, takes them in chunks that stay
 * there too, and what the parts give is added in order: they depend on the shape alone. */
#ifndef WIN_GRAD_BLOCKS
#define WIN_GRAD_BLOCKS
enum { WIN_CHUNK_BYTES = 12 << 20, WIN_GRAD_ROWS = 24, WIN_GRAD_TILES = 8 };
enum {
    WIN_PART_SUMS = 768 << 10,
    WIN_PART_BYTES = 512 << 10,
    WIN_PARTS = 16,
    WIN_PART_TILES = 256
};
#endif

/* The tile of dy, transformed to z at the places `at`. */
static void FN(win_load_grad)(const FN(win_block) * b, const FN(win_transform) * f, const T *dy,
                              const win_tile *t, T *z, const int64_t *at) {
    const win_grid *g = b->grid;
    const int64_t K = b->p->cols, Kp = fc_round_up(K, VL);
    const int high = FN(win_high)(g, t), wide = FN(win_wide)(g, t);
    int64_t offset;
    FN(win_place) from = FN(win_target)(b, t, &offset);
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
        from = (FN(win_place)){WIN_OUT * Kp, Kp};
    }
    FN(win_transform_tile)(f, high, wide, f->high, f->wide, Kp, y, z, from, at, NULL);
}

/* One chunk of tiles for one group. */
typedef struct {
    FN(win_block) block; /* count tiles from first; v = V */
    const FN(win_transform) * grad;
    win_rows before, rows; /* of all points: before the chunk, in it */
    const T *dy;
    int64_t z_pitch, taps;
    T *z;        /* Z[point][tile][k] */
    T *sum, *dw; /* sum[k][tap][depth] of the whole group, dw of it */
    int64_t m_pitch;
    int64_t part;   /* of the depth: one group of taps where they differ, else all */
    int begin, end; /* the first, the last chunk */
} FN(win_chunk);

/* Tiles [i, end) of the chunk into V and Z. */
static void FN(win_chunk_tiles)(const FN(win_chunk) * c, int64_t i, int64_t end) {
    const FN(win_block) *b = &c->block;
    const int64_t n = b->count;
    int64_t at_v[WIN_IN * WIN_IN] = {0}, at_z[WIN_IN * WIN_IN] = {0};
    win_rows rows = win_rows_before(b->p, b->grid, b->first + i);
    win_rows_subtract(&rows, &c->before);
    FN(win_spread)(b->grid, &rows, n * b->size.pitch, b->size.pitch, at_v);
    FN(win_spread)(b->grid, &rows, n * c->z_pitch, c->z_pitch, at_z);
    win_walk walk = win_walk_at(b->p, b->grid, b->first + i);
    for (; i < end; i++, win_walk_next(b->p, b->grid, &walk)) {
        if (!walk.tile.count[0]) continue;
        FN(win_load)(b, &walk.tile, b->v, at_v);
        FN(win_advance)(b->grid, &walk.tile, b->size.pitch, at_v);
        FN(win_load_grad)(b, c->grad, c->dy, &walk.tile, c->z, at_z);
        FN(win_advance)(b->grid, &walk.tile, c->z_pitch, at_z);
    }
}

/* Neighbouring taps of n channels: from[tap][pitch] to out[channel][step]. */
INLINE void FN(win_interleave)(const int taps, const T *from, int64_t pitch, int64_t n, T *out,
                               int64_t step) {
    for (int64_t c = 0; c < n; c++, from++, out += step) {
        UNROLL
        for (int t = 0; t < taps; t++) out[t] = from[t * pitch];
    }
}

/* sum[3x3 tap][pitch] of output channel k at depth [d0, d0+width) = group * C + channel, to
 * (K, C, taps). */
static void FN(win_lay_out_weight)(const FN(win_chunk) * c, const T *sum, int64_t pitch, int64_t k,
                                   int64_t d0, int64_t width) {
    const conv_problem *p = c->block.p;
    const win_grid *g = c->block.grid;
    const int64_t C = p->channels, taps = p->ntaps, end = fc_min(d0 + width, g->groups * C);
    for (int64_t d = d0, n; d < end; d += n) {
        const T *s = sum + d - d0;
        int64_t at[3], tap[WIN_TAPS * WIN_TAPS];
        int in_order = 1;
        win_group_at(g, d / C, at);
        n = fc_min(C - d % C, end - d);
        for (int x = 0; x < c->taps; x++) {
            tap[x] = win_tap_at(p, g, at, x / WIN_TAPS, x % WIN_TAPS);
            in_order &= tap[x] >= 0 && tap[x] == tap[0] + x;
        }
        T *o = c->dw + (k * C + d % C) * taps;
        if (in_order && g->two)
            FN(win_interleave)(WIN_TAPS * WIN_TAPS, s, pitch, n, o + tap[0], taps);
        else if (in_order) FN(win_interleave)(WIN_TAPS, s, pitch, n, o + tap[0], taps);
        for (int x = 0; x < c->taps && !in_order; x++)
            for (int64_t i = 0; tap[x] >= 0 && i < n; i++) o[i * taps + tap[x]] = s[x * pitch + i];
    }
}

/* One block of the sums: rows [k0, k0+rows), depth [d0, d0+width) of one part of it. */
typedef struct {
    int64_t k0, rows, d0, width;
} FN(win_cut);

INLINE int64_t FN(win_cuts)(const FN(win_chunk) * c) {
    return fc_ceil_div(c->block.p->cols, WIN_GRAD_ROWS) * (c->block.size.depth / c->part) *
           fc_ceil_div(c->part, TILE_NR);
}

static FN(win_cut) FN(win_cut_at)(const FN(win_chunk) * c, int64_t i) {
    const int64_t each = fc_ceil_div(c->part, TILE_NR), parts = c->block.size.depth / c->part;
    const int64_t at = i % each * TILE_NR, k0 = i / each / parts * WIN_GRAD_ROWS;
    return (FN(win_cut)){.k0 = k0,
                         .rows = fc_min(WIN_GRAD_ROWS, c->block.p->cols - k0),
                         .d0 = i / each % parts * c->part + at,
                         .width = fc_min(TILE_NR, c->part - at)};
}

/* The group of taps of a block, where they differ. */
INLINE void FN(win_cut_group)(const FN(win_chunk) * c, const FN(win_cut) * cut, int64_t group[3]) {
    win_group_at(c->block.grid, cut->d0 / c->part, group);
}

/* The chunk's products of a block, stored to m[point][row][m_pitch] or added to it. */
static void FN(win_chunk_multiply)(const FN(win_chunk) * c, const FN(win_cut) * cut, T *m,
                                   int add) {
    const FN(win_block) *b = &c->block;
    const win_grid *g = b->grid;
    const int64_t n = b->count, pitch = b->size.pitch, ld = c->m_pitch;
    int64_t group[3];
    FN(win_cut_group)(c, cut, group);
    for (int x = 0; x < g->points; x++, m += WIN_GRAD_ROWS * ld) {
        if (!win_group_has(g, group, x)) continue;
        const T *z = c->z + x * n * c->z_pitch + cut->k0;
        const T *v = b->v + x * n * pitch + cut->d0;
        const int64_t count = win_row_of(g, &c->rows, x / g->wide, x % g->wide);
        if (!count && !add) memset(m, 0, (size_t)(WIN_GRAD_ROWS * ld) * sizeof(T));
        for (int64_t t = 0; t < count; t += WIN_SUM) {
            const int64_t some = fc_min(WIN_SUM, count - t);
            const int mode = t || add ? TILE_ADD : TILE_STORE;
            for (int64_t i = 0; i < cut->rows; i += TILE_MR) {
                const int64_t mr = fc_min(TILE_MR, cut->rows - i);
                FN(tiles_by_cols)
                [mr - 1][cut->width / VL - 1](some, z + t *c->z_pitch + i, c->z_pitch, v + t *pitch,
                                              pitch, m + i *ld, ld, NULL, mode);
            }
        }
    }
}

/* m transformed back: to the sums, stored (`begin`) or added, and at the `end` from there to dW. A
 * row that begins and ends goes to dW straight from cache. */
static void FN(win_chunk_back)(const FN(win_chunk) * c, const FN(win_cut) * cut, const T *m,
                               int begin, int end) {
    const win_grid *g = c->block.grid;
    const int64_t depth = c->block.size.depth, pitch = begin && end ? TILE_NR : depth;
    const FN(win_place) to = {WIN_TAPS * pitch, pitch};
    const FN(win_fn) back = begin ? FN(win_grad_filter) : FN(win_grad_filter_add);
    T local[WIN_TAPS * WIN_TAPS * TILE_NR] __attribute__((aligned(64)));
    int64_t group[3], at[WIN_IN * WIN_IN];
    FN(win_cut_group)(c, cut, group);
    const int r = win_group_high(g, group), s = win_group_wide(g, group);
    for (int x = 0; x < g->points; x++)
        at[x / g->wide * WIN_IN + x % g->wide] = x * WIN_GRAD_ROWS * c->m_pitch;
    for (int64_t i = 0; i < cut->rows; i++) {
        T *sum = begin && end ? local : c->sum + (cut->k0 + i) * c->taps * depth + cut->d0;
        back(r, s, cut->width, m + i * c->m_pitch, sum, to, at, NULL);
        if (end) FN(win_lay_out_weight)(c, sum, pitch, cut->k0 + i, cut->d0, cut->width);
    }
}

/* Add the chunk to one block of the sums. */
static void FN(win_chunk_block)(const FN(win_chunk) * c, int64_t i) {
    const FN(win_cut) cut = FN(win_cut_at)(c, i);
    FN(win_chunk_multiply)(c, &cut, c->block.m, 0);
    FN(win_chunk_back)(c, &cut, c->block.m, c->begin, c->end);
}

/* Tiles [first, end) to the sums, a few at a time: block.count is the most of a chunk. */
static void FN(win_sum_tiles)(const FN(win_chunk) * part, int64_t first, int64_t end) {
    FN(win_chunk) c = *part;
    FN(win_block) *b = &c.block;
    const int64_t most = b->count, cuts = FN(win_cuts)(&c);
    const int64_t items = b->grid->points * WIN_GRAD_ROWS * c.m_pitch;
    for (int64_t at = first; at < end; at += most) {
        b->first = at;
        b->count = fc_min(most, end - at);
        c.before = win_rows_before(b->p, b->grid, at);
        c.rows = win_rows_before(b->p, b->grid, at + b->count);
        win_rows_subtract(&c.rows, &c.before);
        FN(win_chunk_tiles)(&c, 0, b->count);
        for (int64_t i = 0; i < cuts; i++) {
            const FN(win_cut) cut = FN(win_cut_at)(&c, i);
            FN(win_chunk_multiply)(&c, &cut, b->m + i * items, at > first);
        }
    }
    for (int64_t i = 0; i < cuts; i++) {
        const FN(win_cut) cut = FN(win_cut_at)(&c, i);
        FN(win_chunk_back)(&c, &cut, b->m + i * items, 1, c.end);
    }
}

static int FN(win_weight_solve)(const conv_problem *p, const win_grid *grid, const T *dy,
                                const T *x, T *dw, int threads) {
    const FN(win_sizes) size = FN(win_sizes_of)(p, grid);
    const int64_t line = 64 / sizeof(T), taps = grid->two ? 9 : 3;
    const int64_t z_pitch = (fc_ceil_div(fc_round_up(p->cols, VL), line) | 1) * line;
    int64_t most = WIN_CHUNK_BYTES / ((int64_t)sizeof(T) * grid->points * (size.pitch + z_pitch));
    most = fc_max(most, 2 * TILE_MR);
    FN(win_chunk)
    all = {.block = {.p = p, .grid = grid, .size = size, .src = x},
           .dy = dy,
           .z_pitch = z_pitch,
           .m_pitch = fc_min(TILE_NR, size.depth),
           .part = grid->uneven ? p->channels : size.depth,
           .taps = taps};
    const int64_t cuts = FN(win_cuts)(&all);
    int64_t m_items = grid->points * WIN_GRAD_ROWS * all.m_pitch;
    const int in_parts = cuts * m_items * (int64_t)sizeof(T) <= WIN_PART_SUMS;
    const int64_t parts = in_parts ? fc_max(1, fc_min(WIN_PARTS, grid->tiles / WIN_PART_TILES)) : 1;
    if (in_parts) {
        m_items *= cuts;
        most = fc_max(WIN_GRAD_TILES, fc_min(WIN_SUM, most * WIN_PART_BYTES / WIN_CHUNK_BYTES));
    }
    const int64_t each_part = fc_ceil_div(grid->tiles, parts);
    const int64_t count = fc_ceil_div(each_part, fc_max(1, fc_ceil_div(each_part, most)));
    const int64_t local_items = size.samples * fc_max(size.depth, z_pitch) + VL;
    const int64_t sums = p->cols * taps * size.depth;
    const int64_t v_items = grid->points * count * size.pitch;
    const int64_t z_items = grid->points * count * z_pitch;
    const int64_t copies = in_parts ? threads : 1;
    T *v = fc_scratch(copies * v_items, sizeof(T));
    T *z = fc_scratch(copies * z_items, sizeof(T));
    T *scratch = fc_scratch(threads * (m_items + local_items), sizeof(T));
    T *sum = fc_scratch(parts * sums, sizeof(T));
    FN(win_transform) input, grad;
    FN(win_transform_make)(&input, WIN_INPUT, FN(win_input), grid, win_has_tails(p, grid));
    FN(win_transform_make)(&grad, WIN_GRAD_OUTPUT, FN(win_grad_output), grid,
                           win_has_tails(p, grid));
    const int status = v && z && scratch && sum ? FC_OK : FC_NOMEM;
    if (!grid->tiles) memset(dw, 0, (size_t)(p->groups * p->cols * p->depth) * sizeof(T));
    all.block.count = count;
    all.block.input = &input;
    all.block.v = v;
    all.grad = &grad;
    all.z = z;
    all.sum = sum;
    for (int64_t group = 0; status == FC_OK && group < p->groups; group++) {
        all.block.group = group;
        all.dw = dw + group * p->cols * p->channels * p->ntaps;
        if (in_parts) {
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
            for (int64_t i = 0; i < (grid->tiles ? parts : 0); i++) {
                FN(win_chunk) part = all;
                part.end = parts == 1;
                const int64_t me = fc_thread();
                part.block.v += me * v_items;
                part.z += me * z_items;
                part.block.m = scratch + me * (m_items + local_items);
                part.block.local = part.block.m + m_items;
                part.sum += i * sums;
                FN(win_sum_tiles)(&part, i * each_part, fc_min(grid->tiles, (i + 1) * each_part));
            }
            for (int64_t i = 1; grid->tiles && i < parts; i++)
                for (int64_t k = 0; k < sums; k++) sum[k] += sum[i * sums + k];
            for (int64_t k = 0; parts > 1 && k < p->cols; k++)
                FN(win_lay_out_weight)(&all, sum + k * taps * size.depth, size.depth, k, 0,
                                       size.depth);
            continue;
        }
        for (int64_t first = 0; first < grid->tiles; first += count) {
            const int64_t n = fc_min(count, grid->tiles - first);
            all.block.first = first;
            all.block.count = n;
            all.begin = first == 0;
            all.end = first + n == grid->tiles;
            all.before = win_rows_before(p, grid, first);
            all.rows = win_rows_before(p, grid, first + n);
            win_rows_subtract(&all.rows, &all.before);
#pragma omp parallel num_threads(threads) if (threads > 1)
            {
                FN(win_chunk) chunk = all;
                chunk.block.m = scratch + fc_thread() * (m_items + local_items);
                chunk.block.local = chunk.block.m + m_items;
#pragma omp for schedule(static)
                for (int64_t i = 0; i < n; i += WIN_GRAD_TILES)
                    FN(win_chunk_tiles)(&chunk, i, fc_min(n, i + WIN_GRAD_TILES));
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < cuts; i++) FN(win_chunk_block)(&chunk, i);
            }
        }
    }
    fc_free(sum);
    fc_free(scratch);
    fc_free(z);
    fc_free(v);
    return status;
}

static int FN(conv_backward_weight_winograd)(const fc_conv_geom *g, const void *dy, const void *x,
                                             const void *bias, void *dw, int threads) {
    (void)bias;
    int status = fc_conv_check(g);
    if (status) return status;
    if (g->in_channels > 1 && g->x_stride[1] != 1) return FC_UNSUPPORTED;
    if (g->out_channels > 1 && g->y_stride[1] != 1) return FC_UNSUPPORTED;
    conv_problem p;
    win_grid grid = {0};
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = win_grid_make(&grid, &p, WIN_OUT, p.channels % VL != 0);
    if (status == FC_OK) status = FN(win_weight_solve)(&p, &grid, dy, x, dw, threads);
    win_grid_free(&grid);
    conv_problem_free(&p);
    return status;
}
