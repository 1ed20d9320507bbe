"""Weights kept packed (``fastconv/packed.py``): what a form depends on, and making it."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from fastconv import packed
from fastconv._locks import make_lock
from fastconv.backends.c.library import Array, check_status, from_buffer, lib, thread_count
from fastconv.backends.c.machine import block
from fastconv.spec import ConvSpec


class Layout:
    """A way to pack weights; there is one object for all specs that share it.

    Attributes
    ----------
    isa : int
        The instruction set it is for.
    size : int
        Bytes; 0 where the kernel reads weights as they lie.
    """

    __slots__ = ("isa", "size", "__weakref__")

    def __init__(self, isa: int, size: int) -> None:
        self.isa, self.size = isa, size


_layouts: weakref.WeakValueDictionary[Any, Layout] = weakref.WeakValueDictionary()
_lock = make_lock()


def dense_pointer(w: Array) -> Any:
    """Return the pointer to weights, in C order."""
    try:
        return from_buffer(w)
    except ValueError:  # not contiguous
        return from_buffer(np.ascontiguousarray(w))


def layout_of(what: str, spec: ConvSpec, isa: int, kernel: int, code: int, geometry: Any) -> Layout:
    """Return how a kernel packs the weights of a convolution; sizes and batch do not matter."""
    phases = tuple(map(min, spec.stride, spec.in_size))
    key = (
        isa, kernel, code, spec.w_shape, spec.groups, spec.stride, phases, spec.pad, spec.dilation,
    )  # fmt: skip
    with _lock:
        found = _layouts.get(key)
        if found is None:
            size = lib.fc_conv_packed_bytes(isa, kernel, code, geometry)
            if size < 0:
                check_status(-size, what)
            found = _layouts[key] = Layout(isa, size)
    return found


def pack(
    what: str,
    store: packed.Packed,
    layout: Layout,
    kernel: int,
    code: int,
    geometry: Any,
    w: Array,
    parallel: bool,
) -> packed.Form | None:
    """Pack weights and keep them; None where there is no room."""
    if not packed.reserve(layout.size):
        return None
    try:
        memory = block(layout.size)
    except MemoryError:
        return None
    form = packed.Form(memory, from_buffer("char[]", memory, True))
    packed.count(form, layout.size)
    status = lib.fc_conv_pack(
        layout.isa, kernel, code, geometry, dense_pointer(w), form.pointer, layout.size,
        thread_count(parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)
    store.keep(layout, form)
    return form
