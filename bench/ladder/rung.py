"""A rung: a file of ``bench/ladder/rungs/``, its layer and what it may say about itself.

A rung is a Python file. Its docstring's first line is its title. It has one function, which writes
every element of its last operand:

    conv(layer, x, w, y, threads)     forward, x (C, H+2, W+2), w (K, C, 3, 3), y (K, H, W)
    conv(layer, g, w, dx, threads)    backward input, g (K, H, W), dx (C, H+2, W+2)
    conv(layer, g, x, dw, threads)    backward weight, dw (K, C, 3, 3)

``layer`` is (C, K, H, W). Operands are float32 and C-contiguous; the border is part of x.
``conv = kernel(__file__)`` takes the function from the C file of the same name. Names that a rung
may define beside it:

    DIRECTION   "forward" if it does not
    LAYOUT      "nchw" if it does not; "channels-last": x is (H+2, W+2, C), y is (H, W, K)
    EXACT       True if it does not; False: integers need not come out exactly, as with Winograd
    THREADED    False if it does not; True: it uses the threads it is given
    traffic(layer)           bytes that its inner loops load and store
    limits(layer, machine)   seconds that each resource needs at least, by name: the prediction
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

__all__ = ["BUILD", "DIRECTIONS", "RUNGS", "Layer", "Machine", "Rung", "discover", "kernel", "load"]

RUNGS = Path(__file__).parent / "rungs"
BUILD = Path(__file__).parent / "build"
DIRECTIONS = ("forward", "backward input", "backward weight")

Array = np.ndarray[Any, np.dtype[np.float32]]
Conv = Callable[["Layer", Array, Array, Array, int], Any]


class Layer(NamedTuple):
    """C input and K output channels, H × W outputs of a 3×3 kernel; one image."""

    C: int
    K: int
    H: int
    W: int

    @property
    def products(self) -> int:
        """Multiplications of the direct algorithm, in each direction."""
        return 9 * self.C * self.K * self.H * self.W

    @property
    def flops(self) -> int:
        """Operations: a product is a multiplication and an addition."""
        return 2 * self.products

    @property
    def nbytes(self) -> int:
        """Operands and result, each once."""
        return 4 * sum(map(int, map(np.prod, self.shapes().values())))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of x, w and y (their gradients have the same) in the layout nchw."""
        C, K, H, W = self
        return {"x": (C, H + 2, W + 2), "w": (K, C, 3, 3), "y": (K, H, W)}

    def __str__(self) -> str:
        return f"{self.C} → {self.K} channels at {self.H}×{self.W}"


class Machine(NamedTuple):
    """What was measured of it, for the threads in use: per second, operations and bytes."""

    peak: float  # FLOP, nothing but fused multiply-adds
    clock: float  # cycles; of all cores in use together
    l1: float  # bytes read from the L1 cache
    l2: float  # bytes read from the L2 cache
    memory: float  # bytes copied, read plus written


class Rung(NamedTuple):
    """A rung as it was found; ``reason`` says why it cannot run here, or is None."""

    name: str  # the file's, without ending
    title: str
    module: ModuleType | None
    reason: str | None = None

    def _get(self, name: str, default: Any) -> Any:
        return getattr(self.module, name, default)

    @property
    def direction(self) -> str:
        """One of :data:`DIRECTIONS`."""
        return str(self._get("DIRECTION", DIRECTIONS[0]))

    @property
    def channels_last(self) -> bool:
        """Whether images have their channels side by side."""
        return bool(self._get("LAYOUT", "nchw") == "channels-last")

    @property
    def exact(self) -> bool:
        """Whether integers come out exactly."""
        return bool(self._get("EXACT", True))

    @property
    def threaded(self) -> bool:
        """Whether it uses the threads it is given."""
        return bool(self._get("THREADED", False))

    @property
    def conv(self) -> Conv:
        """Its function."""
        return self._get("conv", None)  # type: ignore[no-any-return]

    def traffic(self, layer: Layer) -> float:
        """Bytes that its inner loops load and store; at least the operands and the result."""
        function = self._get("traffic", None)
        return float(function(layer)) if function else float(layer.nbytes)

    def limits(self, layer: Layer, machine: Machine) -> dict[str, float]:
        """Seconds that each resource needs at least; of the peak if it says nothing."""
        function = self._get("limits", None)
        return function(layer, machine) if function else {"FMA peak": layer.flops / machine.peak}


def load(path: Path) -> Rung:
    """Load one rung; what is wrong with it becomes its ``reason``."""
    name = f"bench.ladder.rungs.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba looks functions up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        return Rung(path.stem, path.stem, None, f"{type(error).__name__}: {error}")
    title = (module.__doc__ or path.stem).strip().split("\n")[0].rstrip(".")
    rung = Rung(path.stem, title, module)
    if not callable(rung.conv):
        return rung._replace(reason="it has no function conv")
    if rung.direction not in DIRECTIONS:
        return rung._replace(reason=f"DIRECTION must be one of {DIRECTIONS}")
    return rung


def discover(folder: Path = RUNGS) -> list[Rung]:
    """Every rung of a folder, in the order of the files' names."""
    return [load(path) for path in sorted(folder.glob("[0-9]*.py"))]


def extension(stem: str, folder: Path = BUILD) -> ModuleType:
    """The built extension of a C file; ``bench.ladder.setup`` builds it.

    Raises
    ------
    ImportError
        If it was not built.
    """
    name = f"ladder_{stem}"
    found = sorted(folder.glob(f"{name}.*.so"))
    if not found:
        raise ImportError(f"{stem}.c was not built")
    spec = importlib.util.spec_from_file_location(name, found[-1])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kernel(file: str) -> Conv:
    """The function of the C file that lies beside a rung: ``conv = kernel(__file__)``."""
    path = Path(file)
    built = extension(path.stem, path.parent.parent / "build")
    ffi, function = built.ffi, built.lib.conv

    def conv(layer: Layer, a: Array, b: Array, out: Array, threads: int) -> None:
        function(*layer, *(ffi.from_buffer("float[]", array) for array in (a, b, out)), threads)

    return conv
