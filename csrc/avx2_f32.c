/* Every kernel: float, AVX2. */
#define TYPE_BITS 32
#include "isa_avx2.inc.c"
