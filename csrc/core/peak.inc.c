/* FMA peak of one core: independent chains that live in registers, nothing else. */
#pragma once

#include <time.h>

#include "core/simd.h"

NOINLINE void fma_loop(int64_t rounds, T *sink) {
    enum { CHAINS = VEC_BYTES == 64 ? 24 : 12 };
    vec acc[CHAINS], a = vset1((T)0.999), b = vset1((T)1e-3);
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++) acc[i] = vset1((T)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++) acc[i] = acc[i] * a + b;
#pragma GCC unroll 32
    for (int i = 1; i < CHAINS; i++) acc[0] += acc[i];
    vstore(sink, acc[0]);
}

static double fma_peak(double seconds) {
    enum { CHAINS = VEC_BYTES == 64 ? 24 : 12, ROUNDS = 20000 };
    T sink[VEC_BYTES / sizeof(T)];
    double best = 0.0, total = 0.0;
    do {
        struct timespec t0, t1;
        clock_gettime(CLOCK_MONOTONIC, &t0);
        fma_loop(ROUNDS, sink);
        __asm__ volatile("" : : "r"(sink) : "memory"); /* the result counts as used */
        clock_gettime(CLOCK_MONOTONIC, &t1);
        double t = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
        double rate = 2.0 * CHAINS * ROUNDS * VL / (t > 0 ? t : 1e-9);
        if (rate > best) best = rate;
        total += t > 0 ? t : 1e-9;
    } while (total < seconds);
    return best;
}
