/* Baseline of the target: SSE2 on x86-64, NEON on aarch64. */
#define ISA_NAME generic
#define VEC_BYTES 16
#include "core/kernels.inc.c"
