/* Channels of a pixel as the tiles of depthwise and grouped convolution want them.
 *
 * A group has `lanes` lanes of a vector: a power of two, or whole vectors. A tensor with another
 * number of channels per group is copied, some images at a time:
 *   spread   out[channel / lanes][group][channel % lanes]: planes of groups * lanes elements
 *   repeat   out[group][i] = the group's one channel, for i < lanes (a channel multiplier)
 * and a target the other way: gathered from [group][lanes] to its channels. What lies between a
 * group's last channel and its last lane is arbitrary, and nothing is made of it. */
#pragma once

#include <string.h>

#include "fastconv.h"
#include "core/finish.inc.c"
#include "core/problem.h"
#include "core/simd.h"

#define DW_COPY_BYTES (INT64_C(16) << 20) /* of the images copied at once, or one image */

typedef struct {
    int64_t groups, channels, lanes, planes; /* channels: of a group in the tensor */
    int repeat;
} dw_layout;

/* Elements of a pixel in the copy. */
INLINE int64_t dw_layout_pitch(const dw_layout *l) { return l->groups * l->lanes * l->planes; }

/* Whether the tensor as it lies will do. */
INLINE int dw_layout_same(const dw_layout *l) { return l->channels == l->lanes; }

/* Groups of n elements, a copy of `width` at a time where that stays before both ends: what it
 * spills is padding, or is written again by the next. */
INLINE void dw_copy_groups(const int width, int64_t groups, int64_t n, const T *s, int64_t s_step,
                           const T *s_end, T *d, int64_t d_step, const T *d_end) {
    for (int64_t g = 0; g < groups; g++, s += s_step, d += d_step) {
        if (s + width <= s_end && d + width <= d_end) {
            memcpy(d, s, (size_t)width * sizeof(T));
        } else {
            for (int64_t i = 0; i < n; i++) d[i] = s[i];
        }
    }
}

static void dw_copy_pixel(int64_t groups, int64_t n, const T *s, int64_t s_step, const T *s_end,
                          T *d, int64_t d_step, const T *d_end) {
    if (n == 1) {
        for (int64_t g = 0; g < groups; g++) d[g * d_step] = s[g * s_step];
    } else if (n == 2) {
        dw_copy_groups(2, groups, n, s, s_step, s_end, d, d_step, d_end);
    } else if (n <= 4) {
        dw_copy_groups(4, groups, n, s, s_step, s_end, d, d_step, d_end);
    } else if (n <= 8) {
        dw_copy_groups(8, groups, n, s, s_step, s_end, d, d_step, d_end);
    } else if (n <= 16) {
        dw_copy_groups(16, groups, n, s, s_step, s_end, d, d_step, d_end);
    } else {
        for (int64_t g = 0; g < groups; g++)
            memcpy(d + g * d_step, s + g * s_step, (size_t)n * sizeof(T));
    }
}

/* Pixels of a dense tensor to the layout; s_end is the end of the tensor. */
static void dw_lay_in(const dw_layout *l, const T *s, const T *s_end, T *d, int64_t pixels) {
    const int64_t C = l->groups * l->channels, plane = l->groups * l->lanes;
    const T *const d_end = d + pixels * dw_layout_pitch(l);
    for (int64_t p = 0; p < pixels; p++, s += C) {
        if (l->repeat) {
            for (int64_t g = 0; g < l->groups; g++)
                for (int64_t i = 0; i < l->lanes; i++) *d++ = s[g];
            continue;
        }
        for (int64_t c = 0; c < l->channels; c += l->lanes, d += plane)
            dw_copy_pixel(l->groups, fc_min(l->lanes, l->channels - c), s + c, l->channels, s_end,
                          d, l->lanes, d_end);
    }
}

/* Pixels [group][lanes] to a dense tensor. */
static void dw_lay_out(const dw_layout *l, const T *s, T *d, int64_t pixels) {
    const int64_t C = l->groups * l->channels, plane = l->groups * l->lanes;
    const T *const s_end = s + pixels * plane, *const d_end = d + pixels * C;
    for (int64_t p = 0; p < pixels; p++, s += plane, d += C)
        dw_copy_pixel(l->groups, l->channels, s, l->lanes, s_end, d, l->channels, d_end);
}

/* Lanes of a group with that many channels. */
INLINE int64_t dw_lanes(int64_t channels) {
    int64_t lanes = 1;
    while (lanes < channels && lanes < VL) lanes *= 2;
    return lanes < channels ? fc_round_up(channels, VL) : lanes;
}

/* A stride for each axis of a dense tensor with `pitch` elements a pixel. */
static void dw_dense(int64_t pitch, const int64_t size[3], int64_t stride[5]) {
    stride[4] = pitch;
    for (int i = 3; i > 1; i--) stride[i] = stride[i + 1] * size[i - 1];
    stride[0] = stride[2] * size[0];
}

/* A tensor in the tiles' layout: as it lies, or some images of it in a copy. */
typedef struct {
    const dw_layout *layout;
    T *copy;
    int64_t image, pixels, pitch; /* of an image as it lies; of a pixel in the copy */
} dw_side;

static dw_side dw_side_of(const dw_layout *l, int64_t stride[5], const int64_t size[3]) {
    dw_side side = {l, NULL, stride[0], size[0] * size[1] * size[2], 0};
    if (dw_layout_same(l)) return side;
    side.pitch = dw_layout_pitch(l);
    dw_dense(side.pitch, size, stride);
    return side;
}

/* `in`: images [n, n + count) to the copy; or back, and through the epilogue if there is one. */
static void dw_move(const dw_side *s, int in, const T *tensor, T *back, const fc_epilogue *e,
                    int64_t batch, int64_t n, int64_t count, int threads) {
    enum { PIXELS = 64 };
    const int64_t pixels = count * s->pixels, pitch = s->layout->groups * s->layout->channels;
    const T *const end = in ? tensor + batch * s->image : NULL;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t p = 0; p < pixels; p += PIXELS) {
        const int64_t m = fc_min(PIXELS, pixels - p);
        T *copy = s->copy + p * s->pitch;
        if (in) {
            dw_lay_in(s->layout, tensor + n * s->image + p * pitch, end, copy, m);
        } else {
            T *to = back + n * s->image + p * pitch;
            dw_lay_out(s->layout, copy, to, m);
            for (int64_t q = 0; e && q < m; q++, to += pitch)
                finish_part(e, pitch, 0, to, back, to);
        }
    }
}

/* Images whose copies are made at once. */
static int64_t dw_images(const dw_side *a, const dw_side *b, int64_t batch) {
    const int64_t bytes = (a->pixels * a->pitch + b->pixels * b->pitch) * (int64_t)sizeof(T);
    return bytes ? fc_min(batch, fc_max(1, DW_COPY_BYTES / bytes)) : batch;
}
