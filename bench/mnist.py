"""LeNet-5 on MNIST: one source for two frameworks, to compare accuracy and time.

    python bench/mnist.py fastconv --data ../shared/data/mnist
    python bench/mnist.py torch --data ../shared/data/mnist

Both get the same initial weights and the same batches in the same order, so that their losses can
be compared step by step; the time is that of the training loop alone.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np


def read_idx(folder: Path, name: str) -> np.ndarray:
    """The array of an IDX file, gzip-compressed or not."""
    packed = folder / f"{name}.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    ndim = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(ndim)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 1, 28, 28) float32 in [0, 1] and labels (N,) int64."""
    images = read_idx(folder, f"{part}-images-idx3-ubyte")[:, None]
    labels = read_idx(folder, f"{part}-labels-idx1-ubyte")
    return np.float32(1 / 255) * images, labels.astype(np.int64)


def make_lenet(nn: Any) -> Any:
    """LeNet-5 with ReLU and max pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def initialise(torch: Any, model: Any, rng: np.random.Generator) -> None:
    """Weights and biases uniform in ±1/√fan_in, drawn by NumPy: the same for every framework."""
    state = model.state_dict()
    for name in [name for name in state if name.endswith(".weight")]:
        shape = tuple(state[name].shape)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        bias = name.replace(".weight", ".bias")
        state[name] = torch.from_numpy(rng.uniform(-bound, bound, shape).astype(np.float32))
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
    parser.add_argument("framework", choices=("fastconv", "torch"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the IDX files")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=4e-3, help="peak of a cosine schedule")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layout", choices=("contiguous", "channels-last"), default="contiguous")
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    arguments = parser.parse_args()

    torch = importlib.import_module(arguments.framework)
    nn, functional, optim = torch.nn, torch.nn.functional, torch.optim
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(arguments.seed)
    images, labels = read(arguments.data, "train")
    test = read(arguments.data, "t10k")
    model = make_lenet(nn)
    initialise(torch, model, rng)
    if arguments.layout == "channels-last":
        model = model.to(memory_format=torch.channels_last)
    optimizer = optim.Adam(model.parameters(), lr=arguments.lr)
    per_epoch = len(images) // arguments.batch_size
    total = arguments.epochs * per_epoch
    rising = total / 10

    step, times, scores = 0, [], []
    for epoch in range(1, arguments.epochs + 1):
        order = rng.permutation(len(images))
        loss_sum, best = 0.0, math.inf
        start = time.perf_counter()
        for i in range(per_epoch):
            begin = time.perf_counter()
            if step < rising:
                factor = (step + 1) / (rising + 1)
            else:
                factor = 0.5 * (1 + math.cos(math.pi * (step - rising) / (total - rising)))
            for group in optimizer.param_groups:
                group["lr"] = arguments.lr * factor
            index = order[i * arguments.batch_size : (i + 1) * arguments.batch_size]
            x, y = torch.from_numpy(images[index]), torch.from_numpy(labels[index])
            if arguments.layout == "channels-last":
                x = x.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
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
