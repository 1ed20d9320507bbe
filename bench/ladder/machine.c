/* Three figures of one core: its clock, and how fast it reads from a cache. */
#include <stdlib.h>
#include <time.h>

#include "ladder.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Cycles per second: additions that wait for each other take one cycle each. */
double clock_rate(double seconds) {
    enum { ROUNDS = 5000, CHAIN = 64 };
    double best = 0, end = now() + seconds;
    uint64_t n = 1;
    do {
        const double start = now();
        for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 64
            for (int j = 0; j < CHAIN; j++) {
                n += n;
                __asm__ volatile("" : "+r"(n));
            }
        const double rate = ROUNDS * CHAIN / (now() - start);
        if (rate > best) best = rate;
    } while (now() < end);
    return best;
}

/* Bytes per second read, by whole vectors, from a block of this size. */
double read_rate(int64_t bytes, double seconds) {
    enum { STEP = 8 };
    const int64_t n = bytes / (STEP * VEC_BYTES) * STEP * VL;
    float *p = scratch(n);
    memset(p, 0, (size_t)n * sizeof(float));
    double best = 0, end = now() + seconds;
    const int64_t rounds = ceil_div(1 << 21, bytes);
    do {
        const double start = now();
        for (int64_t r = 0; r < rounds; r++) {
            for (const float *q = p; q < p + n; q += STEP * VL) {
                UNROLL
                for (int i = 0; i < STEP; i++) {
                    vec v = load(q + i * VL);
#if defined(__x86_64__)
                    __asm__ volatile("" : : "v"(v)); /* loaded, and that is all */
#else
                    __asm__ volatile("" : : "w"(v));
#endif
                }
            }
        }
        const double rate = (double)(rounds * n * 4) / (now() - start);
        if (rate > best) best = rate;
    } while (now() < end);
    free(p);
    return best;
}
