"""Filters made by hand: worked numbers, directions, widths and sizes that they find."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastconv.visualize import handmade


def test_hand_made_kernels() -> None:
    assert handmade.low_pass(3).tolist() == [[1 / 9] * 3] * 3
    assert handmade.gaussian(1.5).sum() == pytest.approx(1)
    g = handmade.gaussian(2.0)
    places = np.arange(len(g)) - len(g) // 2
    assert (g.sum(0) * places**2).sum() == pytest.approx(4, rel=2e-3)  # its variance
    assert handmade.sharpening(4).tolist() == [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    assert handmade.plus_sign().tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    assert handmade.plus_sign(5, balanced=True).sum() == pytest.approx(0, abs=1e-12)
    sobel = handmade.gradient()[0] * 8
    assert sobel.tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    for kind in ("central", "prewitt", "sobel", "scharr"):
        ramp = np.arange(8.0)[None] + 3 * np.arange(7.0)[:, None]
        x, y = handmade.see(ramp, handmade.gradient(kind))
        np.testing.assert_allclose(x[1:-1, 1:-1], 1)
        np.testing.assert_allclose(y[1:-1, 1:-1], 3)


def test_the_plus_sign_of_the_lecture() -> None:
    image = np.array(
        [[0, 2, 1, 1, 0], [0, 1, 1, 1, 0], [-3, -1, 1, 0, 1], [0, 6, 0, 0, 1], [0, 4, 1, 7, 0]]
    )
    found = handmade.see(image, handmade.plus_sign(), "constant")
    wanted = [[2, 4, 5, 3, 1], [-2, 3, 5, 3, 2], [-4, 4, 1, 3, 2], [3, 9, 8, 8, 2],
              [4, 11, 12, 8, 8]]  # fmt: skip
    assert found.tolist() == wanted


def test_gabor_filters_find_their_direction_and_width() -> None:
    y, x = np.mgrid[:64, :64]
    bank = handmade.gabor_bank(4, (4.0, 8.0))
    assert bank.shape[0] == 8 and bank.shape[1] == bank.shape[2]
    np.testing.assert_allclose(bank.sum((1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(np.abs(bank).sum((1, 2)), 1)
    for k, (wavelength, angle) in enumerate(
        [(w, math.pi * a / 4) for w in (4.0, 8.0) for a in range(4)]
    ):
        wave = np.cos(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / wavelength)
        energy = (handmade.see(wave, bank) ** 2)[:, 16:-16, 16:-16].mean((1, 2))
        assert energy.argmax() == k
    edge = handmade.gabor(6.0, phase=math.pi / 2)
    np.testing.assert_allclose(edge, -edge[:, ::-1], atol=1e-12)


@pytest.mark.parametrize("radius", [4, 6, 9])
def test_the_laplacian_of_gaussian_finds_a_disc_and_its_radius(radius: int) -> None:
    y, x = np.mgrid[:61, :61] - 30
    disc = (x**2 + y**2 <= radius**2).astype(float)
    sigmas = np.arange(2, 9, 0.25)
    middle = []
    for sigma in sigmas:
        kernel = handmade.laplacian_of_gaussian(sigma)
        assert kernel.sum() == pytest.approx(0, abs=1e-12)
        answer = handmade.see(disc, kernel, "replicate")
        assert np.unravel_index(answer.argmin(), answer.shape) == (30, 30) or sigma < radius / 2
        middle.append(answer[30, 30])
    assert sigmas[np.argmin(middle)] * math.sqrt(2) == pytest.approx(radius, abs=0.5)


def test_errors_of_hand_made_filters() -> None:
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        handmade.gaussian(0)
    with pytest.raises(ValueError, match="size must be odd, got 4"):
        handmade.plus_sign(4)
    with pytest.raises(ValueError, match="kind must be one of central, prewitt"):
        handmade.gradient("roberts")
    with pytest.raises(ValueError, match="wavelength and aspect must be positive"):
        handmade.gabor(-1)
    with pytest.raises(ValueError, match="of odd sizes, got"):
        handmade.see(np.ones((5, 5)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"must be \(H, W\), \(1, H, W\) or \(3, H, W\)"):
        handmade.see(np.ones((2, 5, 5)), np.ones((3, 3)))
