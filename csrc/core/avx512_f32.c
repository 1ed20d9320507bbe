/* Every kernel: float, AVX-512. */
#define TYPE_BITS 32
#include "core/isa_avx512.inc.c"
