"""Other inference runtimes on the networks of bench, through ONNX files that PyTorch exports.

All are optional: :func:`installed` says which can be used. Each gets the same weights and input as
fastconv and must give the same output, but for the precision it chooses by itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from bench import steps
from bench.networks import Network, numbers

__all__ = ["EXPORT", "RUNTIMES", "export", "installed", "prepare"]

Call = Callable[[], Any]
EXPORT = "export"  # the side of bench.alone that writes the files
MODEL, WANTED = "network.onnx", "wanted.npy"
#: What a runtime may lose against float32: ncnn computes with half-precision storage, for one.
TOLERANCE = 5e-2


def onnxruntime(path: Path, x: np.ndarray, threads: int) -> Call:
    """ONNX Runtime, all graph optimisations."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})[0]


def openvino(path: Path, x: np.ndarray, threads: int) -> Call:
    """OpenVINO, tuned for latency, in float32."""
    import openvino as ov

    core = ov.Core()
    compiled = core.compile_model(
        str(path), "CPU",
        {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
         "INFERENCE_PRECISION_HINT": "f32"},
    )  # fmt: skip
    request = compiled.create_infer_request()
    return lambda: request.infer([x])[compiled.output(0)]


def ncnn(path: Path, x: np.ndarray, threads: int) -> Call:
    """Ncnn, converted by its own tool from TorchScript (pnnx), or declined where it is missing."""
    import ncnn as nc

    script = path.with_suffix(".pt")
    command = ["pnnx", str(script), f"inputshape=[{','.join(map(str, x.shape))}]"]
    tool = Path(sys.executable).with_name("pnnx")
    if tool.exists():
        command[0] = str(tool)
    subprocess.run(command, check=True, capture_output=True, cwd=path.parent)
    net = nc.Net()
    net.opt.num_threads = threads
    net.load_param(str(path.with_suffix(".ncnn.param")))
    net.load_model(str(path.with_suffix(".ncnn.bin")))
    given = nc.Mat(x[0])

    def run() -> Any:
        extractor = net.create_extractor()
        extractor.input("in0", given)
        return np.array(extractor.extract("out0")[1])[None]

    return run


def mnn(path: Path, x: np.ndarray, threads: int) -> Call:
    """MNN, converted by its own tool, in float32."""
    import MNN

    target = path.with_suffix(".mnn")
    command = [sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--modelFile", str(path),
               "--MNNModel", str(target), "--bizCode", "MNN"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    config = {"backend": "CPU", "precision": "high", "numThread": threads}
    runtime = MNN.nn.create_runtime_manager((config,))
    net = MNN.nn.load_module_from_file(str(target), ["input"], ["output"], runtime_manager=runtime)
    given = MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)

    def run() -> Any:
        found = net.forward([MNN.expr.convert(given, MNN.expr.NC4HW4)])[0]
        return np.array(MNN.expr.convert(found, MNN.expr.NCHW).read())

    return run


#: Name: the module to look for, and what prepares it.
RUNTIMES: dict[str, tuple[str, Callable[[Path, np.ndarray, int], Call]]] = {
    "ONNX Runtime": ("onnxruntime", onnxruntime),
    "OpenVINO": ("openvino", openvino),
    "ncnn": ("ncnn", ncnn),
    "MNN": ("MNN", mnn),
}


def installed() -> list[str]:
    """Runtimes that can be used here; none without the packages that PyTorch's exporter needs."""
    if any(importlib.util.find_spec(need) is None for need in ("torch", "onnx", "onnxscript")):
        return []
    return [name for name, (module, _) in RUNTIMES.items() if importlib.util.find_spec(module)]


def export(network: Network, folder: Path) -> None:
    """Write the network as ONNX and TorchScript, with the output that fastconv gives."""
    import torch

    state = steps.initial(network)
    made = steps.setup(torch, network, steps.MODES[1], state=state)
    with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        torch.onnx.export(
            made.module, (made.x,), str(folder / MODEL), input_names=["input"],
            output_names=["output"], dynamo=True, verbose=False, external_data=False,
        )  # fmt: skip
        torch.jit.trace(made.module, made.x).save(str((folder / MODEL).with_suffix(".pt")))
    wanted = steps.setup(fastconv, network, steps.MODES[1], state=state).step().numpy()
    np.save(folder / WANTED, wanted)


def prepare(name: str, network: Network, threads: int, folder: Path) -> Call:
    """Load a network from the folder of :func:`export`; a function that infers one input.

    Raises
    ------
    RuntimeError
        If it gives another output than fastconv.
    """
    wanted = np.load(folder / WANTED)
    call = RUNTIMES[name][1](folder / MODEL, numbers(network, 1)[0], threads)
    found = np.asarray(call())
    if found.size != wanted.size:
        raise RuntimeError(f"{name}: output of shape {found.shape}, not {wanted.shape}")
    error = np.linalg.norm(found.ravel() - wanted.ravel()) / np.linalg.norm(wanted)
    if not error < TOLERANCE:
        raise RuntimeError(f"{name}: results differ by {error:.2g}")
    return call
