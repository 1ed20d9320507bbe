/* Depthwise and grouped convolution, backward weight: up to 7 taps of some kernel rows at once over
 * a strip of outputs, and partial sums of blocks of rows, added up in order. */
#ifndef DW_SUM_COLS
#define DW_SUM_COLS 16 /* outputs of a strip at most */
/* Lines of a tile at most; partial sums. */
enum { DW_SUM_LINES = 5, DW_MAX_SPLITS = 8, DW_BLOCKS_PER_SPLIT = 4 };
#endif

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
