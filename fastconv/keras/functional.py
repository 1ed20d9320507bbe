"""The functional form: ``x = Input(shape)``, ``y = Dense(3)(x)``, ``Model(x, y)``."""

from __future__ import annotations

from typing import Any

from .base import Layer, Shape


class KerasTensor:
    """What stands for a Tensor while a network is described.

    Attributes
    ----------
    shape : tuple
        With None for the batch.
    layer : Layer or None
        What makes it; None for an input.
    sources : list of KerasTensor
    """

    def __init__(self, shape: Shape, layer: Any = None, sources: Any = (), several: bool = False,
                 name: str | None = None) -> None:  # fmt: skip
        self.shape, self.layer, self.sources = tuple(shape), layer, list(sources)
        self.several, self.name = several, name

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def __add__(self, other: Any) -> Any:
        from .layers import Add

        return Add()([self, other])

    def __mul__(self, other: Any) -> Any:
        from .layers import Multiply

        return Multiply()([self, other])

    def __sub__(self, other: Any) -> Any:
        from .layers import Subtract

        return Subtract()([self, other])

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}>"


def Input(
    shape: Any = None, batch_size: int | None = None, name: str | None = None, **_: Any
) -> KerasTensor:
    """The input of a network; `shape` is without the batch."""
    if shape is None:
        raise ValueError("Input needs a shape, without the batch")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return KerasTensor((batch_size, *shape), name=name)


def connect(layer: Layer, x: Any) -> KerasTensor:
    """The result of a layer on what stands for Tensors."""
    several = isinstance(x, (list, tuple))
    sources = list(x) if several else [x]
    for source in sources:
        if not isinstance(source, KerasTensor):
            raise TypeError(f"{layer.name}: expected KerasTensors, got {type(source).__name__}")
    shapes: Any = [s.shape for s in sources] if several else x.shape
    return KerasTensor(layer.prepare(shapes), layer, sources, several)


def ordered(outputs: list[KerasTensor]) -> list[KerasTensor]:
    """All that leads to `outputs`, sources first."""
    found: dict[KerasTensor, None] = {}
    todo: list[tuple[KerasTensor, bool]] = [(t, False) for t in reversed(outputs)]
    while todo:
        t, ready = todo.pop()
        if t in found:
            continue
        if ready:
            found[t] = None
        else:
            todo.append((t, True))
            todo += [(s, False) for s in reversed(t.sources)]
    return list(found)
