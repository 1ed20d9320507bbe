/* Grouped convolution, several channels per group, as many in as out or not; channels-last.
 *
 * A vector holds the outputs of whole groups (or a group is whole vectors), and x of the same
 * groups lies beside it. Channel j of every group, spread over its group by a shuffle, meets the
 * weights [tap][j][K]: then it is a depthwise convolution with as many products per tap as a group
 * has input channels, and takes all of depthwise/depthwise.inc.c but the tiles. A shuffle serves
 * the kw taps that share a column of x, in backward weight (where dy is spread) all taps. Groups of
 * whole vectors take broadcasts instead. Channels that do not fill a power of two are laid out anew
 * (depthwise/layout.inc.c). */
#pragma once

#include "fastconv.h"
#include "core/simd.h"
#include "depthwise/depthwise.inc.c"
#include "depthwise/sum_tile.inc.c"
#include "depthwise/tile.inc.c"
#include "depthwise/weight.inc.c"

#define GROUPED_EACH_NP(F, group, kw, step) F(group, kw, step, 4) F(group, kw, step, 7)
#define GROUPED_NAME(group, kw, step, np) \
    [step - 1][kw][np - DW_LEAST] = tile_dw_##group##_##kw##_##step##_##np,
/* Weights, sums, operand and a shuffle's index in registers. */
#if VEC_BYTES == 64 || defined(__aarch64__)
#define GROUPED_LONG(F, group) GROUPED_EACH_NP(F, group, 5, 1) GROUPED_EACH_NP(F, group, 7, 1)
#else
#define GROUPED_LONG(F, group) F(group, 5, 1, 4)
#endif
#define GROUPED_TILES(F, group)     \
    GROUPED_EACH_NP(F, group, 1, 1) \
    GROUPED_EACH_NP(F, group, 2, 1) \
    GROUPED_EACH_NP(F, group, 3, 1) \
    GROUPED_LONG(F, group)          \
    GROUPED_EACH_NP(F, group, 3, 2)
/* [kw][lines - 1], with nj channels of a group. */
#define GROUPED_SUM(group, kw, nr, nj)                                                          \
    NOINLINE void tile_dw_sum_##group##_##kw##_##nr(const dw_strip *s, const T *const *lines) { \
        tile_dw_sum_group(group, kw, nr, nj < group ? nj : group, s, lines);                    \
    }
#define GROUPED_SUM_NAME(group, kw, nr, nj) [0][kw][nr - 1] = tile_dw_sum_##group##_##kw##_##nr,
#if VEC_BYTES == 64 || defined(__aarch64__)
#define GROUPED_SUMS(F, group) \
    F(group, 1, 1, 8)          \
    F(group, 1, 2, 4)          \
    F(group, 1, 3, 4)          \
    F(group, 3, 1, 4)          \
    F(group, 3, 2, 2) F(group, 3, 3, 2) F(group, 5, 1, 4) F(group, 5, 2, 2) F(group, 7, 1, 2)
#else
#define GROUPED_SUMS(F, group) \
    F(group, 1, 1, 4)          \
    F(group, 1, 2, 4)          \
    F(group, 1, 3, 2) F(group, 3, 1, 2) F(group, 3, 2, 2) F(group, 5, 1, 2) F(group, 7, 1, 1)
#endif
#if VEC_BYTES / TYPE_BYTES > 8
#define GROUPED_SHUFFLED(F) F(2) F(4) F(8)
#elif VEC_BYTES / TYPE_BYTES > 4
#define GROUPED_SHUFFLED(F) F(2) F(4)
#elif VEC_BYTES / TYPE_BYTES > 2
#define GROUPED_SHUFFLED(F) F(2)
#else
#define GROUPED_SHUFFLED(F)
#endif
#if VEC_BYTES / TYPE_BYTES == 16
#define GROUPED_WHOLE(F) F(16)
#elif VEC_BYTES / TYPE_BYTES == 8
#define GROUPED_WHOLE(F) F(8)
#elif VEC_BYTES / TYPE_BYTES == 4
#define GROUPED_WHOLE(F) F(4)
#else
#define GROUPED_WHOLE(F) F(2)
#endif
#define GROUPED_DEFINE(group) GROUPED_TILES(DW_GROUP_TILE, group) GROUPED_SUMS(GROUPED_SUM, group)
GROUPED_SHUFFLED(GROUPED_DEFINE)
GROUPED_WHOLE(GROUPED_DEFINE)
/* [log2 of a group's lanes]: depthwise, shuffled, whole vectors */
#define GROUPED_TABLE(group) {GROUPED_TILES(GROUPED_NAME, group)},
static const dw_tile_table grouped_tiles[] = {
    DW_TABLE, GROUPED_SHUFFLED(GROUPED_TABLE) GROUPED_WHOLE(GROUPED_TABLE)};
#define GROUPED_SUM_TABLE(group) {GROUPED_SUMS(GROUPED_SUM_NAME, group)},
static const dw_sum_table grouped_sums[] = {
    {DW_SUMS(DW_SUM_NAME)}, GROUPED_SHUFFLED(GROUPED_SUM_TABLE) GROUPED_WHOLE(GROUPED_SUM_TABLE)};

static int conv_forward_grouped(const fc_conv_geom *g, const void *x, const void *w,
                                const void *bias, void *y, int threads) {
    const int status = dw_check(g);
    return status ? status : dw_forward(g, grouped_tiles, x, w, bias, y, threads);
}

static int conv_backward_input_grouped(const fc_conv_geom *g, const void *dy, const void *w,
                                       const void *bias, void *dx, int threads) {
    const int status = dw_check(g);
    return status ? status : dw_backward_input(g, grouped_tiles, dy, w, bias, dx, threads);
}

static int conv_backward_weight_grouped(const fc_conv_geom *g, const void *dy, const void *x,
                                        const void *bias, void *dw, int threads) {
    (void)bias;
    const int status = dw_check(g);
    return status ? status : dw_backward_weight(g, grouped_sums, dy, x, dw, threads);
}
