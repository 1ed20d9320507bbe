"""fastconv behind ONNX's own interface, ``onnx.backend.base.Backend``.

import fastconv.onnx.backend as backend
outputs = backend.run_model(model, [x])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import OnnxError, need_onnx

need_onnx()

from onnx.backend.base import Backend, BackendRep, namedtupledict  # noqa: E402

__all__ = [
    "FastconvBackend",
    "FastconvRep",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]


class FastconvRep(BackendRep):
    """A model that is ready to run."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs as ndarrays.

        Parameters
        ----------
        inputs : ndarray, sequence or dict of them
        """
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        names = [name or f"output{k}" for k, name in enumerate(self.module.output_names)]
        found = self.module.run(inputs)
        return namedtupledict("Outputs", names)(*found)  # type: ignore[no-any-return]


class FastconvBackend(Backend):
    """Runs ONNX models with fastconv, on the CPU."""

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether every operator of the model is there."""
        from .graph import Builder

        if not cls.supports_device(device):
            return False
        builder = Builder(model)
        try:
            builder.expand()
        except OnnxError:
            return False
        return not builder.unknown(builder.model.graph)

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> FastconvRep:
        """Read a model.

        Raises
        ------
        UnknownOperator, OnnxError
            As :func:`fastconv.onnx.load`.
        ValueError
            For another device than the CPU.
        """
        from . import load

        if not cls.supports_device(device):
            raise ValueError(f"device {device!r} is not supported: fastconv runs on the CPU")
        return FastconvRep(load(model))

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any) -> Any:
        """Read a model and run it once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: Any,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Run one node.

        Parameters
        ----------
        node : onnx.NodeProto
        inputs : sequence or dict of ndarray
            In the order of the node's inputs, or by name.
        outputs_info : sequence, optional
            (dtype, shape) of each output; not needed.
        opset_version : int, optional
            By default the newest that the onnx package knows.
        """
        onnx = need_onnx()
        names = [name for name in node.input if name]
        given = inputs if isinstance(inputs, dict) else dict(zip(names, inputs, strict=True))
        arrays = {k: np.asarray(v) for k, v in given.items()}
        ins = [
            onnx.helper.make_tensor_value_info(
                k, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), list(a.shape)
            )
            for k, a in arrays.items()
        ]
        outs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "node", ins, outs)
        version = kwargs.get("opset_version") or onnx.defs.onnx_opset_version()
        opsets = [onnx.helper.make_opsetid("", version)]
        if node.domain:
            opsets.append(onnx.helper.make_opsetid(node.domain, kwargs.get("domain_version", 1)))
        model = onnx.helper.make_model(graph, opset_imports=opsets)
        return cls.prepare(model, device).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it is the CPU."""
        return str(device).split(":")[0].upper() == "CPU"


prepare = FastconvBackend.prepare
run_model = FastconvBackend.run_model
run_node = FastconvBackend.run_node
supports_device = FastconvBackend.supports_device
is_compatible = FastconvBackend.is_compatible
