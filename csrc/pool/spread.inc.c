/* Max pooling of few channels (pool/taps.inc.c): lines are read and written in whole vectors, whose
 * lanes a table of the line collects. */
#pragma once

#include <math.h>

#include "fastconv.h"
#include "core/memory.h"
#include "core/simd.h"
#include "pool/lanes.inc.c"
#include "pool/meets.h"
#include "pool/window.h"

/* Few channels, in at least so many rows, go by a table of lanes of so many bytes. */
enum { FC_SPREAD_ROWS = 32, FC_SPREAD_BYTES = 1 << 16 };
enum { FC_NO_TAP = -(1 << 16) };

/* Vectors along a line of pixels cross them, so that few channels fill a vector. It is collected
 * from parts of another line: lane i from element base + index[i] there (of two vectors for y, of
 * one for dx), tap[i] of its window, or FC_NO_TAP: from elsewhere. Vector v has the parts begin[v]
 * .. begin[v + 1]; the last vector ends with the line. */
typedef struct {
    lane_int index[VEC_BYTES / TYPE_BYTES] __attribute__((aligned(VEC_BYTES)));
    lane_int tap[VEC_BYTES / TYPE_BYTES];
    int64_t base;
} spread_part;
typedef struct {
    int64_t *begin, size, from; /* elements of the line and of the other */
    int short_lines;            /* a vector does not fit into one of them */
    spread_part *parts;
} spread_lines;

/* Parts of one vector from p on, of `wide` elements each; source: where each lane comes from, -1
 * from nowhere. */
static int64_t spread_vector(spread_part *p, int64_t *source, const int64_t *tap, int64_t from,
                             int64_t wide) {
    for (int64_t n = 0;; n++, p++) {
        int64_t first = from;
        for (int i = 0; i < VL; i++)
            if (source[i] >= 0 && source[i] < first) first = source[i];
        if (first == from) return n;
        if (first > from - wide) first = from < wide ? 0 : from - wide;
        p->base = first;
        for (int i = 0; i < VL; i++) {
            const int here = source[i] >= 0 && source[i] < first + wide;
            p->index[i] = here ? (lane_int)(source[i] - first) : 0;
            p->tap[i] = here ? (lane_int)tap[i] : FC_NO_TAP;
            if (here) source[i] = -1;
        }
    }
}

/* The parts of a line of y from a line of x, by columns of the windows (m NULL), or of dx from dy,
 * by columns of windows that a pixel is in; at most `passes` of them. Without any (parts NULL)
 * where the table would be large. */
static spread_lines spread_table(const fc_pool_geom *g, const fc_meets *m, int64_t passes) {
    const int64_t C = g->channels, out = g->out_size[2];
    const int64_t *start = g->windows[2], *count = start + out, *step = count + out;
    spread_lines s = {.size = (m ? g->in_size[2] : out) * C, .from = (m ? out : g->in_size[2]) * C};
    const int64_t wide = m ? VL : 2 * VL;
    const int64_t vectors = (s.size + VL - 1) / VL,
                  most = FC_SPREAD_BYTES / (int64_t)sizeof(spread_part);
    s.short_lines = s.size < VL || s.from < wide;
    if ((m ? C >= 4 * VL : C > VL) || vectors * passes > most) return s;
    /* a pass of a vector has at most VL parts */
    s.parts = fc_scratch((most + VL) * (int64_t)sizeof(spread_part) + (vectors + 1) * 8, 1);
    if (!s.parts) return s;
    s.begin = (int64_t *)(s.parts + most + VL);
    s.begin[0] = 0;
    for (int64_t v = 0; v < vectors; v++) {
        const int64_t first = (v + 1) * VL <= s.size || s.size < VL ? v * VL : s.size - VL;
        s.begin[v + 1] = s.begin[v];
        for (int64_t k = 0; k < passes; k++) {
            int64_t source[VEC_BYTES / TYPE_BYTES], tap[VEC_BYTES / TYPE_BYTES];
            for (int i = 0; i < VL; i++) {
                const int64_t p = (first + i) / C, c = (first + i) % C;
                source[i] = -1;
                tap[i] = 0;
                if (first + i >= s.size) continue;
                const int64_t at = m ? m->begin[p] + k : start[p] + k * step[p];
                if (m ? at >= m->begin[p + 1] : k >= count[p]) continue;
                source[i] = (m ? m->output[at] : at) * C + c;
                tap[i] = m ? m->tap[at] : k;
            }
            s.begin[v + 1] += spread_vector(s.parts + s.begin[v + 1], source, tap, s.from, wide);
            if (s.begin[v + 1] > most) {
                fc_free(s.parts);
                s.parts = NULL;
                return s;
            }
        }
    }
    return s;
}

#ifdef __clang__
INLINE vec permute(vec v, ivec index) {
    vec r;
    UNROLL
    for (int i = 0; i < VL; i++) r[i] = v[index[i]];
    return r;
}
INLINE vec permute2(vec a, vec b, ivec index) {
    vec r;
    UNROLL
    for (int i = 0; i < VL; i++) r[i] = index[i] < VL ? a[index[i]] : b[index[i] - VL];
    return r;
}
#else
INLINE vec permute(vec v, ivec index) { return __builtin_shuffle(v, index); }
INLINE vec permute2(vec a, vec b, ivec index) { return __builtin_shuffle(a, b, index); }
#endif

/* Maxima of a row by a table (see max_line). */
INLINE void max_spread_any(int short_lines, const fc_pool_geom *g, const spread_lines *s,
                           const T *x, const T *x_end, T *y, uint8_t *taps, const fc_window *win,
                           int64_t KH, int64_t KW) {
    const int64_t row = g->in_size[2] * g->channels, size = s->size;
    const int64_t D = win->count[0], H = win->count[1], n = size < VL ? size : VL;
    const int64_t step_d = win->step[0] * g->in_size[1] * row, step_h = win->step[1] * row;
    const int64_t *end = s->begin + 1;
    const spread_part *first = s->parts;
    for (int64_t i = 0; i < size; i += VL, first = s->parts + *end++) {
        const spread_part *last = s->parts + *end;
        const int64_t at = i + n <= size ? i : size - n;
        vec best = vset1(-(T)INFINITY);
        ivec where = {0};
        for (int64_t d = 0; d < D; d++)
            for (int64_t h = 0; h < H; h++) {
                const T *line = x + d * step_d + h * step_h;
                const ivec more = (lane_int)((d * KH + h) * KW) - (ivec){0};
                for (const spread_part *p = first; p < last; p++) {
                    const ivec index = *(const ivec_u *)p->index, tap = *(const ivec_u *)p->tap;
                    const T *from = line + p->base;
                    vec a, b;
                    if (short_lines) {
                        const int64_t left = x_end - from;
                        a = load_part(from, left, x_end);
                        b = load_part(from + VL, left - VL, x_end);
                    } else {
                        a = vload(from), b = vload(from + VL);
                    }
                    const vec v = permute2(a, b, index);
                    const ivec take = ((v > best) | (v != v)) & (tap >= 0);
                    best = vselect(take, v, best);
                    where = (take & (tap + more)) | (~take & where);
                }
            }
        if (short_lines) store_part(y + at, best, n, y + at + n);
        else vstore(y + at, best);
        if (taps) store_taps(taps + at, where, n, short_lines ? n : VL);
    }
}

NOINLINE void max_spread(const fc_pool_geom *g, const spread_lines *s, const T *x, T *y,
                         uint8_t *taps, const fc_window *win, int64_t KH, int64_t KW) {
    max_spread_any(0, g, s, x, NULL, y, taps, win, KH, KW);
}

NOINLINE void max_spread_short(const fc_pool_geom *g, const spread_lines *s, const T *x,
                               const T *x_end, T *y, uint8_t *taps, const fc_window *win,
                               int64_t KH, int64_t KW) {
    max_spread_any(1, g, s, x, x_end, y, taps, win, KH, KW);
}

/* A row of dx from `count` rows of windows, by a table (see gather_line). */
INLINE void gather_spread_any(int short_lines, const spread_lines *s, const T *dy,
                              const uint8_t *taps, int64_t y_left, const fc_pairs *line, int count,
                              T *dx) {
    const int64_t size = s->size, n = size < VL ? size : VL;
    const int64_t *end = s->begin + 1;
    const spread_part *first = s->parts;
    for (int64_t i = 0; i < size; i += VL, first = s->parts + *end++) {
        const spread_part *last = s->parts + *end;
        const int64_t to = i + n <= size ? i : size - n;
        vec sum = {0};
        for (int r = 0; r < count; r++) {
            const ivec more = (lane_int)line->tap[r] - (ivec){0};
            for (const spread_part *p = first; p < last; p++) {
                const ivec index = *(const ivec_u *)p->index, tap = *(const ivec_u *)p->tap;
                const int64_t at = line->at[r] + p->base;
                const int64_t left = short_lines ? y_left - at : VL;
                const ivec kept = load_taps(taps + at, left, left);
                const vec all =
                    short_lines ? load_part(dy + at, left, dy + y_left) : vload(dy + at);
                const vec v = permute(all, index);
                sum += (vec)((ivec)v & ((ivec)permute((vec)kept, index) == tap + more));
            }
        }
        if (short_lines) store_part(dx + to, sum, n, dx + to + n);
        else vstore(dx + to, sum);
    }
}

NOINLINE void gather_spread(const spread_lines *s, const T *dy, const uint8_t *taps,
                            const fc_pairs *line, int count, T *dx) {
    gather_spread_any(0, s, dy, taps, 0, line, count, dx);
}

NOINLINE void gather_spread_short(const spread_lines *s, const T *dy, const uint8_t *taps,
                                  int64_t y_left, const fc_pairs *line, int count, T *dx) {
    gather_spread_any(1, s, dy, taps, y_left, line, count, dx);
}
