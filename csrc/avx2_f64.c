/* Every kernel: double, AVX2. */
#define TYPE_BITS 64
#include "isa_avx2.inc.c"
