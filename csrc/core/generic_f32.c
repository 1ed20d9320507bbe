/* Every kernel: float, the baseline of the target. */
#define TYPE_BITS 32
#include "core/isa_generic.inc.c"
