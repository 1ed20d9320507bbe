/* The window of an output, from the tables of fc_pool_geom. */
#pragma once

#include "fastconv.h"

typedef struct {
    int64_t start[3], count[3], step[3]; /* D, H, W, clipped to the input */
    double divisor, rows_divisor;
} fc_window;

/* Window of output (d, h, w) from the tables; fc_window_move changes w alone. */
static inline void fc_window_move(const fc_pool_geom *g, fc_window *win, int64_t w) {
    const int64_t *row = g->windows[2] + w, n = g->out_size[2];
    win->start[2] = row[0];
    win->count[2] = row[n];
    win->step[2] = row[2 * n];
    win->divisor = g->divisor != 0 ? g->divisor : win->rows_divisor * (double)row[3 * n];
}

static inline fc_window fc_window_at(const fc_pool_geom *g, int64_t d, int64_t h, int64_t w) {
    const int64_t at[2] = {d, h};
    fc_window win = {.rows_divisor = 1};
    for (int a = 0; a < 2; a++) {
        const int64_t *row = g->windows[a] + at[a], n = g->out_size[a];
        win.start[a] = row[0];
        win.count[a] = row[n];
        win.step[a] = row[2 * n];
        win.rows_divisor *= (double)row[3 * n];
    }
    fc_window_move(g, &win, w);
    return win;
}

static inline int64_t fc_volume(const int64_t size[3]) { return size[0] * size[1] * size[2]; }

static inline int fc_channels_last(const int64_t stride[5]) { return stride[1] == 1; }

/* Channels per unit of work: whole images while there are enough of them. */
static inline int64_t fc_channel_block(const fc_pool_geom *g, int threads) {
    if (g->batch >= threads) return g->channels;
    const int64_t each = (g->channels + threads - 1) / threads;
    return (each + 15) / 16 * 16;
}

/* For every tap of `win`: `flat` is its position in the input's D*H*W. */
#define FC_FOR_WINDOW(g, win, flat)                                                         \
    for (int64_t kd_ = 0; kd_ < (win).count[0]; kd_++)                                      \
        for (int64_t kh_ = 0; kh_ < (win).count[1]; kh_++)                                  \
            for (int64_t kw_ = 0,                                                           \
                         flat = (((win).start[0] + kd_ * (win).step[0]) * (g)->in_size[1] + \
                                 (win).start[1] + kh_ * (win).step[1]) *                    \
                                    (g)->in_size[2] +                                       \
                                (win).start[2];                                             \
                 kw_ < (win).count[2]; kw_++, flat += (win).step[2])

static inline int64_t fc_window_first(const fc_pool_geom *g, const fc_window *win) {
    return (win->start[0] * g->in_size[1] + win->start[1]) * g->in_size[2] + win->start[2];
}
