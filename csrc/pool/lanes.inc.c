/* Some lanes of vectors, where channels or lines end: of elements, and of taps as bytes. */
#pragma once

#include <string.h>

#include "core/simd.h"

/* n of VL lanes; reads past them only where memory before `end` allows. */
INLINE vec load_part(const T *p, int64_t n, const T *end) {
    if (end - p >= VL) return vload(p);
    T lane[VEC_BYTES / TYPE_BYTES] = {0};
    for (int64_t i = 0; i < n; i++) lane[i] = p[i];
    return vload(lane);
}

/* n of VL lanes; writes past them where the row goes on to `end`: its pixels are written in order,
 * so what lands there is overwritten. */
INLINE void store_part(T *p, vec v, int64_t n, const T *end) {
    if (end - p >= VL) {
        vstore(p, v);
        return;
    }
    T lane[VEC_BYTES / TYPE_BYTES];
    vstore(lane, v);
    for (int64_t i = 0; i < n; i++) p[i] = lane[i];
}

typedef uint8_t bytes __attribute__((vector_size(VEC_BYTES / TYPE_BYTES)));
typedef uint8_t bytes_u __attribute__((vector_size(VEC_BYTES / TYPE_BYTES), aligned(1), may_alias));

/* n lanes of taps; `left` is what there is from p on. Lane by lane: GCC makes one instruction of
 * that, and many of __builtin_convertvector. */
INLINE ivec load_taps(const uint8_t *p, int64_t n, int64_t left) {
    uint8_t lane[VEC_BYTES / TYPE_BYTES] = {0};
    if (left < VL) {
        memcpy(lane, p, (size_t)n);
        p = lane;
    }
    ivec v;
    UNROLL
    for (int i = 0; i < VL; i++) v[i] = p[i];
    return v;
}

INLINE void store_taps(uint8_t *p, ivec where, int64_t n, int64_t left) {
    const bytes b = __builtin_convertvector(where, bytes);
    if (left >= VL) {
        *(bytes_u *)p = b;
    } else {
        uint8_t lane[VEC_BYTES / TYPE_BYTES];
        *(bytes_u *)lane = b;
        memcpy(p, lane, (size_t)n);
    }
}
