/* Blocks of tiles, free of types, and what neighbours of a kernel with three axes share.
 *
 * A 3x3x3 kernel transforms its last two axes; its taps along the depth are groups that read the
 * same slices of the source, shifted. A slab is a run of positions along the depth times a run of
 * tiles of the plane. Its V has every slice once, V[point][image][slice][tile][inner], and what tap
 * k multiplies are the rows from slice d + off[k] on; slices outside the source are left out.
 * Other grids, whose tiles share nothing, are one plane of all tiles: a slab is a run of them. */
#pragma once

#include "winograd/grid.h"
#include "winograd/sizes.h"

/* The tiles of a grid: images, positions along the depth, tiles of a plane. */
typedef struct {
    int64_t images, deep, flat;
} win_extent;

typedef struct {
    int64_t image, d, t;    /* the first of each */
    win_extent size;        /* more images than one only where they are whole */
    int64_t slice, slices;  /* of the source */
    int64_t inputs, places; /* rows of V and of products: one for each tile */
} win_slab;

static inline win_extent win_extent_of(const conv_problem *p, const win_grid *g) {
    if (g->shared == 1) return (win_extent){1, 1, g->tiles};
    const int64_t plane = g->axis[1].tiles * g->axis[1].grids * g->axis[2].tiles * g->axis[2].grids;
    return (win_extent){p->batch, p->grid[0], plane};
}

/* The source's slices that positions [d, d + deep) read; one outside it where they read none. */
static inline int64_t win_slices(const conv_problem *p, const win_grid *g, int64_t d, int64_t deep,
                                 int64_t *first) {
    const int64_t *off = g->axis[0].origin;
    *first = g->shared == 1 ? 0 : fc_max(0, d + off[0]);
    if (g->shared == 1) return 1;
    return fc_max(1, fc_min(p->src_size[0], d + deep + off[g->shared - 1]) - *first);
}

/* The extent of slabs of about so many tiles. */
static inline win_extent win_slab_extent(const conv_problem *p, const win_grid *g, int64_t tiles) {
    const win_extent all = win_extent_of(p, g);
    const int64_t image = fc_max(1, all.deep * all.flat);
    if (tiles >= image)
        return (win_extent){win_equal(all.images, tiles / image), all.deep, all.flat};
    const int64_t least = win_equal(all.deep, WIN_DEEP);
    const int64_t flat = win_equal(all.flat, tiles / least);
    return (win_extent){1, win_equal(all.deep, fc_max(least, tiles / flat)), flat};
}

static inline int64_t win_slab_count(const conv_problem *p, const win_grid *g,
                                     const win_extent *size) {
    const win_extent all = win_extent_of(p, g);
    return fc_ceil_div(all.images, size->images) * fc_ceil_div(all.deep, size->deep) *
           fc_ceil_div(all.flat, size->flat);
}

static inline int64_t win_slab_places(const win_extent *size) {
    return size->images * size->deep * size->flat;
}

/* Slab number i; empty behind the last one. */
static inline win_slab win_slab_at(const conv_problem *p, const win_grid *g, const win_extent *size,
                                   int64_t i) {
    const win_extent all = win_extent_of(p, g);
    const int64_t down = fc_ceil_div(all.deep, size->deep),
                  wide = fc_ceil_div(all.flat, size->flat);
    win_slab s = {.t = i % wide * size->flat,
                  .d = i / wide % down * size->deep,
                  .image = i / wide / down * size->images};
    s.size = (win_extent){fc_max(0, fc_min(size->images, all.images - s.image)),
                          fc_min(size->deep, all.deep - s.d), fc_min(size->flat, all.flat - s.t)};
    s.slices = win_slices(p, g, s.d, s.size.deep, &s.slice);
    s.inputs = s.size.images * s.slices * s.size.flat;
    s.places = win_slab_places(&s.size);
    return s;
}

/* The most rows of V of a slab of this extent. */
static inline int64_t win_slab_inputs(const conv_problem *p, const win_grid *g,
                                      const win_extent *size) {
    const int64_t *off = g->axis[0].origin;
    if (g->shared == 1) return size->flat;
    const int64_t slices = fc_min(p->src_size[0], size->deep + off[g->shared - 1] - off[0]);
    return size->images * fc_max(1, slices) * size->flat;
}

/* What V takes for a tile of rows of `pitch`, most of which it shares. */
static inline int64_t win_slab_share(const conv_problem *p, const win_grid *g, int64_t pitch) {
    int64_t first;
    const int64_t deep = g->shared > 1 ? win_equal(p->grid[0], WIN_DEEP) : 1;
    return fc_ceil_div(pitch * win_slices(p, g, 0, deep, &first), deep);
}

/* The index of the first tile of a line of the slab: of an image at a position of the depth. */
static inline int64_t win_slab_line(const conv_problem *p, const win_grid *g, const win_slab *s,
                                    int64_t image, int64_t d) {
    const win_extent all = win_extent_of(p, g);
    return ((s->image + image) * all.deep + d) * all.flat + s->t;
}

/* The positions of a slab, [*first, *end) of size.deep, whose tap k meets the source; what they
 * read begins at the slice returned. */
static inline int64_t win_slab_tap(const win_grid *g, const win_slab *s, int64_t k, int64_t *first,
                                   int64_t *end) {
    const int64_t shift = g->shared == 1 ? 0 : s->d + g->axis[0].origin[k] - s->slice;
    *first = fc_min(s->size.deep, fc_max(0, -shift));
    *end = fc_max(*first, fc_min(s->size.deep, s->slices - shift));
    return *first + shift;
}
