/* Backward weight by Winograd, F(3x3, 4x4): a tile of dy is a kernel of 4x4 taps over a tile of x.
 *
 *   dW = At [ sum over tiles of (G dy Gt) . (Bt x B) ] A
 *
 * The transforms are linear, so the sum over tiles is 36 GEMMs Z[k][tile] * V[tile][depth], and
 * only their sums are transformed back. Tiles go in chunks whose V and Z stay in L3; a task owns a
 * block of dW and adds every chunk to it in one order, whatever the number of threads. */
#ifndef WIN_GRAD_BLOCKS
#define WIN_GRAD_BLOCKS
enum { WIN_CHUNK_BYTES = 12 << 20, WIN_GRAD_ROWS = 24 };
#endif

/* The tile of dy, zero outside the grid, transformed to z(point) plane apart. */
static void FN(win_load_grad)(const FN(win_block) * b, const T *dy, const win_tile *t, T *z,
                              int64_t plane) {
    const win_grid *g = b->grid;
    const int64_t K = b->p->cols, Kp = fc_round_up(K, VL);
    const int64_t rows = g->two ? t->count[g->row] : 1, cols = t->count[g->col];
    const FN(win_place) to = {WIN_IN * plane, plane};
    int64_t offset;
    const FN(win_place) from = FN(win_target)(b, t, &offset);
    const T *y = dy + offset + b->group * K;
    const int no = g->two ? WIN_OUT : 1;
    if (rows == no && cols == WIN_OUT && K == Kp) {
        FN(win_grad_output)(g->two, K, y, from, z, to, NULL);
        return;
    }
    T *local = b->local;
    for (int i = 0; i < no; i++) {
        for (int j = 0; j < WIN_OUT; j++, local += Kp) {
            int64_t k = 0;
            if (i < rows && j < cols) {
                memcpy(local, y + i * from.row + j * from.col, (size_t)K * sizeof(T));
                k = K;
            }
            for (; k < Kp; k++) local[k] = 0;
        }
    }
    FN(win_grad_output)(g->two, Kp, b->local, (FN(win_place)){WIN_OUT * Kp, Kp}, z, to, NULL);
}

/* One chunk of tiles for one group. */
typedef struct {
    FN(win_block) block; /* count tiles from first; v = V */
    const T *dy;
    int64_t z_pitch, taps;
    T *z, *sum; /* Z[point][tile][k]; sum[k][tap][depth], of the whole group */
} FN(win_chunk);

/* Tile i of the chunk into V and Z. */
static void FN(win_chunk_tile)(const FN(win_chunk) * c, int64_t i) {
    const FN(win_block) *b = &c->block;
    const int64_t pitch = b->size.pitch, n = b->count;
    const win_tile t = win_tile_at(b->p, b->grid, b->first + i);
    if (!t.count[0]) {
        for (int x = 0; x < b->grid->points; x++) {
            memset(b->v + (x * n + i) * pitch, 0, (size_t)b->size.depth * sizeof(T));
            memset(c->z + (x * n + i) * c->z_pitch, 0, (size_t)c->z_pitch * sizeof(T));
        }
        return;
    }
    FN(win_load)(b, &t, FN(win_grad_input), b->v + i * pitch, n * pitch);
    FN(win_load_grad)(b, c->dy, &t, c->z + i * c->z_pitch, n * c->z_pitch);
}

/* Add the chunk to rows [k0, k0+WIN_GRAD_ROWS) and depth [d0, d0+TILE_NR) of the sums. */
static void FN(win_chunk_block)(const FN(win_chunk) * c, int64_t k0, int64_t d0) {
    const FN(win_block) *b = &c->block;
    const int64_t n = b->count, pitch = b->size.pitch, depth = b->size.depth;
    const int64_t rows = fc_min(WIN_GRAD_ROWS, b->p->cols - k0);
    const int64_t width = fc_min(TILE_NR, depth - d0), nrv = width / VL;
    for (int x = 0; x < b->grid->points; x++) {
        const T *z = c->z + x * n * c->z_pitch + k0, *v = b->v + x * n * pitch + d0;
        T *m = b->m + x * WIN_GRAD_ROWS * TILE_NR;
        for (int64_t t = 0; t < n; t += WIN_SUM) {
            const int64_t some = fc_min(WIN_SUM, n - t);
            const int mode = t ? TILE_ADD : TILE_STORE;
            for (int64_t i = 0; i < rows; i += TILE_MR) {
                const tile_fn f = FN(tiles_by_cols)[fc_min(TILE_MR, rows - i) - 1][nrv - 1];
                f(some, z + t * c->z_pitch + i, c->z_pitch, v + t * pitch, pitch, m + i * TILE_NR,
                  TILE_NR, NULL, mode);
            }
        }
    }
    const int64_t plane = WIN_GRAD_ROWS * TILE_NR;
    const FN(win_place) from = {WIN_IN * plane, plane}, to = {3 * depth, depth};
    for (int64_t i = 0; i < rows; i++)
        FN(win_grad_filter)(b->grid->two, width, b->m + i * TILE_NR, from,
                            c->sum + (k0 + i) * c->taps * depth + d0, to, NULL);
}

/* sum[k][3x3 tap][groups * channels] of one group of the convolution to (K, C/groups, taps). */
static void FN(win_lay_out_weight)(const conv_problem *p, const win_grid *g, const T *sum,
                                   int64_t depth, T *dw) {
    const int64_t C = p->channels, rows = g->two ? WIN_TAPS : 1, parts = rows * WIN_TAPS;
    for (int64_t group = 0; group < g->groups; group++) {
        int64_t at[3];
        win_group_at(g, group, at);
        for (int64_t x = 0; x < parts; x++) {
            const int64_t tap = win_tap_at(p, g, at, (int)(x / WIN_TAPS), (int)(x % WIN_TAPS));
            if (tap < 0) continue;
            for (int64_t k = 0; k < p->cols; k++) {
                const T *s = sum + (k * parts + x) * depth + group * C;
                T *o = dw + k * C * p->ntaps + tap;
                for (int64_t c = 0; c < C; c++) o[c * p->ntaps] = s[c];
            }
        }
    }
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
    const int status = v && z && scratch && sum ? FC_OK : FC_NOMEM;
    for (int64_t group = 0; status == FC_OK && group < p->groups; group++) {
        memset(sum, 0, (size_t)sums * sizeof(T));
        for (int64_t first = 0; first < grid->tiles; first += count) {
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
                              .count = fc_min(count, grid->tiles - first),
                              .v = v,
                              .m = mine,
                              .local = mine + m_items},
                    .dy = dy,
                    .z_pitch = z_pitch,
                    .taps = taps,
                    .z = z,
                    .sum = sum,
                };
#pragma omp for schedule(static)
                for (int64_t i = 0; i < chunk.block.count; i++) FN(win_chunk_tile)(&chunk, i);
#pragma omp for schedule(dynamic)
                for (int64_t i = 0; i < row_blocks * depth_blocks; i++)
                    FN(win_chunk_block)(&chunk, i / depth_blocks * WIN_GRAD_ROWS,
                                        i % depth_blocks * TILE_NR);
            }
        }
        FN(win_lay_out_weight)(p, grid, sum, size.depth,
                               dw + group * p->cols * p->channels * p->ntaps);
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
    if (status == FC_OK) status = win_grid_make(&grid, &p);
    if (status == FC_OK) status = FN(win_weight_solve)(&p, &grid, dy, x, dw, threads);
    win_grid_free(&grid);
    conv_problem_free(&p);
    return status;
}
