/* exp, log, sigmoid and tanh of vectors, to within about one unit in the last place (two). No
 * tables, no branches; NaN and infinities go through, and results beyond the range become 0 or
 * infinity as they should. */
#pragma once

#include "core/simd.h"

#if TYPE_BYTES == 4
#define EXP_LOW -105
#define EXP_HIGH 89
#define EXP_ROUND 0x1.8p23f  /* adding it rounds to an integer, which is then in the low bits */
#define LN2_HIGH 0x1.62ep-1f /* times an exponent: exact */
#define LN2_LOW 0x1.0bfbe8p-15f
#define MANTISSA 23
#define EXPONENT_BIAS 127
#else
#define EXP_LOW -746
#define EXP_HIGH 710
#define EXP_ROUND 0x1.8p52
#define LN2_HIGH 0x1.62e42fef8p-1
#define LN2_LOW 0x1.1cf79abc9e3b4p-36
#define MANTISSA 52
#define EXPONENT_BIAS 1023
#endif

/* 2^n, for exponents of normal numbers. */
INLINE vec vpower_of_two(ivec n) { return (vec)((n + EXPONENT_BIAS) << MANTISSA); }

/* exp(r) - 1 by its series: x = n ln 2 + r, |r| <= ln 2 / 2. */
INLINE vec vexp_rest(vec x, ivec *exponent) {
    const vec shifted = x * (T)1.442695040888963387 + EXP_ROUND;
    const vec whole = shifted - EXP_ROUND;
    *exponent = (ivec)shifted - (ivec)vset1(EXP_ROUND);
    const vec r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
#if TYPE_BYTES == 4
    vec p = vset1((T)(1.0 / 5040));
#else
    vec p = vset1((T)(1.0 / 6227020800.0));
    p = p * r + (T)(1.0 / 479001600);
    p = p * r + (T)(1.0 / 39916800);
    p = p * r + (T)(1.0 / 3628800);
    p = p * r + (T)(1.0 / 362880);
    p = p * r + (T)(1.0 / 40320);
    p = p * r + (T)(1.0 / 5040);
#endif
    p = p * r + (T)(1.0 / 720);
    p = p * r + (T)(1.0 / 120);
    p = p * r + (T)(1.0 / 24);
    p = p * r + (T)(1.0 / 6);
    p = p * r + (T)0.5;
    return (p * r) * r + r;
}

/* exp(x) = 2^n exp(r), with 2^n in two factors, since n alone may be beyond the exponents there
 * are. */
INLINE vec vexp(vec x) {
    const vec low = vset1(EXP_LOW), high = vset1(EXP_HIGH);
    x = vselect((ivec)(x < low), low, x);
    x = vselect((ivec)(x > high), high, x);
    ivec n;
    const vec p = vexp_rest(x, &n) + 1;
    const ivec half = n >> 1;
    return p * vpower_of_two(half) * vpower_of_two(n - half);
}

/* exp(x) for x <= 0 (or NaN): no overflow, and one factor, kept normal by 2^64, which then goes. */
INLINE vec vexp_falling(vec x) {
    const vec low = vset1(EXP_LOW);
    ivec n;
    const vec p = vexp_rest(vselect((ivec)(x < low), low, x), &n) + 1;
    return p * vpower_of_two(n + 64) * (T)0x1p-64;
}

/* 1 / (1 + exp(-x)), by exp(-|x|): nothing overflows, and small results are exact as well. */
INLINE vec vsigmoid(vec x) {
    const ivec up = (ivec)(x > 0);
    const vec e = vexp_falling((vec)((ivec)x | (ivec)vset1((T)-0.0)));
    return vselect(up, vset1(1), e) / (1 + e);
}

/* tanh|x| = -e / (e + 2), e = exp(-2|x|) - 1 = 2^n (exp(r) - 1) + (2^n - 1), without cancellation.
 * Beyond the limit it is 1. */
INLINE vec vtanh(vec x) {
    const ivec sign = (ivec)x & (ivec)vset1((T)-0.0);
    const vec low = vset1(-40), twice = (vec)((ivec)(x * 2) | (ivec)vset1((T)-0.0));
    ivec n;
    const vec rest = vexp_rest(vselect((ivec)(twice < low), low, twice), &n);
    const vec scale = vpower_of_two(n), e = scale * rest + (scale - 1);
    return (vec)((ivec)(-e / (e + 2)) ^ sign);
}

/* log(x) for normal x > 0 and NaN: x = 2^n m, sqrt(1/2) <= m < sqrt(2), log(m) = 2 artanh(s) with
 * s = (m - 1) / (m + 1), |s| < 0.172, by its series. */
INLINE vec vlog(vec x) {
    /* the exponent that makes m at least sqrt(1/2): that number's bits count as zero */
    const ivec root = (ivec)vset1((T)0.70710678118654752440);
    const ivec n = ((ivec)x - root) >> MANTISSA;
    const vec m = (vec)((ivec)x - (n << MANTISSA));
    const vec whole = __builtin_convertvector(n, vec), f = m - 1, s = f / (m + 1), q = s * s;
#if TYPE_BYTES == 4
    vec p = vset1((T)(2.0 / 9));
#else
    vec p = vset1((T)(2.0 / 23));
    p = p * q + (T)(2.0 / 21);
    p = p * q + (T)(2.0 / 19);
    p = p * q + (T)(2.0 / 17);
    p = p * q + (T)(2.0 / 15);
    p = p * q + (T)(2.0 / 13);
    p = p * q + (T)(2.0 / 11);
    p = p * q + (T)(2.0 / 9);
#endif
    p = p * q + (T)(2.0 / 7);
    p = p * q + (T)(2.0 / 5);
    p = p * q + (T)(2.0 / 3);
    /* 2s = f - s f, so that the rounding of s counts little */
    const vec log_m = f - s * (f - q * p);
    const vec y = whole * LN2_HIGH + (log_m + whole * LN2_LOW);
    return vselect((ivec)(x == x), y, x);
}
#undef EXP_LOW
#undef EXP_HIGH
#undef EXP_ROUND
#undef LN2_HIGH
#undef LN2_LOW
#undef MANTISSA
#undef EXPONENT_BIAS
