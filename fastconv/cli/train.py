"""``fastconv train``: a network of the package on a known data set or on a folder of pictures."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import models, report
from fastconv.cli import checkpoint as checkpoints
from fastconv.cli import folder, networks, runs
from fastconv.cli.arguments import (
    CommandError,
    UsageError,
    add_engine,
    new_command,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    share,
    use_engine,
)
from fastconv.cli.classify import (
    OPTIMIZERS,
    SCHEDULES,
    Outcome,
    Plan,
    check_batch,
    train_classifier,
)
from fastconv.cli.report import results_of
from fastconv.cli.table import text_table
from fastconv.cli.tasks import TASKS, Material, Scale, read_task
from fastconv.text import count, grouped

#: Peak learning rate where none is given: of small networks on the known data sets, and else.
LEARNING_RATES = {"adam": 1e-3, "adamw": 1e-3, "sgd": 0.02, "rmsprop": 3e-4, "lars": 0.5}
#: Rows of the table of classes; the worst where there are more.
MOST_CLASSES = 40
FOLDER_ONLY = ("image_size", "augment")


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(commands, "train", "train a classifier and keep its best parameters", run)
    parser.epilog = (
        "examples: fastconv train mnist --data ../shared/data/mnist; fastconv train resnet18 "
        "--data pets/ --image-size 128 --epochs 20 (pets/cat/1.jpg, pets/dog/2.jpg ...); fastconv "
        "train resnet18 --data pets/ --weights resnet18.pth --freeze"
    )
    hidden: Any = argparse.SUPPRESS
    parser.add_argument(
        "what", metavar="DATASET|NETWORK",
        help=f"a data set ({', '.join(TASKS)}), or a network that learns the pictures of --data "
        "(fastconv summary --list names them)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=hidden,
        help="of a network: a folder for each class, or train/ and val/ (and test/) with such "
        "folders; of a data set: the folder of its files (mnist, fashion-mnist: IDX; cifar10: "
        "binary records)",
    )  # fmt: skip
    parser.add_argument(
        "--model", metavar="NETWORK", default=hidden,
        help="network for a data set (default: the one that fits its images)",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=positive_int, metavar="N", default=hidden,
        help="passes over the data (default: 3; 10 of a folder)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=positive_int, metavar="N", default=hidden,
        help="images per step (default: 64; 32 of a folder)",
    )  # fmt: skip
    parser.add_argument(
        "--optimizer", choices=tuple(OPTIMIZERS), default="adam", help="how weights are changed"
    )
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in LEARNING_RATES.items())
    parser.add_argument(
        "--lr", type=positive_float, metavar="X", default=hidden,
        help=f"peak learning rate (default: {rates}; 0.004 for a data set by adam)",
    )  # fmt: skip
    parser.add_argument(
        "--schedule", choices=tuple(SCHEDULES), default="cosine",
        help="the learning rate: cosine rises, then falls; steps: a tenth after each third; "
        "plateau: a tenth where validation gets no better for 3 epochs",
    )  # fmt: skip
    parser.add_argument("--weight-decay", type=non_negative_float, metavar="X", default=0.0,
                        help="pull of the weights towards 0")  # fmt: skip
    parser.add_argument(
        "--validation", type=share, metavar="SHARE", default=hidden,
        help="share of each class that decides which epoch is kept (default: 1/12; 0.2 of a "
        "folder without val/)",
    )  # fmt: skip
    parser.add_argument(
        "--image-size", type=positive_int, metavar="N", default=hidden,
        help="side of the square that is cut from pictures (default: the network's)",
    )  # fmt: skip
    parser.add_argument(
        "--augment", type=augmentations, metavar="A,A", default=hidden,
        help=f"random changes of training pictures: {', '.join(folder.AUGMENTATIONS)}, or none "
        "(default: crop,flip; leave flip out where left and right matter)",
    )  # fmt: skip
    parser.add_argument(
        "--normalize", choices=("images", "imagenet"), default=hidden,
        help="mean and deviation that pixels are scaled by: of the training pictures, or of "
        "ImageNet (default: what --weights says of itself; else ImageNet's for a folder with "
        "--weights, the pictures' without; none for a data set)",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", default=hidden,
        help="checkpoint to begin from; for other classes its head is replaced",
    )  # fmt: skip
    parser.add_argument("--freeze", action="store_true",
                        help="train the head only, the rest stays as in --weights")  # fmt: skip
    parser.add_argument("--resume", action="store_true",
                        help="go on with the training in --out, to the bit as if it had not "
                        "stopped; without it a new one takes its place")  # fmt: skip
    parser.add_argument("--workers", type=non_negative_int, metavar="N", default=0,
                        help="processes that prepare pictures")  # fmt: skip
    parser.add_argument("--seed", type=non_negative_int, metavar="N", default=0,
                        help="seed of everything drawn")  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR", default=hidden,
        help="folder of the best model, history and state (default: runs/ and the first argument)",
    )  # fmt: skip
    parser.add_argument("--report", action="store_true", help="write an HTML report there as well")
    add_engine(parser)


def augmentations(text: str) -> tuple[str, ...]:
    """Parse 'crop,flip'."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if words == ("none",):
        return ()
    unknown = [word for word in words if word not in folder.AUGMENTATIONS]
    if unknown or not words:
        raise argparse.ArgumentTypeError(
            f"must be some of {', '.join(folder.AUGMENTATIONS)}, or none, got {text!r}"
        )
    return tuple(name for name in folder.AUGMENTATIONS if name in words)


def run(arguments: argparse.Namespace) -> int:
    """Train and print what came out."""
    _check(arguments)
    out = getattr(arguments, "out", Path("runs") / arguments.what)
    with contextlib.ExitStack() as stack:
        backend = use_engine(arguments, stack)
        fastconv.manual_seed(arguments.seed)
        weights = checkpoints.load_file(arguments.weights) if _has(arguments, "weights") else None
        known = checkpoints.about(weights)
        material = _material(arguments, known)
        for line in material.broken:
            print(f"left out: {line}", file=sys.stderr)
        built = _network(arguments, material)
        lines = []
        if weights is not None:
            lines = networks.begin_from(built, weights, arguments.weights, known, material.classes)
        if arguments.freeze:
            head = networks.head_of(built)
            networks.freeze_all_but(built.model, head)
            lines.append(f"only {', '.join(head)} learn")
        plan = _plan(arguments, material)
        check_batch(plan, material.train)
        files = runs.Files(out)
        begun = files.begin(_settings(arguments, built, material, plan), arguments.resume)
        tested = "none" if material.same else grouped(len(material.test.labels))
        print(
            f"{material.title}: {grouped(len(material.train.labels))} training images, "
            f"{grouped(len(material.validation.labels))} for validation, {tested} to test; "
            f"backend {backend}, {count(fastconv.get_num_threads(), 'thread')}"
        )
        for line in [*lines, *begun]:
            print(line)
        sys.stdout.flush()
        try:
            outcome = train_classifier(
                built.model,
                material.train,
                material.validation,
                material.test,
                plan=plan,
                classes=len(material.classes),
                checkpoint=files.best,
                about=_about(built, material)._asdict(),
                state=files.state,
                log=files.history,
            )
        except ValueError as error:  # a damaged state, a picture that was changed meanwhile
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            if not files.state.exists():
                raise
            print(f"\ninterrupted; the same command with --resume goes on from {files.state}",
                  file=sys.stderr)  # fmt: skip
            return 130
        _say(outcome, material, files)
        if arguments.report:
            summary = "The epoch that was kept was chosen on validation images; " + (
                "the accuracy is theirs."
                if material.same
                else "the test images were looked at once, at the end."
            )
            title = f"fastconv train: {material.title}"
            results = results_of(
                title, summary, built.model, material.test, outcome, material.classes
            )
            print(f"report: {report.write(results, out / 'report.html').resolve()}")
    return 0


def _has(arguments: argparse.Namespace, name: str) -> bool:
    return hasattr(arguments, name)


def _check(arguments: argparse.Namespace) -> None:
    """Arguments that do not go together."""
    if arguments.freeze and not _has(arguments, "weights") and not arguments.resume:
        raise UsageError("argument --freeze: needs --weights: a network that has learnt nothing "
                         "yet must learn as a whole")  # fmt: skip
    if arguments.what in TASKS:
        for name in FOLDER_ONLY:
            if _has(arguments, name):
                option = "--" + name.replace("_", "-")
                raise UsageError(f"argument {option}: is for folders of pictures, {arguments.what} "
                                 "is used as it is")  # fmt: skip
        if _has(arguments, "model"):
            _known(arguments.model, "argument --model")
        return
    _known(
        arguments.what,
        f"argument DATASET|NETWORK: no data set is named {arguments.what!r} (there are "
        f"{', '.join(TASKS)}), and",
    )
    if _has(arguments, "model"):
        raise UsageError(
            f"argument --model: the network is {arguments.what}: --model goes with a data set, "
            f"as in: fastconv train mnist --model {arguments.what}"
        )
    if not _has(arguments, "data"):
        raise UsageError(
            f"argument --data: {arguments.what} needs a folder of pictures, {folder.LAYOUT}"
        )


def _known(name: str, where: str) -> None:
    try:
        models.input_size(name)
    except ValueError as error:
        raise UsageError(
            f"{where}: {str(error).removeprefix('models.input_size: ')}".replace(
                "models.list() has all", "fastconv summary --list has all"
            )
        ) from None


def _material(arguments: argparse.Namespace, known: checkpoints.Checkpoint | None) -> Material:
    """What is learnt."""
    part = getattr(arguments, "validation", None)
    if arguments.what in TASKS:
        data = getattr(arguments, "data", None)
        scale = _scale(arguments, known)
        return read_task(arguments.what, data, part, arguments.seed, scale)
    channels, *sizes = models.input_size(arguments.what)
    channels = known.channels if known is not None else channels
    size = getattr(arguments, "image_size", known.image_size if known is not None else sizes[-1])
    augment = getattr(arguments, "augment", ("crop", "flip"))
    pictures = folder.read(arguments.data, channels, part, arguments.seed)
    how = getattr(arguments, "normalize", None)
    if how == "images" or (how is None and not _has(arguments, "weights")):
        mean, std = pictures.mean_std()
    elif how is None and known is not None:
        mean, std = known.mean, known.std
    else:
        mean, std = folder.imagenet(channels)
    preparation = folder.Preparation(
        size, folder.resize_for(size, augment), mean, std, tuple(augment)
    )
    train, validation, test = folder.parts(pictures, preparation)
    return Material(
        f"{arguments.data}, {len(pictures.classes)} classes", train, validation, test,
        pictures.classes, (channels, size, size), mean, std, preparation.resize, arguments.what,
        preparation.augment, pictures.test is None, tuple(pictures.broken),
    )  # fmt: skip


def _scale(arguments: argparse.Namespace, known: checkpoints.Checkpoint | None) -> Scale | None:
    """How the pixels of a known data set are scaled, if they are."""
    how = getattr(arguments, "normalize", None)
    if how == "imagenet":
        return lambda images: folder.imagenet(images.shape[1])
    if how == "images":
        return lambda images: (
            images.mean((0, 2, 3), np.float64).tolist(),
            np.maximum(images.std((0, 2, 3), np.float64), 1e-3).tolist(),
        )
    if known is None:
        return None
    return lambda images: (known.mean, known.std)


def _network(arguments: argparse.Namespace, material: Material) -> networks.Built:
    name = getattr(arguments, "model", material.network)
    channels, size, _ = material.shape
    try:
        return networks.build(name, len(material.classes), channels, size)
    except UsageError as error:
        if arguments.what not in TASKS:
            raise UsageError(f"argument --image-size: {size} does not do: {error}") from None
        raise UsageError(
            f"argument --model: {error}; {material.title} has {size}×{size} images with "
            f"{count(channels, 'channel')}"
        ) from None


def _plan(arguments: argparse.Namespace, material: Material) -> Plan:
    task = arguments.what in TASKS
    small = task and arguments.optimizer == "adam"
    rate = getattr(arguments, "lr", 4e-3 if small else LEARNING_RATES[arguments.optimizer])
    batch_size = getattr(
        arguments, "batch_size", 64 if task else min(32, len(material.train.labels))
    )
    return Plan(
        epochs=getattr(arguments, "epochs", 3 if task else 10),
        batch_size=batch_size,
        learning_rate=rate,
        optimizer=arguments.optimizer,
        schedule=arguments.schedule,
        weight_decay=arguments.weight_decay,
        workers=arguments.workers,
        test_batch_size=500 if task else batch_size,
    )


def _about(built: networks.Built, material: Material) -> checkpoints.Checkpoint:
    return checkpoints.Checkpoint(
        built.name, built.options, list(material.classes), material.shape[-1], material.resize,
        [float(v) for v in material.mean], [float(v) for v in material.std],
    )  # fmt: skip


def _settings(
    arguments: argparse.Namespace, built: networks.Built, material: Material, plan: Plan
) -> dict[str, Any]:
    """What must be alike for a training to go on to the bit, and how long it is to be."""
    about = _about(built, material)._asdict()
    return {
        "what": arguments.what,
        **about,
        "training images": len(material.train.labels),
        "validation images": len(material.validation.labels),
        "augment": material.augment,
        "seed": arguments.seed,
        "weights": str(getattr(arguments, "weights", "")),
        "freeze": arguments.freeze,
        **plan._asdict(),
    }


def _say(outcome: Outcome, material: Material, files: runs.Files) -> None:
    """The figures, the table of classes, and where the files are."""
    on = "validation" if material.same else "test"
    print(
        f"\n{on} accuracy {100 * outcome.test.accuracy:.2f} %, loss {outcome.test.loss:.4f}; "
        f"{outcome.seconds / len(outcome.history):.2f} s per epoch"
    )
    if material.same:
        print("there is no test/: these pictures chose the epoch, new ones may do worse")
    print()
    print(class_table(outcome.confusion, material.classes, on))
    print(f"\nbest model: {files.best.resolve()}")
    print(f"history: {files.history.resolve()}")
    print(f"state, for --resume: {files.state.resolve()}")


def class_table(confusion: np.ndarray, classes: list[str], on: str) -> str:
    """How many images of each class were right, and what the others were taken for.

    Parameters
    ----------
    confusion : ndarray, shape (K, K)
        True, predicted.
    classes : list of str
    on : str
        Which images.
    """
    rights, totals = np.diag(confusion), confusion.sum(axis=1)
    wrong = confusion - np.diag(rights)
    order = list(range(len(classes)))
    note = ""
    if len(order) > MOST_CLASSES:
        shares = rights / np.maximum(totals, 1)
        order = sorted(order, key=lambda k: (shares[k], k))[:MOST_CLASSES]
        note = f"\nthe {MOST_CLASSES} worst of {len(classes)} classes"
    rows = []
    for k in order:
        other = int(wrong[k].argmax())
        mistaken = f"{classes[other]} ({wrong[k, other]})" if wrong[k, other] else ""
        part = f"{100 * rights[k] / totals[k]:.1f} %" if totals[k] else "none"
        rows.append([classes[k], grouped(totals[k]), grouped(rights[k]), part, mistaken])
    head = ["class", f"{on} images", "right", "share", "most often taken for"]
    return text_table(head, rows) + note
