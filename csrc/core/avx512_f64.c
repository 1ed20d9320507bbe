/* Every kernel: double, AVX-512. */
#define TYPE_BITS 64
#include "core/isa_avx512.inc.c"
