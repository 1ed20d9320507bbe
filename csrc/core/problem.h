/* What forward and backward-input have in common, free of types: a grid of target positions, each
 * summing over taps of a source.
 *
 *   target[n, pos*dst_step + dst_first, col] = sum over taps t, channels c of
 *       source[n, pos*src_step + off[t], c] * weight[col, c, t]
 *
 * Forward: target = y, source = x, src_step = stride, off = t*dilation - pad.
 * Backward input: target = dx, source = dy, one problem for each phase of the stride: the positions
 * i = phase + pos*stride of dx meet exactly the taps with (phase + pad - t*dilation) divisible by
 * the stride, at off = (phase + pad - t*dilation) / stride. No zero is ever inserted. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "fastconv.h"
#include "core/memory.h"
#ifdef _OPENMP
#include <omp.h>
#endif

typedef struct {
    int64_t count;
    int64_t *off; /* ascending */
    int64_t *tap; /* index along the kernel's axis */
} tap_axis;

typedef struct {
    int64_t batch, groups;
    int64_t channels, cols; /* of the source and the target, per group */
    int64_t grid[3], src_size[3], src_step[3];
    int64_t src_stride[5], dst_stride[5]; /* elements; N, C, D, H, W */
    int64_t dst_step[3], dst_first[3];
    tap_axis taps[3];
    int64_t rows;  /* batch * grid */
    int64_t ntaps; /* product over the axes */
    int64_t depth; /* ntaps * channels */
    /* weight element (col, channel, tap): strides within one group, and between groups */
    int64_t w_col, w_channel, w_group;
    int64_t kernel_taps;         /* of the whole kernel; a phase uses some of them */
    const fc_epilogue *epilogue; /* or NULL */
    fc_packed *packed;           /* or NULL */
    int64_t *position;           /* [kernel_taps]: a tap's place in the depth, or -1 */
} conv_problem;

static inline int64_t fc_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t fc_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t fc_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t fc_round_up(int64_t a, int64_t b) { return fc_ceil_div(a, b) * b; }

static inline int64_t fc_gcd(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}
/* Of a power of two. */
static inline int fc_log2(int64_t a) {
    int n = 0;
    while (a >> n > 1) n++;
    return n;
}

static inline int fc_thread(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/* The next `count` items of weights that are kept packed. */
static inline int fc_packed_next(fc_packed *k, int64_t count, size_t item, void **at) {
    int64_t bytes, end;
    if (__builtin_mul_overflow(count, (int64_t)item, &bytes)) return FC_OVERFLOW;
    if (__builtin_add_overflow(k->used, fc_round_up(bytes, 64), &end)) return FC_OVERFLOW;
    if (k->mode != FC_PACKED_SIZE && end > k->size) return FC_RANGE;
    *at = (char *)k->data + k->used;
    k->used = end;
    return FC_OK;
}

/* Whether a call packs, or measures what it would pack, and computes nothing. */
static inline int fc_only_packs(const fc_packed *k) { return k && k->mode != FC_PACKED_USE; }

/* Sizes that later products rely on: rows, depth and weights fit int64 with room to spare. */
static inline int fc_conv_check(const fc_conv_geom *g) {
    const int64_t limit = INT64_C(1) << 60;
    int64_t x = g->in_channels, y = g->out_channels, w = g->out_channels;
    int bad = __builtin_mul_overflow(x, fc_max(g->batch, 1), &x);
    bad |= __builtin_mul_overflow(y, fc_max(g->batch, 1), &y);
    bad |= __builtin_mul_overflow(w, g->in_channels / g->groups, &w);
    for (int i = 0; i < 3; i++) {
        bad |= __builtin_mul_overflow(x, g->in_size[i], &x);
        bad |= __builtin_mul_overflow(y, g->out_size[i], &y);
        bad |= __builtin_mul_overflow(w, g->kernel[i], &w);
    }
    return bad || x > limit || y > limit || w > limit ? FC_OVERFLOW : FC_OK;
}

static inline void conv_problem_free(conv_problem *p) {
    for (int i = 0; i < 3; i++) {
        fc_free(p->taps[i].off);
        p->taps[i].off = NULL;
    }
    fc_free(p->position);
    p->position = NULL;
}

/* Both arrays of an axis live in one allocation. */
static inline int tap_axis_alloc(tap_axis *t, int64_t most) {
    t->count = 0;
    t->off = (int64_t *)fc_scratch(2 * most, sizeof(int64_t));
    t->tap = t->off ? t->off + most : NULL;
    return t->off ? FC_OK : FC_NOMEM;
}

/* The sizes that follow from grid and taps, and each tap's place. */
static inline int conv_problem_sum_up(conv_problem *p, const int64_t kernel[3]) {
    const tap_axis *d = &p->taps[0], *h = &p->taps[1], *w = &p->taps[2];
    p->rows = p->batch * p->grid[0] * p->grid[1] * p->grid[2];
    p->ntaps = d->count * h->count * w->count;
    p->depth = p->ntaps * p->channels;
    p->kernel_taps = kernel[0] * kernel[1] * kernel[2];
    p->position = (int64_t *)fc_scratch(p->kernel_taps, sizeof(int64_t));
    if (!p->position) return FC_NOMEM;
    for (int64_t i = 0; i < p->kernel_taps; i++) p->position[i] = -1;
    int64_t place = 0;
    for (int64_t a = 0; a < d->count; a++)
        for (int64_t b = 0; b < h->count; b++)
            for (int64_t c = 0; c < w->count; c++)
                p->position[(d->tap[a] * kernel[1] + h->tap[b]) * kernel[2] + w->tap[c]] = place++;
    return FC_OK;
}

static inline int conv_problem_forward(conv_problem *p, const fc_conv_geom *g) {
    memset(p, 0, sizeof *p);
    int64_t taps = g->kernel[0] * g->kernel[1] * g->kernel[2];
    p->batch = g->batch;
    p->groups = g->groups;
    p->channels = g->in_channels / g->groups;
    p->cols = g->out_channels / g->groups;
    p->w_channel = taps;
    p->w_col = p->channels * taps;
    p->w_group = p->cols * p->w_col;
    p->epilogue = g->epilogue;
    p->packed = g->packed;
    memcpy(p->src_stride, g->x_stride, sizeof p->src_stride);
    memcpy(p->dst_stride, g->y_stride, sizeof p->dst_stride);
    for (int i = 0; i < 3; i++) {
        p->grid[i] = g->out_size[i];
        p->src_size[i] = g->in_size[i];
        p->src_step[i] = g->stride[i];
        p->dst_step[i] = 1;
        tap_axis *t = &p->taps[i];
        if (tap_axis_alloc(t, g->kernel[i])) return FC_NOMEM;
        for (int64_t k = 0; k < g->kernel[i]; k++) {
            t->off[k] = k * g->dilation[i] - g->pad[i];
            t->tap[k] = k;
        }
        t->count = g->kernel[i];
    }
    return conv_problem_sum_up(p, g->kernel);
}

/* Taps of one axis whose source, from z on, lies in [0, size): [*k0, *k1). */
static inline void tap_range(const tap_axis *t, int64_t z, int64_t size, int64_t *k0, int64_t *k1) {
    int64_t a = 0, b = t->count;
    while (a < b && z + t->off[a] < 0) a++;
    while (b > a && z + t->off[b - 1] >= size) b--;
    *k0 = a, *k1 = b;
}

/* Every phase of the strides that has a position in x. */
#define FOR_EACH_PHASE(g, phase)                                                           \
    for (phase[0] = 0; phase[0] < fc_min((g)->stride[0], (g)->in_size[0]); phase[0]++)     \
        for (phase[1] = 0; phase[1] < fc_min((g)->stride[1], (g)->in_size[1]); phase[1]++) \
            for (phase[2] = 0; phase[2] < fc_min((g)->stride[2], (g)->in_size[2]); phase[2]++)

/* The problem of one phase; an empty grid or an empty tap list is for the caller to handle. */
static inline int conv_problem_backward_input(conv_problem *p, const fc_conv_geom *g,
                                              const int64_t phase[3]) {
    memset(p, 0, sizeof *p);
    int64_t taps = g->kernel[0] * g->kernel[1] * g->kernel[2];
    p->batch = g->batch;
    p->groups = g->groups;
    p->channels = g->out_channels / g->groups;
    p->cols = g->in_channels / g->groups;
    p->w_col = taps;
    p->w_channel = p->cols * taps;
    p->w_group = p->channels * p->w_channel;
    p->packed = g->packed;
    memcpy(p->src_stride, g->y_stride, sizeof p->src_stride);
    memcpy(p->dst_stride, g->x_stride, sizeof p->dst_stride);
    for (int i = 0; i < 3; i++) {
        int64_t s = g->stride[i];
        p->grid[i] = phase[i] < g->in_size[i] ? fc_ceil_div(g->in_size[i] - phase[i], s) : 0;
        p->src_size[i] = g->out_size[i];
        p->src_step[i] = 1;
        p->dst_step[i] = s;
        p->dst_first[i] = phase[i];
        tap_axis *t = &p->taps[i];
        if (tap_axis_alloc(t, g->kernel[i])) return FC_NOMEM;
        for (int64_t k = g->kernel[i] - 1; k >= 0; k--) { /* descending taps: ascending offsets */
            int64_t at = phase[i] + g->pad[i] - k * g->dilation[i];
            if (at % s) continue;
            t->off[t->count] = at / s;
            t->tap[t->count++] = k;
        }
    }
    return conv_problem_sum_up(p, g->kernel);
}

/* Whether a row of X is a pixel of the source as it lies: one tap, at the pixel itself, dense. */
static inline int conv_is_pointwise(const conv_problem *p) {
    int64_t dense = p->src_stride[4];
    for (int i = 2; i >= 0; i--) {
        if (p->taps[i].count != 1 || p->taps[i].off[0] != 0 || p->src_step[i] != 1 ||
            p->grid[i] != p->src_size[i] || p->src_stride[2 + i] != dense)
            return 0;
        dense *= p->src_size[i];
    }
    return p->src_stride[0] == dense;
}

/* Neighbouring taps along w lie in neighbouring pixels that hold the group's channels alone. */
static inline int conv_has_lines(const conv_problem *p) {
    const tap_axis *tw = &p->taps[2];
    int can = tw->count == 1 || p->src_stride[4] == p->channels;
    for (int64_t k = 1; k < tw->count; k++) can &= tw->off[k] == tw->off[k - 1] + 1;
    return can;
}
