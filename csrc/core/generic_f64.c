/* Every kernel: double, the baseline of the target. */
#define TYPE_BITS 64
#include "core/isa_generic.inc.c"
