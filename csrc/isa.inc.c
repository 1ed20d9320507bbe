/* Both types of one instruction set: ISA_NAME and VEC_BYTES come from the wrapper. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fastconv.h"
#include "memory.h"

#define T float
#define TYPE_NAME f32
#define TYPE_BYTES 4
#include "kernels.inc.c"
#undef T
#undef TYPE_NAME
#undef TYPE_BYTES

#define T double
#define TYPE_NAME f64
#define TYPE_BYTES 8
#include "kernels.inc.c"
