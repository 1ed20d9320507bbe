"""Geometry of a convolution; a transposed convolution is the adjoint of one."""

from __future__ import annotations

import math
from typing import Any

from fastconv.caches import cached
from fastconv.spec.arguments import (
    Known,
    Shape5,
    Triple,
    as_int,
    as_tuple,
    at_least,
    check_elements,
    fail,
    plain,
    three,
)


class ConvSpec:
    """One convolution ``y = conv(x, w)``; immutable and hashable.

    Attributes
    ----------
    ndim : int
        Spatial rank the user sees (1, 2 or 3).
    batch, in_channels, out_channels, groups : int
        N, C, K and the number of groups.
    in_size, out_size, kernel, stride, pad, dilation : tuple of three int
        Per axis (D, H, W).  ``pad`` is the padding before the first element; the padding after
        the last one is whatever ``out_size`` implies: kernels read zero at every index outside the
        input.  ``out_size`` is authoritative, since ``output_padding`` may ask for more than the
        formula gives.
    x_shape, w_shape, y_shape : tuple of five int
        (N, C, D, H, W) of the input, (K, C/groups, kD, kH, kW), (N, K, oD, oH, oW) of the output.
    shapes : dict of int to three tuples of int
        Those three by their rank: 5, and with the user's axes only, `ndim` + 2.
    """

    __slots__ = (
        "ndim", "batch", "in_channels", "out_channels", "groups", "in_size", "out_size",
        "kernel", "stride", "pad", "dilation", "x_shape", "w_shape", "y_shape", "shapes",
        "cache", "_key", "_hash",
    )  # fmt: skip

    def __init__(
        self,
        ndim: int,
        batch: int,
        in_channels: int,
        out_channels: int,
        groups: int,
        in_size: Triple,
        out_size: Triple,
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        pad: Triple = (0, 0, 0),
        dilation: Triple = (1, 1, 1),
    ) -> None:
        self.ndim = ndim
        self.batch = batch
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.in_size = in_size
        self.out_size = out_size
        self.kernel = kernel
        self.stride = stride
        self.pad = pad
        self.dilation = dilation
        self.x_shape: Shape5 = (batch, in_channels, *in_size)
        self.w_shape: Shape5 = (out_channels, in_channels // groups, *kernel)
        self.y_shape: Shape5 = (batch, out_channels, *out_size)
        five = self.x_shape, self.w_shape, self.y_shape
        self.shapes: dict[int, Any] = {
            ndim + 2: tuple(s[:2] + s[-ndim:] for s in five),
            5: five,
        }
        #: What backends and the planner derive from the geometry and want to keep with it.
        self.cache: dict[Any, Any] = {}
        self._key = (
            ndim, batch, in_channels, out_channels, groups,
            in_size, out_size, kernel, stride, pad, dilation,
        )  # fmt: skip
        self._hash = hash(self._key)

    @property
    def depth(self) -> int:
        """Products summed into one output element: C/groups times taps."""
        return self.in_channels // self.groups * math.prod(self.kernel)

    @property
    def flops(self) -> int:
        """Two per product of the direct algorithm, the same in all three directions."""
        return 2 * self.batch * self.out_channels * math.prod(self.out_size) * self.depth

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, ConvSpec) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        nd = self.ndim
        return (
            f"ConvSpec(conv{nd}d, x={self.x_shape[:2] + self.in_size[-nd:]}, "
            f"w={self.w_shape[:2] + self.kernel[-nd:]}, "
            f"y={self.y_shape[:2] + self.out_size[-nd:]}, "
            f"stride={self.stride[-nd:]}, pad={self.pad[-nd:]}, "
            f"dilation={self.dilation[-nd:]}, groups={self.groups})"
        )


def conv_spec(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    ndim: int = 2,
    name: str = "",
) -> ConvSpec:
    """Validate a convolution and return its geometry.

    Parameters
    ----------
    x_shape : tuple of int
        (N, C, *spatial), with the batch axis.
    w_shape : tuple of int
        (K, C/groups, *kernel).
    stride, dilation : int or tuple of `ndim` ints
    padding : int, tuple of `ndim` ints, ``'same'`` or ``'valid'``
        ``'same'`` needs stride 1; where the total is odd the extra element goes at the end.
    groups : int
    ndim : {1, 2, 3}
    name : str
        The function to name in error messages.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    key: Any = x_shape, w_shape, id(stride), id(padding), id(dilation), id(groups), ndim
    try:
        return _known[key][0]  # type: ignore[no-any-return]
    except (KeyError, TypeError):  # not known yet; a list in place of a tuple
        x_shape, w_shape = tuple(x_shape), tuple(w_shape)
        key = x_shape, w_shape, *key[2:]
    name = name or f"conv{ndim}d"
    spec = _conv_spec(
        x_shape, w_shape, plain(name, "stride", stride),
        padding if isinstance(padding, str) else plain(name, "padding", padding),
        plain(name, "dilation", dilation), as_int(name, "groups", groups), ndim, name,
    )  # fmt: skip
    return _known.remember(key, spec, stride, padding, dilation, groups)  # type: ignore[no-any-return]


_known = Known()


@cached(4096)
def _conv_spec(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    ndim: int,
    name: str,
) -> ConvSpec:
    shapes = f"input {x_shape}, weight {w_shape}"
    _check_ranks(name, x_shape, w_shape, ndim)
    stride_ = at_least(name, "stride", as_tuple(name, "stride", stride, ndim), 1, shapes)
    dilation_ = at_least(name, "dilation", as_tuple(name, "dilation", dilation, ndim), 1, shapes)
    channels, outs = x_shape[1], w_shape[0]
    if groups < 1:
        fail(name, f"groups must be positive, got {groups} for {shapes}")
    if outs % groups:
        fail(name, f"groups={groups} must divide the {outs} output channels of {shapes}")
    if channels != w_shape[1] * groups:
        fail(
            name,
            f"input has {channels} channels, but weight {w_shape} with groups={groups} "
            f"needs {w_shape[1] * groups} ({shapes})",
        )
    size, kernel = x_shape[2:], w_shape[2:]
    if isinstance(padding, str):
        if padding == "valid":
            before = after = (0,) * ndim
        elif padding == "same":
            if any(s != 1 for s in stride_):
                fail(name, f"padding='same' needs stride 1, got stride={stride_} for {shapes}")
            total = tuple(d * (k - 1) for d, k in zip(dilation_, kernel))
            before = tuple(t // 2 for t in total)
            after = tuple(t - b for t, b in zip(total, before))
        else:
            fail(name, f"padding must be 'same', 'valid' or ints, got {padding!r}")
    else:
        before = after = at_least(
            name, "padding", as_tuple(name, "padding", padding, ndim), 0, shapes
        )
    out = []
    for n, k, s, d, b, a in zip(size, kernel, stride_, dilation_, before, after):
        room = n + b + a - (d * (k - 1) + 1)
        if room < 0:
            fail(
                name,
                f"kernel {kernel} with dilation={dilation_} is larger than the padded input "
                f"{tuple(i + p + q for i, p, q in zip(size, before, after))} ({shapes}, "
                f"padding={padding!r})",
            )
        out.append(room // s + 1)
    check_elements(name, "output", (x_shape[0], outs, *out))
    return ConvSpec(
        ndim, x_shape[0], channels, outs, groups, three(size, 1), three(tuple(out), 1),
        three(kernel, 1), three(stride_, 1), three(before, 0), three(dilation_, 1),
    )  # fmt: skip


def _check_ranks(name: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], ndim: int) -> None:
    if len(x_shape) != ndim + 2:
        fail(name, f"input must have {ndim + 2} dimensions with its batch, got {x_shape}")
    if len(w_shape) != ndim + 2:
        fail(name, f"weight must have {ndim + 2} dimensions, got {w_shape} for input {x_shape}")
    if 0 in x_shape[1:]:
        fail(name, f"input may be empty only along its batch axis, got {x_shape}")
    if 0 in w_shape:
        fail(name, f"weight must not be empty, got {w_shape} for input {x_shape}")
    check_elements(name, "input", x_shape)
    check_elements(name, "weight", w_shape)


def conv_transpose_spec(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    ndim: int = 2,
    name: str = "",
) -> ConvSpec:
    """Validate a transposed convolution and return the convolution it is the adjoint of.

    The returned spec's ``y`` is the transposed convolution's input (K = its input channels) and the
    spec's ``x`` is its output, of size ``(n - 1) * stride - 2 * padding + dilation * (k - 1) +
    output_padding + 1`` per axis.

    Parameters
    ----------
    x_shape : tuple of int
        (N, C_in, *spatial), with the batch axis.
    w_shape : tuple of int
        (C_in, C_out/groups, *kernel).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    name = name or f"conv_transpose{ndim}d"
    return _conv_transpose_spec(
        tuple(x_shape), tuple(w_shape), plain(name, "stride", stride),
        plain(name, "padding", padding), plain(name, "output_padding", output_padding),
        as_int(name, "groups", groups), plain(name, "dilation", dilation), ndim, name,
    )  # fmt: skip


@cached(1024)
def _conv_transpose_spec(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    ndim: int,
    name: str,
) -> ConvSpec:
    shapes = f"input {x_shape}, weight {w_shape}"
    _check_ranks(name, x_shape, w_shape, ndim)
    stride_ = at_least(name, "stride", as_tuple(name, "stride", stride, ndim), 1, shapes)
    dilation_ = at_least(name, "dilation", as_tuple(name, "dilation", dilation, ndim), 1, shapes)
    pad = at_least(name, "padding", as_tuple(name, "padding", padding, ndim), 0, shapes)
    extra = as_tuple(name, "output_padding", output_padding, ndim)
    at_least(name, "output_padding", extra, 0, shapes)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride_, dilation_)):
        fail(
            name,
            f"output_padding={extra} must be smaller than stride={stride_} or "
            f"dilation={dilation_} on every axis ({shapes})",
        )
    if groups < 1 or x_shape[1] % groups:
        fail(name, f"groups={groups} must divide the {x_shape[1]} input channels ({shapes})")
    if w_shape[0] != x_shape[1]:
        fail(name, f"input has {x_shape[1]} channels but weight {w_shape} takes {w_shape[0]}")
    kernel = w_shape[2:]
    out = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x_shape[2:], stride_, pad, dilation_, kernel, extra)
    )
    if min(out) < 1:
        fail(name, f"output size {out} is not positive for {shapes}, padding={pad}")
    channels = w_shape[1] * groups
    check_elements(name, "output", (x_shape[0], channels, *out))
    return ConvSpec(
        ndim, x_shape[0], channels, x_shape[1], groups, three(out, 1), three(x_shape[2:], 1),
        three(kernel, 1), three(stride_, 1), three(pad, 0), three(dilation_, 1),
    )  # fmt: skip
