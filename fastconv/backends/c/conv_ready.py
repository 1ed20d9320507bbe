"""Convolutions made ready: what a repeated call need not ask again is asked once.

A forward call compares its input with the geometry, makes a channels-last result, and calls C. With
weights that are kept (``fastconv/packed.py``) the pointers to weight and bias are kept with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastconv.backends.c.conv_kept import Finish, conv_of, finish_pointers, form_of
from fastconv.backends.c.formats import LAST, dense_results, last_pointer, last_results
from fastconv.backends.c.library import (
    DTYPES,
    NULL,
    Array,
    check_same,
    check_status,
    lib,
    raise_difference,
    thread_count,
)
from fastconv.backends.c.packing import dense_pointer
from fastconv.packed import Packed
from fastconv.spec import ConvSpec

#: Up to so many rows of a fully connected layer weights are read as they lie.
LYING_ROWS = 16
Ready = Callable[..., Array]


def prepare_forward(what: str, kernel: int) -> Callable[[ConvSpec, Any, int], Ready | None]:
    """Return what makes a kernel ready for a geometry, a type and a rank.

    Rank 2 is that of a fully connected layer: x (rows, C), w (K, C), the result (rows, K), with
    the geometry of the convolution (1, C, rows) by (K, C, 1).
    """

    def prepare(spec: ConvSpec, dtype: Any, rank: int) -> Ready | None:
        kept, code = conv_of(spec), DTYPES.get(dtype)
        if code is None or kept.empty:
            return None
        x_shape, w_shape, y_shape = spec.shapes.get(rank) or spec.shapes[5]
        lying = False
        if rank == 2:  # rows are pixels
            x_shape, y_shape = (x_shape[4], x_shape[1]), (y_shape[4], y_shape[1])
            w_shape, lying = w_shape[:2], x_shape[0] <= LYING_ROWS
        pointer_to = dense_pointer if rank == 2 else last_pointer
        geometry, parallel = kept.at(LAST, LAST), kept.parallel
        new = last_results(y_shape, dtype)
        plain, finished, on_packed, isa_now = (
            lib.fc_conv, lib.fc_conv_finish, lib.fc_conv_packed, lib.fc_get_isa
        )  # fmt: skip
        key, not_finite = object(), lib.FC_NOT_FINITE

        def operands(w: Array, bias: Array | None, packed: Packed | None) -> tuple[Any, ...]:
            """The bias, the instruction set, pointers to weight and bias, the packed weight."""
            if w.shape != w_shape or w.dtype != dtype:
                raise_difference(what, dtype, w=(w, w_shape))
            b = NULL
            if bias is not None:
                check_same(what, "bias", bias, kept.b_shape, dtype)
                b = dense_pointer(bias)
            if packed is None or lying:
                return bias, 0, dense_pointer(w), b, None, 0
            layout, form = form_of(what, spec, kernel, code, kept, (LAST, LAST), w, packed)
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
            x: Array, w: Array, bias: Array | None, finish: Finish | None, packed: Packed | None
        ) -> Array:
            if x.shape != x_shape or x.dtype != dtype:
                raise_difference(what, dtype, x=(x, x_shape))
            found = None if packed is None else packed.operands.get(key)
            if found is None or found[0] is not bias or found[1] != isa_now():
                found = operands(w, bias, packed)
            _, isa, weight, b, form, size = found
            a = pointer_to(x)
            out, y = new()
            threads = thread_count(True) if parallel else 1
            if finish is None and form is None:
                status = plain(kernel, code, geometry, a, weight, b, y, threads)
            else:
                slope, limit, r, c = finish_pointers(what, kept, finish, y_shape, dtype, LAST)
                if form is None:
                    status = finished(
                        kernel, code, geometry, a, weight, b, c, r, slope, limit, y, threads
                    )
                else:
                    status = on_packed(
                        isa, kernel, code, geometry, a, form.pointer, size, b, finish is not None,
                        c, r, slope, limit, y, threads,
                    )  # fmt: skip
                    if status == not_finite:  # Winograd's weights are of no use to another kernel
                        weight = dense_pointer(w)
                        status = (
                            plain(kernel, code, geometry, a, weight, b, y, threads)
                            if finish is None
                            else finished(
                                kernel, code, geometry, a, weight, b, c, r, slope, limit, y, threads
                            )
                        )
            if status:
                check_status(status, what)
            return out

        return call

    return prepare


def _prepare_backward(
    what: str, kernel: int, weight: bool
) -> Callable[[ConvSpec, Any, int], Ready | None]:
    """Backward input: g (N, K, *out), w -> (N, C, *in), channels-last. Weight: g, x -> as w."""

    def prepare(spec: ConvSpec, dtype: Any, rank: int) -> Ready | None:
        kept, code = conv_of(spec), DTYPES.get(dtype)
        if code is None or kept.empty or rank not in spec.shapes:
            return None
        x_shape, w_shape, y_shape = spec.shapes[rank]
        geometry, parallel, run = kept.at(LAST, LAST), kept.parallel, lib.fc_conv
        name, shape = ("x", x_shape) if weight else ("w", w_shape)
        pointer_to = last_pointer if weight else dense_pointer
        new = dense_results(w_shape, dtype) if weight else last_results(x_shape, dtype)

        def call(g: Array, a: Array) -> Array:
            if not (g.shape == y_shape and a.shape == shape and g.dtype == a.dtype == dtype):
                raise_difference(what, dtype, **{"grad_out": (g, y_shape), name: (a, shape)})
            one, two = last_pointer(g), pointer_to(a)
            out, pointer = new()
            threads = thread_count(True) if parallel else 1
            status = run(kernel, code, geometry, one, two, NULL, pointer, threads)
            if status:
                check_status(status, what)
            return out

        return call

    return prepare


def prepare_backward_input(what: str, kernel: int) -> Callable[[ConvSpec, Any, int], Ready | None]:
    """Return what makes a kernel of backward input ready: call(g, w)."""
    return _prepare_backward(what, kernel, False)


def prepare_backward_weight(what: str, kernel: int) -> Callable[[ConvSpec, Any, int], Ready | None]:
    """Return what makes a kernel of backward weight ready: call(g, x)."""
    return _prepare_backward(what, kernel, True)
