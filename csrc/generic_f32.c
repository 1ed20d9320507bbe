/* Every kernel: float, the baseline of the target. */
#define TYPE_BITS 32
#include "isa_generic.inc.c"
