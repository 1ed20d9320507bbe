"""A network trained from files: one source for two frameworks, to compare accuracy and time.

    python -m bench.training mnist fastconv --data ../shared/data/mnist
    python -m bench.training mnist torch --data ../shared/data/mnist
    python -m bench.training cifar10 fastconv --data ../shared/data/cifar10 --epochs 12

LeNet-5 on MNIST with Adam, or ResNet-20 on CIFAR-10 with SGD and momentum, random crops and flips.
Both frameworks get the same initial weights and the same batches in the same order, so that their
losses can be compared step by step; the time is that of the training loop alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.networks import lenet5, resnet20
from fastconv import datasets

Pair = tuple[np.ndarray, np.ndarray]


def read(dataset: Any) -> Pair:
    """Images (N, C, H, W) float32 and labels (N,) int64."""
    images, labels = (tensor.numpy() for tensor in dataset.tensors)
    return images, labels


def plain(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The images as they are."""
    return images


def crop_and_flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every image moved by up to 4 pixels, zeros from outside, half of them mirrored."""
    n, _, h, w = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (4, 4), (4, 4)))
    out = np.empty_like(images)
    for i, (dy, dx, flip) in enumerate(rng.integers(0, (9, 9, 2), (n, 3))):
        part = padded[i, :, dy : dy + h, dx : dx + w]
        out[i] = part[:, :, ::-1] if flip else part
    return out


class Task(NamedTuple):
    """What is trained, on what, and how."""

    network: Callable[[Any], Any]  # of the package
    data: Callable[..., Any]  # root, train -> TensorDataset
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    optimizer: Callable[[Any, Any, float], Any]  # of the package, parameters and rate
    rate: float  # peak of a cosine schedule
    batch: int
    epochs: int


TASKS = {
    "mnist": Task(
        lenet5, datasets.mnist, plain,
        lambda torch, p, lr: torch.optim.Adam(p, lr=lr), 4e-3, 64, 3,
    ),
    "cifar10": Task(
        resnet20, datasets.cifar10, crop_and_flip,
        lambda torch, p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, weight_decay=1e-4),
        0.1, 128, 12,
    ),
}  # fmt: skip


def initialise(torch: Any, model: Any, rng: np.random.Generator) -> None:
    """Weights and biases uniform in ±1/√fan_in, ±√6/√fan_in with batch norm, drawn by NumPy."""
    state = model.state_dict()
    for name in [name for name in state if name.endswith(".weight")]:
        shape = tuple(state[name].shape)
        if len(shape) < 2:
            continue  # batch norm starts from ones and zeros
        bias = name.replace(".weight", ".bias")
        bound = math.sqrt((1 if bias in state else 6) / math.prod(shape[1:]))
        state[name] = torch.from_numpy(rng.uniform(-bound, bound, shape).astype(np.float32))
        if bias in state:
            state[bias] = torch.from_numpy(rng.uniform(-bound, bound, shape[0]).astype(np.float32))
    model.load_state_dict(state)


def accuracy(torch: Any, model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images classified right."""
    model.eval()
    right = 0
    with torch.no_grad():
        for i in range(0, len(images), 500):
            scores = model(torch.from_numpy(images[i : i + 500]))
            right += int((scores.argmax(1) == torch.from_numpy(labels[i : i + 500])).sum().item())
    model.train()
    return right / len(images)


def main() -> None:
    """Train, print a line per epoch, and a JSON line at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("framework", choices=("fastconv", "torch"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set's files")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--lr", type=float, help="peak of a cosine schedule")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layout", choices=("contiguous", "channels-last"), default="contiguous")
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    arguments = parser.parse_args()

    torch = importlib.import_module(arguments.framework)
    importlib.import_module(f"{arguments.framework}.optim")
    task = TASKS[arguments.task]
    batch = arguments.batch_size or task.batch
    epochs, rate = arguments.epochs or task.epochs, arguments.lr or task.rate
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(arguments.seed)
    images, labels = read(task.data(arguments.data))
    test = read(task.data(arguments.data, train=False))
    model = task.network(torch)
    initialise(torch, model, rng)
    if arguments.layout == "channels-last":
        model = model.to(memory_format=torch.channels_last)
    optimizer = task.optimizer(torch, model.parameters(), rate)
    per_epoch = len(images) // batch
    total = epochs * per_epoch
    rising = total / 10

    step, times, scores = 0, [], []
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(images))
        seen = task.augment(images, rng)
        loss_sum, best = 0.0, math.inf
        start = time.perf_counter()
        for i in range(per_epoch):
            begin = time.perf_counter()
            if step < rising:
                factor = (step + 1) / (rising + 1)
            else:
                factor = 0.5 * (1 + math.cos(math.pi * (step - rising) / (total - rising)))
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            index = order[i * batch : (i + 1) * batch]
            x, y = torch.from_numpy(seen[index]), torch.from_numpy(labels[index])
            if arguments.layout == "channels-last":
                x = x.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            step += 1
            best = min(best, time.perf_counter() - begin)
            if step == arguments.steps:
                break
        seconds = time.perf_counter() - start
        score = accuracy(torch, model, *test)
        times.append(seconds)
        scores.append(score)
        print(
            f"{arguments.framework} epoch {epoch}: {seconds:.2f} s, best step {1e3 * best:.3f} ms, "
            f"loss {loss_sum / (i + 1):.5f}, test accuracy {100 * score:.2f} %",
            flush=True,
        )
        if step == arguments.steps:
            break
    summary = {
        "framework": arguments.framework,
        "version": str(torch.__version__),
        "threads": arguments.threads,
        "seconds": times,
        "accuracy": scores,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
