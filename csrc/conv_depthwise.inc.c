/* Depthwise convolution: every channel has its own kernel (C = K = groups), channels-last.
 *
 * Vectors run along channels, so a tap is one multiply-add of two rows as they lie, and the work is
 * bound by loads. The rows of the kernel are a list of lines, which leaves out those beyond the
 * edge. Tiles (depthwise_tile.inc.c) go down a block of rows, so that the rows they share stay in
 * L1. Forward and backward input are the same loop over conv_problem's taps. Where C is not a
 * multiple of VL the last vector overlaps the one before; with fewer channels than lanes the other
 * lanes hold the neighbours' and are not stored. */
#include "depthwise_tile.inc.c"

/* One problem (a phase, in backward input) and how it is cut. */
typedef struct {
    conv_problem p;
    const FN(dw_tile_table) * tiles;
    int64_t group;       /* channels of a group: 1, or a power of two */
    int64_t C, channels; /* channels: C, or whole vectors */
    T *weight;           /* [tap][group][channels] */
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

/* w[channel][j][taps], j from j0 on, to out[position of the tap][group][channels], zero beyond C.
 */
static void FN(dw_pack)(const FN(dw_job) * job, const T *w, int64_t length, int64_t j0) {
    const conv_problem *p = &job->p;
    const int64_t C = job->C, taps = p->kernel_taps, channels = job->channels;
    const T *const limit = w + C * length;
    for (int64_t c = 0; c < channels; c += VL) {
        if (c + VL > channels) c = channels - VL;
        for (int64_t t = 0; t < length; t += VL) {
            T square[VL * VL] __attribute__((aligned(64)));
            const T *s = w + c * length + t;
            const int64_t n = fc_min(VL, length - t);
            if (s + (VL - 1) * length + VL <= limit) {
                FN(transpose_square)(s, length, square, VL);
            } else {
                for (int64_t i = 0; i < n; i++)
                    for (int64_t l = 0; l < VL; l++)
                        square[i * VL + l] = c + l < C ? s[l * length + i] : 0;
            }
            for (int64_t i = 0; i < n; i++) {
                const int64_t at = p->position[(t + i) % taps], j = j0 + (t + i) / taps;
                if (at >= 0)
                    vstore(job->weight + (at * job->group + j) * channels + c,
                           vload(square + i * VL));
            }
        }
    }
}

/* All weights: forward, the channels of a group lie in each column as they are wanted; backward,
 * those of one channel are first brought together. */
static int FN(dw_pack_weight)(const FN(dw_job) * job, const T *w) {
    const conv_problem *p = &job->p;
    const int64_t G = job->group, taps = p->kernel_taps;
    if (p->w_channel == taps) {
        FN(dw_pack)(job, w, G * taps, 0);
        return FC_OK;
    }
    T *one = fc_scratch(job->C * taps, sizeof(T));
    if (!one) return FC_NOMEM;
    for (int64_t j = 0; j < G; j++) {
        for (int64_t g = 0; g < p->groups; g++)
            memcpy(one + g * G * taps, w + (g * G + j) * G * taps, (size_t)(G * taps) * sizeof(T));
        FN(dw_pack)(job, one, taps, j);
    }
    fc_free(one);
    return FC_OK;
}

/* From the problem to tile, blocks and packed weights. */
static int FN(dw_plan)(FN(dw_job) * j, const T *w) {
    const conv_problem *p = &j->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t W = p->grid[2], step = p->src_step[2];
    j->group = p->channels;
    j->C = p->groups * p->channels;
    j->channels = fc_max(j->C, VL);
    int even = step <= 2;
    for (int64_t k = 1; k < tw->count; k++) even &= tw->off[k] == tw->off[k - 1] + 1;
    j->kw = 1;
    for (int k = 2; even && k < 8; k++)
        if ((*j->tiles)[step - 1][k][0] && tw->count % k == 0) j->kw = k;
    const dw_tile_fn *tiles = (*j->tiles)[j->kw > 1 ? step - 1 : 0][j->kw];
    for (int np = DW_LEAST; np <= DW_POSITIONS; np++) /* the least positions in vain, the widest */
        if (tiles[np - DW_LEAST] && (!j->np || fc_round_up(W, np) <= fc_round_up(W, j->np)))
            j->np = np;
    j->tile = tiles[j->np - DW_LEAST];
    /* the weights, and the lines that neighbouring rows of tiles share, stay in L1 */
    const int64_t cols = (j->np - 1) * step + tw->count;
    const int64_t shared = cols * th->count * td->count + p->ntaps * j->group;
    const int64_t unit = fc_max(VL, j->group); /* whole vectors of whole groups */
    j->block = fc_max(1, DW_BLOCK_BYTES / (int64_t)sizeof(T) / fc_max(1, shared) / unit) * unit;
    j->block = fc_min(j->block, fc_round_up(j->C, VL));
    j->parts = tw->count / j->kw;
    j->lines = td->count * th->count * j->parts;
    j->weight = fc_scratch(fc_max(1, p->ntaps) * j->group * j->channels, sizeof(T));
    return j->weight ? FN(dw_pack_weight)(j, w) : FC_NOMEM;
}

/* Fewer channels than lanes: whole vectors would reach past the end of an array. Rows nearer to it
 * than `reach` are read from a copy of its end, with zeros after it. */
typedef struct {
    const T *limit, *tail; /* the end, and the copy's */
    int64_t reach;
} FN(dw_end);

INLINE const T *FN(dw_row)(const FN(dw_end) * e, const T *row) {
    return e->limit - row < e->reach ? e->tail - (e->limit - row) : row;
}

/* Elements of the copy, for rows of `row` elements. */
static int64_t FN(dw_end_items)(int64_t C, int64_t row) { return C < VL ? row + 2 * VL : 0; }

static FN(dw_end) FN(dw_end_of)(const T *a, int64_t items, int64_t C, int64_t row, T *copy) {
    FN(dw_end) e = {a + items, NULL, 0};
    if (C >= VL) return e;
    e.reach = row + VL;
    const int64_t n = fc_min(items, e.reach);
    memcpy(copy, e.limit - n, (size_t)n * sizeof(T));
    memset(copy + n, 0, VL * sizeof(T));
    e.tail = copy + n;
    return e;
}

/* One block: rows [h0, h1) of output plane (n, d) times channels [c0, c0 + vectors*VL). */
typedef struct {
    const FN(dw_job) * job;
    const T *image, *bias; /* bias: of the block */
    const FN(dw_end) * end;
    T *dst, *target; /* the plane's first element, and the result's */
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
                row = FN(dw_row)(r->end, row);
                for (int64_t k = 0; k < j->parts; k++, n++) {
                    out[n].x = row + tw->off[k * j->kw] * st[4];
                    out[n].w =
                        ((a * th->count + b) * tw->count + k * j->kw) * j->group * j->channels;
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
        /* with an epilogue too: overlapping vectors must not meet results that went through it */
        const int local = count < j->np || j->C < VL || p->epilogue;
        FN(dw_block)
        block = {.weight = j->weight + r->c0,
                 .bias = r->bias,
                 .pitch = j->kw > 1 ? st[4] : step * st[4],
                 .w_pitch = j->group * j->channels,
                 .w_channel = j->channels,
                 .y_pitch = local ? wide : y_col,
                 .vectors = r->vectors,
                 .inside = r->inside};
        FN(dw_columns)(j, w, r->inside);
        const FN(dw_line) *lines = r->lines;
        for (int64_t h = r->h0; h < r->h1; h++, lines += j->lines) {
            T *y = r->dst + h * y_row + w * y_col + r->c0;
            j->tile(&block, lines, r->count[h - r->h0], w * step * st[4] + r->c0,
                    local ? r->local : y);
            if (!local) continue;
            for (int64_t i = 0; i < count; i++) {
                const T *from = r->local + i * wide;
                T *to = y + i * y_col;
                if (p->epilogue) {
                    FN(finish_part)(p->epilogue, C, r->c0, from, r->target, to);
                } else {
                    for (int64_t c = 0; c < C; c++) to[c] = from[c];
                }
            }
        }
    }
}

/* What all blocks of a call have in common. */
typedef struct {
    int64_t row_blocks, planes;
    const T *src, *bias;
    T *dst;
    FN(dw_end) end;
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
         .end = &call->end,
         .dst = call->dst + n * s[0] + (d * p->dst_step[0] + p->dst_first[0]) * s[2] +
                p->dst_first[1] * s[3] + p->dst_first[2] * s[4],
         .target = call->dst,
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
    const int64_t unit = fc_max(VL, jobs->group);
    const int64_t all = p->batch * planes * row_blocks;
    while (threads > 1 && all * fc_ceil_div(C, block) < 2 * threads && block > unit)
        block = fc_round_up(block / 2, unit);
    for (int64_t i = 0; i < count; i++) jobs[i].block = block;
    const int64_t source = p->batch * p->src_stride[0], row = p->src_size[2] * p->src_stride[4];
    const int64_t local_items = DW_POSITIONS * block;
    T *local = fc_scratch(threads * local_items + VL + FN(dw_end_items)(C, row), sizeof(T));
    FN(dw_line) *list = fc_scratch(threads * lines, sizeof *list);
    uint32_t *inside = fc_scratch(threads * parts, sizeof *inside);
    if (local && list && inside) {
        T *padded = local + threads * local_items;
        FN(dw_call)
        call = {row_blocks, planes, src,
                bias,       dst,    FN(dw_end_of)(src, source, C, row, padded + VL)};
        for (int64_t c = 0; bias && c < VL && C < VL; c++) padded[c] = c < C ? bias[c] : 0;
        if (bias && C < VL) call.bias = padded;
        const int64_t tasks = all * fc_ceil_div(C, block);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < tasks; i++)
            for (int64_t k = 0; k < count; k++)
                FN(dw_run_block)(&call, jobs + k, i, list + fc_thread() * lines,
                                 inside + fc_thread() * parts, local + fc_thread() * local_items);
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

static int FN(dw_forward)(const fc_conv_geom *g, const FN(dw_tile_table) * tiles, const T *x,
                          const T *w, const T *bias, T *y, int threads) {
    FN(dw_job) job = {.tiles = tiles};
    int status = conv_problem_forward(&job.p, g);
    if (status == FC_OK) status = FN(dw_solve)(&job, 1, x, w, bias, y, threads);
    FN(dw_free)(&job, 1);
    return status;
}

static int FN(dw_backward_input)(const fc_conv_geom *g, const FN(dw_tile_table) * tiles,
                                 const T *dy, const T *w, const T *bias, T *dx, int threads) {
    int64_t phase[3], phases = 1, n = 0;
    int status = FC_OK;
    for (int i = 0; i < 3; i++) phases *= fc_min(g->stride[i], g->in_size[i]);
    FN(dw_job) *jobs = fc_scratch(phases, sizeof *jobs);
    if (!jobs) return FC_NOMEM;
    memset(jobs, 0, (size_t)phases * sizeof *jobs);
    FOR_EACH_PHASE(g, phase) {
        jobs[n].tiles = tiles;
        if (status == FC_OK) status = conv_problem_backward_input(&jobs[n++].p, g, phase);
    }
    if (status == FC_OK) status = FN(dw_solve)(jobs, n, dy, w, bias, dx, threads);
    FN(dw_free)(jobs, n);
    fc_free(jobs);
    return status;
}

static int FN(conv_forward_depthwise)(const fc_conv_geom *g, const void *x, const void *w,
                                      const void *bias, void *y, int threads) {
    const int status = FN(dw_check)(g);
    return status ? status : FN(dw_forward)(g, &FN(dw_tiles), x, w, bias, y, threads);
}

static int FN(conv_backward_input_depthwise)(const fc_conv_geom *g, const void *dy, const void *w,
                                             const void *bias, void *dx, int threads) {
    const int status = FN(dw_check)(g);
    return status ? status : FN(dw_backward_input)(g, &FN(dw_tiles), dy, w, bias, dx, threads);
}
