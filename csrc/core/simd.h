/* Vectors of the type T and an instruction set, from GCC/Clang vector extensions.
 *
 * A unit of the compiler is one type and one instruction set: core/avx512_f32.c and its like, which
 * define TYPE_BITS, ISA_NAME and VEC_BYTES. Whatever it includes (every .inc.c) is written once in
 * plain names, all static; its one export is its table (core/kernels.inc.c). VEC_BYTES must not
 * exceed the registers of the instruction set: a wider vector is 20x slower. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TYPE_BYTES (TYPE_BITS / 8)
#if TYPE_BITS == 32
typedef float T;
typedef int32_t lane_int;
#else
typedef double T;
typedef int64_t lane_int;
#endif

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
/* On every loop of a tile with a constant trip count: without it the accumulators spill. */
#define UNROLL _Pragma("GCC unroll 16")
/* The value exists here, in a register: keeps the compiler from putting off unrolled steps, whose
 * operands would then all be live at once. */
#if defined(__x86_64__)
#define PIN(v) __asm__ volatile("" : "+v"(v))
#elif defined(__aarch64__)
#define PIN(v) __asm__ volatile("" : "+w"(v))
#else
#define PIN(v) ((void)0)
#endif
/* A store past the caches, to a multiple of VEC_BYTES: memory is not read first, and is twice as
 * fast to write: 20 to 25 GB/s against 10 (one core of an Intel server, arrays that are not in L2).
 * For results of STREAM_FROM bytes and more, of which caches would not hold much until they are
 * read. STREAMED() comes before other threads read. */
#define STREAM_FROM (INT64_C(8) << 20)
#if defined(__x86_64__)
#if VEC_BYTES == 16
#define STREAM(p, v) __asm__ volatile("movntps %1, %0" : "=m"(*(vec *)(p)) : "x"(v))
#else
#define STREAM(p, v) __asm__ volatile("vmovntps %1, %0" : "=m"(*(vec *)(p)) : "v"(v))
#endif
#define STREAMED() __asm__ volatile("sfence" ::: "memory")
#else
#define STREAM(p, v) vstore(p, v)
#define STREAMED() ((void)0)
#endif
/* Whether a result of so many bytes goes there, which begins at p and goes on in whole vectors. */
#define STREAMS(p, bytes) ((bytes) >= STREAM_FROM && (uintptr_t)(p) % VEC_BYTES == 0)
#define VL ((int)(VEC_BYTES / sizeof(T)))
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef SHUFFLE
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

typedef T vec __attribute__((vector_size(VEC_BYTES)));
typedef T vec_u __attribute__((vector_size(VEC_BYTES), aligned(sizeof(T)), may_alias));

/* Integer lanes of the width of T: comparisons give them, shuffles and selects take them. */
typedef lane_int ivec __attribute__((vector_size(VEC_BYTES)));
typedef lane_int ivec_u __attribute__((vector_size(VEC_BYTES), aligned(TYPE_BYTES), may_alias));

INLINE vec vload(const T *p) { return *(const vec_u *)p; }
INLINE void vstore(T *p, vec v) { *(vec_u *)p = v; }
INLINE vec vset1(T s) { return s - (vec){0}; }
/* mask ? a : b, lane by lane; mask lanes are 0 or -1. */
INLINE vec vselect(ivec mask, vec a, vec b) { return (vec)(((ivec)a & mask) | ((ivec)b & ~mask)); }
