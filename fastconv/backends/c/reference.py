"""Plain loops (csrc/selfcheck/reference.c), which ``fastconv verify`` compares kernels with."""

from __future__ import annotations

from fastconv.backends.c.geometry import conv_of
from fastconv.backends.c.library import Array, check_same, check_status, ffi, lib
from fastconv.spec import ConvSpec

DIRECTIONS = {"conv_forward": 0, "conv_backward_input": 1, "conv_backward_weight": 2}


def reference_conv(op: str, spec: ConvSpec, x: Array, w: Array, y: Array) -> None:
    """Add every product of a convolution to the operand that is the result of `op`.

    Parameters
    ----------
    op : {'conv_forward', 'conv_backward_input', 'conv_backward_weight'}
    spec : ConvSpec
    x, w, y : ndarray, float64, (N, C, D, H, W), (K, C/groups, kD, kH, kW), (N, K, oD, oH, oW)
        With any strides. The result must be writable, and hold what is to be added to.
    """
    wanted = spec.shapes[5]
    for name, a, shape in zip("xwy", (x, w, y), wanted):
        check_same("reference_conv", name, a, shape, float)
    geometry = ffi.new("fc_conv_geom *", conv_of(spec).fields)
    geometry.x_stride = [s // 8 for s in x.strides]
    geometry.y_stride = [s // 8 for s in y.strides]
    steps = [s // 8 for s in w.strides]
    pointers = [ffi.cast("double *", a.ctypes.data) for a in (x, w, y)]
    check_status(lib.fc_reference_conv(DIRECTIONS[op], geometry, steps, *pointers), op)
