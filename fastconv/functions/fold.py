"""Windows of pictures as columns, and columns added up to pictures: each other's adjoint."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd import Op

Array = np.ndarray
Pair = tuple[int, int]


class Windows(NamedTuple):
    """Where windows lie: sizes of kernel and picture, and how many windows there are."""

    picture: Pair
    kernel: Pair
    dilation: Pair
    padding: Pair
    stride: Pair
    places: Pair

    def parts(self) -> Any:
        """For each element of the kernel: its number, and the slices of the padded picture."""
        (kh, kw), (dh, dw), (sh, sw) = self.kernel, self.dilation, self.stride
        rows, columns = ((n - 1) * s + 1 for n, s in zip(self.places, self.stride, strict=True))
        for i in range(kh):
            for j in range(kw):
                yield (
                    i * kw + j,
                    slice(i * dh, i * dh + rows, sh),
                    slice(j * dw, j * dw + columns, sw),
                )

    @property
    def padded(self) -> Pair:
        """The size of the picture with its borders."""
        (h, w), (ph, pw) = self.picture, self.padding
        return h + 2 * ph, w + 2 * pw


def columns_of(a: Array, at: Windows) -> Array:
    """(N, C, H, W) as (N, C · kH · kW, windows)."""
    n, c, (ph, pw), (kh, kw) = *a.shape[:2], at.padding, at.kernel
    if ph or pw:
        a = np.pad(a, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    out = np.empty((n, c, kh * kw, *at.places), a.dtype)
    for k, rows, columns in at.parts():
        out[:, :, k] = a[:, :, rows, columns]
    return out.reshape(n, c * kh * kw, -1)


def picture_of(a: Array, at: Windows) -> Array:
    """(N, C · kH · kW, windows) as (N, C, H, W), each pixel the sum of what lies on it."""
    (ph, pw), (kh, kw), (h, w) = at.padding, at.kernel, at.picture
    n = a.shape[0]
    c = a.shape[1] // (kh * kw)
    a = a.reshape(n, c, kh * kw, *at.places)
    out = np.zeros((n, c, *at.padded), a.dtype)
    for k, rows, columns in at.parts():
        out[:, :, rows, columns] += a[:, :, k]
    return np.ascontiguousarray(out[:, :, ph : ph + h, pw : pw + w])


class Columns(Op):
    """`columns_of`."""

    @staticmethod
    def forward(ctx: Any, a: Array, at: Windows) -> Array:
        ctx.at = at
        return columns_of(a, at)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        return picture_of(g, ctx.at)

    def run_differentiable(self, grads: Any) -> tuple[Any, ...]:
        """The gradient with a graph of its own."""
        return (Picture.apply(grads[0], self.at),)  # type: ignore[attr-defined]


class Picture(Op):
    """`picture_of`."""

    @staticmethod
    def forward(ctx: Any, a: Array, at: Windows) -> Array:
        ctx.at = at
        return picture_of(a, at)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        return columns_of(g, ctx.at)

    def run_differentiable(self, grads: Any) -> tuple[Any, ...]:
        """The gradient with a graph of its own."""
        return (Columns.apply(grads[0], self.at),)  # type: ignore[attr-defined]
