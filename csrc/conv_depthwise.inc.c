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
enum { DW_LEAST = 4, DW_ROWS = 8, DW_BLOCK_BYTES = 24 << 10 };
/* Backward weight: lines of a tile and outputs of a strip at most; partial sums. */
enum { DW_SUM_LINES = 5, DW_SUM_COLS = 16, DW_MAX_SPLITS = 8, DW_BLOCKS_PER_SPLIT = 4 };
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
    int64_t w_pitch, w_channel, y_pitch, vectors; /* of w: between taps, channels of a group */
    const uint32_t *inside; /* of each part: bit j says that column j of the tile's x is inside */
} FN(dw_block);

/* Lane l of the result is lane l / group * group + j of x: channel j of every group. */
#define DW_LANE(l, group, j) ((l) / (group) * (group) + (j))
#undef DW_SPREAD
#if VEC_BYTES / TYPE_BYTES == 2
#define DW_SPREAD(x, n, j) SHUFFLE(x, x, DW_LANE(0, n, j), DW_LANE(1, n, j))
#elif VEC_BYTES / TYPE_BYTES == 4
#define DW_SPREAD(x, n, j) \
    SHUFFLE(x, x, DW_LANE(0, n, j), DW_LANE(1, n, j), DW_LANE(2, n, j), DW_LANE(3, n, j))
#elif VEC_BYTES / TYPE_BYTES == 8
#define DW_SPREAD(x, n, j)                                                                \
    SHUFFLE(x, x, DW_LANE(0, n, j), DW_LANE(1, n, j), DW_LANE(2, n, j), DW_LANE(3, n, j), \
            DW_LANE(4, n, j), DW_LANE(5, n, j), DW_LANE(6, n, j), DW_LANE(7, n, j))
#else
#define DW_SPREAD(x, n, j)                                                                \
    SHUFFLE(x, x, DW_LANE(0, n, j), DW_LANE(1, n, j), DW_LANE(2, n, j), DW_LANE(3, n, j), \
            DW_LANE(4, n, j), DW_LANE(5, n, j), DW_LANE(6, n, j), DW_LANE(7, n, j),       \
            DW_LANE(8, n, j), DW_LANE(9, n, j), DW_LANE(10, n, j), DW_LANE(11, n, j),     \
            DW_LANE(12, n, j), DW_LANE(13, n, j), DW_LANE(14, n, j), DW_LANE(15, n, j))
#endif

/* The operand of channel j of a group, from x at the vector's place (at channel j itself where a
 * group is whole vectors). The cases are constants, as shuffles must be. */
INLINE vec FN(dw_spread)(const int group, const int j, const T *x) {
    if (group >= VL && group > 1) return vset1(*x);
    const vec v = vload(x);
    switch (group > 1 ? group + j : 0) {
#if VEC_BYTES / TYPE_BYTES > 2
        case 2:
            return DW_SPREAD(v, 2, 0);
        case 3:
            return DW_SPREAD(v, 2, 1);
#endif
#if VEC_BYTES / TYPE_BYTES > 4
        case 4:
            return DW_SPREAD(v, 4, 0);
        case 5:
            return DW_SPREAD(v, 4, 1);
        case 6:
            return DW_SPREAD(v, 4, 2);
        case 7:
            return DW_SPREAD(v, 4, 3);
#endif
#if VEC_BYTES / TYPE_BYTES > 8
        case 8:
            return DW_SPREAD(v, 8, 0);
        case 9:
            return DW_SPREAD(v, 8, 1);
        case 10:
            return DW_SPREAD(v, 8, 2);
        case 11:
            return DW_SPREAD(v, 8, 3);
        case 12:
            return DW_SPREAD(v, 8, 4);
        case 13:
            return DW_SPREAD(v, 8, 5);
        case 14:
            return DW_SPREAD(v, 8, 6);
        case 15:
            return DW_SPREAD(v, 8, 7);
#endif
        default:
            return v;
    }
}

/* acc[i] += w[k] * x[i*step + k][channel j of the lane's group], k < kw, i < np. */
INLINE void FN(dw_taps)(const int group, const int kw, const int step, const int np, const int j,
                        const T *w, int64_t w_pitch, const T *x, int64_t pitch, uint32_t inside,
                        vec *acc) {
    static const T zeros[VL] __attribute__((aligned(64)));
    const T *zero = zeros;
    /* Here and with PIN: one j after the other, or there are more vectors than registers. */
    if (group > 1) __asm__ volatile("" : "+r"(inside), "+r"(zero) : : "memory");
    vec wv[7];
    UNROLL
    for (int k = 0; k < kw; k++) wv[k] = vload(w + k * w_pitch);
    DW_UNROLL
    for (int q = 0; q < (np - 1) * step + kw; q++) {
        const vec xv = FN(dw_spread)(group, j, inside & 1u << q ? x : zero);
        UNROLL
        for (int k = 0; k < kw; k++) {
            const int i = (q - k) / step;
            if (q >= k && i * step == q - k && i < np) acc[i] += wv[k] * xv;
        }
        x += pitch;
    }
    if (group > 1) {
        UNROLL
        for (int i = 0; i < np; i++) PIN(acc[i]);
    }
}

/* y[i][c] = bias[c] + sum over lines, j < group, k < kw of
 *     w[line][k][j][c] * x[line][i*step + k][channel j of c's group] */
INLINE void FN(tile_dw)(const int group, const int kw, const int step, const int np,
                        const FN(dw_block) * b, const FN(dw_line) * lines, int64_t count,
                        int64_t offset, T *y) {
    const int64_t pitch = b->pitch, w_pitch = b->w_pitch, y_pitch = b->y_pitch;
    for (int64_t c = 0; c < b->vectors * VL; c += VL) {
        vec acc[DW_POSITIONS];
        const vec start = b->bias ? vload(b->bias + c) : vset1(0);
        UNROLL
        for (int i = 0; i < np; i++) acc[i] = start;
        for (int64_t e = 0; e < count; e++) {
            const uint32_t inside = b->inside[lines[e].part];
            const T *x = lines[e].x + offset, *w = b->weight + lines[e].w + c;
            if (group > 1 && group >= VL) { /* a group is whole vectors */
                x += c / group * group;
                for (int j = 0; j < group; j++, w += b->w_channel)
                    FN(dw_taps)(group, kw, step, np, j, w, w_pitch, x + j, pitch, inside, acc);
            } else {
                UNROLL
                for (int j = 0; j < group; j++, w += b->w_channel)
                    FN(dw_taps)(group, kw, step, np, j, w, w_pitch, x + c, pitch, inside, acc);
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
/* [step - 1][kw][positions - DW_LEAST]; NULL where there is none */
typedef dw_tile_fn FN(dw_tile_table)[2][8][DW_POSITIONS - DW_LEAST + 1];
#define DW_TILE(kw, step, np) DW_GROUP_TILE(1, kw, step, np)
#define DW_GROUP_TILE(group, kw, step, np)                                                        \
    NOINLINE void FN(tile_dw_##group##_##kw##_##step##_##np)(                                     \
        const FN(dw_block) * b, const FN(dw_line) * lines, int64_t count, int64_t offset, T *y) { \
        FN(tile_dw)(group, kw, step, np, b, lines, count, offset, y);                             \
    }
#define DW_TILES(kw, step) \
    DW_TILE(kw, step, 4) DW_TILE(kw, step, 5) DW_TILE(kw, step, 6) DW_TILE(kw, step, 7)
#define DW_NAMES(kw, step)                                            \
    FN(tile_dw_1_##kw##_##step##_4), FN(tile_dw_1_##kw##_##step##_5), \
        FN(tile_dw_1_##kw##_##step##_6), FN(tile_dw_1_##kw##_##step##_7)
#define DW_TILES_8(kw, step) DW_TILES(kw, step) DW_TILE(kw, step, 8)
#define DW_NAMES_8(kw, step) DW_NAMES(kw, step), FN(tile_dw_1_##kw##_##step##_8)
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
static const FN(dw_tile_table)
    FN(dw_tiles) = {{[1] = {DW_NAMES_8(1, 1)},
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
    T *dst; /* the plane's first element */
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
        const int local = count < j->np || j->C < VL;
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
            for (int64_t i = 0; local && i < count; i++)
                for (int64_t c = 0; c < C; c++) y[i * y_col + c] = r->local[i * wide + c];
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

/* ---------------------------------------------------------------- backward weight */

/* A strip of columns in rows [0, rows) of outputs, for one group of lines. */
typedef struct {
    const T *dy;
    int64_t dy_row, dy_col, x_step, x_tap; /* x_step between outputs, x_tap between taps */
    int64_t offset, cols, vectors;         /* offset: from a line's x to the strip's */
    int64_t rows, row_lines;               /* lines of one row to those of the next */
    const uint32_t *inside;                /* [cols]: bit k says that tap k is inside */
    T *sum;                                /* [line's w][k][group][w_channel] */
    int64_t w_pitch, w_channel;
} FN(dw_strip);

/* One j of tile_dw_sum, for the vector at c. */
INLINE void FN(dw_sum_channel)(const int group, const int kw, const int nr, const int j,
                               const FN(dw_strip) * s, const FN(dw_line) * lines, int64_t c) {
    const int64_t dy_col = s->dy_col, x_step = s->x_step, x_tap = s->x_tap, cols = s->cols;
    const uint32_t *inside = s->inside;
    if (group > 1) __asm__ volatile("" : "+r"(inside) : : "memory"); /* one j at a time */
    T *sum = s->sum + j * s->w_channel + c;
    vec acc[DW_SUM_LINES][7];
    UNROLL
    for (int r = 0; r < nr; r++) {
        UNROLL
        for (int k = 0; k < kw; k++) acc[r][k] = vload(sum + lines[r].w + k * s->w_pitch);
    }
    for (int64_t h = 0; h < s->rows; h++) {
        const T *x[DW_SUM_LINES], *g = s->dy + h * s->dy_row;
        g += group > 1 && group >= VL ? c / group * group + j : c;
        UNROLL
        for (int r = 0; r < nr; r++) x[r] = lines[h * s->row_lines + r].x + s->offset + c;
        for (int64_t i = 0; i < cols; i++) {
            const vec gv = FN(dw_spread)(group, j, g);
            const uint32_t in = inside[i];
            UNROLL
            for (int k = 0; k < kw; k++) {
                if (!(in & 1u << k)) continue;
                UNROLL
                for (int r = 0; r < nr; r++) acc[r][k] += gv * vload(x[r] + k * x_tap);
            }
            UNROLL
            for (int r = 0; r < nr; r++) x[r] += x_step;
            g += dy_col;
        }
    }
    UNROLL
    for (int r = 0; r < nr; r++) {
        UNROLL
        for (int k = 0; k < kw; k++) vstore(sum + lines[r].w + k * s->w_pitch, acc[r][k]);
    }
}

/* sum[line][k][j][c] += dy[i][channel j of c's group] * x[line][i][k][c] over the strip's outputs:
 * kw * nr accumulators, 1 load of dy and kw * nr of x for as many FMAs. */
INLINE void FN(tile_dw_sum)(const int group, const int kw, const int nr, const FN(dw_strip) * s,
                            const FN(dw_line) * lines) {
    for (int64_t c = 0; c < s->vectors * VL; c += VL) {
        if (group > 1 && group >= VL) {
            for (int j = 0; j < group; j++) FN(dw_sum_channel)(group, kw, nr, j, s, lines, c);
        } else {
            UNROLL
            for (int j = 0; j < group; j++) FN(dw_sum_channel)(group, kw, nr, j, s, lines, c);
        }
    }
}

#define dw_sum_fn FN(dw_sum_fn)
typedef void (*dw_sum_fn)(const FN(dw_strip) *, const FN(dw_line) *);
/* [kw][lines - 1]; NULL where there is none */
typedef dw_sum_fn FN(dw_sum_table)[8][DW_SUM_LINES];
#define DW_GROUP_SUM(group, kw, nr)                                                  \
    NOINLINE void FN(tile_dw_sum_##group##_##kw##_##nr)(const FN(dw_strip) * s,      \
                                                        const FN(dw_line) * lines) { \
        FN(tile_dw_sum)(group, kw, nr, s, lines);                                    \
    }
#define DW_SUM(kw, nr) DW_GROUP_SUM(1, kw, nr)
#define DW_SUM_NAME(kw, nr) [nr - 1] = FN(tile_dw_sum_1_##kw##_##nr),
/* The accumulators and dy in registers. */
#if VEC_BYTES == 64 || defined(__aarch64__)
#define DW_SUMS_3(F) F(3, 1) F(3, 2) F(3, 3) F(3, 4) F(3, 5)
#define DW_SUMS_5(F) F(5, 1) F(5, 2) F(5, 3) F(5, 4) F(5, 5)
#define DW_SUMS_7(F) F(7, 1) F(7, 2) F(7, 3)
#else
#define DW_SUMS_3(F) F(3, 1) F(3, 2) F(3, 3) F(3, 4)
#define DW_SUMS_5(F) F(5, 1) F(5, 2)
#define DW_SUMS_7(F) F(7, 1)
#endif
#define DW_SUMS_1(F) F(1, 1) F(1, 2) F(1, 3) F(1, 4) F(1, 5)
DW_SUMS_1(DW_SUM)
DW_SUMS_3(DW_SUM)
DW_SUMS_5(DW_SUM)
DW_SUMS_7(DW_SUM)
static const FN(dw_sum_table) FN(dw_sums) = {[1] = {DW_SUMS_1(DW_SUM_NAME)},
                                             [3] = {DW_SUMS_3(DW_SUM_NAME)},
                                             [5] = {DW_SUMS_5(DW_SUM_NAME)},
                                             [7] = {DW_SUMS_7(DW_SUM_NAME)}};
#undef DW_SUMS_1
#undef DW_SUMS_3
#undef DW_SUMS_5
#undef DW_SUMS_7

/* Backward weight of one convolution. */
typedef struct {
    FN(dw_job) job;
    const FN(dw_sum_table) * tiles;
    FN(dw_end) x_end, dy_end;
    const T *x, *dy;
    int64_t row_blocks;
} FN(dw_sum_call);

/* Columns [w, w + s.cols) of the block, taps [k, k + kw) along w. */
static void FN(dw_sum_strip)(const FN(dw_sum_call) * call, const FN(dw_rows) * r, const T *dy,
                             FN(dw_strip) s, int64_t w, int64_t k, int kw) {
    const FN(dw_job) *j = r->job;
    const conv_problem *p = &j->p;
    for (int64_t i = 0; i < s.cols; i++) {
        r->inside[i] = 0;
        for (int t = 0; t < kw; t++) {
            const int64_t z = (w + i) * p->src_step[2] + p->taps[2].off[k + t];
            if (z >= 0 && z < p->src_size[2]) r->inside[i] |= 1u << t;
        }
    }
    s.offset = w * s.x_step + k * s.x_tap + r->c0;
    s.sum += k * s.w_pitch;
    int most = DW_SUM_LINES;
    const dw_sum_fn *tiles = (*call->tiles)[kw];
    while (!tiles[most - 1]) most--;
    for (int64_t h = 0, n = r->h1 - r->h0; h < n; h += s.rows) {
        const FN(dw_line) *lines = r->lines + h * j->lines;
        const int64_t count = r->count[h];
        const T *row = FN(dw_row)(&call->dy_end, dy + h * s.dy_row);
        s.dy = row + w * s.dy_col + r->c0;
        /* rows that meet the same lines of the kernel go together */
        for (s.rows = 1; h + s.rows < n; s.rows++) {
            if (r->count[h + s.rows] != count || lines[s.rows * j->lines].w != lines->w) break;
            if (FN(dw_row)(&call->dy_end, dy + (h + s.rows) * s.dy_row) != row + s.rows * s.dy_row)
                break;
        }
        for (int64_t e = 0, n_lines; e < count; e += n_lines) {
            const int64_t left = count - e;
            n_lines = fc_ceil_div(left, fc_ceil_div(left, most));
            while (!tiles[n_lines - 1]) n_lines--;
            tiles[n_lines - 1](&s, lines + e);
        }
    }
}

/* Block i of rows, channels [c0, c0 + job.block), into sum[tap][job.channels]. */
static void FN(dw_sum_block)(const FN(dw_sum_call) * call, int64_t i, int64_t c0,
                             FN(dw_line) * lines, uint32_t *inside, T *sum) {
    const FN(dw_job) *j = &call->job;
    const conv_problem *p = &j->p;
    const tap_axis *tw = &p->taps[2];
    const int64_t *s = p->dst_stride, C = j->C, W = p->grid[2];
    const int64_t plane = i / call->row_blocks, h0 = i % call->row_blocks * DW_ROWS;
    const int64_t d = plane % p->grid[0], n = plane / p->grid[0];
    FN(dw_rows)
    r = {.job = j,
         .image = call->x + n * p->src_stride[0],
         .end = &call->x_end,
         .d = d,
         .h0 = h0,
         .h1 = fc_min(h0 + DW_ROWS, p->grid[1]),
         .lines = lines,
         .inside = inside};
    FN(dw_list)(&r);
    const int64_t cols = fc_ceil_div(W, fc_ceil_div(W, DW_SUM_COLS));
    FN(dw_strip)
    strip = {.dy_row = s[3],
             .dy_col = s[4],
             .x_step = p->src_step[2] * p->src_stride[4],
             .x_tap = tw->count > 1 ? (tw->off[1] - tw->off[0]) * p->src_stride[4] : 0,
             .inside = inside,
             .row_lines = j->lines,
             .w_pitch = j->group * j->channels,
             .w_channel = j->channels};
    const T *dy = call->dy + n * s[0] + d * s[2] + h0 * s[3];
    for (int64_t w = 0; w < W; w += cols) {
        strip.cols = fc_min(cols, W - w);
        for (int64_t c = c0, end = fc_min(C, c0 + j->block); c < end; c += strip.vectors * VL) {
            /* the last vector overlaps the one before, and has sums of its own */
            r.c0 = C >= VL ? fc_min(c, C - VL) : 0;
            strip.vectors = fc_max(1, (end - c) / VL);
            strip.sum = sum + c;
            for (int64_t k = 0, kw; k < tw->count; k += kw) {
                kw = fc_min(7, tw->count - k);
                while (!(*call->tiles)[kw][0]) kw--;
                FN(dw_sum_strip)(call, &r, dy, strip, w, k, (int)kw);
            }
        }
    }
}

/* dw[group][j][channel][tap] = the partial sums [splits][tap][j][channels] together. */
static void FN(dw_sum_up)(const FN(dw_job) * job, int64_t splits, T *sums, T *dw) {
    enum { BLOCK = 64 }; /* channels whose dw stays in L1 */
    const int64_t C = job->C, G = job->group, taps = job->p.ntaps;
    const int64_t items = taps * G * job->channels, whole = C < VL ? C : C / VL * VL;
    const int64_t shift = job->channels - C; /* to the last vector's own sums */
    for (int64_t s = 1; s < splits; s++)
        for (int64_t i = 0; i < items; i += VL)
            vstore(sums + i, vload(sums + i) + vload(sums + s * items + i));
    for (int64_t j = 0; j < G; j++)
        for (int64_t c0 = 0; c0 < C; c0 += BLOCK)
            for (int64_t t = 0; t < taps; t++) {
                const T *from = sums + (t * G + j) * job->channels;
                T *to = dw + (c0 * G + j * G) * taps + t;
                for (int64_t c = c0; c < fc_min(C, c0 + BLOCK); to += (G - 1) * G * taps)
                    for (int64_t i = 0; i < G; i++, c++, to += taps)
                        *to = from[c < whole ? c : c + shift];
            }
}

static int FN(dw_sum_solve)(FN(dw_sum_call) * call, T *dw, int threads) {
    FN(dw_job) *j = &call->job;
    const conv_problem *p = &j->p;
    const int64_t C = p->groups * p->channels;
    j->C = C;
    j->group = p->channels;
    j->channels = fc_round_up(C, VL);
    j->kw = (int)p->taps[2].count; /* whole rows of the kernel in the list */
    j->parts = 1;
    j->lines = p->taps[0].count * p->taps[1].count;
    j->block = j->channels;
    call->row_blocks = fc_ceil_div(p->grid[1], DW_ROWS);
    const int64_t unit = fc_max(VL, j->group);
    /* Splits by shape alone, so that sums do not depend on the threads. */
    const int64_t blocks = p->batch * p->grid[0] * call->row_blocks;
    const int64_t splits = fc_max(1, fc_min(DW_MAX_SPLITS, blocks / DW_BLOCKS_PER_SPLIT));
    while (threads > 1 && splits * fc_ceil_div(C, j->block) < 2 * threads && j->block > unit)
        j->block = fc_round_up(j->block / 2, unit);
    const int64_t items = p->ntaps * j->group * j->channels, parts = fc_ceil_div(C, j->block);
    const int64_t x_row = p->src_size[2] * p->src_stride[4], dy_row = p->dst_stride[3];
    const int64_t x_end = FN(dw_end_items)(C, x_row), dy_end = FN(dw_end_items)(C, dy_row);
    T *sums = fc_scratch(splits * items + x_end + dy_end, sizeof(T));
    FN(dw_line) *lines = fc_scratch(threads * DW_ROWS * j->lines, sizeof *lines);
    uint32_t *inside = fc_scratch(threads * DW_SUM_COLS, sizeof *inside);
    const int status = sums && lines && inside ? FC_OK : FC_NOMEM;
    if (status == FC_OK) {
        T *ends = sums + splits * items;
        call->x_end = FN(dw_end_of)(call->x, p->batch * p->src_stride[0], C, x_row, ends);
        call->dy_end =
            FN(dw_end_of)(call->dy, p->batch * p->dst_stride[0], C, dy_row, ends + x_end);
        memset(sums, 0, (size_t)(splits * items) * sizeof(T));
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < splits * parts; i++) {
            const int64_t s = i / parts, me = fc_thread();
            for (int64_t b = s * blocks / splits; b < (s + 1) * blocks / splits; b++)
                FN(dw_sum_block)(call, b, i % parts * j->block, lines + me * DW_ROWS * j->lines,
                                 inside + me * DW_SUM_COLS, sums + s * items);
        }
        FN(dw_sum_up)(j, splits, sums, dw);
    }
    fc_free(inside);
    fc_free(lines);
    fc_free(sums);
    return status;
}

static int FN(dw_backward_weight)(const fc_conv_geom *g, const FN(dw_sum_table) * tiles,
                                  const T *dy, const T *x, T *dw, int threads) {
    FN(dw_sum_call) call = {.tiles = tiles, .x = x, .dy = dy};
    int status = conv_problem_forward(&call.job.p, g);
    if (status == FC_OK) status = FN(dw_sum_solve)(&call, dw, threads);
    conv_problem_free(&call.job.p);
    return status;
}

static int FN(conv_backward_weight_depthwise)(const fc_conv_geom *g, const void *dy, const void *x,
                                              const void *bias, void *dw, int threads) {
    (void)bias;
    const int status = FN(dw_check)(g);
    return status ? status : FN(dw_backward_weight)(g, &FN(dw_sums), dy, x, dw, threads);
}
