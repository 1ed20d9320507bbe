"""Names of PyTorch's that will never be here: what each is, and what to do instead.

A name covers what is under it: ``quantization`` also answers for ``quantization.prepare``. Asking
for one is an AttributeError with its sentence, importing one an ImportError with it.
"""

from __future__ import annotations

import sys
from typing import Any

_SPARSE = "sparse tensors have no kernels here: keep the tensor dense, and mask or index it"
_QUANTISED = "quantisation engines need integer kernels: compute in float32"
_SYMBOLIC = "nothing traces programs here: call the function itself, or use hooks to look inside"
_GPU = "fastconv computes on the CPU only: use device 'cpu'"
_JIT = "there is no TorchScript: save model.state_dict(), and build the model again from its class"
_FUNC = "function transforms trace programs: use autograd.grad, or autograd.functional.jacobian"
_DEPLOY = "programs are not exported: save model.state_dict()"
_TEXT = "losses of language and speech models are out of scope"
_INTERNAL = "PyTorch's C++ internals are not part of its public names: use the public function"

#: Name, without the package's: what it is and what to do instead.
ABSENT: dict[str, str] = {
    "_C": _INTERNAL,
    "ao": _QUANTISED,
    "backends.quantized": _QUANTISED,
    "backends.xnnpack": "there is one engine: see fastconv.backend",
    "classes": _INTERNAL,
    "cuda.CUDAGraph": _GPU,
    "cuda.Event": _GPU,
    "cuda.Stream": _GPU,
    "cuda.comm": _GPU,
    "cuda.current_stream": _GPU,
    "cuda.default_stream": _GPU,
    "cuda.graph": _GPU,
    "cuda.nccl": _GPU,
    "distributed.fsdp": "parameters are never split over processes: use the plain module",
    "distributed.launch": "one process computes, with threads: see fastconv.set_num_threads",
    "distributed.pipeline": "one process computes, with threads: see fastconv.set_num_threads",
    "distributed.rpc": "one process computes, with threads: see fastconv.set_num_threads",
    "distributed.run": "one process computes, with threads: see fastconv.set_num_threads",
    "export": _DEPLOY,
    "fft.hfft": "take irfft of the conjugate",
    "fft.ihfft": "take the conjugate of rfft",
    "func.grad": _FUNC,
    "func.hessian": _FUNC,
    "func.jacfwd": _FUNC,
    "func.jacrev": _FUNC,
    "func.jvp": _FUNC,
    "func.vjp": _FUNC,
    "func.vmap": _FUNC,
    "functorch": _FUNC,
    "futures": "results are there when a function returns: use concurrent.futures",
    "fx.GraphModule": _SYMBOLIC,
    "fx.Interpreter": _SYMBOLIC,
    "fx.Proxy": _SYMBOLIC,
    "fx.Tracer": _SYMBOLIC,
    "fx.symbolic_trace": _SYMBOLIC,
    "hub.download_url_to_file": "nothing is downloaded: fetch the file yourself",
    "jit.ScriptFunction": _JIT,
    "jit.load": _JIT,
    "jit.save": _JIT,
    "library": "operations of your own are subclasses of autograd.Function",
    "masked": "use masked_fill, where, and sums over a mask",
    "mtia": _GPU,
    "nested": "use nn.utils.rnn.pad_sequence and a mask",
    "nn.AdaptiveLogSoftmaxWithLoss": _TEXT,
    "nn.EmbeddingBag": "take nn.Embedding, and the sum or mean over its axis",
    "nn.Transformer": "language models are out of scope: see nn.MultiheadAttention",
    "nn.TransformerDecoder": "language models are out of scope: see nn.MultiheadAttention",
    "nn.TransformerDecoderLayer": "language models are out of scope: see nn.MultiheadAttention",
    "nn.TransformerEncoder": "language models are out of scope: see nn.MultiheadAttention",
    "nn.TransformerEncoderLayer": "language models are out of scope: see nn.MultiheadAttention",
    "nn.intrinsic": _QUANTISED,
    "nn.qat": _QUANTISED,
    "nn.quantizable": _QUANTISED,
    "nn.quantized": _QUANTISED,
    "nn.utils.prune": "multiply the weight by a mask after each step",
    "overrides": "a subclass of Tensor is an ordinary class here: override its methods",
    "package": _DEPLOY,
    "per_tensor_affine": _QUANTISED,
    "qint8": _QUANTISED,
    "quantization": _QUANTISED,
    "quantize_per_channel": _QUANTISED,
    "quantize_per_tensor": _QUANTISED,
    "quint8": _QUANTISED,
    "sparse": _SPARSE,
    "sparse_coo": _SPARSE,
    "sparse_coo_tensor": _SPARSE,
    "sparse_csr_tensor": _SPARSE,
    "special.bessel_j0": "use scipy.special on x.numpy()",
    "special.digamma": "use scipy.special on x.numpy()",
    "special.gammaln": "use scipy.special on x.numpy()",
    "special.polygamma": "use scipy.special on x.numpy()",
    "special.zeta": "use scipy.special on x.numpy()",
    "stft": "cut the signal with Tensor.unfold, multiply by a window, and take fft.rfft",
    "istft": "take fft.irfft of the frames, and add them up",
    "testing": "use numpy.testing.assert_allclose on x.numpy()",
    "utils.benchmark": "use timeit, or fastconv.profile",
    "utils.bottleneck": "use fastconv.profile",
    "utils.bundled_inputs": _DEPLOY,
    "utils.collect_env": "use fastconv.info()",
    "utils.cpp_extension": "C kernels are built by setup.py: see CONTRIBUTING.md",
    "utils.dlpack": "use fastconv.from_dlpack, which takes anything with __dlpack__",
    "utils.mobile_optimizer": _DEPLOY,
    "vmap": _FUNC,
    "Tensor.coalesce": _SPARSE,
    "Tensor.dequantize": _QUANTISED,
    "Tensor.names": "axes have no names here: count them",
    "Tensor.refine_names": "axes have no names here: count them",
    "Tensor.rename": "axes have no names here: count them",
    "Tensor.align_to": "axes have no names here: use permute",
    "Tensor.is_shared": "memory is not shared between processes: send arrays, or load a file",
    "Tensor.to_mkldnn": "layouts are chosen by the engine: use the tensor as it is",
    "Tensor.to_sparse": _SPARSE,
    "Tensor.xpu": _GPU,
    "Tensor.set_": "use x.data = y, which shares y's memory",
}  # fmt: skip


def why(name: str) -> str | None:
    """The sentence for a dotted name, or for what it is under; None where there is none."""
    while name:
        found = ABSENT.get(name)
        if found is not None:
            return f"fastconv has no {name}: {found}"
        name = name.rpartition(".")[0]
    return None


def missing(module: str, name: str) -> AttributeError:
    """The error for asking `module` (its full name) for `name`."""
    path = f"{module}.{name}".partition(".")[2]
    return AttributeError(why(path) or f"module {module!r} has no attribute {name!r}", name=name)


def table() -> str:
    """The names as a table in Markdown, those with one sentence in one row."""
    rows: dict[str, list[str]] = {}
    for name, text in ABSENT.items():
        rows.setdefault(text, []).append(f"`{name}`")
    lines = [f"| {', '.join(names)} | {text} |" for text, names in rows.items()]
    return "\n".join(["| name | what to do instead |", "|---|---|", *lines]) + "\n"


class Refused:
    """Stands in a class for an attribute that it will never have."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        raise AttributeError(why(self.name))


def refuse(cls: type, prefix: str) -> None:
    """Let a class answer for the names under `prefix` that it will never have."""
    for name in ABSENT:
        head, _, last = name.rpartition(".")
        if head == prefix and last not in vars(cls):
            setattr(cls, last, Refused(name))


class _Finder:
    """The last that is asked for a module: says why there will never be one."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name.startswith("fastconv."):
            text = why(name[len("fastconv.") :])
            if text is not None:
                raise ImportError(text)


def install() -> None:
    """Let imports of absent modules and names end with their sentence."""
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)  # type: ignore[arg-type]
