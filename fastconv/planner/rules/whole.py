"""Kernels as large as their input."""

from __future__ import annotations

from fastconv.planner.rules.base import Spec
from fastconv.spec import ConvSpec


def whole_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.groups > 1:
        return f"{spec.groups} groups: no single matrix"
    alone = spec.kernel == spec.in_size and set(spec.dilation) == {1}
    if not alone or any(spec.pad) or spec.out_size != (1, 1, 1):
        return f"kernel {spec.kernel} does not cover the input {spec.in_size} once, unpadded"
    return None


def whole_slow(spec: Spec) -> str | None:
    if isinstance(spec, ConvSpec) and spec.kernel == (1, 1, 1):
        return "kernel 1: already a matrix product"
    return None
