/* Depthwise convolution: every channel has its own kernel (C = K = groups), channels-last.
 *
 * Vectors run along channels, so a tap is one multiply-add of two rows as they lie, and the work is
 * bound by loads. A tile is P neighbouring outputs times the kw taps of a kernel row: P + kw - 1
 * vectors of x (2P + kw - 2 with stride 2) and kw of the weight for P * kw FMAs. The rows of the
 * kernel are a list of lines, which leaves out those beyond the edge; columns beyond the edge read
 * a vector of zeros. Tiles go down a block of rows, so that the rows they share stay in L1.
 * Forward and backward input are the same loop over conv_problem's taps. Where C is not a multiple
 * of VL the last vector overlaps the one before; with fewer channels than lanes the other lanes
 * hold the neighbours' and are not stored. */
#ifndef DW_POSITIONS
#define DW_POSITIONS 8 /* and down to DW_LEAST, so that rows of 7, 10 or 12 divide well */
/* Rows of a block; bytes of x that neighbouring rows of it share: they and the weights stay in L1.
 */
enum { DW_LEAST = 4, DW_ROWS = 8, DW_BLOCK_BYTES = 20 << 10 };
#define DW_VECS 2
enum { DW_MAX_SPLITS = 8, DW_ROWS_PER_SPLIT = 16 };
#define DW_UNROLL _Pragma("GCC unroll 32")
#endif

/* One row of kw taps at the first position of a row of outputs. */
typedef struct {
    const T *x;
    int64_t w, part; /* offset of its weights; its place among the parts of a kernel row */
} FN(dw_line);

/* What the tiles of a block have in common. */
typedef struct {
    const T *weight, *bias; /* at the block's first channel; bias may be NULL */
    int64_t pitch;          /* of x: between taps, or between positions where kw = 1 */
    int64_t w_pitch, y_pitch, vectors;
    const uint32_t *inside; /* of each part: bit j says that column j of the tile's x is inside */
} FN(dw_block);

/* y[i][c] = bias[c] + sum over lines, k < kw of w[line][k][c] * x[line][i*step + k][c]. */
INLINE void FN(tile_dw)(const int kw, const int step, const int np, const FN(dw_block) * b,
                        const FN(dw_line) * lines, int64_t count, int64_t offset, T *y) {
    static const T zero[VL] __attribute__((aligned(64)));
    const int64_t pitch = b->pitch, w_pitch = b->w_pitch, y_pitch = b->y_pitch;
    for (int64_t c = 0; c < b->vectors * VL; c += VL) {
        vec acc[DW_POSITIONS];
        const vec start = b->bias ? vload(b->bias + c) : vset1(0);
        UNROLL
        for (int i = 0; i < np; i++) acc[i] = start;
        for (int64_t e = 0; e < count; e++) {
            const T *xl = lines[e].x + offset + c, *wl = b->weight + lines[e].w + c;
            const uint32_t inside = b->inside[lines[e].part];
            vec wv[7];
            UNROLL
            for (int k = 0; k < kw; k++) wv[k] = vload(wl + k * w_pitch);
            DW_UNROLL
            for (int j = 0; j < (np - 1) * step + kw; j++) {
                const vec xv = vload(inside & 1u << j ? xl : zero);
                UNROLL
                for (int k = 0; k < kw; k++) {
                    const int i = (j - k) / step;
                    if (j >= k && i * step == j - k && i < np) acc[i] += wv[k] * xv;
                }
                xl += pitch;
            }
        }
        T *o = y + c;
        UNROLL
        for (int i = 0; i < np; i++) {
            vstore(o, acc[i]);
            o += y_pitch;
        }
    }
}

#define dw_tile_fn FN(dw_tile_fn)
typedef void (*dw_tile_fn)(const FN(dw_block) *, const FN(dw_line) *, int64_t count, int64_t offset,
                           T *y);
#define DW_TILE(kw, step, np)                                                                     \
    NOINLINE void FN(tile_dw_##kw##_##step##_##np)(                                               \
        const FN(dw_block) * b, const FN(dw_line) * lines, int64_t count, int64_t offset, T *y) { \
        FN(tile_dw)(kw, step, np, b, lines, count, offset, y);                                    \
    }
#define DW_TILES(kw, step) \
    DW_TILE(kw, step, 4) DW_TILE(kw, step, 5) DW_TILE(kw, step, 6) DW_TILE(kw, step, 7)
#define DW_NAMES(kw, step)                                                                       \
    FN(tile_dw_##kw##_##step##_4), FN(tile_dw_##kw##_##step##_5), FN(tile_dw_##kw##_##step##_6), \
        FN(tile_dw_##kw##_##step##_7)
#define DW_TILES_8(kw, step) DW_TILES(kw, step) DW_TILE(kw, step, 8)
#define DW_NAMES_8(kw, step) DW_NAMES(kw, step), FN(tile_dw_##kw##_##step##_8)
/* 7 weights and 8 sums need more than 16 registers. */
#if VEC_BYTES == 64 || defined(__aarch64__)
#define DW_TILES_7 DW_TILES_8
#define DW_NAMES_7 DW_NAMES_8
#else
#define DW_TILES_7 DW_TILES
#define DW_NAMES_7 DW_NAMES
#endif
DW_TILES_8(1, 1)
DW_TILES_8(2, 1)
DW_TILES_8(3, 1)
DW_TILES_8(4, 1)
DW_TILES_8(5, 1)
DW_TILES_7(7, 1)
DW_TILES_8(3, 2)
DW_TILES_8(5, 2)
DW_TILES_7(7, 2)
/* [step - 1][kw][positions - DW_LEAST] */
static const dw_tile_fn FN(dw_tiles)[2][8][DW_POSITIONS - DW_LEAST + 1] = {
    {[1] = {DW_NAMES_8(1, 1)},
     [2] = {DW_NAMES_8(2, 1)},
     [3] = {DW_NAMES_8(3, 1)},
     [4] = {DW_NAMES_8(4, 1)},
     [5] = {DW_NAMES_8(5, 1)},
     [7] = {DW_NAMES_7(7, 1)}},
    {[3] = {DW_NAMES_8(3, 2)}, [5] = {DW_NAMES_8(5, 2)}, [7] = {DW_NAMES_7(7, 2)}}};
#undef DW_TILES_7
#undef DW_NAMES_7

/* One problem (a phase, in backward input) and how it is cut. */
typedef struct {
    conv_problem p;
    int64_t C, channels; /* channels: C, or one vector */
    T *weight;           /* [tap][channels] */
    int kw, np;          /* of a tile; kw = 1 takes the taps one by one */
    dw_tile_fn tile;
    int64_t block;        /* channels of a block */
    int64_t lines, parts; /* of a row of outputs, at most; of a kernel row */
} FN(dw_job);

static int FN(dw_check)(const fc_conv_geom *g) {
    if (g->in_channels != g->groups || g->out_channels != g->groups) return FC_UNSUPPORTED;
    if (g->groups > 1 && (g->x_stride[1] != 1 || g->y_stride[1] != 1)) return FC_UNSUPPORTED;
    return fc_conv_check(g);
}

/* w[channel][taps] to out[position of the tap][channels], zero beyond C. */
static void FN(dw_pack_weight)(const conv_problem *p, const T *w, int64_t channels, T *out) {
    const int64_t C = p->groups, taps = p->kernel_taps;
    const T *const limit = w + C * taps;
    for (int64_t c = 0; c < channels; c += VL) {
        if (c + VL > channels) c = channels - VL;
        for (int64_t t = 0; t < taps; t += VL) {
            T square[VL * VL] __attribute__((aligned(64)));
            const T *s = w + c * taps + t;
            if (s + (VL - 1) * taps + VL <= limit) {
                FN(transpose_square)(s, taps, square, VL);
            } else {
                for (int64_t i = 0; i < fc_min(VL, taps - t); i++)
                    for (int64_t l = 0; l < VL; l++)
                        square[i * VL + l] = c + l < C ? s[l * taps + i] : 0;
            }
            for (int64_t i = 0; i < fc_min(VL, taps - t); i++)
                if (p->position[t + i] >= 0)
                    vstore(out + p->position[t + i] * channels + c, vload(square + i * VL));
        }
    }
}

/* From the problem to tile, blocks and packed weights. */
static int FN(dw_plan)(FN(dw_job) * j, const T *w) {
    const conv_problem *p = &j->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t W = p->grid[2], step = p->src_step[2];
    j->C = p->groups;
    j->channels = fc_max(j->C, VL);
    int even = step <= 2;
    for (int64_t k = 1; k < tw->count; k++) even &= tw->off[k] == tw->off[k - 1] + 1;
    j->kw = 1;
    for (int k = 2; even && k < 8; k++)
        if (FN(dw_tiles)[step - 1][k][0] && tw->count % k == 0) j->kw = k;
    const dw_tile_fn *tiles = FN(dw_tiles)[j->kw > 1 ? step - 1 : 0][j->kw];
    const int most = tiles[DW_POSITIONS - DW_LEAST] ? DW_POSITIONS : DW_POSITIONS - 1;
    j->np = (int)fc_max(DW_LEAST, fc_ceil_div(W, fc_ceil_div(W, most)));
    j->tile = tiles[j->np - DW_LEAST];
    /* the lines that neighbouring rows of tiles share stay in L1 */
    const int64_t cols = (j->np - 1) * step + tw->count;
    const int64_t shared = fc_max(1, cols * th->count * td->count) * (int64_t)sizeof(T);
    j->block = fc_max(1, DW_BLOCK_BYTES / shared / VL) * VL;
    j->block = fc_min(j->block, fc_round_up(j->C, VL));
    j->parts = tw->count / j->kw;
    j->lines = td->count * th->count * j->parts;
    j->weight = fc_scratch(fc_max(1, p->ntaps) * j->channels, sizeof(T));
    if (!j->weight) return FC_NOMEM;
    FN(dw_pack_weight)(p, w, j->channels, j->weight);
    return FC_OK;
}

/* One block: rows [h0, h1) of output plane (n, d) times channels [c0, c0 + vectors*VL). */
typedef struct {
    const FN(dw_job) * job;
    const T *image, *bias; /* bias: of the block */
    const T *limit, *tail; /* the end of the source; the end of a copy of its last row */
    T *dst;                /* the plane's first element */
    int64_t d, h0, h1, c0, vectors;
    FN(dw_line) * lines; /* [h1 - h0][job->lines] */
    int64_t count[DW_ROWS];
    uint32_t *inside; /* [job->parts] */
    T *local;         /* [DW_POSITIONS][vectors*VL]: a tile that is not stored as a whole */
} FN(dw_rows);

/* The lines of every row of outputs. */
static void FN(dw_list)(FN(dw_rows) * r) {
    const FN(dw_job) *j = r->job;
    const conv_problem *p = &j->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t *st = p->src_stride, zd = r->d * p->src_step[0];
    const int64_t reach = p->src_size[2] * st[4] + VL;
    int64_t a0, a1;
    tap_range(td, zd, p->src_size[0], &a0, &a1);
    FN(dw_line) *out = r->lines;
    for (int64_t h = r->h0; h < r->h1; h++, out += j->lines) {
        const int64_t zh = h * p->src_step[1];
        int64_t b0, b1, n = 0;
        tap_range(th, zh, p->src_size[1], &b0, &b1);
        for (int64_t a = a0; a < a1; a++)
            for (int64_t b = b0; b < b1; b++) {
                const T *row = r->image + (zd + td->off[a]) * st[2] + (zh + th->off[b]) * st[3];
                /* whole vectors of fewer channels would reach past the source */
                if (j->C < VL && r->limit - row < reach) row = r->tail - (r->limit - row);
                for (int64_t k = 0; k < j->parts; k++, n++) {
                    out[n].x = row + tw->off[k * j->kw] * st[4];
                    out[n].w = ((a * th->count + b) * tw->count + k * j->kw) * j->channels;
                    out[n].part = k;
                }
            }
        r->count[h - r->h0] = n;
    }
}

/* Which columns of x are inside, for the tile at w. */
static void FN(dw_columns)(const FN(dw_job) * j, int64_t w, uint32_t *inside) {
    const conv_problem *p = &j->p;
    const int64_t step = p->src_step[2], apart = j->kw > 1 ? 1 : step;
    const int64_t cols = j->kw > 1 ? (j->np - 1) * step + j->kw : j->np;
    for (int64_t k = 0; k < j->parts; k++) {
        int64_t z = w * step + p->taps[2].off[k * j->kw];
        inside[k] = 0;
        for (int i = 0; i < cols; i++, z += apart)
            if (z >= 0 && z < p->src_size[2]) inside[k] |= 1u << i;
    }
}

static void FN(dw_run_rows)(FN(dw_rows) * r) {
    const FN(dw_job) *j = r->job;
    const conv_problem *p = &j->p;
    const int64_t *st = p->src_stride, W = p->grid[2], step = p->src_step[2];
    const int64_t wide = r->vectors * VL, C = fc_min(wide, j->C);
    const int64_t y_row = p->dst_step[1] * p->dst_stride[3];
    const int64_t y_col = p->dst_step[2] * p->dst_stride[4];
    FN(dw_list)(r);
    for (int64_t w = 0; w < W; w += j->np) {
        if (w + j->np > W && W >= j->np) w = W - j->np; /* overlaps the tile before */
        const int64_t count = fc_min(j->np, W - w);
        const int local = count < j->np || j->C < VL;
        FN(dw_block)
        block = {.weight = j->weight + r->c0,
                 .bias = r->bias,
                 .pitch = j->kw > 1 ? st[4] : step * st[4],
                 .w_pitch = j->channels,
                 .y_pitch = local ? wide : y_col,
                 .vectors = r->vectors,
                 .inside = r->inside};
        FN(dw_columns)(j, w, r->inside);
        const FN(dw_line) *lines = r->lines;
        for (int64_t h = r->h0; h < r->h1; h++, lines += j->lines) {
            T *y = r->dst + h * y_row + w * y_col + r->c0;
            j->tile(&block, lines, r->count[h - r->h0], w * step * st[4] + r->c0,
                    local ? r->local : y);
            for (int64_t i = 0; local && i < count; i++)
                for (int64_t c = 0; c < C; c++) y[i * y_col + c] = r->local[i * wide + c];
        }
    }
}

/* What all blocks of a call have in common. */
typedef struct {
    int64_t row_blocks, planes;
    const T *src, *bias, *limit, *tail;
    T *dst;
} FN(dw_call);

/* Block number i of one problem. */
static void FN(dw_run_block)(const FN(dw_call) * call, const FN(dw_job) * j, int64_t i,
                             FN(dw_line) * lines, uint32_t *inside, T *local) {
    const conv_problem *p = &j->p;
    const int64_t *s = p->dst_stride, C = j->C;
    const int64_t blocks = fc_ceil_div(C, j->block), c0 = i % blocks * j->block;
    const int64_t h0 = i / blocks % call->row_blocks * DW_ROWS,
                  plane = i / blocks / call->row_blocks;
    const int64_t d = plane % call->planes, n = plane / call->planes;
    if (d >= p->grid[0] || h0 >= p->grid[1]) return;
    FN(dw_rows)
    r = {.job = j,
         .image = call->src + n * p->src_stride[0],
         .limit = call->limit,
         .tail = call->tail,
         .dst = call->dst + n * s[0] + (d * p->dst_step[0] + p->dst_first[0]) * s[2] +
                p->dst_first[1] * s[3] + p->dst_first[2] * s[4],
         .d = d,
         .h0 = h0,
         .h1 = fc_min(h0 + DW_ROWS, p->grid[1]),
         .lines = lines,
         .inside = inside,
         .local = local};
    for (int64_t c = c0, end = fc_min(C, c0 + j->block); c < end; c += r.vectors * VL) {
        r.c0 = C >= VL ? fc_min(c, C - VL) : 0; /* the last vector overlaps the one before */
        r.vectors = fc_max(1, (end - c) / VL);
        r.bias = call->bias ? call->bias + r.c0 : NULL;
        FN(dw_run_rows)(&r);
    }
}

/* The problems (one, or the phases) of one convolution: a block at a time of all of them, so that
 * the rows they share stay in cache. */
static int FN(dw_solve)(FN(dw_job) * jobs, int64_t count, const T *src, const T *w, const T *bias,
                        T *dst, int threads) {
    const conv_problem *p = &jobs->p;
    int64_t rows = 0, planes = 0, lines = 1, parts = 1, block = INT64_MAX;
    int status = FC_OK;
    for (int64_t i = 0; i < count && status == FC_OK; i++) {
        status = FN(dw_plan)(&jobs[i], w);
        rows = fc_max(rows, jobs[i].p.grid[1]);
        planes = fc_max(planes, jobs[i].p.grid[0]);
        lines = fc_max(lines, DW_ROWS * jobs[i].lines);
        parts = fc_max(parts, jobs[i].parts);
        block = fc_min(block, jobs[i].block);
    }
    if (status) return status;
    const int64_t C = jobs->C, row_blocks = fc_ceil_div(rows, DW_ROWS);
    const int64_t all = p->batch * planes * row_blocks;
    while (threads > 1 && all * fc_ceil_div(C, block) < 2 * threads && block > VL)
        block = fc_round_up(block / 2, VL);
    for (int64_t i = 0; i < count; i++) jobs[i].block = block;
    const int64_t source = p->batch * p->src_stride[0];
    const int64_t tail = C < VL ? fc_min(source, p->src_size[2] * p->src_stride[4] + VL) : 0;
    T *local = fc_scratch(threads * DW_POSITIONS * block + VL + tail + VL, sizeof(T));
    FN(dw_line) *list = fc_scratch(threads * lines, sizeof *list);
    uint32_t *inside = fc_scratch(threads * parts, sizeof *inside);
    if (local && list && inside) {
        FN(dw_call)
        call = {row_blocks, planes, src, bias, src + source, NULL, dst};
        if (C < VL) {
            T *padded = local + threads * DW_POSITIONS * block, *copy = padded + VL;
            for (int64_t c = 0; c < VL; c++) padded[c] = bias && c < C ? bias[c] : 0;
            if (bias) call.bias = padded;
            memcpy(copy, call.limit - tail, (size_t)tail * sizeof(T));
            memset(copy + tail, 0, VL * sizeof(T));
            call.tail = copy + tail;
        }
        const int64_t tasks = all * fc_ceil_div(C, block);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++)
            for (int64_t k = 0; k < count; k++)
                FN(dw_run_block)(&call, jobs + k, i, list + fc_thread() * lines,
                                 inside + fc_thread() * parts,
                                 local + fc_thread() * DW_POSITIONS * block);
    } else {
        status = FC_NOMEM;
    }
    fc_free(inside);
    fc_free(list);
    fc_free(local);
    return status;
}

static void FN(dw_free)(FN(dw_job) * jobs, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        conv_problem_free(&jobs[i].p);
        fc_free(jobs[i].weight);
    }
}

static int FN(conv_forward_depthwise)(const fc_conv_geom *g, const void *x, const void *w,
                                      const void *bias, void *y, int threads) {
    int status = FN(dw_check)(g);
    if (status) return status;
    FN(dw_job) job = {.weight = NULL};
    status = conv_problem_forward(&job.p, g);
    if (status == FC_OK) status = FN(dw_solve)(&job, 1, x, w, bias, y, threads);
    FN(dw_free)(&job, 1);
    return status;
}

static int FN(conv_backward_input_depthwise)(const fc_conv_geom *g, const void *dy, const void *w,
                                             const void *bias, void *dx, int threads) {
    int status = FN(dw_check)(g);
    if (status) return status;
    int64_t phase[3], phases = 1, n = 0;
    for (int i = 0; i < 3; i++) phases *= fc_min(g->stride[i], g->in_size[i]);
    FN(dw_job) *jobs = fc_scratch(phases, sizeof *jobs);
    if (!jobs) return FC_NOMEM;
    memset(jobs, 0, (size_t)phases * sizeof *jobs);
    FOR_EACH_PHASE(g, phase) {
        if (status == FC_OK) status = conv_problem_backward_input(&jobs[n++].p, g, phase);
    }
    if (status == FC_OK) status = FN(dw_solve)(jobs, n, dy, w, bias, dx, threads);
    FN(dw_free)(jobs, n);
    fc_free(jobs);
    return status;
}

/* ---------------------------------------------------------------- backward weight */

/* sum[k][c] += dy[w][c] * x[w][k][c] over n outputs, for nk taps (pitch apart) and nv vectors. */
INLINE void FN(tile_dw_sum)(const int nk, const int nv, int64_t n, const T *dy, int64_t dy_pitch,
                            const T *x, int64_t x_pitch, int64_t tap_pitch, T *sum, int64_t C) {
    vec acc[7][DW_VECS];
    UNROLL
    for (int k = 0; k < nk; k++) {
        UNROLL
        for (int v = 0; v < nv; v++) acc[k][v] = vload(sum + k * C + v * VL);
    }
    for (int64_t i = 0; i < n; i++) {
        UNROLL
        for (int v = 0; v < nv; v++) {
            const vec g = vload(dy + v * VL);
            UNROLL
            for (int k = 0; k < nk; k++) acc[k][v] += g * vload(x + k * tap_pitch + v * VL);
        }
        dy += dy_pitch;
        x += x_pitch;
    }
    UNROLL
    for (int k = 0; k < nk; k++) {
        UNROLL
        for (int v = 0; v < nv; v++) vstore(sum + k * C + v * VL, acc[k][v]);
    }
}

#define DW_SUM(nk)                                                                                \
    NOINLINE void FN(tile_dw_sum_##nk)(int64_t n, const T *dy, int64_t dyp, const T *x,           \
                                       int64_t xp, int64_t tp, T *sum, int64_t C, int64_t cols) { \
        int64_t c = 0;                                                                            \
        for (; c + DW_VECS * VL <= cols; c += DW_VECS * VL)                                       \
            FN(tile_dw_sum)(nk, DW_VECS, n, dy + c, dyp, x + c, xp, tp, sum + c, C);              \
        for (; c < cols; c += VL)                                                                 \
            FN(tile_dw_sum)(nk, 1, n, dy + c, dyp, x + c, xp, tp, sum + c, C);                    \
    }
DW_SUM(1)
DW_SUM(3)
DW_SUM(5)
DW_SUM(7)

/* Taps [k, k+nk) of one kernel row over the outputs [lo, hi) of one row, all inside. */
static void FN(dw_sum_taps)(int64_t nk, int64_t n, const T *dy, int64_t dyp, const T *x, int64_t xp,
                            int64_t tp, T *sum, int64_t C) {
    const int64_t cols = C / VL * VL;
    if (n <= 0) return;
    if (nk == 7) FN(tile_dw_sum_7)(n, dy, dyp, x, xp, tp, sum, C, cols);
    else if (nk == 5) FN(tile_dw_sum_5)(n, dy, dyp, x, xp, tp, sum, C, cols);
    else if (nk == 3) FN(tile_dw_sum_3)(n, dy, dyp, x, xp, tp, sum, C, cols);
    else FN(tile_dw_sum_1)(n, dy, dyp, x, xp, tp, sum, C, cols);
    for (int64_t c = cols; c < C; c++) {
        for (int64_t k = 0; k < nk; k++) {
            T s = sum[k * C + c];
            for (int64_t i = 0; i < n; i++) s += dy[i * dyp + c] * x[i * xp + k * tp + c];
            sum[k * C + c] = s;
        }
    }
}

/* One output row: sum[tap][C] += over its outputs. Taps go by 7, 5, 3 or 1; the outputs where all
 * of a group are inside go together, the others tap by tap. */
static void FN(dw_sum_row)(const conv_problem *p, const T *image, const T *dy, int64_t d, int64_t h,
                           T *sum) {
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t *st = p->src_stride, C = p->groups, W = p->grid[2], step = p->src_step[2];
    const int64_t dyp = p->dst_stride[4], xp = step * st[4];
    int64_t d0, d1, h0, h1;
    tap_range(td, d * p->src_step[0], p->src_size[0], &d0, &d1);
    tap_range(th, h * p->src_step[1], p->src_size[1], &h0, &h1);
    for (int64_t a = d0; a < d1; a++) {
        for (int64_t b = h0; b < h1; b++) {
            const T *line = image + (d * p->src_step[0] + td->off[a]) * st[2] +
                            (h * p->src_step[1] + th->off[b]) * st[3];
            T *s = sum + (a * th->count + b) * tw->count * C;
            for (int64_t k = 0, nk; k < tw->count; k += nk) {
                const int64_t left = tw->count - k;
                nk = left >= 7 ? 7 : left >= 5 ? 5 : left >= 3 ? 3 : 1;
                const int64_t tp = nk > 1 ? (tw->off[k + 1] - tw->off[k]) * st[4] : 0;
                /* outputs [lo, hi) with 0 <= w*step + off < size for the first and the last tap */
                int64_t lo = 0, hi = W;
                while (lo < W && lo * step + tw->off[k] < 0) lo++;
                while (hi > lo && (hi - 1) * step + tw->off[k + nk - 1] >= p->src_size[2]) hi--;
                FN(dw_sum_taps)(nk, hi - lo, dy + lo * dyp, dyp,
                                line + (lo * step + tw->off[k]) * st[4], xp, tp, s + k * C, C);
                for (int64_t j = k; nk > 1 && j < k + nk; j++) {
                    for (int64_t w = 0; w < W; w++) {
                        if (w == lo && hi > lo) w = hi;
                        const int64_t z = w * step + tw->off[j];
                        if (w >= W || z < 0 || z >= p->src_size[2]) continue;
                        FN(dw_sum_taps)(1, 1, dy + w * dyp, dyp, line + z * st[4], xp, 0, s + j * C,
                                        C);
                    }
                }
            }
        }
    }
}

static int FN(conv_backward_weight_depthwise)(const fc_conv_geom *g, const void *dy, const void *x,
                                              const void *bias, void *dw, int threads) {
    (void)bias;
    int status = FN(dw_check)(g);
    if (status) return status;
    conv_problem p;
    status = conv_problem_forward(&p, g);
    const int64_t C = p.groups, taps = p.ntaps, rows = p.batch * p.grid[0] * p.grid[1];
    const int64_t splits = fc_max(1, fc_min(DW_MAX_SPLITS, rows / DW_ROWS_PER_SPLIT));
    T *sums = status == FC_OK ? fc_scratch(splits * taps * C, sizeof(T)) : NULL;
    if (!sums) {
        conv_problem_free(&p);
        return FC_NOMEM;
    }
    const int64_t chunk = fc_ceil_div(rows, splits);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t s = 0; s < splits; s++) {
        T *sum = sums + s * taps * C;
        memset(sum, 0, (size_t)(taps * C) * sizeof(T));
        for (int64_t i = s * chunk; i < fc_min(rows, (s + 1) * chunk); i++) {
            const int64_t h = i % p.grid[1], d = i / p.grid[1] % p.grid[0];
            const int64_t n = i / p.grid[1] / p.grid[0];
            FN(dw_sum_row)(&p, (const T *)x + n * p.src_stride[0],
                           (const T *)dy + i * p.grid[2] * p.dst_stride[4], d, h, sum);
        }
    }
    for (int64_t c = 0; c < C; c++) {
        for (int64_t t = 0; t < taps; t++) {
            T total = 0;
            for (int64_t s = 0; s < splits; s++) total += sums[(s * taps + t) * C + c];
            ((T *)dw)[c * taps + t] = total;
        }
    }
    fc_free(sums);
    conv_problem_free(&p);
    return FC_OK;
}
