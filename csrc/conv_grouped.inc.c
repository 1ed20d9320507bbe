/* Grouped convolution with few channels per group (2, 4, 8 or 16, as many in as out),
 * channels-last.
 *
 * A vector holds the outputs of whole groups, and x of the same groups lies beside it. Channel j of
 * every group, spread over its group by a shuffle, meets the weights [tap][j][K]: then it is a
 * depthwise convolution with G products per tap, and takes all of conv_depthwise.inc.c but the
 * tiles. A shuffle serves the kw taps that share a column of x, in backward weight (where dy is
 * spread) all taps. Groups of whole vectors take broadcasts instead. */
#define GROUPED_EACH_NP(F, group, kw, step) F(group, kw, step, 4) F(group, kw, step, 7)
#define GROUPED_NAME(group, kw, step, np) \
    [step - 1][kw][np - DW_LEAST] = FN(tile_dw_##group##_##kw##_##step##_##np),
#define GROUPED_TILES(F, group)     \
    GROUPED_EACH_NP(F, group, 1, 1) \
    GROUPED_EACH_NP(F, group, 2, 1) \
    GROUPED_EACH_NP(F, group, 3, 1) \
    GROUPED_EACH_NP(F, group, 3, 2)
#define GROUPED_SUM_NAME(group, kw, nr) [kw][nr - 1] = FN(tile_dw_sum_##group##_##kw##_##nr),
#define GROUPED_SUMS(F, group) \
    F(group, 1, 1) F(group, 1, 2) F(group, 1, 3) F(group, 3, 1) F(group, 3, 3)
GROUPED_TILES(DW_GROUP_TILE, 2)
GROUPED_TILES(DW_GROUP_TILE, 4)
GROUPED_TILES(DW_GROUP_TILE, 8)
GROUPED_TILES(DW_GROUP_TILE, 16)
GROUPED_SUMS(DW_GROUP_SUM, 2)
GROUPED_SUMS(DW_GROUP_SUM, 4)
GROUPED_SUMS(DW_GROUP_SUM, 8)
GROUPED_SUMS(DW_GROUP_SUM, 16)
/* [log2 of the group - 1] */
static const FN(dw_tile_table) FN(grouped_tiles)[4] = {{GROUPED_TILES(GROUPED_NAME, 2)},
                                                       {GROUPED_TILES(GROUPED_NAME, 4)},
                                                       {GROUPED_TILES(GROUPED_NAME, 8)},
                                                       {GROUPED_TILES(GROUPED_NAME, 16)}};
static const FN(dw_sum_table) FN(grouped_sums)[4] = {{GROUPED_SUMS(GROUPED_SUM_NAME, 2)},
                                                     {GROUPED_SUMS(GROUPED_SUM_NAME, 4)},
                                                     {GROUPED_SUMS(GROUPED_SUM_NAME, 8)},
                                                     {GROUPED_SUMS(GROUPED_SUM_NAME, 16)}};

/* Place of the group's size in the tables, or -1. */
static int FN(grouped_size)(const fc_conv_geom *g) {
    if (g->in_channels != g->out_channels || g->x_stride[1] != 1 || g->y_stride[1] != 1) return -1;
    for (int i = 0; i < 4; i++)
        if (g->in_channels == g->groups * (INT64_C(2) << i)) return i;
    return -1;
}

static int FN(conv_forward_grouped)(const fc_conv_geom *g, const void *x, const void *w,
                                    const void *bias, void *y, int threads) {
    const int status = fc_conv_check(g), size = FN(grouped_size)(g);
    if (status) return status;
    if (size < 0) return FC_UNSUPPORTED;
    return FN(dw_forward)(g, &FN(grouped_tiles)[size], x, w, bias, y, threads);
}

static int FN(conv_backward_input_grouped)(const fc_conv_geom *g, const void *dy, const void *w,
                                           const void *bias, void *dx, int threads) {
    const int status = fc_conv_check(g), size = FN(grouped_size)(g);
    if (status) return status;
    if (size < 0) return FC_UNSUPPORTED;
    return FN(dw_backward_input)(g, &FN(grouped_tiles)[size], dy, w, bias, dx, threads);
}

static int FN(conv_backward_weight_grouped)(const fc_conv_geom *g, const void *dy, const void *x,
                                            const void *bias, void *dw, int threads) {
    (void)bias;
    const int status = fc_conv_check(g), size = FN(grouped_size)(g);
    if (status) return status;
    if (size < 0) return FC_UNSUPPORTED;
    return FN(dw_backward_weight)(g, &FN(grouped_sums)[size], dy, x, dw, threads);
}
