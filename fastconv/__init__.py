"""A convolution engine for the CPU, with PyTorch's names.

``import fastconv as torch`` runs ordinary CNN code.
"""

# ruff: noqa: I001  (the public names include sum, max, bool and others of Python's)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import autograd
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .tensor import Tensor, is_tensor
from ._printing import set_printoptions
from .creation import (
    arange,
    as_tensor,
    asarray,
    bernoulli,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .functions.elementwise import (
    add,
    addcdiv,
    addcmul,
    arctan2,
    atan2,
    div,
    divide,
    floor_divide,
    fmod,
    lerp,
    maximum,
    minimum,
    mul,
    multiply,
    pow,
    remainder,
    sub,
    subtract,
    true_divide,
)
from .functions.unary import (
    abs,
    absolute,
    acos,
    arccos,
    arcsin,
    arctan,
    asin,
    atan,
    ceil,
    clamp,
    clip,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    log,
    log10,
    log1p,
    log2,
    nan_to_num,
    neg,
    negative,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    trunc,
    where,
)
from .functions.compare import (
    allclose,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    equal,
    ge,
    greater,
    greater_equal,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
    not_equal,
    signbit,
)
from .functions.linalg import (
    addmm,
    baddbmm,
    bmm,
    cdist,
    diag,
    diagonal,
    dot,
    einsum,
    inner,
    matmul,
    mm,
    mv,
    outer,
    trace,
    tril,
    triu,
)
from .functions.formats import clone
from .functions.join import (
    cat,
    concat,
    concatenate,
    hstack,
    stack,
    vstack,
)
from .functions.shape import (
    broadcast_tensors,
    broadcast_to,
    flatten,
    flip,
    fliplr,
    flipud,
    moveaxis,
    movedim,
    permute,
    repeat_interleave,
    reshape,
    roll,
    rot90,
    squeeze,
    swapaxes,
    swapdims,
    t,
    tile,
    transpose,
    unflatten,
    unsqueeze,
)
from .functions.gather import (
    argsort,
    gather,
    index_add,
    index_copy,
    index_fill,
    index_select,
    scatter,
    scatter_add,
    sort,
    take_along_dim,
    topk,
)
from .functions.index import (
    argwhere,
    bincount,
    chunk,
    histc,
    masked_fill,
    masked_select,
    meshgrid,
    narrow,
    nonzero,
    select,
    split,
    take,
    unbind,
    unique,
)
from .functions.quantile import nanmean, nanmedian, nanquantile, quantile
from .functions.reduce import (
    all,
    amax,
    amin,
    aminmax,
    any,
    argmax,
    argmin,
    count_nonzero,
    cumprod,
    cumsum,
    dist,
    logsumexp,
    max,
    mean,
    median,
    min,
    nansum,
    norm,
    prod,
    std,
    std_mean,
    sum,
    var,
    var_mean,
)
from .functions.extra import diff, renorm
from .random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .dtypes import (
    Size,
    bfloat16,
    cdouble,
    cfloat,
    channels_last,
    channels_last_3d,
    complex128,
    complex64,
    contiguous_format,
    device,
    double,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int16,
    int32,
    int64,
    int8,
    layout,
    long,
    memory_format,
    preserve_format,
    set_default_dtype,
    short,
    strided,
    uint8,
)
from .dtypes import bool, float, int
from ._legacy import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    detach,
    e,
    finfo,
    iinfo,
    inf,
    is_complex,
    is_floating_point,
    is_nonzero,
    is_signed,
    nan,
    newaxis,
    numel,
    pi,
    promote_types,
    ravel,
    result_type,
)
from .config import (
    algorithm,
    autotune,
    backend,
    fusion,
    get_num_threads,
    precision,
    set_num_threads,
)

# What costs time to import and is not needed to compute with tensors comes when it is asked for.
_MODULES = (
    "cuda", "data", "datasets", "keras", "metrics", "models", "nn", "onnx", "ops", "optim",
    "profiler", "sklearn", "style", "train", "transforms", "utils", "visualize",
    # PyTorch's modules without effect here, each a file of its name
    "__config__", "_dynamo", "accelerator", "amp", "backends", "compiler", "cpu", "distributed",
    "fx", "hub", "jit", "mps", "multiprocessing", "version", "xpu",
    # and those through NumPy
    "distributions", "fft", "func", "functional", "linalg", "special", "storage", "types",
)  # fmt: skip
_SETTINGS = (
    "are_deterministic_algorithms_enabled", "clear_autocast_cache", "compiled_with_cxx11_abi",
    "get_autocast_dtype", "get_default_device", "get_deterministic_debug_mode",
    "get_float32_matmul_precision", "get_num_interop_threads", "is_autocast_enabled",
    "is_deterministic_algorithms_warn_only_enabled", "is_storage", "is_warn_always_enabled",
    "set_autocast_enabled", "set_default_device", "set_default_tensor_type",
    "set_deterministic_debug_mode", "set_float32_matmul_precision", "set_flush_denormal",
    "set_num_interop_threads", "set_warn_always", "typename", "use_deterministic_algorithms",
)  # fmt: skip
_MORE = (
    "acosh", "arccosh", "arcsinh", "arctanh", "asinh", "atanh", "atleast_1d", "atleast_2d",
    "atleast_3d", "block_diag", "broadcast_shapes", "bucketize", "cartesian_prod", "column_stack",
    "combinations", "copysign", "cummax", "cummin", "deg2rad", "diag_embed", "diagflat", "dstack",
    "fmax", "fmin", "frac", "heaviside", "hypot", "index_put", "isin", "isneginf",
    "isposinf", "isreal", "kron", "kthvalue", "logaddexp", "masked_scatter", "mode", "msort",
    "positive", "rad2deg", "rsub", "searchsorted", "tensor_split", "tensordot", "trapezoid",
    "trapz", "tril_indices", "triu_indices", "unique_consecutive", "vdot",
)  # fmt: skip
_SPECIAL = ("logit", "sinc", "xlogy")
_LINALG = (
    "cholesky", "det", "inverse", "logdet", "matrix_power", "pinverse", "qr", "slogdet", "svd",
)  # fmt: skip
_COMPLEX = (
    "angle", "complex", "conj", "imag", "polar", "real", "view_as_complex", "view_as_real",
)  # fmt: skip
_ELSEWHERE = {
    "save": "serialization",
    "summary": "utils.summary",
    "empty_cache": "memory",
    "explain": "planner.explanation",
    "memory_stats": "memory",
    "checkpoint": "utils.checkpoint",
    "profile": "profiler",
    "info": "sysinfo",
    "__version__": "sysinfo",
    "adaptive_max_pool1d": "nn.functional",
    "load": "serialization",
    "GradScaler": "amp",
    "autocast": "amp",
    "compile": "compiler",
    **dict.fromkeys(_SETTINGS, "_settings"),
    **dict.fromkeys(_MORE, "functions.more"),
    **dict.fromkeys(_SPECIAL, "special"),
    "chain_matmul": "linalg",
    "clamp_max": "functions.unary",
    "clamp_min": "functions.unary",
    "cross": "linalg",
    "fix": "functions.unary",
    "ger": "functions.linalg",
    "row_stack": "functions.join",
    "sgn": "functions.unary",
    **dict.fromkeys(_LINALG, "linalg"),
    **dict.fromkeys(_COMPLEX, "fft"),
    **dict.fromkeys(
        (
            "adaptive_avg_pool1d", "avg_pool1d", "batch_norm",
            "celu", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
            "conv_transpose2d", "conv_transpose3d", "dropout", "group_norm",
            "layer_norm", "log_softmax", "max_pool1d", "max_pool2d", "max_pool3d",
            "pixel_shuffle", "prelu", "relu_", "selu", "softmax", "threshold",
        ),
        "nn.functional",
    ),
}  # fmt: skip
#: Where what is asked for has another name.
_NAMES = {
    "adaptive_max_pool1d": "adaptive_max_pool1d_with_indices", "inverse": "inv", "pinverse": "pinv",
    "chain_matmul": "multi_dot", "fix": "trunc", "ger": "outer", "row_stack": "vstack",
    "sgn": "sign",
}  # fmt: skip


if TYPE_CHECKING:
    from . import (
        accelerator,
        amp,
        compiler,
        cpu,
        cuda,
        data,
        datasets,
        distributed,
        distributions,
        fft,
        func,
        functional,
        fx,
        hub,
        jit,
        keras,
        linalg,
        metrics,
        models,
        mps,
        multiprocessing,
        nn,
        onnx,
        ops,
        optim,
        profiler,
        special,
        storage,
        train,
        transforms,
        types,
        utils,
        version,
        xpu,
    )
    from .nn.functional import (
        adaptive_avg_pool1d,
        adaptive_max_pool1d_with_indices as adaptive_max_pool1d,
        avg_pool1d,
        batch_norm,
        celu,
        conv1d,
        conv2d,
        conv3d,
        conv_transpose1d,
        conv_transpose2d,
        conv_transpose3d,
        dropout,
        group_norm,
        layer_norm,
        log_softmax,
        max_pool1d,
        max_pool2d,
        max_pool3d,
        pixel_shuffle,
        prelu,
        relu_,
        selu,
        softmax,
        threshold,
    )
    from .planner.explanation import explain
    from .serialization import load, save
    from .sysinfo import __version__, info
    from .utils.checkpoint import checkpoint
    from .utils.summary import summary


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _ELSEWHERE:
        value = getattr(
            importlib.import_module(f"{__name__}.{_ELSEWHERE[name]}"), _NAMES.get(name, name)
        )
        if name in _NAMES:
            from .functions._named import named

            value = named(value, name)
        globals()[name] = value
        return value
    from .absent import missing

    raise missing(__name__, name)


def _install() -> None:
    from .absent import install

    install()


_install()


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_ELSEWHERE})
