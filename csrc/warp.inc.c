/* Warping by a matrix: out[n, y, x, c] = image n at (M[n] (x, y, 1)), channels-last.
 *
 * M is 3×3, from pixels of the result to places in the image (warp_place.inc.c); where its last row
 * is (0, 0, 1) nothing is divided. Included for pixels of type T, and for bytes (WARP_BYTES), whose
 * sums are in T and rounded to the nearest, half to even. What lies outside is 0, or with `fill`
 * inside * (sum - fill) + fill, where `inside` is the weight of the pixels in the image. */

#if WARP_BYTES
#define P uint8_t
#define WARP(name) FN(name##_bytes)
#else
#define P T
#define WARP(name) FN(name)
#endif

INLINE P WARP(warp_round)(T v) {
#if WARP_BYTES
    return (P)(v > 0 ? (v < 255 ? nearbyint(v) : 255) : 0);
#else
    return v;
#endif
}

/* One pixel of C channels. */
INLINE void WARP(warp_pixel)(const warp_near *t, const P *x, int64_t C, const T *fill, P *out) {
    if (t->count == 4 && t->inside == 1) {
        const P *a = x + t->at[0] * C, *b = x + t->at[1] * C, *c = x + t->at[2] * C,
                *d = x + t->at[3] * C;
        const T p = t->by[0], q = t->by[1], r = t->by[2], s = t->by[3];
        for (int64_t k = 0; k < C; k++)
            out[k] = WARP(warp_round)(p * (T)a[k] + q * (T)b[k] + (r * (T)c[k] + s * (T)d[k]));
        return;
    }
    if (t->count == 1 && t->by[0] == 1) {
        for (int64_t k = 0; k < C; k++) out[k] = x[t->at[0] * C + k];
        return;
    }
    for (int64_t k = 0; k < C; k++) {
        T sum = 0;
        for (int i = 0; i < t->count; i++) sum += t->by[i] * (T)x[t->at[i] * C + k];
        if (fill) sum = t->inside * (sum - fill[k]) + fill[k];
        out[k] = WARP(warp_round)(sum);
    }
}

static int WARP(warp)(const fc_warp_geom *g, const void *x, const double *matrix, const void *fill,
                      void *out, int threads) {
    const int64_t C = g->channels, height = g->out_size[0], width = g->out_size[1],
                  size = g->in_size[0] * g->in_size[1] * C;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t row = 0; row < g->batch * height; row++) {
        const int64_t n = row / height;
        const double *m = matrix + 9 * n, y = (double)(row % height);
        const int divided = m[6] != 0 || m[7] != 0 || m[8] != 1;
        const P *image = (const P *)x + n * size;
        P *to = (P *)out + row * width * C;
        for (int64_t i = 0; i < width; i++, to += C) {
            double at = m[0] * (double)i + m[1] * y + m[2], up = m[3] * (double)i + m[4] * y + m[5];
            if (divided) {
                const double by = m[6] * (double)i + m[7] * y + m[8];
                at /= by;
                up /= by;
            }
            const warp_near t = FN(warp_taps)(g, at, up);
            if (C == 1) WARP(warp_pixel)(&t, image, 1, fill, to);
            else if (C == 3) WARP(warp_pixel)(&t, image, 3, fill, to);
            else WARP(warp_pixel)(&t, image, C, fill, to);
        }
    }
    return FC_OK;
}

#undef P
#undef WARP
