/* Every kernel: double, AVX-512. */
#define TYPE_BITS 64
#include "isa_avx512.inc.c"
