/* Packing for the implicit GEMM: rows of the source as the taps see them, and weights by columns.
 *
 * A packed row holds the depth in the order (tap d, tap h, tap w, channel), channels innermost:
 * from a channels-last source it is a copy of runs. Where neighbouring taps are neighbours in the
 * source too, a whole kernel row is one run. */

/* Copy `count` elements in whole vectors: writes up to VL - 1 elements more, and reads them where
 * they lie before `end`. What it spills is written again by the next run or is padding. */
INLINE void FN(copy_run)(T *dst, const T *src, int64_t count, const T *end) {
    int64_t i = 0;
    for (; i < count && src + i + VL <= end; i += VL) vstore(dst + i, vload(src + i));
    for (; i < count; i++) dst[i] = src[i];
}

INLINE void FN(zero_run)(T *dst, int64_t count) {
    for (int64_t i = 0; i < count; i += VL) vstore(dst + i, vset1(0));
}

/* Depth [d0, d0+len) of the rows [row0, row0+count) of group `group` into out[row][ld], which needs
 * room for VL elements more. src is the source's first element; its channel stride is 1. */
static void FN(pack_rows)(const conv_problem *p, const T *src, int64_t group, int64_t row0,
                          int64_t count, int64_t d0, int64_t len, T *out, int64_t ld) {
    const int64_t C = p->channels, *st = p->src_stride;
    const tap_axis *td = &p->taps[0], *th = &p->taps[1], *tw = &p->taps[2];
    const int64_t line = tw->count * C; /* depth of one (tap d, tap h) */
    int merge = st[4] == C;             /* taps along w meet in memory */
    for (int64_t k = 1; k < tw->count; k++) merge &= tw->off[k] == tw->off[k - 1] + 1;
    const T *const limit = src + p->batch * st[0];
    src += group * C;
    const int64_t line0 = d0 / line, from0 = d0 - line0 * line;
    const int64_t a0 = line0 / th->count, b0 = line0 % th->count;

    int64_t r = row0;
    int64_t w = r % p->grid[2];
    r /= p->grid[2];
    int64_t h = r % p->grid[1];
    r /= p->grid[1];
    int64_t d = r % p->grid[0], n = r / p->grid[0];

    for (int64_t row = 0; row < count; row++, out += ld) {
        const T *image = src + n * st[0];
        const int64_t zd = d * p->src_step[0], zh = h * p->src_step[1], zw = w * p->src_step[2];
        int64_t a = a0, b = b0, from = from0, left = len;
        T *o = out;
        while (left > 0) { /* one line [from, upto) of the depth at a time */
            const int64_t upto = fc_min(line, from + left);
            const int64_t sd = zd + td->off[a], sh = zh + th->off[b];
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
                    FN(copy_run)(o + lo - from, at + first + lo, hi - lo, limit);
                    FN(zero_run)(o + hi - from, upto - hi);
                } else {
                    for (int64_t e = from; e < upto;) {
                        const int64_t k = e / C, c = e - k * C;
                        const int64_t run = fc_min(C - c, upto - e), sw = zw + tw->off[k];
                        if (sw < 0 || sw >= p->src_size[2]) {
                            FN(zero_run)(o + e - from, run);
                        } else {
                            FN(copy_run)(o + e - from, at + sw * st[4] + c, run, limit);
                        }
                        e += run;
                    }
                }
            }
            o += upto - from;
            left -= upto - from;
            from = 0;
            if (++b == th->count) b = 0, a++;
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

/* Columns [col0, col0+width) of one group's weights into out[depth][nr], zero beyond `width`.
 *
 * The elements of a column that lie together (all of them forward, the taps of one channel
 * backward) are read VL x VL at a time and transposed in registers. */
static void FN(pack_weight)(const conv_problem *p, const T *w, int64_t group, int64_t col0,
                            int64_t width, int64_t nr, T *out) {
    const int64_t C = p->channels, taps = p->kernel_taps;
    const T *const end = w + p->groups * p->w_group;
    w += group * p->w_group + col0 * p->w_col;
    const int together = p->w_channel == taps; /* channels follow each other in a column */
    const int64_t runs = together ? 1 : C, length = together ? C * taps : taps;
    for (int64_t run = 0; run < runs; run++) {
        for (int64_t j = 0; j < nr; j += VL) {
            const T *src = w + run * p->w_channel + j * p->w_col;
            const int64_t cols = fc_min(VL, width - j);
            int64_t channel = run, tap = 0;
            for (int64_t e = 0; e < length; e += VL) {
                T block[VL * VL] __attribute__((aligned(64)));
                const int64_t n = fc_min(VL, length - e);
                if (n == 1 && p->w_col == 1 && cols == VL) {
                    vstore(block, vload(src + e));
                } else if (cols == VL && src + (VL - 1) * p->w_col + e + VL <= end) {
                    FN(transpose_square)(src + e, p->w_col, block, VL);
                } else {
                    for (int64_t i = 0; i < n; i++)
                        for (int64_t k = 0; k < VL; k++)
                            block[i * VL + k] = k < cols ? src[k * p->w_col + e + i] : 0;
                }
                for (int64_t i = 0; i < n; i++) {
                    const int64_t at = p->position[tap];
                    if (at >= 0) vstore(out + (at * C + channel) * nr + j, vload(block + i * VL));
                    if (++tap == taps) tap = 0, channel++;
                }
            }
        }
    }
}
