/* The ReLU family's gradients, of vectors: g that of the output, y the output. NaN goes through as
 * in PyTorch. */
#pragma once

#include "core/simd.h"

/* `mask` lanes of v, zero elsewhere: also where v is infinite or NaN. */
INLINE vec keep(ivec mask, vec v) { return (vec)((ivec)v & mask); }

INLINE vec relu_gradient(vec g, vec y) { return keep(~(ivec)(y <= (vec){0}), g); }
INLINE vec leaky_relu_gradient(vec g, vec y, vec slope) {
    return vselect((ivec)(y > (vec){0}), g, g * slope);
}
INLINE vec clamp_gradient(vec g, vec y, vec low, vec high) {
    return keep((ivec)(y > low) & (ivec)(y < high), g);
}
