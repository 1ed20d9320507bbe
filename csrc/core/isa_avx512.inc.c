/* AVX-512 (F, DQ, BW, VL): 32 registers of 64 bytes. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define ISA_NAME avx512
#define VEC_BYTES 64
#include "core/kernels.inc.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
