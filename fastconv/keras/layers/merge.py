"""Several inputs as one."""

from __future__ import annotations

from typing import Any

from ...functions.join import cat
from ..base import Layer


class _Merge(Layer):
    def call(self, x: Any) -> Any:
        if not isinstance(x, (list, tuple)) or len(x) < 2:
            raise ValueError(f"{self.name} takes a list of at least two inputs")
        result = x[0]
        for other in x[1:]:
            result = self.pair(result, other)
        return result

    def pair(self, a: Any, b: Any) -> Any:
        """Two inputs as one."""
        raise NotImplementedError


class Add(_Merge):
    """The sum of several inputs."""

    def pair(self, a: Any, b: Any) -> Any:
        return a + b


class Subtract(_Merge):
    """The first input less the second."""

    def pair(self, a: Any, b: Any) -> Any:
        return a - b


class Multiply(_Merge):
    """The product of several inputs."""

    def pair(self, a: Any, b: Any) -> Any:
        return a * b


class Maximum(_Merge):
    """The largest of several inputs."""

    def pair(self, a: Any, b: Any) -> Any:
        return a.maximum(b)


class Minimum(_Merge):
    """The smallest of several inputs."""

    def pair(self, a: Any, b: Any) -> Any:
        return a.minimum(b)


class Average(Add):
    """The mean of several inputs."""

    def call(self, x: Any) -> Any:
        return super().call(x) / len(x)


class Concatenate(Layer):
    """Several inputs joined along an axis."""

    def __init__(self, axis: int = -1, **other: Any) -> None:
        super().__init__(**other)
        self.axis = axis

    def call(self, x: Any) -> Any:
        return cat(list(x), self.axis)
