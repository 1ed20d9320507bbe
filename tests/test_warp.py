"""Warping: the kernels against the specification, and the specification against what it means."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from fastconv import backend, planner
from fastconv.backends import naive
from fastconv.ops.warp import MODES, PADDINGS, warp
from tests.test_kernels import VARIANTS, Guarded, integers, using

#: Places on quarters of pixels: exact in every type, with halves for rounding to even.
MATRICES = np.array([
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[0.5, -0.25, 1], [0.25, 0.5, -1.5], [0, 0, 1]],
    [[-1.5, 0, 8], [0.5, -2, 7.25], [0, 0, 1]],
    [[2, 0.5, -3.5], [1, 1, -0.5], [0, 0, 0.5]],
    [[1, 0, -40], [0, 1, -0.5], [0, 0, 1]],
    [[1, 0, 0], [0, 1, 0], [0, 0, 0]],  # 0 / 0 and infinities
    [[1, 0.5, 0], [-0.5, 1, 2], [1, 0, -2]],
], np.float64)  # fmt: skip
DTYPES = (np.uint8, np.float32, np.float64)


#: Of images, of results, and channels.
SIZES = [((5, 7), (6, 4), channels) for channels in (1, 3, 5, 17)]
SIZES += [((1, 1), (3, 3), 2), ((2, 9), (5, 8), 3)]


@cache
def cases(mode, padding):
    """Images, fill and what the specification makes of them."""
    found = []
    for size, out_size, channels in SIZES:
        values = integers((len(MATRICES), *size, channels), mode, 100) + 100
        colour = np.arange(1.0, channels + 1) * 8
        aligned = (False, True) if padding == "reflection" else (False,)
        for filled, align, dtype in itertools.product((False, True), aligned, DTYPES):
            x = values.astype(dtype)
            fill = colour.astype(np.float32 if dtype == np.uint8 else dtype) if filled else None
            want = np.empty((len(MATRICES), *out_size, channels), dtype)
            naive.warp(x, MATRICES, fill, want, mode, padding, align)
            found.append((x, fill, align, want))
    return found


@pytest.mark.parametrize("variant", VARIANTS["warp"], ids=str)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_kernels(variant, mode, padding):
    for x, fill, align, want in cases(mode, padding):
        what = f"{variant} {mode} {padding} {x.shape} {x.dtype}"
        for threads in (1, 3):
            out = Guarded(want.shape, x.dtype)
            with using("warp", variant, threads) as function:
                function(x, MATRICES, fill, out.array, mode, padding, align)
            got = out.check(what)
            assert np.array_equal(got[:6], want[:6]), what
            # the last one divides by odd numbers: not exact
            away = np.abs(got[6].astype(float) - want[6].astype(float))
            near = away <= (1 if x.dtype == np.uint8 else 1e-3)
            assert near.mean() >= (1 if mode == "bilinear" else 0.9), what


def test_large_images_in_threads():
    """Enough work for the driver to use threads: the same bits."""
    x = np.random.default_rng(0).random((3, 90, 110, 3), np.float32)
    angle = np.deg2rad(20)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[[c, s, 3], [-s, c, 9], [0, 0, 1]]] * 3)
    for variant in VARIANTS["warp"]:
        found = []
        for threads in (1, 2, 3):
            out = Guarded(x.shape, x.dtype)
            with using("warp", variant, threads) as function:
                function(x, matrix, None, out.array, "bilinear", "reflection", False)
            found.append(out.check(str(variant)).copy())
        assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.parametrize("mode", MODES)
def test_identity_shift_and_flip(mode):
    x = np.random.default_rng(1).integers(0, 256, (2, 3, 6, 8), np.uint8)
    assert np.array_equal(warp(x, np.eye(3), (6, 8), mode), x)
    moved = warp(x, np.array([[1, 0, 2], [0, 1, -1], [0, 0, 1.0]]), (6, 8), mode, fill=(7, 8, 9))
    assert np.array_equal(moved[:, :, 1:, :6], x[:, :, :-1, 2:])
    assert (moved[:, :, 0] == np.array([7, 8, 9])[:, None]).all()
    flipped = warp(x, np.array([[-1, 0, 7], [0, 1, 0], [0, 0, 1.0]]), (6, 8), mode)
    assert np.array_equal(flipped, x[..., ::-1])


@pytest.mark.torch
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("align", [False, True])
def test_grid_sample(mode, padding, align):
    """The same as PyTorch's affine_grid and grid_sample."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    x = rng.random((4, 3, 9, 6))
    theta = rng.uniform(-1.5, 1.5, (4, 2, 3))
    oh, ow = 7, 11
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta), (4, 3, oh, ow), align)
    want = torch.nn.functional.grid_sample(
        torch.from_numpy(x), grid, mode=mode, padding_mode=padding, align_corners=align
    ).numpy()

    def scale(size):  # from pixels to [-1, 1]
        return (2 / (size - 1), -1) if align else (2 / size, 1 / size - 1)

    to = np.array([[scale(ow)[0], 0, scale(ow)[1]], [0, scale(oh)[0], scale(oh)[1]], [0, 0, 1]])
    back = np.linalg.inv(
        np.array([[scale(6)[0], 0, scale(6)[1]], [0, scale(9)[0], scale(9)[1]], [0, 0, 1]])
    )
    full = np.concatenate([theta, np.broadcast_to([[[0, 0, 1.0]]], (4, 1, 3))], 1)
    got = warp(x, back @ full @ to, (oh, ow), mode, padding, align_corners=align)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_what_does_not_fit_is_refused():
    x = np.zeros((2, 3, 4, 5), np.float32)
    with pytest.raises(TypeError, match="uint8, float32 or float64, got int64"):
        warp(x.astype(np.int64), np.eye(3), (4, 5))
    with pytest.raises(ValueError, match=r"matrix must be \(3, 3\) or \(2, 3, 3\)"):
        warp(x, np.zeros((3, 3, 3)), (4, 5))
    with pytest.raises(ValueError, match="fill must have 3 values, got 2"):
        warp(x, np.eye(3), (4, 5), fill=(1, 2))
    with pytest.raises(ValueError, match="size must be positive"):
        warp(x, np.eye(3), (0, 5))
    with pytest.raises(ValueError, match="with pixels"):
        warp(x[:, :, :0], np.eye(3), (4, 5))
    with pytest.raises(ValueError, match="mode must be"):
        warp(x, np.eye(3), (4, 5), "cubic")
    with pytest.raises(ValueError, match="padding must be"):
        warp(x, np.eye(3), (4, 5), padding="edge")
    with backend("c"):
        kernel = planner.kernel("warp")
    rows = np.zeros((2, 4, 5, 3), np.float32)
    matrix = np.broadcast_to(np.eye(3), (2, 3, 3)).copy()
    with pytest.raises(ValueError, match="out must have shape"):
        kernel(rows, matrix, None, rows[..., :2].copy(), "nearest", "zeros", False)
    with pytest.raises(TypeError, match="matrix must be float64"):
        kernel(rows, matrix.astype("f"), None, rows.copy(), "nearest", "zeros", False)
    with pytest.raises(TypeError, match="fill must be float32"):
        kernel(rows, matrix, np.zeros(3), rows.copy(), "nearest", "zeros", False)
