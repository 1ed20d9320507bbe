"""Resampling of C-contiguous (batch, D, H, W, inner) arrays, every axis by a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.backends.c.library import (
    INT64,
    SERIAL_ELEMENTS,
    Array,
    check_same,
    check_status,
    dtype_code,
    ffi,
    from_buffer,
    lib,
    thread_count,
)


def resample(x: Array, axes: Sequence[tuple[Array, Array, Array]], out: Array) -> None:
    """``out = (D ⊗ H ⊗ W) x``, each matrix as starts, indices (int64) and weights of rows."""
    what = "resample"
    code = dtype_code(what, x)
    if x.ndim != 5 or len(axes) != 3:
        raise ValueError(
            f"{what}: expected (batch, D, H, W, inner) and 3 axes, got {x.shape}, {len(axes)}"
        )
    sizes = [len(starts) - 1 for starts, _, _ in axes]
    check_same(what, "out", out, (x.shape[0], *sizes, x.shape[4]), x.dtype)
    geometry: Any = ffi.new("fc_resample_geom *")
    geometry.batch, geometry.inner = x.shape[0], x.shape[4]
    kept = []
    for i, (starts, index, weight) in enumerate(axes):
        count = int(starts[-1])
        check_same(what, "index", index, (count,), INT64)
        check_same(what, "weight", weight, (count,), x.dtype)
        if count and not 0 <= int(index.min()) <= int(index.max()) < x.shape[1 + i]:
            raise IndexError(f"{what}: indices of axis {i} leave an axis of {x.shape[1 + i]}")
        if starts[0] != 0 or np.any(starts[1:] < starts[:-1]):
            raise ValueError(f"{what}: starts of axis {i} must rise from 0")
        geometry.in_size[i], geometry.out_size[i] = x.shape[1 + i], sizes[i]
        buffers = (
            from_buffer("int64_t[]", starts),
            from_buffer("int64_t[]", index),
            from_buffer(weight),
        )
        kept.append(buffers)
        geometry.starts[i], geometry.index[i] = buffers[0], buffers[1]
        geometry.weight[i] = ffi.cast("void *", buffers[2])
    status = lib.fc_resample(
        code, geometry, from_buffer(x), from_buffer("char[]", out, True),
        thread_count(out.size >= SERIAL_ELEMENTS),
    )  # fmt: skip
    del kept  # the geometry points into them
    if status:
        check_status(status, what)
