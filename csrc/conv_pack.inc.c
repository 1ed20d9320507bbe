/* Packing for the implicit GEMM: rows of the source as the taps see them, and weights by columns.
 *
 * A packed row holds the depth in the order (tap d, tap h, tap w, channel), channels innermost:
 * from a channels-last source it is a copy of runs. Where neighbouring taps are neighbours in the
 * source too, a whole kernel row is one run. */

/* Copy `count` elements; runs are short, and a call to memcpy costs as much as 30 elements. */
INLINE void FN(copy_run)(T *dst, const T *src, int64_t count) {
    int64_t i = 0;
    for (; i + VL <= count; i += VL) vstore(dst + i, vload(src + i));
    for (; i < count; i++) dst[i] = src[i];
}

INLINE void FN(zero_run)(T *dst, int64_t count) {
    for (int64_t i = 0; i < count; i++) dst[i] = 0;
}

/* Depth [d0, d0+len) of the rows [row0, row0+count) of group `group` into out[row][ld].
 * src is the source's first element; its channel stride is 1. */
static void FN(pack_rows)(const conv_problem *p, const T *src, int64_t group, int64_t row0,
                          int64_t count, int64_t d0, int64_t len, T *out, int64_t ld) {
    const int64_t C = p->channels, *st = p->src_stride;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t line = tw->count * C; /* depth of one (tap d, tap h) */
    int merge = st[4] == C;             /* taps along w meet in memory */
    for (int64_t k = 1; k < tw->count; k++) merge &= tw->off[k] == tw->off[k - 1] + 1;
    src += group * C;

    int64_t r = row0;
    int64_t w = r % p->grid[2];
    r /= p->grid[2];
    int64_t h = r % p->grid[1];
    r /= p->grid[1];
    int64_t d = r % p->grid[0], n = r / p->grid[0];

    for (int64_t row = 0; row < count; row++, out += ld) {
        const T *image = src + n * st[0];
        const int64_t zd = d * p->src_step[0], zh = h * p->src_step[1], zw = w * p->src_step[2];
        int64_t s = d0 / line, from = d0 - s * line, left = len;
        T *o = out;
        while (left > 0) { /* one line [from, upto) of the depth at a time */
            const int64_t upto = fc_min(line, from + left);
            const int64_t sd = zd + td->off[s / th->count], sh = zh + th->off[s % th->count];
            if (sd < 0 || sd >= p->src_size[0] || sh < 0 || sh >= p->src_size[1]) {
                FN(zero_run)(o, upto - from);
            } else {
                const T *at = image + sd * st[2] + sh * st[3];
                if (merge) {
                    /* depth index e of the line is source element first + e, inside [0, end) */
                    const int64_t first = (zw + tw->off[0]) * C, end = p->src_size[2] * C;
                    const int64_t lo = fc_min(fc_max(from, -first), upto);
                    const int64_t hi = fc_max(fc_min(upto, end - first), lo);
                    FN(zero_run)(o, lo - from);
                    FN(copy_run)(o + lo - from, at + first + lo, hi - lo);
                    FN(zero_run)(o + hi - from, upto - hi);
                } else {
                    for (int64_t e = from; e < upto;) {
                        const int64_t k = e / C, c = e - k * C;
                        const int64_t run = fc_min(C - c, upto - e), sw = zw + tw->off[k];
                        if (sw < 0 || sw >= p->src_size[2]) {
                            FN(zero_run)(o + e - from, run);
                        } else {
                            FN(copy_run)(o + e - from, at + sw * st[4] + c, run);
                        }
                        e += run;
                    }
                }
            }
            o += upto - from;
            left -= upto - from;
            from = 0;
            s++;
        }
        if (++w == p->grid[2]) {
            w = 0;
            if (++h == p->grid[1]) {
                h = 0;
                if (++d == p->grid[0]) d = 0, n++;
            }
        }
    }
}

/* Columns [col0, col0+width) of one group's weights into out[depth][nr], zero beyond `width`. */
static void FN(pack_weight)(const conv_problem *p, const T *w, int64_t group, int64_t col0,
                            int64_t width, int64_t nr, T *out) {
    enum { CHANNELS = 16 }; /* so many channels of a column lie in a few cache lines */
    const int64_t C = p->channels;
    w += group * p->w_group + col0 * p->w_col;
    for (int64_t c0 = 0; c0 < C; c0 += CHANNELS) {
        const int64_t c1 = fc_min(C, c0 + CHANNELS);
        for (int64_t col = 0; col < nr; col++) {
            const T *wc = w + col * p->w_col;
            T *o = out + col;
            for (int64_t a = 0; a < p->taps[0].count; a++) {
                for (int64_t b = 0; b < p->taps[1].count; b++) {
                    for (int64_t e = 0; e < p->taps[2].count; e++, o += C * nr) {
                        const int64_t tap =
                            (p->taps[0].tap[a] * p->kernel[1] + p->taps[1].tap[b]) * p->kernel[2] +
                            p->taps[2].tap[e];
                        for (int64_t c = c0; c < c1; c++) {
                            o[c * nr] = col < width ? wc[c * p->w_channel + tap] : 0;
                        }
                    }
                }
            }
        }
    }
}
