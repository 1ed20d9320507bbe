"""Every name that public CNN code uses: it resolves, or a sentence says what to do instead."""

from __future__ import annotations

import importlib
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv as torch
from fastconv import _once, absent, nn
from tests import scripts

MODULES = """
__config__ _dynamo accelerator amp amp.autocast_mode amp.grad_scaler autograd
autograd.anomaly_mode autograd.function autograd.functional autograd.grad_mode autograd.graph
autograd.profiler autograd.variable backends backends.cuda backends.cudnn backends.mkl
backends.mkldnn backends.mps compiler cpu cpu.amp cuda cuda.amp cuda.nvtx distributed
distributions distributions.bernoulli distributions.categorical distributions.kl
distributions.normal distributions.uniform fft func functional fx hub jit linalg mps
multiprocessing nn nn.functional nn.grad nn.init nn.modules nn.modules.activation
nn.modules.batchnorm nn.modules.container nn.modules.conv nn.modules.dropout nn.modules.flatten
nn.modules.instancenorm nn.modules.linear nn.modules.loss nn.modules.module
nn.modules.normalization nn.modules.padding nn.modules.pixelshuffle nn.modules.pooling
nn.modules.channelshuffle nn.modules.fold nn.modules.rnn nn.modules.sparse nn.modules.upsampling
nn.modules.utils nn.parallel nn.parallel.data_parallel nn.parallel.distributed nn.parameter
nn.utils nn.utils.clip_grad nn.utils.convert_parameters nn.utils.fusion nn.utils.rnn
nn.utils.stateless optim optim.lr_scheduler optim.optimizer profiler random special storage types
utils utils.checkpoint utils.data utils.data._utils.collate utils.data.dataloader
utils.data.dataset utils.data.distributed utils.data.sampler utils.model_zoo utils.tensorboard
version xpu
""".split()  # noqa: SIM905

NAMES = """
autograd.Variable autograd.Function autograd.grad autograd.gradcheck autograd.backward
autograd.no_grad autograd.enable_grad autograd.set_grad_enabled autograd.set_detect_anomaly
autograd.detect_anomaly autograd.profiler.profile autograd.profiler.record_function
autograd.functional.jacobian autograd.functional.hessian autograd.grad_mode.no_grad FloatTensor
DoubleTensor HalfTensor LongTensor IntTensor ShortTensor CharTensor ByteTensor BoolTensor
cuda.FloatTensor cuda.LongTensor cuda.ByteTensor jit.script jit.ignore jit.unused jit.export
jit.is_scripting jit.trace jit.Final jit.ScriptModule jit.script_method jit.annotate fx.wrap
_dynamo.disable _dynamo.config compiler.disable compiler.is_compiling compile
accelerator.is_available accelerator.current_accelerator backends.cudnn.benchmark
backends.cudnn.deterministic backends.cudnn.enabled backends.cudnn.allow_tf32
backends.mkldnn.is_available backends.mps.is_available backends.cuda.matmul
utils.model_zoo.load_url hub.load_state_dict_from_url hub.load nn.parallel.DataParallel
nn.DataParallel nn.parallel.DistributedDataParallel nn.init.kaiming_normal nn.init.kaiming_uniform
nn.init.xavier_uniform nn.init.xavier_normal nn.init.normal nn.init.uniform nn.init.constant
nn.init.orthogonal nn.init.eye nn.init.dirac nn.init.sparse diff renorm functional.einsum
utils.tensorboard.SummaryWriter utils.data.get_worker_info utils.data.random_split
utils.data.Subset utils.data.ConcatDataset utils.data.distributed.DistributedSampler
utils.data.DistributedSampler utils.data.dataloader.default_collate
utils.data.sampler.SubsetRandomSampler nn.modules.utils._single nn.modules.utils._pair
nn.modules.utils._triple nn.modules.utils._quadruple nn.modules.utils._ntuple
nn.modules.batchnorm._BatchNorm nn.modules.conv._ConvNd nn.modules.loss._Loss
optim.lr_scheduler._LRScheduler optim.lr_scheduler.ChainedScheduler optim.lr_scheduler.CyclicLR
optim.swa_utils optim.optimizer.required Tensor.new Tensor.storage Tensor.untyped_storage
Tensor.apply_ Tensor.map_ Tensor.renorm Tensor.diff Tensor.register_post_accumulate_grad_hook
nn.Module.half nn.Module.bfloat16 nn.Module.share_memory nn.Module.register_backward_hook
nn.Module.register_state_dict_post_hook nn.Module.register_load_state_dict_post_hook
nn.Module.register_load_state_dict_pre_hook amp.autocast amp.GradScaler cuda.amp.autocast
cuda.amp.GradScaler autocast linalg.norm linalg.svd linalg.inv linalg.solve linalg.det linalg.eigh
linalg.qr linalg.cholesky linalg.pinv linalg.lstsq nn.Embedding nn.LSTM nn.GRU nn.RNN
nn.utils.weight_norm nn.utils.spectral_norm optim.LBFGS nn.functional.grid_sample
nn.functional.affine_grid fft.fft fft.ifft fft.fft2 fft.ifft2 fft.rfft fft.irfft fft.rfft2
fft.irfft2 fft.fftshift fft.ifftshift special.expit special.logit distributions.Normal
distributions.Bernoulli distributions.Categorical distributions.Uniform
distributions.kl_divergence version.__version__ version.cuda __version__ __config__.show
use_deterministic_algorithms set_float32_matmul_precision set_default_tensor_type
set_default_device cuda.is_available cuda.device_count cuda.empty_cache cuda.synchronize
cuda.manual_seed cuda.manual_seed_all cuda.get_device_name cuda.amp mps.is_available
nn.utils.fusion.fuse_conv_bn_eval nn.grad.conv2d_weight nn.utils.rnn.pad_sequence
nn.utils.rnn.pack_padded_sequence nn.utils.rnn.pad_packed_sequence nn.utils.rnn.pack_sequence
nn.utils.rnn.PackedSequence nn.CTCLoss nn.functional.ctc_loss
distributed.init_process_group multiprocessing.spawn func.functional_call bfloat16 complex64
strided layout types.Device default_generator
""".split()  # noqa: SIM905


def resolve(path: str) -> Any:
    value: Any = fastconv
    for part in path.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("path", MODULES)
def test_module(path: str) -> None:
    module = importlib.import_module(f"fastconv.{path}")
    if not path.startswith("utils.data."):
        assert resolve(path) is module


def test_paths_are_attributes_before_anything_is_imported() -> None:
    """``torch.nn.modules.batchnorm._BatchNorm`` after ``import fastconv as torch`` alone."""
    program = (
        "import fastconv\n"
        "from functools import reduce\n"
        f"for path in {[*NAMES, *(m for m in MODULES if not m.startswith('utils.data.'))]}:\n"
        "    reduce(getattr, path.split('.'), fastconv)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-300:]


@pytest.mark.parametrize("path", NAMES)
def test_name(path: str) -> None:
    resolve(path)


def test_one_module_under_two_names() -> None:
    import fastconv.utils.data.sampler as sampler

    assert torch.utils.data is torch.data and sampler is torch.data.sampler
    assert sampler.SubsetRandomSampler is torch.data.SubsetRandomSampler


def test_light_import() -> None:
    code = (
        "import sys, fastconv; "
        "print(*(m for m in ('nn', 'linalg', 'fft', 'hub', 'jit', 'cuda', 'distributions') "
        "if f'fastconv.{m}' in sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert found.stdout.strip() == ""


# what will never be there


@pytest.mark.parametrize("path", absent.ABSENT)
def test_absent(path: str) -> None:
    head, _, last = path.rpartition(".")
    owner: Any = fastconv
    for part in head.split(".") if head else ():
        owner = getattr(owner, part)
    assert not hasattr(owner, last), f"{path} is there: take it out of the table"
    with pytest.raises(AttributeError, match=re.escape(f"fastconv has no {path}: ")):
        getattr(owner, last)


def test_absent_imports() -> None:
    for line in (
        "from fastconv import vmap",
        "import fastconv.quantization.observer",
        "from fastconv.sparse import mm",
        "from fastconv.nn.utils import prune",
    ):
        with pytest.raises(ImportError, match="fastconv has no"):
            exec(line)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("fastconv.nothing_of_this_name")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        fastconv.nothing  # noqa: B018


def test_the_table_in_the_docs() -> None:
    text = (Path(__file__).parents[1] / "docs" / "torch.md").read_text(encoding="utf-8")
    assert text.endswith(absent.table()), "write absent.table() to the end of docs/torch.md"


# type objects


def test_types() -> None:
    x = torch.ones(2, 3)
    assert isinstance(x, torch.FloatTensor) and not isinstance(x, torch.DoubleTensor)
    assert isinstance(nn.Parameter(x), torch.FloatTensor) and not isinstance(3, torch.FloatTensor)
    assert not isinstance(x, torch.cuda.FloatTensor)
    assert x.type(torch.DoubleTensor).dtype == torch.float64
    assert x.type("torch.LongTensor").dtype == torch.int64
    assert x.type("torch.LongTensor").type() == "fastconv.LongTensor"
    assert torch.LongTensor([1, 2]).tolist() == [1, 2] and torch.ByteTensor(2, 3).shape == (2, 3)
    assert torch.FloatTensor(x.shape).shape == (2, 3) and torch.FloatTensor().shape == (0,)
    assert torch.CharTensor([3]).dtype == torch.int8 and torch.HalfTensor([3]).dtype == torch.half
    for call in (lambda: torch.cuda.FloatTensor(3), lambda: x.type(torch.cuda.FloatTensor),
                 lambda: x.type("torch.cuda.FloatTensor")):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"no CUDA device.*fastconv\.FloatTensor"):
            call()
    with pytest.raises(ValueError, match="unknown type"):
        x.type("torch.NoTensor")
    try:
        torch.set_default_tensor_type("torch.DoubleTensor")
        assert torch.zeros(1).dtype == torch.float64
    finally:
        torch.set_default_tensor_type(torch.FloatTensor)
    assert torch.zeros(1).dtype == torch.float32


def test_names_of_foreign_types() -> None:
    kind = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    assert kind is torch.float16 and torch.bfloat16.itemsize == 2
    with pytest.raises(TypeError, match="bfloat16: kernels are float32 and float64"):
        torch.zeros(2, dtype=torch.bfloat16)
    assert pickle.loads(pickle.dumps(torch.bfloat16)) is torch.bfloat16
    assert torch.zeros(1).layout == torch.strided


# tensors


def test_attributes_of_ones_own() -> None:
    p, t = nn.Parameter(torch.zeros(2)), torch.zeros(2)
    p._no_weight_decay, t.label = True, "x"
    assert p._no_weight_decay and t.label == "x"
    assert pickle.loads(pickle.dumps(p))._no_weight_decay
    late = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1))(torch.randn(2, 1, 5, 5))
    late.label = 1
    assert late.mean().item() == pytest.approx(0, abs=1e-5) and late.label == 1


def test_storage() -> None:
    x = torch.arange(12.0).reshape(3, 4)
    s, u = x.storage(), x[1:].untyped_storage()
    assert s.size() == len(s) == 12 and s[3] == 3.0 and s.tolist()[-1] == 11.0
    assert u.nbytes() == u.size() == 48 and s.data_ptr() == u.data_ptr() == x.data_ptr()
    assert torch.is_storage(s) and s == x.storage() and s.dtype == torch.float32
    assert s != torch.zeros(12).storage()


def test_new_apply_map() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert x.new([3, 4]).dtype == torch.float64 and x.new(2, 3).shape == (2, 3)
    assert x.new().shape == (0,) and x.new(torch.Size([4])).shape == (4,)
    assert x.apply_(lambda v: v * 10).tolist() == [10.0, 20.0]
    assert x.map_(torch.tensor([1.0, 2.0]), lambda a, b: a - b).tolist() == [9.0, 18.0]
    with pytest.raises(RuntimeError, match="detach"):
        (torch.ones(2, requires_grad=True) * 1).apply_(abs)


@pytest.mark.torch
def test_diff_renorm_torch() -> None:
    real = pytest.importorskip("torch")
    a = np.random.default_rng(0).standard_normal((4, 5))
    calls = [
        lambda m, x: x.diff(),
        lambda m, x: m.diff(x, 2, 0),
        lambda m, x: m.diff(x, prepend=x[:, :1], append=x[:, :2]),
        lambda m, x: m.renorm(x, 2, 0, 1.5),
        lambda m, x: x.renorm(1, 1, 2.0),
        lambda m, x: x.sum_to_size(1, 5),
    ]
    for call in calls:
        x, t = torch.tensor(a, requires_grad=True), real.tensor(a, requires_grad=True)
        y, z = call(torch, x), call(real, t)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-6)
        (y * y).sum().backward()
        (z * z).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-5, atol=1e-7)
    flags = torch.tensor([True, False, False])
    assert flags.diff().tolist() == [True, False]
    y = torch.tensor(a)
    assert y.renorm_(2, 0, 0.5) is y
    np.testing.assert_allclose(y.norm(dim=1).numpy(), 0.5, rtol=1e-5)


# hooks


def test_post_accumulate_hook() -> None:
    w = torch.ones(3, requires_grad=True)
    seen: list[Any] = []
    handle = w.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    w.register_hook(lambda g: g * 2)
    (w * 3).sum().backward()
    assert seen == [[6.0] * 3]
    (w * 3).sum().backward()
    handle.remove()
    (w * 3).sum().backward()
    assert seen == [[6.0] * 3, [12.0] * 3]
    with pytest.raises(RuntimeError, match="non-leaf"):
        (w * 2).register_post_accumulate_grad_hook(print)


def test_step_in_a_hook() -> None:
    model = nn.Linear(3, 1)
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

    def step(p: Any) -> None:
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(step)
    before = model.bias.item()
    model(torch.ones(2, 3)).sum().backward()
    assert model.bias.item() == pytest.approx(before - 0.2) and model.bias.grad is None


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_register_backward_hook_torch() -> None:
    real = pytest.importorskip("torch")
    seen: dict[str, list[Any]] = {"ours": [], "theirs": []}
    a = np.random.default_rng(1).standard_normal((2, 1, 6, 6)).astype("float32")
    ours = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 3))
    theirs = real.nn.Sequential(real.nn.Conv2d(1, 2, 3), real.nn.ReLU(), real.nn.Conv2d(2, 1, 3))
    theirs.load_state_dict({k: real.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    for name, model, x in (("ours", ours, torch.tensor(a)), ("theirs", theirs, real.tensor(a))):
        for i in (0, 1, 2):
            model[i].register_backward_hook(
                lambda m, gi, go, name=name: seen[name].append((gi, go))
            )
        model(x).sum().backward()
    assert len(seen["ours"]) == len(seen["theirs"]) == 3
    for (gi, go), (ti, to) in zip(seen["ours"], seen["theirs"], strict=True):
        for g, t in zip((*gi, *go), (*ti, *to), strict=True):
            assert (g is None) == (t is None)
            if g is not None:
                np.testing.assert_allclose(g.numpy(), t.numpy(), atol=1e-4)


def test_backward_hook_replaces() -> None:
    layer = nn.ReLU()
    layer.register_backward_hook(lambda m, gi, go: (gi[0] * 0 + 7,))
    x = torch.ones(3, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [7.0] * 3


def test_state_hooks() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    order: list[str] = []
    model.register_state_dict_pre_hook(lambda m, prefix, keep: order.append(f"pre {prefix}"))
    model[1].register_state_dict_post_hook(lambda m, s, prefix, meta: order.append(prefix))
    model.register_state_dict_post_hook(lambda m, s, prefix, meta: s.update(more=1))
    state = model.state_dict()
    assert order == ["pre ", "1."] and state.pop("more") == 1

    def rename(m: Any, state: Any, prefix: str, *rest: Any) -> None:
        state[f"{prefix}bias"] = state.pop(f"{prefix}b")

    model[0].register_load_state_dict_pre_hook(rename)
    model.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    old = {("0.b" if k == "0.bias" else k): v + 1 for k, v in state.items()}
    bias = model[0].bias.clone()
    model.load_state_dict(old)
    assert model[0].bias.tolist() == (bias + 1).tolist() and "0.b" in old
    del old["1.bias"]
    assert model.load_state_dict(old, strict=False).missing_keys == []


def test_optimizer_hooks() -> None:
    class Own(torch.optim.Optimizer):
        def __init__(self, params: Any, lr: Any = torch.optim.optimizer.required) -> None:
            super().__init__(params, {"lr": lr})

        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.add_(p.grad.data, alpha=-group["lr"])

    for kind in (torch.optim.SGD, torch.optim.Adam, Own):
        p = torch.ones(2, requires_grad=True)
        optimizer = kind([p], lr=0.5)
        order: list[str] = []
        log = order.append
        optimizer.register_step_pre_hook(lambda o, args, kwargs, log=log: log("pre"))
        optimizer.register_step_post_hook(lambda o, args, kwargs, log=log: log("post"))
        optimizer.register_state_dict_post_hook(lambda o, s: {**s, "more": 1})
        optimizer.register_load_state_dict_pre_hook(lambda o, s, log=log: log("load"))
        p.sum().backward()
        optimizer.step()
        assert p.tolist() == pytest.approx([0.5, 0.5])
        state = optimizer.state_dict()
        assert state["more"] == 1
        optimizer.load_state_dict(state)
        assert order == ["pre", "post", "load"]
    with pytest.raises(ValueError, match="required"):
        Own([torch.ones(2)])


# autograd


def test_anomaly() -> None:
    x, detect = torch.zeros(2, requires_grad=True), torch.autograd.detect_anomaly
    with pytest.raises(RuntimeError, match=r"SqrtBackward0.*nan.*0th output"), detect():
        (x.sqrt() * 0).sum().backward()
    assert not torch.autograd.is_anomaly_enabled()
    torch.autograd.set_detect_anomaly(True)
    try:
        assert torch.autograd.is_anomaly_enabled()
        with torch.autograd.set_detect_anomaly(False):
            assert not torch.autograd.is_anomaly_enabled()
        (x + 1).sum().backward()
    finally:
        torch.autograd.set_detect_anomaly(False)
    (x.sqrt() * 0).sum().backward()


@pytest.mark.torch
def test_jacobian_torch() -> None:
    real = pytest.importorskip("torch")
    a = np.random.default_rng(2).standard_normal((2, 3))

    def two(x: Any, y: Any) -> Any:
        return (x * y).sum(0), x.exp()

    ours, theirs = torch.autograd.functional, real.autograd.functional
    x, t = torch.tensor(a), real.tensor(a)
    for call in (
        lambda f, v: f.jacobian(lambda q: q.exp().sum(1), v),
        lambda f, v: f.jacobian(two, (v, v * 2))[0][1],
        lambda f, v: f.hessian(lambda q: (q**3).sum(), v),
        lambda f, v: f.vjp(lambda q: q.exp(), v, v)[1],
        lambda f, v: f.vhp(lambda q: (q**3).sum(), v, v)[1],
    ):
        np.testing.assert_allclose(call(ours, x).numpy(), call(theirs, t).numpy(), rtol=1e-9)


# modules without effect


def test_said_once() -> None:
    _once._said.clear()
    model = nn.Linear(2, 2)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            with torch.autocast("cuda", dtype=torch.bfloat16):
                model(torch.ones(1, 2))
            with torch.cuda.amp.autocast(enabled=True):
                pass
            assert torch.jit.script(model) is model
            assert torch.jit.trace(model, torch.ones(1, 2)) is model
            assert torch.compile(model, mode="max-autotune") is model
            with torch.autocast("cpu", enabled=False):
                pass
    assert len(said) == 4


def test_decorators() -> None:
    def f() -> int:
        return 3

    for decorator in (
        torch.jit.ignore, torch.jit.ignore(), torch.jit.ignore(drop=True), torch.jit.unused,
        torch.jit.export, torch.jit.script_if_tracing, torch.fx.wrap, torch.compiler.disable,
        torch.compiler.disable(), torch._dynamo.disable, torch.amp.custom_bwd,
        torch.amp.custom_fwd(device_type="cuda"), torch.cuda.amp.custom_fwd,
    ):  # fmt: skip
        assert decorator(f) is f
    assert torch.compile()(f) is f
    assert torch.autocast("cpu")(f)() == 3
    assert not torch.jit.is_scripting() and not torch.compiler.is_compiling()
    assert torch.jit.isinstance([1], list[int]) and torch.jit.ScriptModule is nn.Module


def test_grad_scaler() -> None:
    p = torch.ones(2, requires_grad=True)
    optimizer, scaler = torch.optim.SGD([p], lr=1.0), torch.amp.GradScaler("cuda")
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [0.0, 0.0] and scaler.get_scale() == 1.0
    scaler.load_state_dict(scaler.state_dict())


def test_settings() -> None:
    torch.backends.cudnn.benchmark = torch.backends.cuda.matmul.allow_tf32 = True
    assert torch.backends.cudnn.benchmark
    with torch.backends.cudnn.flags(benchmark=False):
        assert not torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = torch.backends.cuda.matmul.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    with pytest.raises(ValueError, match="'highest'"):
        torch.set_float32_matmul_precision("best")
    torch.set_float32_matmul_precision("highest")
    torch.set_default_device("cpu")
    with torch.device("cpu"):
        assert torch.zeros(1).device == torch.device("cpu")
    assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None
    assert "fastconv" in torch.__config__.show() and torch.version.cuda is None
    assert torch.typename(torch.zeros(1)) == "fastconv.FloatTensor"


def test_version() -> None:
    v = torch.version.Version("1.10.0")
    assert v > "1.9" and v >= (1, 10) and v < "2" and v <= "1.10" and v == "1.10.0"
    assert not v < "1.9.1" and isinstance(torch.__version__, str) and torch.__version__ >= "0.1"


def test_no_device() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = nn.Linear(2, 2).to(device)
    x = torch.ones(1, 2).to(device, non_blocking=True)
    assert model(x).device == device
    assert torch.tensor([1.0], device="cpu", pin_memory=True).tolist() == [1.0]
    for call in (x.cuda, model.cuda, lambda: x.to("cuda:0"), lambda: torch.zeros(1, device="mps"),
                 torch.cuda.current_device, lambda: torch.cuda.get_device_name(0),
                 lambda: torch.cuda.set_device(0), lambda: torch.cuda.device(0)):  # fmt: skip
        with pytest.raises(RuntimeError, match="CPU only"):
            call()
    with torch.cuda.device(None):
        assert torch.cuda.memory_allocated() == 0
    for refuse in (model.half, model.bfloat16):
        with pytest.raises(TypeError, match="float32 and float64"):
            refuse()
    assert model.type(torch.DoubleTensor).weight.dtype == torch.float64
    assert model.share_memory() is model


# files


def test_saving_a_whole_model(tmp_path: Path) -> None:
    with pytest.raises(TypeError) as error:
        torch.save(nn.Linear(2, 2), tmp_path / "m.pt")
    assert "fastconv.save(model.state_dict(), path)" in str(error.value)
    assert "model.load_state_dict(fastconv.load(path))" in str(error.value)


@pytest.mark.parametrize(
    "where", [None, "cpu", torch.device("cpu"), lambda storage, loc: storage, {"cuda:0": "cpu"}]
)
def test_map_location(where: Any, tmp_path: Path) -> None:
    torch.save({"x": torch.ones(2)}, tmp_path / "x.pt")
    assert torch.load(tmp_path / "x.pt", map_location=where)["x"].tolist() == [1.0, 1.0]


def test_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://example.org/models/net-0123abcd.pth"
    with pytest.raises(FileNotFoundError, match=r"example\.org.*put it at .*net-0123abcd\.pth"):
        torch.hub.load_state_dict_from_url(url, tmp_path)
    torch.save({"x": torch.ones(2)}, tmp_path / "net-0123abcd.pth")
    assert torch.utils.model_zoo.load_url(url, tmp_path)["x"].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="SHA-256"):
        torch.hub.load_state_dict_from_url(url, tmp_path, check_hash=True)
    monkeypatch.setenv("FASTCONV_HOME", str(tmp_path))
    assert torch.hub.get_dir() == str(tmp_path / "hub")
    with pytest.raises(RuntimeError, match="downloads nothing"):
        torch.hub.load("some/where", "resnet18")


# nn


def test_older_initialisers() -> None:
    w = torch.empty(4, 4)
    for name in ("uniform", "normal", "eye", "xavier_uniform", "xavier_normal", "kaiming_uniform",
                 "kaiming_normal", "orthogonal"):  # fmt: skip
        with pytest.warns(FutureWarning, match=f"{name}_"):
            assert getattr(nn.init, name)(w) is w
    with pytest.warns(FutureWarning, match="constant_"):
        assert nn.init.constant(w, 3).tolist() == [[3.0] * 4] * 4


def test_fused_batch_norm() -> None:
    torch.manual_seed(0)
    for layer, transpose in ((nn.Conv2d(2, 3, 3), False), (nn.ConvTranspose2d(2, 3, 3), True)):
        bn = nn.BatchNorm2d(3)
        x = torch.randn(2, 2, 6, 6)
        bn(layer(x))
        layer.eval(), bn.eval()
        with torch.no_grad():
            bn.weight.uniform_(0.5, 2)
            fused = nn.utils.fusion.fuse_conv_bn_eval(layer, bn, transpose)
            np.testing.assert_allclose(fused(x).numpy(), bn(layer(x)).numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="eval"):
        nn.utils.fusion.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    line, bn1 = nn.Linear(3, 4).eval(), nn.BatchNorm1d(4).eval()
    y = torch.randn(5, 3)
    fused = nn.utils.fuse_linear_bn_eval(line, bn1)
    np.testing.assert_allclose(fused(y).detach().numpy(), bn1(line(y)).detach().numpy(), atol=1e-6)


def test_conv_gradients() -> None:
    x, layer = torch.randn(2, 2, 6, 6, requires_grad=True), nn.Conv2d(2, 3, 3, 2, 1)
    y = layer(x)
    g = torch.randn(*y.shape)
    y.backward(g)
    gx = nn.grad.conv2d_input(x.shape, layer.weight, g, 2, 1)
    gw = nn.grad.conv2d_weight(x, layer.weight.shape, g, 2, 1)
    np.testing.assert_allclose(gx.numpy(), x.grad.numpy(), atol=1e-5)
    np.testing.assert_allclose(gw.numpy(), layer.weight.grad.numpy(), atol=1e-4)


def test_pad_sequence() -> None:
    a, b = torch.ones(3, 2, requires_grad=True), torch.ones(1, 2)
    y = nn.utils.rnn.pad_sequence([a, b], batch_first=True, padding_value=-1)
    assert y.shape == (2, 3, 2) and y[1].tolist() == [[1, 1], [-1, -1], [-1, -1]]
    y.sum().backward()
    assert a.grad.tolist() == [[1, 1]] * 3
    left = nn.utils.rnn.pad_sequence([a.detach(), b], padding_side="left")
    assert left.shape == (3, 2, 2) and left[:, 1].tolist() == [[0, 0], [0, 0], [1, 1]]
    back = nn.utils.rnn.unpad_sequence(y, torch.tensor([3, 1]), batch_first=True)
    assert [t.shape[0] for t in back] == [3, 1]
    with pytest.raises(ValueError, match="alike"):
        nn.utils.rnn.pad_sequence([a, torch.ones(2, 3)])


def test_functional_call() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    fast = {k: torch.ones(*v.shape, requires_grad=True) for k, v in model.named_parameters()}
    before = model[0].weight
    y = torch.func.functional_call(model, fast, (torch.ones(1, 2),))
    assert y.tolist() == [[3.0, 3.0]] and model[0].weight is before
    y.sum().backward()
    assert fast["0.weight"].grad.tolist() == [[1.0, 1.0]] * 2
    with pytest.raises(RuntimeError, match="missing"):
        torch.func.functional_call(model, {}, (torch.ones(1, 2),), strict=True)


def test_distributed_sampler() -> None:
    from fastconv.utils.data.distributed import DistributedSampler

    shares = [list(DistributedSampler(range(10), 3, r, shuffle=False)) for r in range(3)]
    assert shares == [[0, 3, 6, 9], [1, 4, 7, 0], [2, 5, 8, 1]]
    sampler = DistributedSampler(range(10))
    first = list(sampler)
    sampler.set_epoch(1)
    assert sorted(first) == list(range(10)) and list(sampler) != first
    assert len(DistributedSampler(range(10), 3, 0, drop_last=True)) == 3
    with pytest.raises(ValueError, match="rank"):
        DistributedSampler(range(10), 2, 2)


def test_process_group() -> None:
    dist = torch.distributed
    assert dist.is_available() and not dist.is_initialized()
    with pytest.raises(RuntimeError, match="begun"):
        dist.get_rank()
    with pytest.raises(RuntimeError, match="one process"):
        dist.init_process_group("gloo", rank=0, world_size=4)
    dist.init_process_group("gloo", rank=0, world_size=1)
    try:
        x, parts = torch.ones(2), [torch.zeros(2)]
        dist.all_reduce(x)
        dist.all_gather(parts, x)
        assert (dist.get_rank(), dist.get_world_size()) == (0, 1) and parts[0].tolist() == [1, 1]
    finally:
        dist.destroy_process_group()


# whole scripts


@pytest.mark.parametrize("name", scripts.SCRIPTS)
@pytest.mark.filterwarnings("ignore")
def test_script(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script runs with `torch` replaced, and its last loss is finite."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["script.py"])
    text = scripts.substituted(scripts.SCRIPTS[name])
    assert "torch." not in text.replace("fastconv as torch", "").split("import", 1)[0]
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, f"<{name}>", "exec"), space)
    assert np.isfinite(float(space["result"]))
