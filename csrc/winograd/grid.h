/* The tiles of a Winograd convolution, free of types.
 *
 * One or two axes are transformed: there a tile has m = 4 (or 6) outputs, and the last tile of an
 * axis has what is left, 1 to m. A tile takes 1 to 3 taps at a time: with r of them it has m + r -
 * 1 inputs, and F(m, r) uses the first m + r - 1 of the same points. So a tile takes part in the
 * products of its own points alone, with the weights of all the others, and so does a group of
 * taps. Longer kernels, strides and dilations are sums of such groups. With
 * source = pos*s + off(t), off(t) = off0 + t*d, and e = lcm(s, d):
 *
 *   - taps e/d apart meet inputs e apart: they form a class, cut into groups of up to 3 taps, each
 *     at the origin off(first tap): 4 taps are 2 + 2, and the classes of 3 taps with stride 2 are
 *     2 and 1;
 *   - outputs e/s apart share inputs: they form a sub-grid, whose neighbours make a tile.
 *
 * All groups add to the same tile of outputs, so they only lengthen the GEMM's depth:
 * depth = groups * channels, those with the most taps first, so that the groups of a point lie side
 * by side. On an axis that is not transformed every tap is a group of its own; where it reads the
 * same slices as its neighbours, they are transformed once (winograd/slab.h). */
#pragma once

#include "core/problem.h"

/* Outputs and inputs of a whole tile along a transformed axis, taps of a group at most. */
enum { WIN_OUT = 4, WIN_TAPS = 3, WIN_IN = WIN_OUT + WIN_TAPS - 1 };
/* Positions along the depth of tiles that share slices. */
enum { WIN_DEEP = 8 };

typedef struct {
    int transformed;
    int outputs, most; /* of a whole tile; taps of the largest group; 1 and 1 if not transformed */
    int samples;       /* inputs of a whole tile, and points: outputs + most - 1 */
    int64_t groups;
    int64_t *origin;        /* [groups]: source offset of the first tap */
    int64_t *length;        /* [groups]: taps, descending */
    int64_t *taps;          /* [groups][3]: indices into the problem's taps, or -1 */
    int64_t src_step, step; /* between a tile's inputs, between its outputs */
    int64_t grids;          /* sub-grids that have an output */
    int64_t tiles;          /* of the largest sub-grid */
} win_axis;

typedef struct {
    win_axis axis[3];
    int row, col;   /* the transformed axes; row is -1 where only one is */
    int two;        /* both */
    int high, wide; /* points along the transformed rows (1 where there are none) and columns */
    int points;     /* of both: products per tile */
    int uneven;     /* whether groups have different numbers of taps */
    int64_t shared; /* taps along axis 0 that read the same slices, or 1 (winograd/slab.h) */
    int64_t groups; /* product over the axes */
    int64_t tiles;  /* of all sub-grids and images */
} win_grid;

/* One tile: first output and how many there are, per axis; count[0] is 0 for an empty tile, where a
 * sub-grid has fewer tiles than the largest. */
typedef struct {
    int64_t n, first[3], count[3];
} win_tile;

/* The tiles in order, by axis: those of all sub-grids in one place, so that what they read lies
 * side by side, then the next place. */
typedef struct {
    win_tile tile;
    int64_t sub[3];
} win_walk;

/* How many tiles before one take part in the products of a point: row[x][y] counts those that have
 * at least x + 1 rows and y + 1 columns of outputs. */
typedef struct {
    int64_t row[WIN_OUT][WIN_OUT];
} win_rows;

/* Outputs of a tile above which it has the point, one axis, with groups of up to `taps`: the first
 * `taps` points are everybody's. */
static inline int win_level(int point, int taps) { return point < taps ? 0 : point - taps + 1; }

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

/* Groups of the class of tap `first`; `most` is 0 where their numbers of taps may differ. */
static inline int64_t win_class_groups(const tap_axis *t, int64_t first, int64_t apart, int most) {
    return fc_ceil_div(fc_ceil_div(t->count - first, apart), most ? most : WIN_TAPS);
}

/* Taps of such a class's group number i: as many as the others have, or one more. */
static inline int64_t win_class_taps(const tap_axis *t, int64_t first, int64_t apart, int64_t i) {
    const int64_t taps = fc_ceil_div(t->count - first, apart);
    const int64_t groups = win_class_groups(t, first, apart, 0);
    return taps / groups + (i < taps % groups);
}

/* The groups of an axis whose classes are `apart` taps apart; of one length with `even`. */
static inline void win_axis_groups(win_axis *a, const tap_axis *t, int64_t apart, int even) {
    a->most = (int)win_class_taps(t, 0, apart, 0); /* class 0 has the most taps, in up to 3s */
    for (int64_t c = 0; c < fc_min(apart, t->count); c++)
        a->most = (int)fc_max(a->most, win_class_taps(t, c, apart, 0));
    for (int64_t length = a->most; length > (even ? a->most - 1 : 0); length--) {
        for (int64_t c = 0; c < fc_min(apart, t->count); c++) {
            const int64_t groups = win_class_groups(t, c, apart, even ? a->most : 0);
            for (int64_t i = 0, k = c; i < groups; i++) {
                const int64_t taps = even ? length : win_class_taps(t, c, apart, i);
                if (taps == length) {
                    for (int64_t j = 0; j < WIN_TAPS; j++) {
                        const int64_t tap = k + j * apart;
                        const int has = j < length && tap < t->count;
                        a->taps[a->groups * WIN_TAPS + j] = has ? tap : -1;
                    }
                    a->origin[a->groups] = t->off[k];
                    a->length[a->groups++] = length;
                }
                k += taps * apart;
            }
        }
    }
}

static inline int win_axis_make(win_axis *a, const conv_problem *p, int i, int transformed,
                                int even) {
    const tap_axis *t = &p->taps[i];
    const int64_t d = t->count > 1 ? t->off[1] - t->off[0] : 1;
    const int64_t e = transformed ? win_lcm(p->src_step[i], d) : 1;
    if (e > INT64_C(1) << 32) return FC_OVERFLOW; /* a tile's inputs are up to 7 of it apart */
    a->origin = (int64_t *)fc_scratch((2 + WIN_TAPS) * t->count, sizeof(int64_t));
    if (!a->origin) return FC_NOMEM;
    a->length = a->origin + t->count;
    a->taps = a->length + t->count;
    a->groups = 0;
    a->transformed = transformed;
    a->outputs = transformed ? WIN_OUT : 1;
    /* not transformed: each tap is a class, of one group */
    win_axis_groups(a, t, transformed ? e / d : fc_max(1, t->count), even);
    a->samples = a->outputs + a->most - 1;
    a->src_step = e;
    a->step = transformed ? e / p->src_step[i] : 1;
    a->grids = fc_max(1, fc_min(a->step, p->grid[i]));
    a->tiles = fc_ceil_div(fc_ceil_div(p->grid[i], a->step), a->outputs);
    return FC_OK;
}

/* The taps along the depth, where tiles that share its slices transform fewer of them. */
static inline int64_t win_grid_shares(const win_grid *g, const conv_problem *p) {
    const tap_axis *t = &p->taps[0];
    if (t->count < 2 || !g->two || g->row == 0 || p->src_step[0] != 1) return 1;
    const int64_t deep = fc_min(p->grid[0], WIN_DEEP), span = t->off[t->count - 1] - t->off[0];
    return fc_min(p->src_size[0], deep + span) < deep * t->count ? t->count : 1;
}

/* Transforms the last two axes that have several taps; FC_UNSUPPORTED where none has. With `even`
 * all groups of an axis have as many taps, the last ones zero. */
static inline int win_grid_make(win_grid *g, const conv_problem *p, int even) {
    memset(g, 0, sizeof *g);
    g->row = g->col = -1;
    for (int i = 2; i >= 0; i--) {
        if (p->taps[i].count < 2) continue;
        if (g->col < 0) g->col = i;
        else if (g->row < 0) g->row = i;
    }
    if (g->col < 0) return FC_UNSUPPORTED;
    g->two = g->row >= 0;
    g->groups = 1;
    g->tiles = p->batch;
    for (int i = 0; i < 3; i++) {
        win_axis *a = &g->axis[i];
        const int status = win_axis_make(a, p, i, i == g->row || i == g->col, even);
        if (status) return status;
        g->groups *= a->groups;
        g->tiles *= a->grids * a->tiles;
        g->uneven |= (a->groups ? a->length[a->groups - 1] : a->most) < a->most;
    }
    g->high = g->two ? g->axis[g->row].samples : 1;
    g->wide = g->axis[g->col].samples;
    g->points = g->high * g->wide;
    g->shared = even ? 1 : win_grid_shares(g, p);
    return FC_OK;
}

/* Tiles of an axis with more than `level` outputs, in the first `place` of its places. */
static inline int64_t win_axis_before(const conv_problem *p, const win_axis *a, int i, int level,
                                      int64_t place) {
    if (!a->transformed) return place;
    const int64_t tile = place / a->grids, sub = place % a->grids;
    const int64_t short_count = p->grid[i] / a->step;
    const int64_t longer = p->grid[i] % a->step; /* sub-grids with one output more */
    const int64_t each = (short_count + a->outputs - 1 - level) / a->outputs;
    const int64_t more = (short_count + a->outputs - level) / a->outputs;
    return longer * fc_min(tile, more) + (a->grids - longer) * fc_min(tile, each) +
           (tile < more ? fc_min(sub, longer) : 0) + (tile < each ? fc_max(0, sub - longer) : 0);
}

/* Whether a tile is smaller than the others. */
static inline int win_has_tails(const conv_problem *p, const win_grid *g) {
    for (int i = 0; i < 3; i++) {
        const win_axis *a = &g->axis[i];
        const int64_t all = a->tiles * a->grids;
        if (win_axis_before(p, a, i, WIN_OUT - 1, all) < win_axis_before(p, a, i, 0, all)) return 1;
    }
    return 0;
}

/* The rows of all points before tile `index`. */
static inline win_rows win_rows_before(const conv_problem *p, const win_grid *g, int64_t index) {
    win_rows rows = {{{0}}};
    for (int x = 0; x < WIN_OUT; x++) {
        for (int y = 0; y < WIN_OUT; y++) {
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

static inline void win_rows_subtract(win_rows *rows, const win_rows *from) {
    for (int x = 0; x < WIN_OUT; x++)
        for (int y = 0; y < WIN_OUT; y++) rows->row[x][y] -= from->row[x][y];
}

/* The row of a point (i, j), of two axes or one (then i is 0). */
static inline int64_t win_row_of(const win_grid *g, const win_rows *rows, int i, int j) {
    const int high = g->two ? g->axis[g->row].most : 1;
    return rows->row[win_level(i, high)][win_level(j, g->axis[g->col].most)];
}

/* Groups of an axis that have the point. */
static inline int64_t win_groups_with(const win_axis *a, int point) {
    int64_t n = a->groups;
    while (n && a->outputs + a->length[n - 1] - 1 <= point) n--;
    return n;
}

/* The groups that have a point: runs of `length` groups side by side. */
typedef struct {
    int64_t count, length, middle; /* middle: runs per group of axis 0 */
} win_runs;

static inline win_runs win_runs_of(const win_grid *g, int point) {
    int64_t n[3];
    for (int i = 0; i < 3; i++) {
        const int at = i == g->col ? point % g->wide : i == g->row ? point / g->wide : 0;
        n[i] = win_groups_with(&g->axis[i], at);
    }
    return (win_runs){n[0] * n[1], n[2], n[1]};
}

/* The first group of run i. */
static inline int64_t win_run_first(const win_grid *g, const win_runs *r, int64_t i) {
    return (i / r->middle * g->axis[1].groups + i % r->middle) * g->axis[2].groups;
}

/* Products of a whole tile, for each channel. */
static inline double win_products(const win_grid *g) {
    double products = 1;
    for (int i = 0; i < 3; i++) {
        const win_axis *a = &g->axis[i];
        int64_t points = 0;
        for (int64_t k = 0; k < a->groups; k++) points += a->outputs + a->length[k] - 1;
        products *= (double)points;
    }
    return products;
}

/* Products of the direct algorithm over those of this one, in whole tiles: the size of the image
 * does not matter. */
static inline double win_gain(const conv_problem *p, const win_grid *g) {
    const double outputs = g->two ? WIN_OUT * WIN_OUT : WIN_OUT;
    return (double)p->ntaps * outputs / win_products(g);
}

/* The outputs of a tile, from first[] on. */
static inline void win_walk_count(const conv_problem *p, const win_grid *g, win_walk *w) {
    win_tile *t = &w->tile;
    int empty = 0;
    for (int i = 0; i < 3; i++) {
        const win_axis *a = &g->axis[i];
        int64_t count = a->outputs;
        while (count > 0 && t->first[i] + (count - 1) * a->step >= p->grid[i]) count--;
        t->count[i] = count;
        empty |= !count;
    }
    if (empty) t->count[0] = 0;
}

static inline win_walk win_walk_at(const conv_problem *p, const win_grid *g, int64_t index) {
    win_walk w;
    for (int i = 2; i >= 0; i--) {
        const win_axis *a = &g->axis[i];
        w.sub[i] = index % a->grids;
        index /= a->grids;
        w.tile.first[i] = w.sub[i] + index % a->tiles * a->outputs * a->step;
        index /= a->tiles;
    }
    w.tile.n = index;
    win_walk_count(p, g, &w);
    return w;
}

static inline void win_walk_next(const conv_problem *p, const win_grid *g, win_walk *w) {
    int i = 2;
    for (; i >= 0; i--) {
        const win_axis *a = &g->axis[i];
        w->tile.first[i]++;
        if (++w->sub[i] < a->grids) break;
        w->tile.first[i] += a->outputs * a->step - a->grids;
        w->sub[i] = 0;
        if (w->tile.first[i] < a->tiles * a->outputs * a->step) break;
        w->tile.first[i] = 0;
    }
    if (i < 0) w->tile.n++;
    win_walk_count(p, g, w);
}

/* Group number -> its number on each axis. */
static inline void win_group_at(const win_grid *g, int64_t group, int64_t at[3]) {
    at[2] = group % g->axis[2].groups;
    at[1] = group / g->axis[2].groups % g->axis[1].groups;
    at[0] = group / g->axis[2].groups / g->axis[1].groups;
}

static inline void win_group_next(const win_grid *g, int64_t at[3]) {
    for (int i = 2; i >= 0 && ++at[i] == g->axis[i].groups; i--) at[i] = 0;
}

/* Taps of a group along the transformed rows (0 where there are none) and columns. */
static inline int win_group_high(const win_grid *g, const int64_t at[3]) {
    return g->two ? (int)g->axis[g->row].length[at[g->row]] : 0;
}
static inline int win_group_wide(const win_grid *g, const int64_t at[3]) {
    return (int)g->axis[g->col].length[at[g->col]];
}

/* Whether a group has the point. */
static inline int win_group_has(const win_grid *g, const int64_t at[3], int point) {
    return point / g->wide < WIN_OUT + fc_max(1, win_group_high(g, at)) - 1 &&
           point % g->wide < WIN_OUT + win_group_wide(g, at) - 1;
}

/* The tap (an index of the problem's depth) of a group at (i, j) of its own, or -1. */
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
