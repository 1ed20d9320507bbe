/* Every kernel: double, AVX2. */
#define TYPE_BITS 64
#include "core/isa_avx2.inc.c"
