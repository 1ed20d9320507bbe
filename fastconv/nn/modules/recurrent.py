"""RNN, GRU and LSTM, as layers over sequences and as single cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...functions.join import cat, stack
from ...spec import as_int
from ...tensor import Tensor, wrap
from .. import functional as F
from .. import init
from ..functional.recurrent import STEPS, run_sequence
from ..packed import PackedSequence
from ..parameter import Parameter
from .module import Module, check_device, empty

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


class RNNBase(Module):
    """What the recurrent layers share: parameters, directions and layers.

    Parameters
    ----------
    mode : "RNN_TANH", "RNN_RELU", "GRU" or "LSTM"
    input_size, hidden_size, num_layers : int
    bias : bool
    batch_first : bool
        (N, T, features) rather than (T, N, features).
    dropout : float
        Of each layer's output but the last's, in training.
    bidirectional : bool
        A second pass from the end, whose outputs follow those of the first.
    proj_size : int
        With an LSTM, the width to which its output is brought by a further matrix.
    device : "cpu", optional
    dtype : dtype, optional

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_hr_l0 : Parameter
        Of layer 0; others by their number, the second direction with `_reverse`.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device)
        name = type(self).__name__
        self.mode = mode
        self.input_size = as_int(name, "input_size", input_size)
        self.hidden_size = as_int(name, "hidden_size", hidden_size)
        self.num_layers = as_int(name, "num_layers", num_layers)
        self.proj_size = as_int(name, "proj_size", proj_size)
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"{name}: dropout must be between 0 and 1, got {dropout}")
        for argument in ("hidden_size", "num_layers"):
            if getattr(self, argument) < 1:
                raise ValueError(
                    f"{name}: {argument} must be positive, got {getattr(self, argument)}"
                )
        if not 0 <= self.proj_size < self.hidden_size or (self.proj_size and mode != "LSTM"):
            raise ValueError(
                f"{name}: proj_size must be below hidden_size {hidden_size}, and is for LSTM only, "
                f"got {proj_size}"
            )
        gates = GATES[mode] * hidden_size
        width, directions = proj_size or hidden_size, 2 if bidirectional else 1
        for layer in range(num_layers):
            features = input_size if layer == 0 else width * directions
            for end in ("", "_reverse")[:directions]:
                self._add(f"weight_ih_l{layer}{end}", dtype, gates, features)
                self._add(f"weight_hh_l{layer}{end}", dtype, gates, width)
                if bias:
                    self._add(f"bias_ih_l{layer}{end}", dtype, gates)
                    self._add(f"bias_hh_l{layer}{end}", dtype, gates)
                if proj_size:
                    self._add(f"weight_hr_l{layer}{end}", dtype, proj_size, hidden_size)
        self.reset_parameters()

    def _add(self, name: str, dtype: Any, *shape: int) -> None:
        self.register_parameter(name, Parameter(empty(shape, dtype)))

    def reset_parameters(self) -> None:
        """Draw everything evenly from ±1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: the weights need no common memory here."""

    def _weights(self, layer: int, end: str) -> tuple[Any, ...]:
        def get(name: str, there: bool = True) -> Any:
            return getattr(self, f"{name}_l{layer}{end}") if there else None

        return (
            get("weight_ih"),
            get("bias_ih", self.bias),
            get("weight_hh"),
            get("bias_hh", self.bias),
            get("weight_hr", self.proj_size > 0),
        )

    def _states(self, hx: Any, batch: int, single: bool, kind: Any) -> list[Tensor]:
        """The given initial states, with a batch axis, checked; zeros where there are none."""
        name = type(self).__name__
        count = self.num_layers * (2 if self.bidirectional else 1)
        widths = [self.proj_size or self.hidden_size]
        if self.mode == "LSTM":
            widths.append(self.hidden_size)
        if hx is None:
            return [wrap(np.zeros((count, batch, width), kind)) for width in widths]
        given = list(hx) if self.mode == "LSTM" else [hx]
        states = []
        for width, state in zip(widths, given, strict=True):
            expected = (count, width) if single else (count, batch, width)
            if not isinstance(state, Tensor) or tuple(state.shape) != expected:
                raise ValueError(
                    f"{name}: hidden state must have shape {expected}, "
                    f"got {tuple(state.shape) if isinstance(state, Tensor) else state!r}"
                )
            states.append(state.unsqueeze(1) if single else state)
        return states

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """The last layer's outputs, and the states after the last step.

        Parameters
        ----------
        input : Tensor or PackedSequence
            (T, N, input_size), with `batch_first` (N, T, input_size), or (T, input_size).
        hx : Tensor, or of an LSTM (h, c); optional
            (num_layers · directions, N, hidden_size), zeros when not given.

        Returns
        -------
        output : Tensor or PackedSequence
            (T, N, directions · hidden_size), or as the input is.
        state : Tensor, or of an LSTM (h, c)
            As `hx`; of packed sequences, after the last step of each.
        """
        name = type(self).__name__
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}: input must be a Tensor or a PackedSequence, got {type(input).__name__}"
            )
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input must have 2 or 3 dimensions, the last of size {self.input_size}, "
                f"got shape {tuple(input.shape)}"
            )
        single = input.ndim == 2
        x = input.unsqueeze(1) if single else input
        if self.batch_first and not single:
            x = x.transpose(0, 1)
        if x.shape[0] < 1:
            raise ValueError(f"{name}: input of shape {tuple(input.shape)} has no steps")
        states = self._states(hx, x.shape[1], single, input._array.dtype)
        x, final = self._layers(x, states, None)
        if single:
            x, final = x.squeeze(1), tuple(s.squeeze(1) for s in final)
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, (final if self.mode == "LSTM" else final[0])

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """`forward` of packed sequences; states are in the order that they had before packing."""
        data, sizes = input.data, input.batch_sizes.tolist()
        if data.ndim != 2 or data.shape[-1] != self.input_size or not sizes:
            raise ValueError(
                f"{type(self).__name__}: packed data must have shape (steps, {self.input_size}), "
                f"got {tuple(data.shape)}"
            )
        states = self._states(hx, sizes[0], False, data._array.dtype)
        if hx is not None and input.sorted_indices is not None:
            states = [s.index_select(1, input.sorted_indices) for s in states]
        x, final = self._layers(data, states, sizes)
        if input.unsorted_indices is not None:
            final = tuple(s.index_select(1, input.unsorted_indices) for s in final)
        return input.with_data(x), (final if self.mode == "LSTM" else final[0])

    def _layers(
        self, x: Tensor, states: list[Tensor], sizes: list[int] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers in all directions, on (T, N, features) or packed steps."""
        ends: Any = ("", "_reverse") if self.bidirectional else ("",)
        last: list[Any] = []
        for layer in range(self.num_layers):
            outputs = []
            for k, end in enumerate(ends):
                start = tuple(s[layer * len(ends) + k] for s in states)
                out, state = run_sequence(
                    self.mode, x, start, self._weights(layer, end), end != "", sizes
                )
                outputs.append(out)
                last.append(state)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
            if self.dropout and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(stack(list(parts)) for parts in zip(*last, strict=True))

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, usual in (
            ("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False),
            ("dropout", 0), ("bidirectional", False),
        ):  # fmt: skip
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text


class RNN(RNNBase):
    """h' = tanh(W x + b + U h + c) over sequences; arguments as `RNNBase` without mode.

    `nonlinearity`, "tanh" or "relu", comes after `num_layers`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory over sequences; arguments as `RNNBase` without mode."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent units over sequences; arguments as `RNNBase` without mode."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(Module):
    """What the cells share: one step with weights of its own."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None
    mode: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device)
        self.input_size = as_int(type(self).__name__, "input_size", input_size)
        self.hidden_size = as_int(type(self).__name__, "hidden_size", hidden_size)
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((rows, input_size), dtype))
        self.weight_hh = Parameter(empty((rows, hidden_size), dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty((rows,), dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw everything evenly from ±1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, input: Tensor, hx: Any) -> Any:
        """The new state, of (N, input_size) or (input_size,)."""
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input must be a Tensor, got {type(input).__name__}")
        shape = tuple(input.shape)
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input must be (N, {self.input_size}) or ({self.input_size},), got {shape}"
            )
        expected = (*shape[:-1], self.hidden_size)
        count = 2 if self.mode == "LSTM" else 1
        if hx is None:
            state: Any = (wrap(np.zeros(expected, input._array.dtype)),) * count
        else:
            state = tuple(hx) if self.mode == "LSTM" else (hx,)
        for part in state:
            if tuple(part.shape) != expected:
                raise ValueError(
                    f"{name}: hidden state must have shape {expected}, got {tuple(part.shape)}"
                )
        x = F.linear(input, self.weight_ih, self.bias_ih)
        return STEPS[self.mode](x, state, self.weight_hh, self.bias_hh, None)[1]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.mode == "RNN_RELU":
            text += ", nonlinearity=relu"
        return text


class RNNCell(RNNCellBase):
    """One step h' = tanh(W x + b + U h + c)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"RNNCell: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}"
            )
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity
        self.mode = f"RNN_{nonlinearity.upper()}"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, hx)[0]  # type: ignore[no-any-return]


class GRUCell(RNNCellBase):
    """One step of gated recurrent units."""

    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, hx)[0]  # type: ignore[no-any-return]


class LSTMCell(RNNCellBase):
    """One step of long short-term memory: (h, c) from (h, c)."""

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        return self._step(input, hx)  # type: ignore[no-any-return]
