/* Every kernel: float, AVX2. */
#define TYPE_BITS 32
#include "core/isa_avx2.inc.c"
