"""``summary``: a network as a table, with shapes, parameters, multiply-adds and memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _watch, nn
from ..autograd import no_grad
from ..config import fusion
from ..dtypes import get_default_dtype
from ..random import get_rng_state, set_rng_state
from ..tensor import Tensor, wrap
from ..text import grouped

COLUMNS = ("input_size", "output_size", "num_params", "kernel_size", "mult_adds", "trainable")
HEADS = {
    "input_size": "Input Shape",
    "output_size": "Output Shape",
    "num_params": "Param #",
    "kernel_size": "Kernel Shape",
    "mult_adds": "Mult-Adds",
    "trainable": "Trainable",
}


class Row:
    """One call of one module.

    Attributes
    ----------
    name, kind : str
        Its name in the parent, and its class.
    depth : int
    leaf : bool
        Whether it has no modules of its own.
    input_size, output_size : list of int, or of lists
    num_params : int
        Of the module and all inside it.
    mult_adds : int
        Of the module itself (not of those inside).
    again : bool
        Whether its parameters have been counted in a row above.
    """

    def __init__(self, name: str, module: Any, depth: int) -> None:
        self.name, self.kind, self.depth = name, type(module).__name__, depth
        self.leaf = not any(True for _ in module.children())
        self.num_params = sum(p.numel() for p in module.parameters())
        own = [p for p in module.parameters(recurse=False)]
        self.own_params = sum(p.numel() for p in own)
        flags = {p.requires_grad for p in module.parameters()}
        self.trainable = "--" if not flags else "Partial" if len(flags) > 1 else str(flags.pop())
        weight = getattr(module, "weight", None)
        self.kernel_size: list[int] = (
            list(weight.shape[2:]) if isinstance(weight, Tensor) and weight.ndim > 2 else []
        )
        self.input_size: Any = []
        self.output_size: Any = []
        self.mult_adds = 0
        self.again = False


class ModelSummary:
    """What :func:`summary` found; as text it is the table.

    Attributes
    ----------
    rows : list of Row
    total_params, trainable_params, total_mult_adds : int
    input_bytes, output_bytes, param_bytes : int
        Of the input; of all results on the way, twice, as training keeps them and their gradients;
        of the parameters.
    """

    def __init__(self, title: str, rows: list[Row], model: Any, columns: Sequence[str],
                 depth: int) -> None:  # fmt: skip
        self.title, self.rows, self.columns, self.depth = title, rows, columns, depth
        parameters = list(model.parameters())
        self.total_params = sum(p.numel() for p in parameters)
        self.trainable_params = sum(p.numel() for p in parameters if p.requires_grad)
        self.param_bytes = sum(p._array.nbytes for p in parameters)
        self.total_mult_adds = sum(row.mult_adds for row in rows)
        self.input_bytes = self.output_bytes = 0

    def __str__(self) -> str:
        shown = [row for row in self.rows if row.depth <= self.depth]
        names = []
        for i, row in enumerate(shown):
            lead = "" if row.depth == 0 else "│    " * (row.depth - 1)
            last = not any(r.depth == row.depth for r in _until(shown[i + 1 :], row.depth))
            lead += "" if row.depth == 0 else "└─" if last else "├─"
            label = row.kind + (f" ({row.name})" if row.name else "")
            names.append(lead + label)
        cells = [
            [name, *(_cell(row, column) for column in self.columns)]
            for name, row in zip(names, shown, strict=True)
        ]
        heads = ["Layer (type (name))", *(HEADS[c] for c in self.columns)]
        widths = [max(len(r[i]) for r in [heads, *cells]) for i in range(len(heads))]
        lines = ["  ".join(t.ljust(w) for t, w in zip(r, widths, strict=True)).rstrip()
                 for r in [heads, *cells]]  # fmt: skip
        rule = "=" * max(sum(widths) + 2 * (len(widths) - 1), 40)
        mega = 1e6
        total = self.input_bytes + self.output_bytes + self.param_bytes
        foot = [
            f"Total params: {grouped(self.total_params)}",
            f"Trainable params: {grouped(self.trainable_params)}",
            f"Non-trainable params: {grouped(self.total_params - self.trainable_params)}",
            f"Total mult-adds (M): {grouped(self.total_mult_adds / mega, 2)}",
            rule,
            f"Input size (MB): {self.input_bytes / mega:.2f}",
            f"Forward/backward pass size (MB): {self.output_bytes / mega:.2f}",
            f"Params size (MB): {self.param_bytes / mega:.2f}",
            f"Estimated total size (MB): {total / mega:.2f}",
        ]
        return "\n".join([rule, lines[0], rule, *lines[1:], rule, *foot, rule])

    __repr__ = __str__


def _until(rows: list[Row], depth: int) -> list[Row]:
    """The rows before the first that is less deep."""
    for i, row in enumerate(rows):
        if row.depth < depth:
            return rows[:i]
    return rows


def _cell(row: Row, column: str) -> str:
    if column == "num_params":
        if row.again:
            return "(recursive)"
        return grouped(row.num_params) if row.num_params else "--"
    if column == "mult_adds":
        return grouped(row.mult_adds) if row.mult_adds else "--"
    if column == "trainable":
        return row.trainable
    value = getattr(row, column)
    return str(value) if value else "--"


def _shapes(value: Any) -> Any:
    if isinstance(value, Tensor):
        return list(value.shape)
    if isinstance(value, dict):
        return [_shapes(v) for v in value.values()]
    if isinstance(value, (tuple, list)):
        found = [_shapes(v) for v in value]
        return found[0] if len(found) == 1 else found
    return []


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return int(value._array.nbytes)
    if isinstance(value, dict):
        value = list(value.values())
    return sum(_bytes(v) for v in value) if isinstance(value, (tuple, list)) else 0


class _Products(_watch.Passing):
    """Counts the products of convolutions and matrices, for the module that runs them itself.

    Attributes
    ----------
    counts : list of int
        Of each module that is running, the innermost last.
    """

    def __init__(self, before: Any) -> None:
        super().__init__(before)
        self.counts: list[int] = []
        self.thread = threading.get_ident()

    def forward(self, cls: Any, ctx: Any, args: Sequence[Any]) -> Any:
        """Run an operation and count it."""
        found = super().forward(cls, ctx, args)
        count = PRODUCTS.get(cls.__name__)
        if count is not None and self.counts and threading.get_ident() == self.thread:
            self.counts[-1] += int(count(args, found))
        return found


def _with_bias(products: int, bias: Any, out: Any) -> int:
    return products + (0 if bias is None else out.size)


def _letters(args: Sequence[Any], _: Any) -> int:
    """Of a sum over letters: all combinations of them, for each array after the first."""
    names, _, *arrays = args
    sizes = {k: n for name, a in zip(names, arrays, strict=True) for k, n in zip(name, a.shape)}
    return math.prod(sizes.values()) * (len(arrays) - 1)


#: Products and additions of an operation, from its arrays and its result.
PRODUCTS: dict[str, Callable[[Sequence[Any], Any], int]] = {
    "Convolution": lambda a, y: _with_bias(y.size * math.prod(a[1].shape[1:]), a[2], y),
    "ConvTranspose": lambda a, y: _with_bias(a[0].size * math.prod(a[1].shape[1:]), a[2], y),
    "LinearOp": lambda a, y: _with_bias(y.size * a[1].shape[-1], a[2], y),
    "MatMul": lambda a, y: y.size * a[0].shape[-1],
    "Einsum": _letters,
}


def _multiply_adds(module: Any, output: Any, products: int) -> int:
    """Products of a module itself: of known layers as torchinfo counts them, else what it ran."""
    weight, bias = (getattr(module, name, None) for name in ("weight", "bias"))
    shape = output.shape if isinstance(output, Tensor) else ()
    if shape and isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)):
        # not of the parameters, which may be others that the weight is computed from
        own = sum(t._array.size for t in (weight, bias) if isinstance(t, Tensor))
        if isinstance(module, nn.Linear):
            return own * math.prod(shape[:-1])
        batched = len(shape) == weight.ndim  # type: ignore[union-attr]
        return own * math.prod(shape[2:] if batched else shape[1:]) * (shape[0] if batched else 1)
    if products or not shape:
        return products
    return shape[0] * sum(p.numel() for p in module.parameters(recurse=False))


def _inputs(model: Any, input_size: Any, input_data: Any, dtype: Any) -> tuple[Any, ...]:
    if input_data is not None:
        return tuple(input_data) if isinstance(input_data, (tuple, list)) else (input_data,)
    if input_size is None:
        raise ValueError("summary: give input_size, or input_data")
    sizes = (
        [input_size] if all(isinstance(n, (int, np.integer)) for n in input_size) else input_size
    )
    several = isinstance(dtype, (list, tuple))
    kinds = list(dtype) if several else [dtype or _dtype_of(model)] * len(sizes)
    if len(kinds) != len(sizes):
        raise ValueError(f"summary: dtype has {len(kinds)} types for {len(sizes)} inputs")
    found = []
    for size, kind in zip(sizes, [k.dtype for k in kinds], strict=True):
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in size):
            raise ValueError(f"summary: input_size must hold sizes, got {tuple(size)!r}")
        if kind.kind == "f":
            found.append(wrap(np.random.default_rng(0).standard_normal(tuple(size)).astype(kind)))
        else:  # indices, which 0 always is one of
            found.append(wrap(np.zeros(tuple(size), kind)))
    return tuple(found)


def _called(model: Any) -> list[Any]:
    """The modules of the network but for those that compute a weight of another."""
    weights = (name for name, _ in model.named_modules() if name.endswith("parametrizations"))
    hidden = {id(m) for name in weights for m in model.get_submodule(name).modules()}
    return [m for m in model.modules() if id(m) not in hidden]


def _dtype_of(model: Any) -> Any:
    for p in model.parameters():
        return p.dtype
    return get_default_dtype()


def summary(
    model: Any,
    input_size: Any = None,
    input_data: Any = None,
    *,
    depth: int = 3,
    col_names: Sequence[str] = ("input_size", "output_size", "num_params", "mult_adds"),
    dtype: Any = None,
    mode: str = "eval",
    verbose: int = 1,
    **kwargs: Any,
) -> ModelSummary:
    """A network as a table, from one pass of random numbers through it.

    Parameters
    ----------
    model : Module
        Its mode, its running statistics and the random state are as before afterwards.
    input_size : sequence of int, or of such
        With the batch: ``(1, 3, 224, 224)``.
    input_data : Tensor or sequence of Tensor, optional
        Instead of `input_size`.
    depth : int
        How many levels of modules are shown.
    col_names : sequence of str
        Any of "input_size", "output_size", "num_params", "kernel_size", "mult_adds", "trainable".
    dtype : dtype or sequence of dtype, optional
        Of the input, or of each; that of the parameters when not given. Integers are zeros.
    mode : "eval", "train" or "same"
    verbose : int
        0 does not print.
    **kwargs
        Further arguments of the model's ``forward``.

    Returns
    -------
    ModelSummary
        Columns and totals are those of torchinfo. Convolutions and products of matrices that a
        module runs itself, rather than by a layer inside it, are its own multiply-adds.

    Raises
    ------
    ValueError
        For unknown columns and sizes that are none.
    """
    if not isinstance(col_names, (list, tuple)) or not isinstance(mode, str):
        raise TypeError(
            "summary: col_names must be a list of str and mode a str, got "
            f"{col_names!r:.80} and {mode!r:.80}"
        )
    unknown = [c for c in col_names if c not in COLUMNS]
    if unknown:
        raise ValueError(f"summary: unknown columns {unknown}; there are {', '.join(COLUMNS)}")
    if mode not in ("eval", "train", "same"):
        raise ValueError(f"summary: mode must be 'eval', 'train' or 'same', got {mode!r}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"summary: model must be a Module, got {type(model).__name__}")
    inputs = _inputs(model, input_size, input_data, dtype)
    rows, open_rows, counted = [], [], set()  # type: ignore[var-annotated]
    outputs = 0
    names: dict[int, str] = {}
    for m in model.modules():
        for name, child in m.named_children():
            names.setdefault(id(child), name)
    handles = []
    watch = _Products(_watch.recorder)

    def before(module: Any, args: Any, keywords: Any) -> None:
        row = Row(names.get(id(module), ""), module, len(open_rows))
        row.again = id(module) in counted and row.num_params > 0
        counted.add(id(module))
        row.input_size = _shapes((*args, *keywords.values()))
        rows.append(row)
        open_rows.append(row)
        watch.counts.append(0)

    def after(module: Any, args: Any, keywords: Any, out: Any) -> None:
        nonlocal outputs
        row = open_rows.pop()
        row.output_size = _shapes(out)
        row.mult_adds = _multiply_adds(module, out, watch.counts.pop())
        if row.leaf or row.own_params:
            outputs += _bytes(out)

    state = {name: value.clone() for name, value in model.named_buffers()}
    random, modes = get_rng_state(), [(m, m.training) for m in model.modules()]
    try:
        for module in _called(model):
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after, with_kwargs=True))
        if mode != "same":
            model.train(mode == "train")
        _watch.recorder = watch
        with no_grad(), fusion(False):
            model(*inputs, **kwargs)
    finally:
        _watch.recorder = watch.before
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
        with no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(state[name])
        set_rng_state(random)
    found = ModelSummary(type(model).__name__, rows, model, tuple(col_names), depth)
    found.input_bytes, found.output_bytes = _bytes(inputs), 2 * outputs
    if verbose:
        print(found)
    return found
