/* The tiles of a Winograd convolution, free of types.
 *
 * A tile is 4x4 positions of the target (1x4 where only W has a kernel of 3). With dilation, the
 * positions a dilation apart form sub-grids, each an ordinary convolution: a tile's neighbours are
 * then step_h and step_w apart. */
#ifndef WINOGRAD_GRID_H
#define WINOGRAD_GRID_H

#include "conv_problem.h"

enum { WIN_TILE = 4 };

typedef struct {
    int two;                  /* H is transformed too */
    int points;               /* products per tile: 36 or 6 */
    int64_t step_h, step_w;   /* between neighbours in a tile, and between taps */
    int64_t tiles_h, tiles_w; /* of the largest sub-grid */
    int64_t tiles;            /* of all sub-grids, depths and images */
} win_grid;

/* First position of one tile; outside the grid where a sub-grid has fewer tiles. */
typedef struct {
    int64_t n, d, h, w;
    int64_t rows, cols; /* of the tile's positions inside the grid; rows is 0 for an empty tile */
} win_tile;

/* Kernels 3x3 and 1x3 (after any depth) with unit stride, taps evenly spaced. */
static inline int winograd_can(const fc_conv_geom *g) {
    return g->kernel[2] == 3 && (g->kernel[1] == 3 || g->kernel[1] == 1) && g->stride[0] == 1 &&
           g->stride[1] == 1 && g->stride[2] == 1;
}

static inline win_grid win_grid_of(const conv_problem *p) {
    win_grid g;
    const tap_axis *th = &p->taps[1], *tw = &p->taps[2];
    g.two = th->count == 3;
    g.points = g.two ? 36 : 6;
    g.step_h = g.two ? th->off[1] - th->off[0] : 1;
    g.step_w = tw->off[1] - tw->off[0];
    g.tiles_h = fc_ceil_div(fc_ceil_div(p->grid[1], g.step_h), g.two ? WIN_TILE : 1);
    g.tiles_w = fc_ceil_div(fc_ceil_div(p->grid[2], g.step_w), WIN_TILE);
    g.tiles = p->batch * p->grid[0] * g.step_h * g.step_w * g.tiles_h * g.tiles_w;
    return g;
}

static inline win_tile win_tile_at(const conv_problem *p, const win_grid *g, int64_t i) {
    win_tile t;
    const int64_t x = i % g->tiles_w;
    i /= g->tiles_w;
    const int64_t y = i % g->tiles_h;
    i /= g->tiles_h;
    const int64_t first_w = i % g->step_w;
    i /= g->step_w;
    const int64_t first_h = i % g->step_h;
    i /= g->step_h;
    t.d = i % p->grid[0];
    t.n = i / p->grid[0];
    t.h = first_h + y * (g->two ? WIN_TILE : 1) * g->step_h;
    t.w = first_w + x * WIN_TILE * g->step_w;
    t.rows = fc_min(g->two ? WIN_TILE : 1, fc_ceil_div(p->grid[1] - t.h, g->step_h));
    t.cols = fc_min(WIN_TILE, fc_ceil_div(p->grid[2] - t.w, g->step_w));
    if (t.rows <= 0 || t.cols <= 0) t.rows = t.cols = 0;
    return t;
}

#endif
