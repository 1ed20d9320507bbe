"""Training with Winograd against training with direct sums: the same accuracy?

    python -m bench.training_proof --data ../shared/data --markdown docs/accuracy.md

LeNet-5 on MNIST and a small ResNet on CIFAR-10 train from the same seeds three times: with direct
sums alone (`algorithm("gemm")`), with Winograd wherever it can run (`algorithm("winograd")`),
and by the planner's own choice. A seed sets the initial weights and the order of the images; the
runs of a seed share them, so only roundings differ. What is compared is the accuracy on test images
that took no part in the training, after the last epoch.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import datasets, models
from fastconv import train as training
from fastconv.cli.bench import BEGIN, END, insert
from fastconv.cli.info import machine
from fastconv.cli.table import markdown_table, text_table
from fastconv.data import DataLoader, TensorDataset
from fastconv.nn import functional as F
from fastconv.optim import Adam
from fastconv.planner import choice
from fastconv.spec import ConvSpec

ALGORITHMS = ("gemm", "winograd", None)  # None: the planner's choice


def arrays(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a data set."""
    images, labels = (tensor.numpy() for tensor in dataset.tensors)
    return images, labels


def task(name: str, data: Path) -> dict[str, Any]:
    """What is trained, on what, for how long."""
    if name == "lenet":
        images, labels = arrays(datasets.mnist(data / "mnist"))
        return {
            "title": "LeNet-5, MNIST, 20 000 images, 2 epochs",
            "model": models.LeNet5,
            "train": (images[:20000], labels[:20000]),
            "test": arrays(datasets.mnist(data / "mnist", train=False)),
            "epochs": 2,
            "rate": 4e-3,
        }
    train, test = (arrays(datasets.cifar10(data / "cifar10", train=part)) for part in (True, False))
    return {
        "title": f"ResNet-8, CIFAR-10, {len(train[1])} images, 8 epochs",
        "model": lambda: models.CifarResNet(1),
        "train": train,
        "test": test,
        "epochs": 8,
        "rate": 4e-3,
    }


def train(work: dict[str, Any], seed: int, algorithm: str | None) -> dict[str, Any]:
    """Train once; return accuracy, loss, seconds, and which algorithms ran."""
    fastconv.manual_seed(seed)
    images, labels = work["train"]
    model = work["model"]()
    dataset = TensorDataset(fastconv.from_numpy(images), fastconv.from_numpy(labels))
    loader = DataLoader(dataset, batch_size=64, shuffle=True, drop_last=True)
    optimizer = Adam(model.parameters(), lr=work["rate"])
    schedule = training.warm_cosine(optimizer, work["epochs"] * len(loader))
    start = time.perf_counter()
    with fastconv.algorithm(algorithm):
        for _ in range(work["epochs"]):
            model.train()
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                schedule.step()
        result = training.evaluate(model, work["test"], F.cross_entropy, ["accuracy"])
        used = algorithms_used(model, images[:64])
    return {
        "seed": seed,
        "algorithm": algorithm or "planner",
        "accuracy": result["accuracy"],
        "loss": result["loss"],
        "last_batch_loss": float(loss.item()),
        "seconds": time.perf_counter() - start,
        "calls": used,
    }


def algorithms_used(model: Any, images: np.ndarray) -> dict[str, int]:
    """How many convolution calls of one training step went to each algorithm."""
    calls: dict[str, int] = {}
    choose = choice.choose

    def counted(op: str, spec: Any, dtype: Any = None) -> Any:
        function = choose(op, spec, dtype)
        if op != "conv_backward_bias" and isinstance(spec, ConvSpec) and max(spec.kernel) > 1:
            name = function.algorithm
            calls[name] = calls.get(name, 0) + 1
        return function

    choice.choose = counted
    try:
        model.train()
        model(fastconv.from_numpy(images)).sum().backward()
    finally:
        choice.choose = choose
    return calls


def percent(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}"


def table(results: dict[str, list[dict[str, Any]]]) -> tuple[list[str], list[list[str]]]:
    """One row per task and algorithm."""
    rows = []
    for title, runs in results.items():
        for name in dict.fromkeys(run["algorithm"] for run in runs):
            mine = [run for run in runs if run["algorithm"] == name]
            calls = ", ".join(f"{k} {n}" for k, n in sorted(mine[0]["calls"].items()))
            each = " ".join(f"{100 * run['accuracy']:.2f}" for run in mine)
            mean = percent([run["accuracy"] for run in mine])
            loss = f"{np.mean([run['loss'] for run in mine]):.4f}"
            seconds = f"{np.mean([run['seconds'] for run in mine]):.0f}"
            rows.append([title, name, calls, each, mean, loss, seconds])
    head = ["training", "algorithm", "calls in a step", "test accuracy, %", "mean ± s.d.",
            "test loss", "s"]  # fmt: skip
    return head, rows


def main() -> None:
    """Train everything, print the table, write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of mnist and cifar10")
    parser.add_argument("--tasks", default="lenet,resnet")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path, help="file with a mark named training")
    arguments = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    for name in arguments.tasks.split(","):
        work = task(name, arguments.data)
        runs = results.setdefault(work["title"], [])
        for seed in range(arguments.seeds):
            for algorithm in ALGORITHMS:
                runs.append(train(work, seed, algorithm))
                print(json.dumps(runs[-1]), flush=True)
        runs.sort(key=lambda run: ALGORITHMS.index(None if run["algorithm"] == "planner" else
                                                   run["algorithm"]))  # fmt: skip
        if arguments.json:
            arguments.json.write_text(json.dumps({"machine": machine(), "runs": results}, indent=1))
    head, rows = table(results)
    print(text_table(head, rows, left=3))
    if arguments.markdown:
        note = f"Made with `python -m bench.training_proof --data DIR` on {machine()['processor']}."
        text = f"{note}\n\n{markdown_table(head, rows, left=3)}"
        begin, end = (line.replace("bench", "training") for line in (BEGIN, END))
        insert(arguments.markdown, text, begin, end)


if __name__ == "__main__":
    main()
