/* AVX2 and FMA: 16 registers of 32 bytes. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define ISA_NAME avx2
#define VEC_BYTES 32
#include "core/kernels.inc.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
