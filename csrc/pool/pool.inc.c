/* Pooling over window tables: max, average and adaptive pooling are the same loops.
 * x is the large side, y the pooled one. Both are dense, NCHW or channels-last, so the flat
 * position p in space lies at p * stride[4]. Where channels have stride 1, vectors run along them;
 * otherwise each (image, channel) plane is walked on its own. */
#pragma once

#include <math.h>
#include <string.h>

#include "fastconv.h"
#include "core/simd.h"
#include "pool/lanes.inc.c"
#include "pool/window.h"

/* NaN replaces whatever stands, as in PyTorch: the last NaN of a window keeps the index. */
INLINE void max_step(vec *best, ivec *where, vec v, lane_int offset) {
    const ivec take = (v > *best) | (v != v);
    *best = vselect(take, v, *best);
    *where = (take & (offset - (ivec){0})) | (~take & *where);
}

INLINE void store_indices(int64_t *p, ivec where, int64_t first, int64_t n, const int64_t *end) {
    if (end - p >= VL) {
        UNROLL
        for (int i = 0; i < VL; i++) p[i] = first + where[i];
    } else {
        lane_int lane[VEC_BYTES / TYPE_BYTES];
        *(ivec_u *)lane = where;
        for (int64_t i = 0; i < n; i++) p[i] = first + lane[i];
    }
}

/* One pixel of y, all channels; x_end is the end of x, `left` the elements from y to its row's end.
 */
NOINLINE void max_pixel(const fc_pool_geom *g, const T *x, const T *x_end, T *y, int64_t *index,
                        int64_t left, const fc_window *win) {
    enum { NV = 4 };
    const T *y_end = y + left;
    const int64_t *index_end = index + (index ? left : 0), x_flat = g->x_stride[4];
    const int64_t C = g->channels, first = fc_window_first(g, win);
    int64_t c = 0;
    for (; c + NV * VL <= C; c += NV * VL) {
        vec best[NV];
        ivec where[NV];
        UNROLL
        for (int i = 0; i < NV; i++) best[i] = vset1(-(T)INFINITY), where[i] = (ivec){0};
        FC_FOR_WINDOW (g, *win, flat) UNROLL
        for (int i = 0; i < NV; i++)
            max_step(&best[i], &where[i], vload(x + flat * x_flat + c + i * VL),
                     (lane_int)(flat - first));
        UNROLL
        for (int i = 0; i < NV; i++) {
            vstore(y + c + i * VL, best[i]);
            if (index) store_indices(index + c + i * VL, where[i], first, VL, index_end);
        }
    }
    for (; c < C; c += VL) {
        vec best = vset1(-(T)INFINITY);
        ivec where = {0};
        FC_FOR_WINDOW (g, *win, flat)
            max_step(&best, &where, load_part(x + flat * x_flat + c, C - c, x_end),
                     (lane_int)(flat - first));
        store_part(y + c, best, C - c, y_end);
        if (index) store_indices(index + c, where, first, C - c, index_end);
    }
}

static int max_pool_forward(const fc_pool_geom *g, const void *x_, void *y_, int64_t *indices,
                            int threads) {
    const T *x = x_;
    T *y = y_;
    const int64_t D = g->out_size[0], H = g->out_size[1], W = g->out_size[2];
    const int64_t xs = g->x_stride[4], ys = g->y_stride[4], is = g->index_stride[4];
    const int64_t S = fc_volume(g->in_size);
    if (fc_channels_last(g->x_stride) && fc_channels_last(g->y_stride) &&
        fc_channels_last(g->index_stride) && S <= INT32_MAX) {
        const T *end = x + g->batch * g->channels * S;
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t row = 0; row < g->batch * D * H; row++) {
            const int64_t n = row / (D * H), dh = row % (D * H);
            fc_window win = fc_window_at(g, dh / H, dh % H, 0);
            for (int64_t w = 0; w < W; w++) {
                fc_window_move(g, &win, w);
                const int64_t p = dh * W + w;
                max_pixel(g, x + n * g->x_stride[0], end, y + n * g->y_stride[0] + p * ys,
                          indices ? indices + n * g->index_stride[0] + p * is : NULL, (W - w) * ys,
                          &win);
            }
        }
        return FC_OK;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t plane = 0; plane < g->batch * g->channels; plane++) {
        const int64_t n = plane / g->channels, c = plane % g->channels;
        const T *xp = x + n * g->x_stride[0] + c * g->x_stride[1];
        T *yp = y + n * g->y_stride[0] + c * g->y_stride[1];
        int64_t *ip = indices ? indices + n * g->index_stride[0] + c * g->index_stride[1] : NULL;
        for (int64_t p = 0; p < D * H * W; p++) {
            const fc_window win = fc_window_at(g, p / (H * W), p / W % H, p % W);
            T best = -(T)INFINITY;
            int64_t where = fc_window_first(g, &win);
            FC_FOR_WINDOW (g, win, flat) {
                const T v = xp[flat * xs];
                const int take = (v > best) | (v != v);
                best = take ? v : best;
                where = take ? flat : where;
            }
            yp[p * ys] = best;
            if (ip) ip[p * is] = where;
        }
    }
    return FC_OK;
}

/* Sums of a window: of AVG_TERMS pixels in T, those in double. */
#define AVG_TERMS 32
enum { AVG_VECTORS = 4 };

/* y = the mean over a window of n vectors of x; the last of them in part where `left` is less. */
INLINE void avg_strip(const int n, const int whole, const fc_pool_geom *g, const T *x,
                      const T *x_end, int64_t left, T *y, const T *y_end, const fc_window *win) {
    const int64_t x_flat = g->x_stride[4];
    T part[AVG_VECTORS * (VEC_BYTES / TYPE_BYTES)];
    double wide[AVG_VECTORS * (VEC_BYTES / TYPE_BYTES)] = {0};
    int terms = 0, cut = 0;
    vec sum[AVG_VECTORS];
    UNROLL
    for (int i = 0; i < n; i++) sum[i] = (vec){0};
    FC_FOR_WINDOW (g, *win, flat) {
        if (terms == AVG_TERMS) {
            UNROLL
            for (int i = 0; i < n; i++) vstore(part + i * VL, sum[i]), sum[i] = (vec){0};
            for (int l = 0; l < n * VL; l++) wide[l] += (double)part[l];
            terms = 0, cut = 1;
        }
        terms++;
        UNROLL
        for (int i = 0; i < n; i++)
            sum[i] += whole ? vload(x + flat * x_flat + i * VL)
                            : load_part(x + flat * x_flat, left, x_end);
    }
    const vec divisor = vset1((T)win->divisor);
    UNROLL
    for (int i = 0; i < n; i++) vstore(part + i * VL, cut ? sum[i] : sum[i] / divisor);
    for (int l = 0; cut && l < n * VL; l++)
        part[l] = (T)((wide[l] + (double)part[l]) / (double)win->divisor);
    UNROLL
    for (int i = 0; i < n; i++) {
        if (whole) vstore(y + i * VL, vload(part + i * VL));
        else store_part(y, vload(part), left, y_end);
    }
}

NOINLINE void avg_pixel(const fc_pool_geom *g, const T *x, const T *x_end, T *y, int64_t left,
                        const fc_window *win) {
    const T *y_end = y + left;
    const int64_t C = g->channels, step = AVG_VECTORS * VL;
    int64_t c = 0;
    for (; c + step <= C; c += step)
        avg_strip(AVG_VECTORS, 1, g, x + c, x_end, step, y + c, y_end, win);
    for (; c < C; c += VL) avg_strip(1, 0, g, x + c, x_end, C - c, y + c, y_end, win);
}

static int avg_windows(const fc_pool_geom *g, const void *x_, void *y_, int threads) {
    const T *x = x_;
    T *y = y_;
    const int64_t D = g->out_size[0], H = g->out_size[1], W = g->out_size[2];
    const int64_t xs = g->x_stride[4], ys = g->y_stride[4];
    if (fc_channels_last(g->x_stride) && fc_channels_last(g->y_stride)) {
        const T *end = x + g->batch * g->channels * fc_volume(g->in_size);
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t row = 0; row < g->batch * D * H; row++) {
            const int64_t n = row / (D * H), dh = row % (D * H);
            fc_window win = fc_window_at(g, dh / H, dh % H, 0);
            for (int64_t w = 0; w < W; w++) {
                fc_window_move(g, &win, w);
                avg_pixel(g, x + n * g->x_stride[0], end,
                          y + n * g->y_stride[0] + (dh * W + w) * ys, (W - w) * ys, &win);
            }
        }
        return FC_OK;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t plane = 0; plane < g->batch * g->channels; plane++) {
        const int64_t n = plane / g->channels, c = plane % g->channels;
        const T *xp = x + n * g->x_stride[0] + c * g->x_stride[1];
        T *yp = y + n * g->y_stride[0] + c * g->y_stride[1];
        for (int64_t p = 0; p < D * H * W; p++) {
            const fc_window win = fc_window_at(g, p / (H * W), p / W % H, p % W);
            double sum = 0;
            FC_FOR_WINDOW (g, win, flat) sum += (double)xp[flat * xs];
            yp[p * ys] = (T)(sum / (double)win.divisor);
        }
    }
    return FC_OK;
}

/* Zeros channels c0..c1 of one image of x. */
INLINE void clear_image(const fc_pool_geom *g, T *x, int64_t c0, int64_t c1) {
    const int64_t S = fc_volume(g->in_size), size = (int64_t)sizeof(T);
    if (c0 == 0 && c1 == g->channels) {
        memset(x, 0, (size_t)(g->channels * S * size));
    } else if (fc_channels_last(g->x_stride)) {
        for (int64_t p = 0; p < S; p++)
            memset(x + p * g->x_stride[4] + c0, 0, (size_t)((c1 - c0) * size));
    } else {
        memset(x + c0 * g->x_stride[1], 0, (size_t)((c1 - c0) * S * size));
    }
}

/* Runs `body` for every image n and channel block c0..c1: nobody else writes there, and the order
 * of additions within a channel does not depend on the blocks. */
#define FC_FOR_BLOCKS(g, threads, body)                                                          \
    do {                                                                                         \
        const int64_t block_ = fc_channel_block(g, threads);                                     \
        const int64_t blocks_ = block_ ? ((g)->channels + block_ - 1) / block_ : 0;              \
        _Pragma("omp parallel for num_threads(threads) schedule(static)") for (int64_t u_ = 0;   \
                                                                               u_ < (g)->batch * \
                                                                                        blocks_; \
                                                                               u_++) {           \
            const int64_t n = u_ / blocks_, c0 = u_ % blocks_ * block_;                          \
            const int64_t c1 = c0 + block_ < (g)->channels ? c0 + block_ : (g)->channels;        \
            body                                                                                 \
        }                                                                                        \
    } while (0)

NOINLINE void avg_backward_plane(const fc_pool_geom *g, const T *dy, T *dx) {
    const int64_t H = g->out_size[1], W = g->out_size[2], P = fc_volume(g->out_size);
    memset(dx, 0, (size_t)fc_volume(g->in_size) * sizeof(T));
    for (int64_t p = 0; p < P; p++) {
        const fc_window win = fc_window_at(g, p / (H * W), p / W % H, p % W);
        const T share = dy[p] / (T)win.divisor;
        FC_FOR_WINDOW (g, win, flat) dx[flat] += share;
    }
}

/* NCHW, plane by plane; channels-last is gathered (pool/taps.inc.c). */
static void avg_backward_planes(const fc_pool_geom *g, const T *dy, T *dx, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t plane = 0; plane < g->batch * g->channels; plane++)
        avg_backward_plane(g, dy + plane * fc_volume(g->out_size),
                           dx + plane * fc_volume(g->in_size));
}

/* f(large side, its element, small side, its element) for every stored index; `inside` says whether
 * it is in range; positions ascend within a channel. */
#define FC_FOR_INDICES(g, c0, c1, S, at_x, at_y, index, statement)                                \
    do {                                                                                          \
        const int64_t P_ = fc_volume((g)->out_size), xs_ = (g)->x_stride[4];                      \
        const int64_t ys_ = (g)->y_stride[4], is_ = (g)->index_stride[4];                         \
        const int64_t xc_ = (g)->x_stride[1], yc_ = (g)->y_stride[1], ic_ = (g)->index_stride[1]; \
        const int pixels_ = yc_ == 1;                                                             \
        for (int64_t o_ = pixels_ ? 0 : c0; o_ < (pixels_ ? P_ : c1); o_++)                       \
            for (int64_t i_ = pixels_ ? c0 : 0; i_ < (pixels_ ? c1 : P_); i_++) {                 \
                const int64_t p_ = pixels_ ? o_ : i_, c_ = pixels_ ? i_ : o_;                     \
                const int64_t flat_ = (index)[p_ * is_ + c_ * ic_];                               \
                const int64_t at_x = flat_ * xs_ + c_ * xc_, at_y = p_ * ys_ + c_ * yc_;          \
                const int inside = (uint64_t)flat_ < (uint64_t)(S);                               \
                statement                                                                         \
            }                                                                                     \
    } while (0)

static int max_pool_backward(const fc_pool_geom *g, const void *a, const int64_t *indices,
                             void *out, int threads) {
    const int64_t S = fc_volume(g->in_size);
    int status = FC_OK;
    FC_FOR_BLOCKS(g, threads, {
        const T *dy = (const T *)a + n * g->y_stride[0];
        const int64_t *index = indices + n * g->index_stride[0];
        T *dx = (T *)out + n * g->x_stride[0];
        clear_image(g, dx, c0, c1);
        FC_FOR_INDICES(g, c0, c1, S, at_x, at_y, index, {
            if (inside) dx[at_x] += dy[at_y];
            else __atomic_store_n(&status, FC_RANGE, __ATOMIC_RELAXED);
        });
    });
    return status;
}

static int max_unpool_forward(const fc_pool_geom *g, const void *a, const int64_t *indices,
                              void *out, int threads) {
    const int64_t S = fc_volume(g->in_size);
    int status = FC_OK;
    FC_FOR_BLOCKS(g, threads, {
        const T *y = (const T *)a + n * g->y_stride[0];
        const int64_t *index = indices + n * g->index_stride[0];
        T *x = (T *)out + n * g->x_stride[0];
        clear_image(g, x, c0, c1);
        FC_FOR_INDICES(g, c0, c1, S, at_x, at_y, index, {
            if (inside) x[at_x] = y[at_y];
            else __atomic_store_n(&status, FC_RANGE, __ATOMIC_RELAXED);
        });
    });
    return status;
}

static int max_unpool_backward(const fc_pool_geom *g, const void *a, const int64_t *indices,
                               void *out, int threads) {
    const int64_t S = fc_volume(g->in_size);
    int status = FC_OK;
    FC_FOR_BLOCKS(g, threads, {
        const T *dx = (const T *)a + n * g->x_stride[0];
        const int64_t *index = indices + n * g->index_stride[0];
        T *dy = (T *)out + n * g->y_stride[0];
        FC_FOR_INDICES(g, c0, c1, S, at_x, at_y, index, {
            dy[at_y] = inside ? dx[at_x] : (T)0;
            if (!inside) __atomic_store_n(&status, FC_RANGE, __ATOMIC_RELAXED);
        });
    });
    return status;
}

static int index_pool(int kind, const fc_pool_geom *g, const void *a, const int64_t *indices,
                      void *out, int threads) {
    return kind == FC_MAX_POOL_BACKWARD    ? max_pool_backward(g, a, indices, out, threads)
           : kind == FC_MAX_UNPOOL_FORWARD ? max_unpool_forward(g, a, indices, out, threads)
                                           : max_unpool_backward(g, a, indices, out, threads);
}
