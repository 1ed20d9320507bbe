"""Convolution in C: a kernel of each algorithm in each direction, and the gradient of the bias.

A call compares its arrays with the geometry, brings them into channels-last where they are not, and
makes one C call. Pointers to a weight that is kept packed, and to its bias, are kept with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastconv.backends.c.formats import (
    LAST,
    NCHW,
    bring_home,
    compute_target,
    dense_results,
    dense_view,
    last_pointer,
    last_results,
    output_pointer,
)
from fastconv.backends.c.geometry import conv_of, finish_pointers, form_of
from fastconv.backends.c.library import (
    NULL,
    Array,
    check_same,
    check_status,
    from_buffer,
    lib,
    raise_difference,
    thread_count,
    type_code,
)
from fastconv.backends.c.packing import dense_pointer
from fastconv.backends.kernel import Call, Finish, Kernel, Prepare, finished, kernel
from fastconv.memory import empty
from fastconv.packed import Packed
from fastconv.spec import ConvSpec

#: A sum over fewer elements is over before a second thread has begun (about 25 microseconds).
SERIAL_SUMS = 300_000
#: Up to so many rows of a fully connected layer weights are read as they lie.
LYING_ROWS = 16


def _shapes(spec: ConvSpec, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Shapes of x, w and y in arrays of this rank; rank 2 is a fully connected layer's."""
    x, w, y = spec.shapes.get(rank) or spec.shapes[5]
    if rank == 2:  # rows are pixels
        return (x[4], x[1]), w[:2], (y[4], y[1])
    return x, w, y


def _nowhere(spec: ConvSpec) -> bool:
    return False


def _can(number: int, capability: int) -> bool:
    """Whether the table of kernels (csrc/kernels.h) gives the kernel this capability."""
    return bool(lib.fc_conv_capabilities(number) & capability)


def _registered(operation: str, algorithm: str, number: int) -> Callable[[Prepare], Kernel]:
    finishes, packs = _can(number, lib.FC_FINISHES), _can(number, lib.FC_PACKS)
    transforms = _can(number, lib.FC_TRANSFORMS)
    return kernel("c", operation, algorithm, finishes=finishes, packs=packs, transforms=transforms)


class _Place:
    """Where a result goes that the caller has made: in its own format, or through channels-last.

    staged: whether the kernel is best at channels-last, so that NCHW goes through a transpose.
    planes: whether it takes and gives NCHW as it lies.
    """

    __slots__ = ("dtype", "planes", "shape", "staged", "what")

    def __init__(
        self, what: str, shape: tuple[int, ...], dtype: Any, staged: bool, planes: bool
    ) -> None:
        self.what, self.shape, self.dtype = what, shape, dtype
        self.staged, self.planes = staged, planes

    def __call__(self, operand: Array, out: Array) -> tuple[int, int, Any, Array, Any]:
        """Formats of operand and result, the operand's pointer, what is written, its pointer."""
        if out.shape != self.shape or out.dtype != self.dtype:
            check_same(self.what, "out", out, self.shape, self.dtype)
        if self.planes and operand.flags.c_contiguous and out.flags.c_contiguous:
            return NCHW, NCHW, from_buffer(operand), out, from_buffer("char[]", out, True)
        if out.ndim == 2:  # rows are pixels: channels-last as they are
            return LAST, LAST, dense_pointer(operand), out, from_buffer("char[]", out, True)
        target = compute_target(self.what, out) if self.staged else out
        form, pointer = output_pointer(self.what, target)
        return LAST, form, last_pointer(operand), target, pointer


def _forward(algorithm: str, number: int, planes: Callable[[ConvSpec], bool] = _nowhere) -> Kernel:
    what, staged = f"conv_forward_{algorithm}", not _can(number, lib.FC_WRITES_PLANES)

    def prepare(spec: ConvSpec, dtype: Any, rank: int) -> Call:
        conv, code = conv_of(spec), type_code(what, dtype)
        x_shape, w_shape, y_shape = _shapes(spec, rank)
        lying = rank == 2 and x_shape[0] <= LYING_ROWS
        pointer_to = dense_pointer if rank == 2 else last_pointer
        usual, parallel, isa_now = conv.at(LAST, LAST), conv.parallel, lib.fc_get_isa
        new = last_results(y_shape, dtype)
        place = _Place(what, y_shape, dtype, staged, planes(spec))
        plain, finishing, on_packed = lib.fc_conv, lib.fc_conv_finish, lib.fc_conv_packed
        key, not_finite = object(), lib.FC_NOT_FINITE

        def operands(w: Array, bias: Array | None, packed: Packed | None) -> tuple[Any, ...]:
            """The bias, the instruction set, pointers to weight and bias, the packed weight."""
            if w.shape != w_shape or w.dtype != dtype:
                raise_difference(what, dtype, w=(w, w_shape))
            b = NULL
            if bias is not None:
                check_same(what, "bias", bias, conv.b_shape, dtype)
                b = dense_pointer(bias)
            if packed is None or lying:
                return bias, 0, dense_pointer(w), b, None, 0
            layout, form = form_of(what, spec, number, code, conv, w, packed)
            found: tuple[Any, ...]
            if form is None:
                found = bias, layout.isa, dense_pointer(w), b, None, 0
            else:
                found = bias, layout.isa, None, b, form, layout.size
            refused = form is None and layout.size
            if packed.array is w and not refused and (bias is None or bias.flags.c_contiguous):
                packed.remember(key, found)
            return found

        def call(
            x: Array, w: Array, bias: Array | None = None, out: Array | None = None,
            finish: Finish | None = None, packed: Packed | None = None,
        ) -> Array:  # fmt: skip
            if x.shape != x_shape or x.dtype != dtype:
                raise_difference(what, dtype, x=(x, x_shape))
            found = None if packed is None else packed.operands.get(key)
            if found is None or found[0] is not bias or found[1] != isa_now():
                found = operands(w, bias, packed)
            _, isa, weight, b, form, size = found
            if out is None:
                a, geometry, y_form = pointer_to(x), usual, LAST
                target, y = new()
            else:
                x_form, y_form, a, target, y = place(x, out)
                geometry = conv.at(x_form, y_form)
            threads = thread_count(True) if parallel else 1
            if finish is None and form is None:
                status = plain(number, code, geometry, a, weight, b, y, threads)
            else:
                slope, limit, r, c = finish_pointers(what, conv, finish, y_shape, dtype, y_form)
                status = not_finite
                if form is not None:
                    status = on_packed(
                        isa, number, code, geometry, a, form.pointer, size, b, finish is not None,
                        c, r, slope, limit, y, threads,
                    )  # fmt: skip
                if status == not_finite:  # Winograd's weights are of no use to another kernel
                    weight = dense_pointer(w) if weight is None else weight
                    status = (
                        plain(number, code, geometry, a, weight, b, y, threads)
                        if finish is None
                        else finishing(
                            number, code, geometry, a, weight, b, c, r, slope, limit, y, threads
                        )
                    )
            if status:
                check_status(status, what)
            if out is None or target is out:
                return target
            bring_home(target, out)
            return out

        def nothing(
            x: Array, w: Array, bias: Array | None = None, out: Array | None = None,
            finish: Finish | None = None, packed: Packed | None = None,
        ) -> Array:  # fmt: skip
            for name, a, shape in (("x", x, x_shape), ("w", w, w_shape)):
                check_same(what, name, a, shape, dtype)
            if out is None:
                out = empty(y_shape, dtype, rank > 2)
            else:
                check_same(what, "out", out, y_shape, dtype)
            out[...] = 0 if bias is None else bias.reshape(-1, *(1,) * (rank - 2))
            return finished("c", out, finish)

        return nothing if conv.empty else call

    return _registered("conv_forward", algorithm, number)(prepare)


def _backward_input(
    algorithm: str, number: int, planes: Callable[[ConvSpec], bool] = _nowhere
) -> Kernel:
    what, staged = f"conv_backward_input_{algorithm}", not _can(number, lib.FC_WRITES_PLANES)

    def prepare(spec: ConvSpec, dtype: Any, rank: int) -> Call:
        conv, code = conv_of(spec), type_code(what, dtype)
        x_shape, w_shape, y_shape = spec.shapes.get(rank) or spec.shapes[5]
        usual, parallel, run = conv.at(LAST, LAST), conv.parallel, lib.fc_conv
        new = last_results(x_shape, dtype)
        place = _Place(what, x_shape, dtype, staged, planes(spec))

        def call(
            g: Array, w: Array, out: Array | None = None, packed: Packed | None = None
        ) -> Array:
            if not (g.shape == y_shape and w.shape == w_shape and g.dtype == w.dtype == dtype):
                raise_difference(what, dtype, grad_out=(g, y_shape), w=(w, w_shape))
            if conv.empty:
                return _zeros(what, x_shape, dtype, out, True)
            if out is None:
                a, geometry = last_pointer(g), usual
                target, x = new()
            else:
                y_form, x_form, a, target, x = place(g, out)
                geometry = conv.at(x_form, y_form)
            threads, status = thread_count(True) if parallel else 1, lib.FC_NOT_FINITE
            if packed is not None:
                layout, form = form_of(what, spec, number, code, conv, w, packed)
                if form is not None:
                    status = lib.fc_conv_packed(
                        layout.isa, number, code, geometry, a, form.pointer, layout.size, NULL,
                        False, NULL, NULL, 0.0, 0.0, x, threads,
                    )  # fmt: skip
            if status == lib.FC_NOT_FINITE:
                status = run(number, code, geometry, a, dense_pointer(w), NULL, x, threads)
            if status:
                check_status(status, what)
            if out is None or target is out:
                return target
            bring_home(target, out)
            return out

        return call

    return _registered("conv_backward_input", algorithm, number)(prepare)


def _backward_weight(algorithm: str, number: int) -> Kernel:
    what = f"conv_backward_weight_{algorithm}"

    def prepare(spec: ConvSpec, dtype: Any, rank: int) -> Call:
        conv, code = conv_of(spec), type_code(what, dtype)
        x_shape, w_shape, y_shape = spec.shapes.get(rank) or spec.shapes[5]
        geometry, parallel, run = conv.at(LAST, LAST), conv.parallel, lib.fc_conv
        new = dense_results(w_shape, dtype)

        def call(g: Array, x: Array, out: Array | None = None) -> Array:
            if not (g.shape == y_shape and x.shape == x_shape and g.dtype == x.dtype == dtype):
                raise_difference(what, dtype, grad_out=(g, y_shape), x=(x, x_shape))
            if conv.empty:
                return _zeros(what, w_shape, dtype, out, False)
            a, b = last_pointer(g), last_pointer(x)
            if out is None:
                out, pointer = new()
            else:
                check_same(what, "out", out, w_shape, dtype)
                if not out.flags.c_contiguous:
                    raise ValueError(f"{what}: out must be C-contiguous, got strides {out.strides}")
                pointer = from_buffer("char[]", out, True)
            threads = thread_count(True) if parallel else 1
            status = run(number, code, geometry, a, b, NULL, pointer, threads)
            if status:
                check_status(status, what)
            return out

        return call

    return _registered("conv_backward_weight", algorithm, number)(prepare)


def _zeros(
    what: str, shape: tuple[int, ...], dtype: Any, out: Array | None, last: bool
) -> Array:  # fmt: skip
    if out is None:
        out = empty(shape, dtype, last)
    else:
        check_same(what, "out", out, shape, dtype)
    out[...] = 0
    return out


#: Depthwise kernels take NCHW planes as they lie from a tile's rows and the widest vector on: 3x3
#: at 112 and 56 runs at 1.5 of the speed through channels-last, at 28 at 1.0 to 1.3, and at 14
#: would at 1.0, at 7 at 0.4. Taps further apart than PLANE_REACH would copy mostly padding.
PLANE_ROWS = 4
PLANE_COLUMNS = 16
PLANE_REACH = 32


def _planes(spec: ConvSpec, target: tuple[int, int, int]) -> bool:
    """Whether depthwise tiles can run along W of NCHW planes."""
    if spec.in_channels != spec.out_channels:
        return False
    if not (spec.in_size[0] == spec.out_size[0] == spec.kernel[0] == 1):
        return False
    if math.prod(spec.in_size) == 1 or math.prod(spec.out_size) == 1:
        return False
    reach = max((k - 1) * d for k, d in zip(spec.kernel, spec.dilation, strict=True))
    return target[1] >= PLANE_ROWS and target[2] >= PLANE_COLUMNS and reach <= PLANE_REACH


def _planes_forward(spec: ConvSpec) -> bool:
    return _planes(spec, spec.out_size)


def _planes_backward(spec: ConvSpec) -> bool:
    return max(spec.stride) == 1 and _planes(spec, spec.in_size)


conv_forward_gemm = _forward("gemm", lib.FC_CONV_FORWARD_GEMM)
conv_forward_direct = _forward("direct", lib.FC_CONV_FORWARD_DIRECT)
conv_forward_flat = _forward("flat", lib.FC_CONV_FORWARD_FLAT)
conv_forward_grouped = _forward("grouped", lib.FC_CONV_FORWARD_GROUPED)
conv_forward_depthwise = _forward(
    "depthwise", lib.FC_CONV_FORWARD_DEPTHWISE, planes=_planes_forward
)
conv_forward_winograd = _forward("winograd", lib.FC_CONV_FORWARD_WINOGRAD)

conv_backward_input_gemm = _backward_input("gemm", lib.FC_CONV_BACKWARD_INPUT_GEMM)
conv_backward_input_direct = _backward_input("direct", lib.FC_CONV_BACKWARD_INPUT_DIRECT)
conv_backward_input_scatter = _backward_input("scatter", lib.FC_CONV_BACKWARD_INPUT_SCATTER)
conv_backward_input_grouped = _backward_input("grouped", lib.FC_CONV_BACKWARD_INPUT_GROUPED)
conv_backward_input_depthwise = _backward_input(
    "depthwise", lib.FC_CONV_BACKWARD_INPUT_DEPTHWISE, planes=_planes_backward
)
conv_backward_input_winograd = _backward_input("winograd", lib.FC_CONV_BACKWARD_INPUT_WINOGRAD)

conv_backward_weight_gemm = _backward_weight("gemm", lib.FC_CONV_BACKWARD_WEIGHT_GEMM)
conv_backward_weight_flat = _backward_weight("flat", lib.FC_CONV_BACKWARD_WEIGHT_FLAT)
conv_backward_weight_grouped = _backward_weight("grouped", lib.FC_CONV_BACKWARD_WEIGHT_GROUPED)
conv_backward_weight_depthwise = _backward_weight(
    "depthwise", lib.FC_CONV_BACKWARD_WEIGHT_DEPTHWISE
)
conv_backward_weight_winograd = _backward_weight("winograd", lib.FC_CONV_BACKWARD_WEIGHT_WINOGRAD)


@kernel("c", "conv_backward_bias")
def conv_backward_bias(spec: ConvSpec, dtype: Any, rank: int) -> Call:
    """Sums of grad_out (N, K, *out) over all axes but its channels: (K,)."""
    what = "conv_backward_bias"
    conv, code = conv_of(spec), type_code(what, dtype)
    y_shape = _shapes(spec, rank)[2]

    def call(g: Array, out: Array | None = None) -> Array:
        check_same(what, "grad_out", g, y_shape, dtype)
        if out is None:
            out = empty(conv.b_shape, dtype)
        else:
            check_same(what, "out", out, conv.b_shape, dtype)
        if not g.size:
            out[...] = 0
            return out
        form, a = dense_view(g) if g.ndim > 2 else (LAST, g if g.flags.c_contiguous else g.copy())
        threads = thread_count(g.size >= SERIAL_SUMS)
        pointer = from_buffer("char[]", out, True)
        status = lib.fc_conv_backward_bias(
            code, conv.at(form, form), from_buffer(a), pointer, threads
        )
        if status:
            check_status(status, what)
        return out

    return call
