"""Style transfer by gradient steps on the picture: Gatys, Ecker, Bethge (CVPR 2016)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import optim
from ..autograd import no_grad
from ..nn import Module
from ..nn import functional as F
from ..tensor import Tensor, wrap
from ..train.progress import value_text
from ..transforms.picture import pillow
from ..visualize._model import check_count, check_model, looking, reached, watched
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .networks import CONTENT_LAYER, STYLE_LAYERS, vgg19_features

WHAT = "style.transfer"
#: Mean and deviation of ImageNet's pixels, as torchvision's networks take them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Progress(NamedTuple):
    """How far it is after a step: what a callback gets.

    Attributes
    ----------
    step, steps : int
    loss, content, style : float
        The whole, and its two parts as they are weighted; before the step.
    picture : ndarray, (H, W, 3) float32
        From 0 to 1.
    """

    step: int
    steps: int
    loss: float
    content: float
    style: float
    picture: np.ndarray


def imagenet(x: Tensor) -> Tensor:
    """Pixels (N, 3, H, W) from 0 to 1 as torchvision's networks take them: mean off, over std."""
    mean, std = (np.array(v, x.detach().numpy().dtype).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    return (x - wrap(mean)) / wrap(std)


def transfer(
    content: Any,
    style: Any,
    *,
    weights: Any = None,
    network: Module | None = None,
    style_layers: Sequence[str] | Mapping[str, float] = STYLE_LAYERS,
    content_layers: str | Sequence[str] | Mapping[str, float] = CONTENT_LAYER,
    alpha: float = 1.0,
    beta: float = 1e3,
    smooth: float = 0.0,
    steps: int = 200,
    optimizer: str = "lbfgs",
    lr: float | None = None,
    start: str | Any = "content",
    size: int | None = None,
    prepare: Callable[[Tensor], Tensor] = imagenet,
    seed: int = 0,
    verbose: int = 1,
    every: int = 10,
    callback: Callable[[Progress], Any] | None = None,
) -> np.ndarray:
    """A picture with the content of one and the style of another.

    Parameters
    ----------
    content, style : path, Pillow image or array
        Arrays (H, W, 3): bytes, or floats from 0 to 1. The style may have another size.
    weights : path, optional
        VGG-19's weights, from a ``.pth``, safetensors or ONNX file: see :func:`vgg19_features`.
    network : Module, optional
        Another network in place of VGG-19; then name its layers.
    style_layers : sequence of str, or dict of str to float
        Whose Gram matrices are made alike, with their weights; a share each by default.
    content_layers : str, sequence of str, or dict of str to float
        Whose maps are made alike, with their weights; a share each by default.
    alpha, beta : float
        Weights of content and style.
    smooth : float
        Weight of the picture's total variation.
    steps : int
        Of the optimiser. A step of L-BFGS may look at the picture more than once.
    optimizer : "lbfgs" or "adam"
    lr : float, optional
        1 for L-BFGS, the first trial of its line search; 0.02 for Adam.
    start : "content", "noise", "style", or array (H, W, 3)
        Where the picture begins.
    size : int, optional
        The longer side of content and style are brought to it first.
    prepare : callable
        Takes the picture (1, 3, H, W), RGB from 0 to 1, and gives what the network takes.
    seed : int
        Of the noise.
    verbose : int
        0 says nothing. 1: a bar on a terminal (with tqdm), a line every `every` steps elsewhere.
    every : int
        Steps between lines, and between calls of `callback`; the last one has both.
    callback : callable, optional
        Called with a :class:`Progress`; intermediate pictures are in it.

    Returns
    -------
    ndarray, (H, W, 3) float32
        From 0 to 1, of the content's size.

    Raises
    ------
    ValueError
        Without weights and network, for both, an unknown layer (the nearest are listed), pictures
        of another shape, and settings that are none.
    TypeError
        For pictures of another type.
    FileNotFoundError
        Where a file is missing.

    Notes
    -----
    The loss is alpha · Σ w · ½ · Σ (F − P)² / pixels and channels of the layer, plus
    beta · Σ w · Σ (G − A)² / (4·C²): equations 1, 4 and 7 with the content divided by its number of
    elements, and Gram matrices by their number of pixels, so that alpha and beta mean the same for
    every size.

    References
    ----------
    Gatys, Ecker, Bethge, "Image style transfer using convolutional neural networks" (CVPR 2016).
    """
    steps = check_count(steps, "steps", WHAT)
    every = check_count(every, "every", WHAT)
    for name, value in {"alpha": alpha, "beta": beta, "smooth": smooth}.items():
        if not value >= 0:
            raise ValueError(f"{WHAT}: {name} must not be negative, got {value}")
    if optimizer not in ("lbfgs", "adam"):
        raise ValueError(f"{WHAT}: optimizer must be 'lbfgs' or 'adam', got {optimizer!r}")
    styles = _weighted(style_layers, "style_layers")
    contents = _weighted(content_layers, "content_layers")
    if (network is None) == (weights is None):
        raise ValueError(
            f"{WHAT}: give weights, the path of a file with VGG-19's weights (nothing is "
            "downloaded), or a network with style_layers and content_layers"
        )
    if network is None:
        network = vgg19_features(weights)
    check_model(network, WHAT)
    base, model_picture = _picture(content, size, "content"), _picture(style, size, "style")
    x = wrap(_begin(start, base, model_picture, seed)).requires_grad_(True)
    layers = list(dict.fromkeys([*styles, *contents]))
    with looking(network), watched(network, layers, WHAT) as seen:

        def look(picture: Tensor, names: Mapping[str, float]) -> dict[str, Tensor]:
            network(prepare(picture.clone()))
            return {name: reached(seen, name, WHAT) for name in names}

        with no_grad():
            maps = look(wrap(model_picture), styles)
            grams = {n: gram_matrix(m) / (m.shape[2] * m.shape[3]) for n, m in maps.items()}
            wanted = {n: m.clone() for n, m in look(wrap(base), contents).items()}

        parts = {"loss": 0.0, "content": 0.0, "style": 0.0}
        made: Any = (
            optim.LBFGS([x], lr=1.0 if lr is None else lr, max_iter=1, history_size=20,
                        line_search_fn="strong_wolfe", max_eval=20,
                        tolerance_grad=0, tolerance_change=0)
            if optimizer == "lbfgs" else optim.Adam([x], lr=0.02 if lr is None else lr)
        )  # fmt: skip
        first = True

        def closure() -> Any:
            nonlocal first
            made.zero_grad()
            found = look(x, {**styles, **contents})
            c = sum(
                (w / found[n].numel()) * content_loss(found[n], wanted[n])
                for n, w in contents.items()
            )
            s = sum(w * style_loss(found[n], grams[n]) for n, w in styles.items())
            loss = alpha * c + beta * s
            if smooth:
                loss = loss + smooth * total_variation(x)
            loss.backward()
            if first:  # a line search looks further
                first = False
                parts.update(
                    loss=loss.item(),
                    content=alpha * float(c),
                    style=beta * float(s),  # type: ignore[arg-type]
                )
            return loss

        with _Reporter(steps, every, verbose) as reporter:
            for step in range(1, steps + 1):
                first = True
                made.step(closure)
                reporter.tell(step, parts)
                if callback is not None and (step % every == 0 or step == steps):
                    callback(Progress(step, steps, **parts, picture=_shown(x)))
    return _shown(x)


class _Reporter:
    """A bar on a terminal; lines where there is none, or no tqdm."""

    def __init__(self, steps: int, every: int, verbose: int) -> None:
        self.steps, self.every, self.verbose = steps, every, verbose
        self.bar: Any = None

    def __enter__(self) -> _Reporter:
        if self.verbose and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ModuleNotFoundError:
                return self
            self.bar = tqdm(total=self.steps, unit="step", desc="style", dynamic_ncols=True)
        return self

    def tell(self, step: int, parts: Mapping[str, float]) -> None:
        text = "   ".join(value_text(name, value) for name, value in parts.items())
        if self.bar is not None:
            self.bar.set_postfix_str(text.replace("   ", ", "), refresh=False)
            self.bar.update()
        elif self.verbose and (step % self.every == 0 or step in (1, self.steps)):
            print(f"step {step:{len(str(self.steps))}}/{self.steps}  {text}", flush=True)

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()


def _weighted(layers: Any, name: str) -> dict[str, float]:
    """Layers and their weights."""
    if isinstance(layers, Mapping):
        found = {k: float(v) for k, v in layers.items()}
    else:
        listed = [layers] if isinstance(layers, str) else list(layers)
        found = dict.fromkeys(listed, 1 / max(len(listed), 1))
    if not found or any(not w >= 0 for w in found.values()):
        raise ValueError(f"{WHAT}: {name} must name layers, with weights of at least 0: {layers!r}")
    return found


def _picture(given: Any, size: int | None, name: str) -> np.ndarray:
    """Pixels (1, 3, H, W) float32 from 0 to 1."""
    if isinstance(given, (str, os.PathLike)):
        with pillow(WHAT).open(given) as opened:
            given = opened.convert("RGB")
    elif hasattr(given, "convert"):
        given = given.convert("RGB")
    a = np.asarray(given)
    if a.dtype != np.uint8 and a.dtype.kind != "f":
        raise TypeError(f"{WHAT}: {name} must hold bytes or floats, got {a.dtype}")
    if a.ndim != 3 or a.shape[2] != 3 or 0 in a.shape:
        raise ValueError(f"{WHAT}: {name} must be (H, W, 3), got shape {a.shape}")
    x = (a / np.float32(255) if a.dtype == np.uint8 else a).astype(np.float32)
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"{WHAT}: {name} must be from 0 to 1, got {x.min():.4g} to {x.max():.4g}")
    x = np.ascontiguousarray(x.transpose(2, 0, 1)[None])
    if size is None:
        return x
    size = check_count(size, "size", WHAT, 8)
    scale = size / max(x.shape[2:])
    target = tuple(max(1, round(n * scale)) for n in x.shape[2:])
    made = F.interpolate(wrap(x), target, mode="bilinear", antialias=True, align_corners=False)
    return np.array(made.numpy()).clip(0, 1)


def _begin(start: Any, content: np.ndarray, style: np.ndarray, seed: int) -> np.ndarray:
    if isinstance(start, str):
        if start == "content":
            return content.copy()
        if start == "noise":
            noise = 0.5 + 0.2 * np.random.default_rng(seed).standard_normal(content.shape)
            return noise.astype(np.float32)
        if start == "style":
            made = F.interpolate(
                wrap(style), content.shape[2:], mode="bilinear", align_corners=False
            )
            return np.array(made.numpy())
        raise ValueError(
            f"{WHAT}: start must be 'content', 'noise', 'style' or an array, got {start!r}"
        )
    x = _picture(start, None, "start")
    if x.shape != content.shape:
        raise ValueError(
            f"{WHAT}: start must have the content's size {content.shape[2:]}, got {x.shape[2:]}"
        )
    return x


def _shown(x: Tensor) -> np.ndarray:
    """(H, W, 3) from 0 to 1."""
    pixels = x.detach().numpy()[0].transpose(1, 2, 0)
    return np.array(pixels, order="C").clip(0, 1)  # type: ignore[no-any-return]
