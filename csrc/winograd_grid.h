/* The tiles of a Winograd convolution, free of types.
 *
 * One or two axes are transformed: there a tile has m = 4 (or 6) outputs and m + 2 inputs, and
 * takes 3 taps at a time; the last tile of an axis has what is left, 1 to m. F(m, 3) uses the first
 * m + 2 of the same points, so a tile takes part in the products of its own points alone, with the
 * weights of all the others. Longer kernels, strides and dilations are sums of such parts. With
 * source = pos*s + off(t), off(t) = off0 + t*d, and e = lcm(s, d):
 *
 *   - taps e/d apart meet inputs e apart: they form a class, and every 3 of a class (the last ones
 *     with zeros) are a group, at the origin off(first tap);
 *   - outputs e/s apart share inputs: they form a sub-grid, whose neighbours make a tile.
 *
 * All groups add to the same tile of outputs, so they only lengthen the GEMM's depth:
 * depth = groups * channels. On an axis that is not transformed every tap is a group of its own. */
#ifndef WINOGRAD_GRID_H
#define WINOGRAD_GRID_H

#include "conv_problem.h"

enum { WIN_TAPS = 3, WIN_MOST = 6 /* outputs */ };

typedef struct {
    int samples, outputs; /* of a whole tile: m + 2 and m, or 1 and 1 */
    int64_t groups;
    int64_t *origin;        /* [groups]: source offset of the first tap */
    int64_t *taps;          /* [groups][3]: indices into the problem's taps, or -1 */
    int64_t src_step, step; /* between a tile's inputs, between its outputs */
    int64_t grids;          /* sub-grids that have an output */
    int64_t tiles;          /* of the largest sub-grid */
} win_axis;

typedef struct {
    win_axis axis[3];
    int row, col;   /* the transformed axes; row is -1 where only one is */
    int two;        /* both */
    int out;        /* m: outputs of a whole tile along a transformed axis */
    int points;     /* products per tile: (m + 2)^2 or m + 2 */
    int64_t groups; /* product over the axes */
    int64_t tiles;  /* of all sub-grids and images */
} win_grid;

/* One tile: first output and how many there are, per axis; count[0] is 0 for an empty tile, where a
 * sub-grid has fewer tiles than the largest. */
typedef struct {
    int64_t n, first[3], count[3];
} win_tile;

/* How many tiles, so far, take part in the products of a point: row[x][y] counts those that have at
 * least x + 1 rows and y + 1 columns of outputs. */
typedef struct {
    int64_t row[WIN_MOST][WIN_MOST];
} win_rows;

/* Outputs of a tile above which it has the point, one axis: points 0, 1, 2 are everybody's. */
static inline int win_level(int point) { return point < WIN_TAPS ? 0 : point - WIN_TAPS + 1; }

static inline void win_grid_free(win_grid *g) {
    for (int i = 0; i < 3; i++) fc_free(g->axis[i].origin);
}

static inline int64_t win_lcm(int64_t a, int64_t b) {
    int64_t x = a, y = b;
    while (y) {
        const int64_t r = x % y;
        x = y, y = r;
    }
    return a / x * b;
}

static inline int win_axis_make(win_axis *a, const conv_problem *p, int i, int transformed,
                                int out) {
    const tap_axis *t = &p->taps[i];
    const int64_t d = t->count > 1 ? t->off[1] - t->off[0] : 1;
    const int64_t e = transformed ? win_lcm(p->src_step[i], d) : 1;
    if (e > INT64_C(1) << 32) return FC_OVERFLOW; /* a tile's inputs are up to 7 of it apart */
    const int64_t apart = transformed ? e / d : 1, each = transformed ? WIN_TAPS : 1;
    a->origin = (int64_t *)fc_scratch(4 * t->count, sizeof(int64_t));
    if (!a->origin) return FC_NOMEM;
    a->taps = a->origin + t->count;
    a->samples = transformed ? out + WIN_TAPS - 1 : 1;
    a->outputs = transformed ? out : 1;
    a->groups = 0;
    for (int64_t c = 0; c < fc_min(transformed ? apart : 1, t->count); c++) {
        for (int64_t k = c; k < t->count; k += each * apart) {
            a->origin[a->groups] = t->off[k];
            for (int64_t j = 0; j < WIN_TAPS; j++) {
                const int64_t tap = k + j * apart;
                a->taps[a->groups * WIN_TAPS + j] = j < each && tap < t->count ? tap : -1;
            }
            a->groups++;
        }
    }
    a->src_step = e;
    a->step = transformed ? e / p->src_step[i] : 1;
    a->grids = fc_max(1, fc_min(a->step, p->grid[i]));
    a->tiles = fc_ceil_div(fc_ceil_div(p->grid[i], a->step), a->outputs);
    return FC_OK;
}

/* Transforms the last two axes that have several taps, by tiles of `out` outputs; FC_UNSUPPORTED
 * where none has. */
static inline int win_grid_make(win_grid *g, const conv_problem *p, int out) {
    memset(g, 0, sizeof *g);
    g->out = out;
    g->row = g->col = -1;
    for (int i = 2; i >= 0; i--) {
        if (p->taps[i].count < 2) continue;
        if (g->col < 0) g->col = i;
        else if (g->row < 0) g->row = i;
    }
    if (g->col < 0) return FC_UNSUPPORTED;
    g->two = g->row >= 0;
    const int points = out + WIN_TAPS - 1;
    g->points = g->two ? points * points : points;
    g->groups = 1;
    g->tiles = p->batch;
    for (int i = 0; i < 3; i++) {
        win_axis *a = &g->axis[i];
        const int status = win_axis_make(a, p, i, i == g->row || i == g->col, out);
        if (status) return status;
        g->groups *= a->groups;
        g->tiles *= a->grids * a->tiles;
    }
    return FC_OK;
}

/* Tiles of an axis with more than `level` outputs, in the first `place` of its places. */
static inline int64_t win_axis_before(const conv_problem *p, const win_axis *a, int i, int level,
                                      int64_t place) {
    if (a->samples == 1) return place;
    const int64_t sub = place / a->tiles, short_count = p->grid[i] / a->step;
    const int64_t longer = p->grid[i] % a->step; /* sub-grids with one output more */
    const int64_t each = (short_count + a->outputs - 1 - level) / a->outputs;
    const int64_t more = (short_count + a->outputs - level) / a->outputs;
    return fc_min(sub, longer) * more + fc_max(0, sub - longer) * each +
           fc_min(place % a->tiles, sub < longer ? more : each);
}

/* Whether a tile is smaller than the others. */
static inline int win_has_tails(const conv_problem *p, const win_grid *g) {
    for (int i = 0; i < 3; i++) {
        const win_axis *a = &g->axis[i];
        const int64_t all = a->tiles * a->grids;
        if (win_axis_before(p, a, i, g->out - 1, all) < win_axis_before(p, a, i, 0, all)) return 1;
    }
    return 0;
}

/* The rows of all points before tile `index`. */
static inline win_rows win_rows_before(const conv_problem *p, const win_grid *g, int64_t index) {
    win_rows rows = {{{0}}};
    for (int x = 0; x < g->out; x++) {
        for (int y = 0; y < g->out; y++) {
            int64_t left = index, tail = 0, all = 1;
            for (int i = 2; i >= 0; i--) {
                const win_axis *a = &g->axis[i];
                const int level = i == g->row ? x : i == g->col ? y : 0;
                const int64_t places = a->tiles * a->grids, at = left % places;
                const int64_t before = win_axis_before(p, a, i, level, at);
                const int has = win_axis_before(p, a, i, level, at + 1) > before;
                left /= places;
                tail = before * all + (has ? tail : 0);
                all *= win_axis_before(p, a, i, level, places);
            }
            rows.row[x][y] = left * all + tail;
        }
    }
    return rows;
}

/* Count a tile; `out` is g->out, a constant. */
static inline void win_rows_add(const win_grid *g, const int out, const win_tile *t,
                                win_rows *rows) {
    if (!t->count[0]) return;
    const int64_t m = g->two ? t->count[g->row] : out, n = t->count[g->col];
    for (int x = 0; x < out; x++)
        for (int y = 0; y < out; y++) rows->row[x][y] += x < m && y < n;
}

static inline void win_rows_subtract(win_rows *rows, const win_rows *from) {
    for (int x = 0; x < WIN_MOST; x++)
        for (int y = 0; y < WIN_MOST; y++) rows->row[x][y] -= from->row[x][y];
}

/* The row of a point (i, j), of two axes or one (then i is 0). */
static inline int64_t win_row_of(const win_rows *rows, int i, int j) {
    return rows->row[win_level(i)][win_level(j)];
}

/* Products of the direct algorithm over those of this one. */
static inline double win_gain(const conv_problem *p, const win_grid *g) {
    double products = (double)g->groups, direct = (double)p->ntaps;
    for (int i = 0; i < 3; i++) {
        const win_axis *a = &g->axis[i];
        if (a->samples == 1) continue;
        int64_t points = 0;
        for (int x = 0; x < a->samples; x++)
            points += win_axis_before(p, a, i, win_level(x), a->tiles * a->grids);
        products *= (double)points;
        direct *= (double)p->grid[i];
    }
    return direct / products;
}

static inline win_tile win_tile_at(const conv_problem *p, const win_grid *g, int64_t index) {
    win_tile t;
    int empty = 0;
    for (int i = 2; i >= 0; i--) {
        const win_axis *a = &g->axis[i];
        const int64_t tile = index % a->tiles, sub = index / a->tiles % a->grids;
        index /= a->tiles * a->grids;
        t.first[i] = sub + tile * a->outputs * a->step;
        t.count[i] = fc_min(a->outputs, fc_ceil_div(p->grid[i] - t.first[i], a->step));
        empty |= t.count[i] <= 0;
    }
    t.n = index;
    if (empty) t.count[0] = 0;
    return t;
}

/* Group number -> its number on each axis. */
static inline void win_group_at(const win_grid *g, int64_t group, int64_t at[3]) {
    at[2] = group % g->axis[2].groups;
    at[1] = group / g->axis[2].groups % g->axis[1].groups;
    at[0] = group / g->axis[2].groups / g->axis[1].groups;
}

/* The tap (an index of the problem's depth) of a group at (i, j) of its 3x3, or -1. */
static inline int64_t win_tap_at(const conv_problem *p, const win_grid *g, const int64_t at[3],
                                 int i, int j) {
    int64_t place = 0;
    for (int x = 0; x < 3; x++) {
        const int k = x == g->col ? j : x == g->row ? i : 0;
        const int64_t tap = g->axis[x].taps[at[x] * WIN_TAPS + k];
        if (tap < 0) return -1;
        place = place * p->taps[x].count + tap;
    }
    return place;
}

#endif
