/* Packing for the implicit GEMM: rows of the source as the taps see them, and weights by columns.
 *
 * A packed row holds the depth in the order (tap d, tap h, tap w, channel), channels innermost:
 * from a channels-last source it is a copy of runs. Where neighbouring taps are neighbours in the
 * source too, a whole kernel row is one run. */
#pragma once

#include "core/layout.inc.c"
#include "core/problem.h"
#include "core/simd.h"

/* Copy `count` elements in whole vectors: writes up to VL - 1 elements more, and reads them where
 * they lie before `limit`. What it spills is padding, or is written again by a later line. */
INLINE void copy_run(T *dst, const T *src, int64_t count, const T *limit) {
    int64_t i = 0;
    for (; i < count && src + i + VL <= limit; i += VL) vstore(dst + i, vload(src + i));
    for (; i < count; i++) dst[i] = src[i];
}

INLINE void zero_run(T *dst, int64_t count) {
    for (int64_t i = 0; i < count; i += VL) vstore(dst + i, vset1(0));
}

/* A part [from, upto) of one line of the depth (the taps along w of one tap d, tap h, times the
 * channels), for positions next to each other in w. */
typedef struct {
    const conv_problem *p;
    const T *at, *limit; /* the source's row; the end of the source */
    int64_t from, upto, w, count, ld;
} pack_part;

/* Neighbouring taps are neighbours in memory: the part is one run, zero where it leaves the row. */
static void pack_merged(const pack_part *b, T *out) {
    const conv_problem *p = b->p;
    const int64_t C = p->channels, size = p->src_size[2] * C, step = p->src_step[2] * C;
    const int64_t from = b->from, upto = b->upto;
    /* element e of the part is element first + e of the row */
    int64_t first = b->w * step + p->taps[2].off[0] * C;
    for (int64_t i = 0; i < b->count; i++, first += step, out += b->ld) {
        if (first + from >= 0 && first + upto <= size) {
            copy_run(out, b->at + first + from, upto - from, b->limit);
            continue;
        }
        const int64_t lo = fc_min(fc_max(from, -first), upto);
        const int64_t hi = fc_max(fc_min(upto, size - first), lo);
        zero_run(out, lo - from);
        copy_run(out + lo - from, b->at + first + lo, hi - lo, b->limit);
        zero_run(out + hi - from, upto - hi);
    }
}

/* Tap by tap: dilation, or more channels in memory than in the group. */
static void pack_taps(const pack_part *b, T *out) {
    const conv_problem *p = b->p;
    const int64_t C = p->channels;
    for (int64_t i = 0; i < b->count; i++, out += b->ld) {
        const int64_t zw = (b->w + i) * p->src_step[2];
        for (int64_t e = b->from; e < b->upto;) {
            const int64_t k = e / C, c = e - k * C, run = fc_min(C - c, b->upto - e);
            const int64_t sw = zw + p->taps[2].off[k];
            if (sw < 0 || sw >= p->src_size[2]) {
                zero_run(out + e - b->from, run);
            } else {
                copy_run(out + e - b->from, b->at + sw * p->src_stride[4] + c, run, b->limit);
            }
            e += run;
        }
    }
}

/* Depth [d0, d0+len) of the rows [row0, row0+count) into out[row][ld], with ld >= len + VL, for the
 * channels of p from `channel` on. src is the source's first element; its channel stride is 1. */
static void pack_rows(const conv_problem *p, const T *src, int64_t channel, int64_t row0,
                      int64_t count, int64_t d0, int64_t len, T *out, int64_t ld) {
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t *st = p->src_stride, line = tw->count * p->channels;
    int merge = st[4] == p->channels;
    for (int64_t k = 1; k < tw->count; k++) merge &= tw->off[k] == tw->off[k - 1] + 1;
    pack_part part = {.p = p, .limit = src + p->batch * st[0], .ld = ld};
    for (int64_t row = row0; row < row0 + count; row += part.count) {
        int64_t r = row / p->grid[2];
        part.w = row - r * p->grid[2];
        part.count = fc_min(p->grid[2] - part.w, row0 + count - row);
        const int64_t h = r % p->grid[1], d = r / p->grid[1] % p->grid[0];
        const T *image = src + r / p->grid[1] / p->grid[0] * st[0] + channel;
        T *o = out + (row - row0) * ld;
        int64_t at = d0 / line, left = len;
        part.from = d0 - at * line;
        for (; left > 0; at++, part.from = 0) {
            part.upto = fc_min(line, part.from + left);
            const int64_t width = part.upto - part.from;
            const int64_t sd = d * p->src_step[0] + td->off[at / th->count];
            const int64_t sh = h * p->src_step[1] + th->off[at % th->count];
            part.at = image + sd * st[2] + sh * st[3];
            if (sd < 0 || sd >= p->src_size[0] || sh < 0 || sh >= p->src_size[1]) {
                for (int64_t i = 0; i < part.count; i++) zero_run(o + i * ld, width);
            } else if (merge) {
                pack_merged(&part, o);
            } else {
                pack_taps(&part, o);
            }
            o += width;
            left -= width;
        }
    }
}

/* The even and the odd elements of a and b. */
#if VEC_BYTES / TYPE_BYTES == 2
#define EVEN 0, 2
#define ODD 1, 3
#elif VEC_BYTES / TYPE_BYTES == 4
#define EVEN 0, 2, 4, 6
#define ODD 1, 3, 5, 7
#elif VEC_BYTES / TYPE_BYTES == 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#endif

/* out[t][VL] = src[lane * n + t] for n = 2 or 4 */
INLINE void unzip(const T *src, const int n, T *out) {
    vec a[4];
    UNROLL
    for (int i = 0; i < n; i++) a[i] = vload(src + i * VL);
    vec e0 = SHUFFLE(a[0], a[1], EVEN), o0 = SHUFFLE(a[0], a[1], ODD);
    if (n == 2) {
        vstore(out, e0);
        vstore(out + VL, o0);
        return;
    }
    const vec e1 = SHUFFLE(a[2], a[3], EVEN), o1 = SHUFFLE(a[2], a[3], ODD);
    vstore(out, SHUFFLE(e0, e1, EVEN));
    vstore(out + VL, SHUFFLE(o0, o1, EVEN));
    vstore(out + 2 * VL, SHUFFLE(e0, e1, ODD));
    vstore(out + 3 * VL, SHUFFLE(o0, o1, ODD));
}
#undef EVEN
#undef ODD

/* Neighbouring columns are neighbours in memory: rows of `width` elements, filled up to nr. */
static void copy_weight(const conv_problem *p, const T *w, int64_t width, int64_t nr,
                        int64_t channels, T *out) {
    for (int64_t c = 0; c < channels; c++, w += p->w_channel, out += nr) {
        int64_t j = 0;
        for (; j + VL <= width; j += VL) vstore(out + j, vload(w + j));
        for (; j < nr; j++) out[j] = j < width ? w[j] : 0;
    }
}

#define PACK_AHEAD 4 /* channels */

/* Columns [col0, col0+width) and channels [c0, c1) of one group's weights into
 * out[tap][channel][nr], taps in the order of the depth, zero beyond `width`.
 *
 * The elements of a column that lie together (all of them forward, the taps of one channel
 * backward) are read VL x VL at a time and transposed in registers; the latter jump from channel to
 * channel, and are prefetched. */
static void pack_weight(const conv_problem *p, const T *w, int64_t group, int64_t col0,
                        int64_t width, int64_t nr, int64_t c0, int64_t c1, T *out) {
    const int64_t taps = p->kernel_taps, channels = c1 - c0;
    const T *const limit = w + p->groups * p->w_group;
    w += group * p->w_group + col0 * p->w_col + c0 * p->w_channel;
    if (taps == 1 && p->w_col == 1) {
        if (p->position[0] >= 0) copy_weight(p, w, width, nr, channels, out);
        return;
    }
    const int together = p->w_channel == taps; /* channels follow each other in a column */
    const int64_t runs = together ? 1 : channels, length = together ? channels * taps : taps;
    for (int64_t run = 0; run < runs; run++) {
        for (int64_t j = 0; j < nr; j += VL) {
            const T *src = w + run * p->w_channel + j * p->w_col;
            const int64_t cols = fc_min(VL, width - j);
            int64_t channel = run, tap = 0;
            for (int64_t e = 0; e < length; e += VL) {
                T block[VL * VL] __attribute__((aligned(64)));
                const int64_t n = fc_min(VL, length - e);
                for (int64_t k = 0; !together && !e && k < taps; k++)
                    __builtin_prefetch(src + PACK_AHEAD * p->w_channel + k * VL);
                if (cols == VL && length == 2 && p->w_col == 2) {
                    unzip(src, 2, block);
                } else if (VL >= 4 && cols == VL && length == 4 && p->w_col == 4) {
                    unzip(src, 4, block);
                } else if (cols == VL && n == VL && taps == 1) {
                    transpose_square(src + e, p->w_col, out + channel * nr + j, nr);
                    channel += VL;
                    continue;
                } else if (cols == VL && src + (VL - 1) * p->w_col + e + VL <= limit) {
                    transpose_square(src + e, p->w_col, block, VL);
                } else {
                    for (int64_t i = 0; i < n; i++)
                        for (int64_t k = 0; k < VL; k++)
                            block[i * VL + k] = k < cols ? src[k * p->w_col + e + i] : 0;
                }
                for (int64_t i = 0; i < n; i++) {
                    const int64_t at = p->position[tap];
                    if (at >= 0)
                        vstore(out + (at * channels + channel) * nr + j, vload(block + i * VL));
                    if (++tap == taps) tap = 0, channel++;
                }
            }
        }
    }
}
