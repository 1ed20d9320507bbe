"""What Winograd makes of a geometry: its groups of taps and tiles, as the kernels have them."""

from __future__ import annotations

from typing import NamedTuple

from fastconv.backends.c.formats import LAST
from fastconv.backends.c.geometry import conv_of
from fastconv.backends.c.library import check_status, ffi, lib
from fastconv.spec import ConvSpec

__all__ = ["WinogradFacts", "winograd_facts"]

_DIRECTIONS = {
    "conv_forward": lib.FC_FORWARD,
    "conv_backward_input": lib.FC_BACKWARD_INPUT,
    "conv_backward_weight": lib.FC_BACKWARD_WEIGHT,
}


class WinogradFacts(NamedTuple):
    """Facts of one direction of one geometry."""

    gain: float  #: products of the direct algorithm over Winograd's
    tiles: int  #: of 4x4 outputs (1x4 with one transformed axis), without regard to dilation
    groups: int  #: of taps, which lengthen the sums over channels
    single: bool  #: whether a group has one tap


def winograd_facts(spec: ConvSpec, direction: str) -> WinogradFacts:
    """Ask C for the facts of ``conv_forward``, ``conv_backward_input`` or ``…_weight``."""
    key = ("winograd", direction)
    found = spec.cache.get(key)
    if found is None:
        found = spec.cache[key] = _ask(spec, direction)
    return found  # type: ignore[no-any-return]


def _ask(spec: ConvSpec, direction: str) -> WinogradFacts:
    facts = ffi.new("fc_winograd *")
    try:
        geometry = conv_of(spec).at(LAST, LAST)
        status = lib.fc_winograd_facts(_DIRECTIONS[direction], geometry, facts)
    except OverflowError:  # no 64-bit integers
        status = lib.FC_OVERFLOW
    if status == lib.FC_OVERFLOW:  # nothing runs such sizes
        return WinogradFacts(1.0, 0, 1, False)
    check_status(status, "winograd_facts")
    return WinogradFacts(facts.gain, facts.tiles, facts.groups, bool(facts.single))
