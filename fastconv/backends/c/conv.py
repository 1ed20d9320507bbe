"""Convolution: one function per direction and algorithm, named as in the planner's lists."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastconv.backends.c.conv_kept import NO_FINISH, Conv, Finish, conv_of, finish_pointers, form_of
from fastconv.backends.c.conv_ready import (
    prepare_backward_input,
    prepare_backward_weight,
    prepare_forward,
)
from fastconv.backends.c.formats import (
    LAST,
    NCHW,
    bring_home,
    compute_target,
    dense_view,
    last_pointer,
    output_pointer,
)
from fastconv.backends.c.library import (
    DTYPES,
    NULL,
    Array,
    check_same,
    check_status,
    dtype_code,
    from_buffer,
    lib,
    raise_difference,
    thread_count,
)
from fastconv.backends.c.packing import dense_pointer
from fastconv.packed import Packed
from fastconv.spec import ConvSpec

#: A sum over fewer elements is over before a second thread has begun (about 25 microseconds).
SERIAL_SUMS = 300_000


def _run(
    what: str, kernel: int, code: int, kept: Conv, forms: tuple[int, int], a: Any, b: Any,
    bias: Any, out: Any,
) -> None:  # fmt: skip
    threads = thread_count(kept.parallel)
    status = lib.fc_conv(kernel, code, kept.at(*forms), a, b, bias, out, threads)
    if status:
        check_status(status, what)


def _run_packed(
    what: str, spec: ConvSpec, kernel: int, code: int, kept: Conv, forms: tuple[int, int], a: Any,
    w: Array, store: Packed, bias: Any, finish: tuple[float, float, Any, Any] | None, out: Any,
) -> bool:  # fmt: skip
    """Run on weights kept packed in `store`; False where there are none, or they will not do."""
    layout, form = form_of(what, spec, kernel, code, kept, forms, w, store)
    if form is None:
        return False
    slope, limit, residual, coef = finish or NO_FINISH
    status = lib.fc_conv_packed(
        layout.isa, kernel, code, kept.at(*forms), a, form.pointer, layout.size, bias,
        finish is not None, coef, residual, slope, limit, out, thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        if status == lib.FC_NOT_FINITE:  # Winograd's weights are of no use to another kernel
            return False
        check_status(status, what)
    return True


def _forward(algorithm: str, kernel: int) -> Callable[..., None]:
    what = f"conv_forward_{algorithm}"

    def run(
        spec: ConvSpec,
        x: Array,
        w: Array,
        bias: Array | None,
        out: Array,
        finish: Finish | None = None,
        packed: Packed | None = None,
        plain: bool = False,
    ) -> None:
        kept, dtype = spec.cache.get("c") or conv_of(spec), x.dtype
        code = DTYPES.get(dtype)
        if code is None:
            code = dtype_code(what, x)
        shapes = x.shape, w.shape, out.shape
        wanted = spec.shapes.get(len(shapes[0])) or spec.shapes[5]
        if shapes != wanted or not w.dtype == out.dtype == dtype:
            xs, ws, ys = wanted
            raise_difference(what, dtype, x=(x, xs), w=(w, ws), out=(out, ys))
        b = NULL
        if bias is not None:
            if bias.shape != kept.b_shape or bias.dtype != dtype:
                check_same(what, "bias", bias, kept.b_shape, dtype)
            b = dense_pointer(bias)
        if kept.empty:
            out[...] = 0 if bias is None else bias.reshape(-1, *(1,) * (x.ndim - 2))
            return
        form, y = output_pointer(what, out)
        forms = (NCHW, NCHW) if plain else (LAST, form)
        a = from_buffer(x) if plain else last_pointer(x)
        done = None
        if finish is not None:
            done = finish_pointers(what, kept, finish, wanted[2], dtype, form)
        if packed is not None and _run_packed(
            what, spec, kernel, code, kept, forms, a, w, packed, b, done, y
        ):
            return
        if done is None:
            _run(what, kernel, code, kept, forms, a, dense_pointer(w), b, y)
            return
        slope, limit, r, c = done
        threads = thread_count(kept.parallel)
        status = lib.fc_conv_finish(
            kernel, code, kept.at(*forms), a, dense_pointer(w), b, c, r, slope, limit, y, threads
        )
        if status:
            check_status(status, what)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = (
        f"Convolution forward, {algorithm}: x, w, bias or None -> out; then, with finish = (slope, "
        "limit, residual or None, coefficients (3, K) or None), the epilogue. packed: where packed "
        "forms of w are kept. plain: x and out are NCHW and go to C so."
    )
    run.finishes = run.packs = run.ranks = True  # type: ignore[attr-defined]
    run.prepare = prepare_forward(what, kernel)  # type: ignore[attr-defined]
    return run


def _backward_input(algorithm: str, kernel: int) -> Callable[..., None]:
    what = f"conv_backward_input_{algorithm}"

    def run(
        spec: ConvSpec,
        grad_out: Array,
        w: Array,
        out: Array,
        packed: Packed | None = None,
        plain: bool = False,
    ) -> None:
        kept, code, dtype, g = conv_of(spec), dtype_code(what, grad_out), grad_out.dtype, grad_out
        xs, ws, ys = spec.shapes.get(g.ndim) or spec.shapes[5]
        if not (
            g.shape == ys and w.shape == ws and out.shape == xs and w.dtype == out.dtype == dtype
        ):
            raise_difference(what, dtype, grad_out=(g, ys), w=(w, ws), out=(out, xs))
        if kept.empty:
            out[...] = 0
            return
        form, x = output_pointer(what, out)
        forms = (NCHW, NCHW) if plain else (form, LAST)
        a = from_buffer(g) if plain else last_pointer(g)
        if packed is None or not _run_packed(
            what, spec, kernel, code, kept, forms, a, w, packed, NULL, None, x
        ):
            _run(what, kernel, code, kept, forms, a, dense_pointer(w), NULL, x)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = (
        f"Convolution backward input, {algorithm}: grad_out, w -> out. packed: where packed forms "
        "of w are kept. plain: grad_out and out are NCHW and go to C so."
    )
    run.packs = run.ranks = True  # type: ignore[attr-defined]
    run.prepare = prepare_backward_input(what, kernel)  # type: ignore[attr-defined]
    return run


def _backward_weight(algorithm: str, kernel: int) -> Callable[..., None]:
    what = f"conv_backward_weight_{algorithm}"

    def run(spec: ConvSpec, grad_out: Array, x: Array, out: Array) -> None:
        kept, code, dtype, g = conv_of(spec), dtype_code(what, grad_out), grad_out.dtype, grad_out
        xs, ws, ys = spec.shapes.get(g.ndim) or spec.shapes[5]
        if not (
            g.shape == ys and x.shape == xs and out.shape == ws and x.dtype == out.dtype == dtype
        ):
            raise_difference(what, dtype, grad_out=(g, ys), x=(x, xs), out=(out, ws))
        if kept.empty:
            out[...] = 0
            return
        if not out.flags.c_contiguous:
            raise ValueError(f"{what}: out must be C-contiguous, got strides {out.strides}")
        dw = from_buffer("char[]", out, True)
        a, b = last_pointer(g), last_pointer(x)
        _run(what, kernel, code, kept, (LAST, LAST), a, b, NULL, dw)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = f"Convolution backward weight, {algorithm}: grad_out, x -> out."
    run.ranks = True  # type: ignore[attr-defined]
    run.prepare = prepare_backward_weight(what, kernel)  # type: ignore[attr-defined]
    return run


def _through_channels_last(
    run: Callable[..., None], plain: Callable[[ConvSpec], bool] | None = None
) -> Callable[..., None]:
    """Let a kernel that is best at channels-last have an NCHW result, through a transpose.

    plain: where the kernel takes and gives NCHW as it lies.
    """

    def staged(spec: ConvSpec, *arrays: Any, **extra: Any) -> None:
        out = arrays[-1]
        if (
            plain is not None
            and arrays[0].flags.c_contiguous
            and out.flags.c_contiguous
            and plain(spec)
        ):
            run(spec, *arrays, **extra, plain=True)
            return
        target = compute_target(run.__name__, out)
        run(spec, *arrays[:-1], target, **extra)
        bring_home(target, out)

    staged.__name__ = staged.__qualname__ = run.__name__
    staged.__doc__ = run.__doc__
    staged.__dict__.update(run.__dict__)
    prepare = getattr(run, "prepare", None)
    if plain is not None and prepare is not None:

        def unless_plain(spec: ConvSpec, dtype: Any, rank: int) -> Callable[..., Array] | None:
            return None if spec.in_channels == 1 else prepare(spec, dtype, rank)

        staged.prepare = unless_plain  # type: ignore[attr-defined]
    return staged


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


conv_forward_gemm = _forward("gemm", lib.FC_CONV_FORWARD_GEMM)
conv_backward_input_gemm = _backward_input("gemm", lib.FC_CONV_BACKWARD_INPUT_GEMM)
conv_backward_weight_gemm = _backward_weight("gemm", lib.FC_CONV_BACKWARD_WEIGHT_GEMM)
conv_forward_direct = _forward("direct", lib.FC_CONV_FORWARD_DIRECT)
conv_backward_input_direct = _backward_input("direct", lib.FC_CONV_BACKWARD_INPUT_DIRECT)
conv_forward_depthwise = _through_channels_last(
    _forward("depthwise", lib.FC_CONV_FORWARD_DEPTHWISE), lambda spec: _planes(spec, spec.out_size)
)
conv_backward_input_depthwise = _through_channels_last(
    _backward_input("depthwise", lib.FC_CONV_BACKWARD_INPUT_DEPTHWISE),
    lambda spec: max(spec.stride) == 1 and _planes(spec, spec.in_size),
)
conv_backward_weight_depthwise = _backward_weight(
    "depthwise", lib.FC_CONV_BACKWARD_WEIGHT_DEPTHWISE
)
conv_forward_grouped = _through_channels_last(_forward("grouped", lib.FC_CONV_FORWARD_GROUPED))
conv_backward_input_grouped = _through_channels_last(
    _backward_input("grouped", lib.FC_CONV_BACKWARD_INPUT_GROUPED)
)
conv_backward_weight_grouped = _backward_weight("grouped", lib.FC_CONV_BACKWARD_WEIGHT_GROUPED)
conv_forward_winograd = _through_channels_last(_forward("winograd", lib.FC_CONV_FORWARD_WINOGRAD))
conv_backward_input_winograd = _through_channels_last(
    _backward_input("winograd", lib.FC_CONV_BACKWARD_INPUT_WINOGRAD)
)
conv_backward_weight_winograd = _backward_weight("winograd", lib.FC_CONV_BACKWARD_WEIGHT_WINOGRAD)
conv_forward_flat = _through_channels_last(_forward("flat", lib.FC_CONV_FORWARD_FLAT))
conv_backward_weight_flat = _backward_weight("flat", lib.FC_CONV_BACKWARD_WEIGHT_FLAT)
conv_backward_input_scatter = _backward_input("scatter", lib.FC_CONV_BACKWARD_INPUT_SCATTER)


def conv_backward_bias(spec: ConvSpec, grad_out: Array, out: Array) -> None:
    """Sum grad_out (N, K, *out) over all axes but its channels -> out (K,)."""
    what = "conv_backward_bias"
    kept = conv_of(spec)
    code, dtype = dtype_code(what, grad_out), grad_out.dtype
    wanted = spec.shapes.get(grad_out.ndim) or spec.shapes[5]
    check_same(what, "grad_out", grad_out, wanted[2], dtype)
    check_same(what, "out", out, (spec.out_channels,), dtype)
    if not grad_out.size:
        out[...] = 0
        return
    form, g = dense_view(grad_out)
    threads = thread_count(grad_out.size >= SERIAL_SUMS)
    pointer = from_buffer("char[]", out, True)
    status = lib.fc_conv_backward_bias(code, kept.at(form, form), from_buffer(g), pointer, threads)
    if status:
        check_status(status, what)


conv_backward_bias.ranks = True  # type: ignore[attr-defined]
