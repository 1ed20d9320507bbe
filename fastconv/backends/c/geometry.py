"""A convolution as C sees it: its geometry in each memory format, and its packed weights."""

from __future__ import annotations

from typing import Any

from fastconv.backends.c.formats import LAST, element_strides, last_pointer
from fastconv.backends.c.library import (
    NULL,
    SERIAL_FLOPS,
    Array,
    check_same,
    ffi,
    from_buffer,
    lib,
)
from fastconv.backends.c.packing import Layout, dense_pointer, layout_of, pack
from fastconv.backends.kernel import Finish
from fastconv.packed import Form, Packed
from fastconv.spec import ConvSpec

NO_FINISH = (0.0, 0.0, NULL, NULL)


class Conv:
    """What C's calls share of a convolution: shapes, whether threads pay, a struct per format."""

    __slots__ = (
        "b_shape",
        "coef_shape",
        "empty",
        "fields",
        "geometry",
        "layouts",
        "parallel",
        "w_shape",
        "x_shape",
        "y_shape",
    )

    def __init__(self, spec: ConvSpec) -> None:
        self.x_shape, self.w_shape, self.y_shape = spec.x_shape, spec.w_shape, spec.y_shape
        self.b_shape, self.coef_shape = (spec.out_channels,), (3, spec.out_channels)
        self.parallel = spec.flops >= SERIAL_FLOPS
        self.empty = 0 in self.x_shape + self.w_shape + self.y_shape
        self.geometry: dict[int, Any] = {}
        self.fields = _geometry_fields(spec)
        self.layouts: dict[Any, Layout] = {}

    def at(self, x_form: int, y_form: int) -> Any:
        """Return the ``fc_conv_geom *`` for these formats."""
        geometry = self.geometry.get(x_form + 2 * y_form)
        if geometry is None:
            geometry = ffi.new("fc_conv_geom *", self.fields)
            geometry.x_stride = element_strides(x_form, self.x_shape[1], self.x_shape[2:])
            geometry.y_stride = element_strides(y_form, self.y_shape[1], self.y_shape[2:])
            self.geometry[x_form + 2 * y_form] = geometry
        return geometry


def _geometry_fields(spec: ConvSpec) -> dict[str, Any]:
    names = (
        "batch", "in_channels", "out_channels", "groups", "in_size", "out_size",
        "kernel", "stride", "pad", "dilation",
    )  # fmt: skip
    return {name: getattr(spec, name) for name in names}


def conv_of(spec: ConvSpec) -> Conv:
    """Return what C's calls share of this convolution, made when it is first asked for."""
    conv = spec.cache.get("c")
    if conv is None:
        conv = spec.cache["c"] = Conv(spec)
    return conv  # type: ignore[no-any-return]


def form_of(
    what: str, spec: ConvSpec, number: int, code: int, conv: Conv, w: Array, store: Packed
) -> tuple[Layout, Form | None]:
    """How a kernel packs these weights, and its form of them in `store`, packed now if need be.

    None where it reads them as they lie, or where there is no room.
    """
    geometry = conv.at(LAST, LAST)
    key = (lib.fc_get_isa(), number, code)
    layout = conv.layouts.get(key)
    if layout is None:
        layout = conv.layouts[key] = layout_of(what, spec, *key, geometry)
    if not layout.size:
        return layout, None
    form = store.forms.get(layout)
    return layout, form or pack(what, store, layout, number, code, geometry, w, conv.parallel)


def finish_pointers(
    what: str, conv: Conv, finish: Finish | None, shape: tuple[int, ...], dtype: Any, form: int
) -> tuple[float, float, Any, Any]:
    """Slope, limit, and the pointers to residual (of this shape) and coefficients or NULL."""
    if finish is None:
        return NO_FINISH
    slope, limit, residual, coef = finish
    r = c = NULL
    if coef is not None:
        if coef.shape != conv.coef_shape or coef.dtype != dtype:
            check_same(what, "coef", coef, conv.coef_shape, dtype)
        c = from_buffer(coef)
    if residual is not None:
        if residual.shape != shape or residual.dtype != dtype:
            check_same(what, "residual", residual, shape, dtype)
        r = last_pointer(residual) if form else dense_pointer(residual)
    return slope, limit, r, c
