/* Depthwise convolution: every channel has its own kernel (C = K = groups), channels-last.
 *
 * Vectors run along channels, so a tap is one multiply-add of two rows as they lie: 2 FLOP for 4
 * bytes of x from L1. The work is bound by loads, hence by reuse: DW_POSITIONS neighbouring outputs
 * share each load of the weight. Forward and backward input are the same loop over conv_problem's
 * taps. Where C is not a multiple of VL the last vector overlaps the one before. */
#ifndef DW_POSITIONS
#define DW_POSITIONS 4
#define DW_VECS 2
/* Row splits of backward weight: by shape alone, so that results do not depend on the threads. */
enum { DW_MAX_SPLITS = 8, DW_ROWS_PER_SPLIT = 16 };
#endif

/* What one row of outputs needs, at one position in w. */
typedef struct {
    const conv_problem *p;
    const T *image, *weight, *bias; /* weight: [tap][C] */
    int64_t C, zd, zh, d0, d1, h0, h1;
} FN(dw_row);

/* np neighbouring outputs whose taps [k0, k1) along w are all inside; nv vectors from channel c. */
INLINE void FN(tile_dw)(const int np, const int nv, const FN(dw_row) * r, int64_t zw, int64_t k0,
                        int64_t k1, int64_t c, T *dst, int64_t dst_pitch) {
    const conv_problem *p = r->p;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t *st = p->src_stride, pitch = p->src_step[2] * st[4];
    vec acc[DW_POSITIONS][DW_VECS];
    UNROLL
    for (int v = 0; v < nv; v++) {
        vec start = r->bias ? vload(r->bias + c + v * VL) : vset1(0);
        UNROLL
        for (int i = 0; i < np; i++) acc[i][v] = start;
    }
    for (int64_t a = r->d0; a < r->d1; a++) {
        for (int64_t b = r->h0; b < r->h1; b++) {
            const T *line =
                r->image + (r->zd + td->off[a]) * st[2] + (r->zh + th->off[b]) * st[3] + c;
            const T *wl = r->weight + (a * th->count + b) * tw->count * r->C + c;
            for (int64_t k = k0; k < k1; k++) {
                const T *x = line + (zw + tw->off[k]) * st[4];
                UNROLL
                for (int v = 0; v < nv; v++) {
                    const vec wv = vload(wl + k * r->C + v * VL);
                    UNROLL
                    for (int i = 0; i < np; i++) acc[i][v] += wv * vload(x + i * pitch + v * VL);
                }
            }
        }
    }
    UNROLL
    for (int i = 0; i < np; i++) {
        UNROLL
        for (int v = 0; v < nv; v++) vstore(dst + i * dst_pitch + c + v * VL, acc[i][v]);
    }
}

/* Fewer channels than a vector has lanes. */
static void FN(dw_scalar)(const FN(dw_row) * r, int64_t zw, int64_t k0, int64_t k1, T *dst) {
    const conv_problem *p = r->p;
    const int64_t *st = p->src_stride;
    for (int64_t c = 0; c < r->C; c++) {
        T sum = r->bias ? r->bias[c] : 0;
        for (int64_t a = r->d0; a < r->d1; a++) {
            for (int64_t b = r->h0; b < r->h1; b++) {
                for (int64_t k = k0; k < k1; k++) {
                    const int64_t tap = (a * p->taps[1].count + b) * p->taps[2].count + k;
                    sum +=
                        r->weight[tap * r->C + c] * r->image[(r->zd + p->taps[0].off[a]) * st[2] +
                                                             (r->zh + p->taps[1].off[b]) * st[3] +
                                                             (zw + p->taps[2].off[k]) * st[4] + c];
                }
            }
        }
        dst[c] = sum;
    }
}

NOINLINE void FN(tile_dw_wide)(const FN(dw_row) * r, int64_t zw, int64_t k0, int64_t k1, T *dst,
                               int64_t dst_pitch) {
    int64_t c = 0;
    for (; c + DW_VECS * VL <= r->C; c += DW_VECS * VL)
        FN(tile_dw)(DW_POSITIONS, DW_VECS, r, zw, k0, k1, c, dst, dst_pitch);
    for (; c < r->C; c += VL)
        FN(tile_dw)(DW_POSITIONS, 1, r, zw, k0, k1, fc_min(c, r->C - VL), dst, dst_pitch);
}

NOINLINE void FN(tile_dw_one)(const FN(dw_row) * r, int64_t zw, int64_t k0, int64_t k1, T *dst) {
    int64_t c = 0;
    for (; c + DW_VECS * VL <= r->C; c += DW_VECS * VL)
        FN(tile_dw)(1, DW_VECS, r, zw, k0, k1, c, dst, 0);
    for (; c < r->C; c += VL) FN(tile_dw)(1, 1, r, zw, k0, k1, fc_min(c, r->C - VL), dst, 0);
}

/* One row (n, d, h) of the grid. */
static void FN(dw_run_row)(FN(dw_row) * r, int64_t d, int64_t h, T *dst) {
    const conv_problem *p = r->p;
    const tap_axis *tw = &p->taps[2];
    const int64_t W = p->grid[2], step = p->src_step[2], C = r->C;
    const int64_t dst_pitch = p->dst_step[2] * p->dst_stride[4];
    r->zd = d * p->src_step[0], r->zh = h * p->src_step[1];
    tap_range(&p->taps[0], r->zd, p->src_size[0], &r->d0, &r->d1);
    tap_range(&p->taps[1], r->zh, p->src_size[1], &r->h0, &r->h1);
    for (int64_t w = 0; w < W;) {
        int64_t k0, k1, l0, l1;
        tap_range(tw, w * step, p->src_size[2], &k0, &k1);
        const int64_t last = w + DW_POSITIONS - 1;
        int wide = last < W && C >= VL;
        if (wide) {
            tap_range(tw, last * step, p->src_size[2], &l0, &l1);
            wide = k0 == l0 && k1 == l1;
        }
        if (wide) {
            FN(tile_dw_wide)(r, w * step, k0, k1, dst + w * dst_pitch, dst_pitch);
            w += DW_POSITIONS;
            continue;
        }
        if (C >= VL) {
            FN(tile_dw_one)(r, w * step, k0, k1, dst + w * dst_pitch);
        } else {
            FN(dw_scalar)(r, w * step, k0, k1, dst + w * dst_pitch);
        }
        w++;
    }
}

static int FN(dw_check)(const fc_conv_geom *g) {
    if (g->in_channels != g->groups || g->out_channels != g->groups) return FC_UNSUPPORTED;
    if (g->groups > 1 && (g->x_stride[1] != 1 || g->y_stride[1] != 1)) return FC_UNSUPPORTED;
    return fc_conv_check(g);
}

static int FN(dw_solve)(const conv_problem *p, const T *src, const T *w, const T *bias, T *dst,
                        int threads) {
    const int64_t C = p->groups, taps = p->kernel_taps;
    T *weight = fc_scratch(fc_max(1, p->ntaps) * C, sizeof(T));
    if (!weight) return FC_NOMEM;
    for (int64_t t = 0; t < taps; t++) {
        if (p->position[t] < 0) continue;
        T *o = weight + p->position[t] * C;
        for (int64_t c = 0; c < C; c++) o[c] = w[c * taps + t];
    }
    const int64_t rows = p->batch * p->grid[0] * p->grid[1];
    const int64_t *s = p->dst_stride;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t i = 0; i < rows; i++) {
        const int64_t h = i % p->grid[1], d = i / p->grid[1] % p->grid[0];
        const int64_t n = i / p->grid[1] / p->grid[0];
        FN(dw_row)
        row = {.p = p, .image = src + n * p->src_stride[0], .weight = weight, .bias = bias, .C = C};
        T *o = dst + n * s[0] + (d * p->dst_step[0] + p->dst_first[0]) * s[2] +
               (h * p->dst_step[1] + p->dst_first[1]) * s[3] + p->dst_first[2] * s[4];
        FN(dw_run_row)(&row, d, h, o);
    }
    fc_free(weight);
    return FC_OK;
}

static int FN(conv_forward_depthwise)(const fc_conv_geom *g, const void *x, const void *w,
                                      const void *bias, void *y, int threads) {
    int status = FN(dw_check)(g);
    if (status) return status;
    conv_problem p;
    status = conv_problem_forward(&p, g);
    if (status == FC_OK) status = FN(dw_solve)(&p, x, w, bias, y, threads);
    conv_problem_free(&p);
    return status;
}

static int FN(conv_backward_input_depthwise)(const fc_conv_geom *g, const void *dy, const void *w,
                                             const void *bias, void *dx, int threads) {
    int status = FN(dw_check)(g);
    int64_t phase[3];
    FOR_EACH_PHASE(g, phase) {
        if (status) return status;
        conv_problem p;
        status = conv_problem_backward_input(&p, g, phase);
        if (status == FC_OK) status = FN(dw_solve)(&p, dy, w, bias, dx, threads);
        conv_problem_free(&p);
    }
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
