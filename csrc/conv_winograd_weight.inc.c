/* Backward weight by Winograd, F(3x3, 4x4): a tile of dy is a kernel of 4x4 taps over a tile of x.
 *
 *   dW = At [ sum over tiles of (G dy Gt) . (Bt x B) ] A
 *
 * The transforms are linear, so the sum over tiles is 36 GEMMs Z[k][tile] * V[tile][depth], and
 * only their sums are transformed back. Tiles go in chunks whose V and Z stay in L3; a task owns a
 * block of dW and adds every chunk to it in one order, whatever the number of threads. */
#ifndef WIN_GRAD_BLOCKS
#define WIN_GRAD_BLOCKS
enum { WIN_CHUNK_BYTES = 12 << 20, WIN_GRAD_ROWS = 24, WIN_GRAD_TILES = 8 };
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
    FN(win_transform_tile)(f, high, wide, Kp, y, z, from, at, NULL);
}

/* One chunk of tiles for one group. */
typedef struct {
    FN(win_block) block; /* count tiles from first; v = V */
    const FN(win_transform) * grad;
    win_rows before, rows; /* of all points: before the chunk, in it */
    const T *dy;
    int64_t z_pitch, taps;
    T *z;           /* Z[point][tile][k] */
    T *sum, *dw;    /* sum[k][tap][depth] of the whole group, dw of it */
    int begin, end; /* the first, the last chunk */
} FN(win_chunk);

/* Tiles [i, end) of the chunk into V and Z. */
static void FN(win_chunk_tiles)(const FN(win_chunk) * c, int64_t i, int64_t end) {
    const FN(win_block) *b = &c->block;
    const int64_t n = b->count;
    int64_t at[WIN_IN * WIN_IN];
    win_rows rows = win_rows_before(b->p, b->grid, b->first + i);
    win_rows_subtract(&rows, &c->before);
    for (; i < end; i++) {
        const win_tile t = win_tile_at(b->p, b->grid, b->first + i);
        if (!t.count[0]) continue;
        FN(win_spread)(b->grid, &rows, n * b->size.pitch, b->size.pitch, at);
        FN(win_load)(b, &t, b->v, at);
        FN(win_spread)(b->grid, &rows, n * c->z_pitch, c->z_pitch, at);
        FN(win_load_grad)(b, c->grad, c->dy, &t, c->z, at);
        win_rows_add(b->grid, WIN_OUT, &t, &rows);
    }
}

/* Rows [k0, k0+rows) of sum[k][3x3 tap][depth], depth [d0, d0+width) = group * C + channel, to
 * (K, C, taps). */
static void FN(win_lay_out_weight)(const FN(win_chunk) * c, int64_t k0, int64_t rows, int64_t d0,
                                   int64_t width) {
    const conv_problem *p = c->block.p;
    const win_grid *g = c->block.grid;
    const int64_t C = p->channels, taps = p->ntaps, depth = c->block.size.depth;
    const int64_t end = fc_min(d0 + width, g->groups * C);
    for (int64_t d = d0, n; d < end; d += n) {
        int64_t at[3];
        win_group_at(g, d / C, at);
        n = fc_min(C - d % C, end - d);
        for (int x = 0; x < c->taps; x++) {
            const int64_t tap = win_tap_at(p, g, at, x / WIN_TAPS, x % WIN_TAPS);
            for (int64_t k = k0; tap >= 0 && k < k0 + rows; k++) {
                const T *s = c->sum + (k * c->taps + x) * depth + d;
                T *o = c->dw + (k * C + d % C) * taps + tap;
                for (int64_t i = 0; i < n; i++) o[i * taps] = s[i];
            }
        }
    }
}

/* Add the chunk to rows [k0, k0+WIN_GRAD_ROWS) and depth [d0, d0+TILE_NR) of the sums. */
static void FN(win_chunk_block)(const FN(win_chunk) * c, int64_t k0, int64_t d0) {
    const FN(win_block) *b = &c->block;
    const int64_t n = b->count, pitch = b->size.pitch, depth = b->size.depth;
    const int64_t rows = fc_min(WIN_GRAD_ROWS, b->p->cols - k0);
    const int64_t width = fc_min(TILE_NR, depth - d0), nrv = width / VL;
    for (int x = 0; x < b->grid->points; x++) {
        const T *z = c->z + x * n * c->z_pitch + k0;
        const T *v = b->v + x * n * pitch + d0;
        T *m = b->m + x * WIN_GRAD_ROWS * TILE_NR;
        const int64_t count = win_row_of(&c->rows, x / WIN_IN, x % WIN_IN);
        if (!count) memset(m, 0, WIN_GRAD_ROWS * TILE_NR * sizeof(T));
        for (int64_t t = 0; t < count; t += WIN_SUM) {
            const int64_t some = fc_min(WIN_SUM, count - t);
            const int mode = t ? TILE_ADD : TILE_STORE;
            for (int64_t i = 0; i < rows; i += TILE_MR) {
                const tile_fn f = FN(tiles_by_cols)[fc_min(TILE_MR, rows - i) - 1][nrv - 1];
                f(some, z + t * c->z_pitch + i, c->z_pitch, v + t * pitch, pitch, m + i * TILE_NR,
                  TILE_NR, NULL, mode);
            }
        }
    }
    const int64_t plane = WIN_GRAD_ROWS * TILE_NR;
    const FN(win_place) to = {WIN_TAPS * depth, depth};
    const FN(win_fn) back = c->begin ? FN(win_grad_filter) : FN(win_grad_filter_add);
    int64_t at[WIN_IN * WIN_IN];
    for (int x = 0; x < b->grid->points; x++) at[x] = x * plane;
    for (int64_t i = 0; i < rows; i++) {
        T *sum = c->sum + (k0 + i) * c->taps * depth + d0;
        back(b->grid->two, width, b->m + i * TILE_NR, sum, to, at, NULL);
    }
    if (c->end) FN(win_lay_out_weight)(c, k0, rows, d0, width);
}

static int FN(win_weight_solve)(const conv_problem *p, const win_grid *grid, const T *dy,
                                const T *x, T *dw, int threads) {
    const FN(win_sizes) size = FN(win_sizes_of)(p, grid);
    const int64_t line = 64 / sizeof(T), taps = grid->two ? 9 : 3;
    const int64_t z_pitch = (fc_ceil_div(fc_round_up(p->cols, VL), line) | 1) * line;
    int64_t most = WIN_CHUNK_BYTES / ((int64_t)sizeof(T) * grid->points * (size.pitch + z_pitch));
    most = fc_max(most, 2 * TILE_MR);
    const int64_t count = fc_ceil_div(grid->tiles, fc_max(1, fc_ceil_div(grid->tiles, most)));
    const int64_t row_blocks = fc_ceil_div(p->cols, WIN_GRAD_ROWS);
    const int64_t depth_blocks = fc_ceil_div(size.depth, TILE_NR);
    const int64_t m_items = grid->points * WIN_GRAD_ROWS * TILE_NR;
    const int64_t local_items = size.samples * fc_max(size.depth, z_pitch) + VL;
    const int64_t sums = p->cols * taps * size.depth;
    T *v = fc_scratch(grid->points * count * size.pitch, sizeof(T));
    T *z = fc_scratch(grid->points * count * z_pitch, sizeof(T));
    T *scratch = fc_scratch(threads * (m_items + local_items), sizeof(T));
    T *sum = fc_scratch(sums, sizeof(T));
    FN(win_transform) input, grad;
    FN(win_transform_make)(&input, WIN_DATA, FN(win_input), win_has_tails(p, grid));
    FN(win_transform_make)(&grad, WIN_EXPAND, FN(win_grad_output), win_has_tails(p, grid));
    const int status = v && z && scratch && sum ? FC_OK : FC_NOMEM;
    if (!grid->tiles) memset(dw, 0, (size_t)(p->groups * p->cols * p->depth) * sizeof(T));
    for (int64_t group = 0; status == FC_OK && group < p->groups; group++) {
        for (int64_t first = 0; first < grid->tiles; first += count) {
            const int64_t n = fc_min(count, grid->tiles - first);
            const win_rows before = win_rows_before(p, grid, first);
            win_rows rows = win_rows_before(p, grid, first + n);
            win_rows_subtract(&rows, &before);
#pragma omp parallel num_threads(threads) if (threads > 1)
            {
                T *mine = scratch + fc_thread() * (m_items + local_items);
                const FN(win_chunk) chunk = {
                    .block = {.p = p,
                              .grid = grid,
                              .size = size,
                              .src = x,
                              .group = group,
                              .first = first,
                              .count = n,
                              .input = &input,
                              .v = v,
                              .m = mine,
                              .local = mine + m_items},
                    .grad = &grad,
                    .before = before,
                    .rows = rows,
                    .dy = dy,
                    .z_pitch = z_pitch,
                    .taps = taps,
                    .z = z,
                    .sum = sum,
                    .dw = dw + group * p->cols * p->channels * p->ntaps,
                    .begin = first == 0,
                    .end = first + n == grid->tiles,
                };
#pragma omp for schedule(static)
                for (int64_t i = 0; i < n; i += WIN_GRAD_TILES)
                    FN(win_chunk_tiles)(&chunk, i, fc_min(n, i + WIN_GRAD_TILES));
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < row_blocks * depth_blocks; i++)
                    FN(win_chunk_block)(&chunk, i / depth_blocks * WIN_GRAD_ROWS,
                                        i % depth_blocks * TILE_NR);
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
    if (status == FC_OK) status = win_grid_make(&grid, &p, WIN_OUT);
    if (status == FC_OK) status = FN(win_weight_solve)(&p, &grid, dy, x, dw, threads);
    win_grid_free(&grid);
    conv_problem_free(&p);
    return status;
}
