"""``fastconv train NETWORK --data FOLDER``: drawn pictures learnt, and how it fails."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn
from fastconv.cli import checkpoint, folder, main, networks, tasks
from fastconv.cli.arguments import UsageError
from fastconv.cli.classify import SCHEDULES
from fastconv.cli.train import class_table
from fastconv.optim import SGD
from tests.pictures import draw, write_mnist

pytest.importorskip("PIL", reason="reads pictures with Pillow")

QUICK = ("--epochs", "2", "--batch-size", "8", "--image-size", "16")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures of each of two classes."""
    root = tmp_path_factory.mktemp("shapes")
    draw(root, 40)
    return root


def train(*arguments: Any) -> int:
    """The command's exit code."""
    try:
        return main(["train", *map(str, arguments)])
    except SystemExit as stopped:
        return int(stopped.code or 0)


def failure(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 1) -> str:
    """Standard error of a training that must fail."""
    assert train(*arguments) == code
    return capsys.readouterr().err


def weights(path: Path) -> dict[str, np.ndarray]:
    """A checkpoint's weights as arrays."""
    state = fastconv.load(path)["state_dict"]
    return {name: np.asarray(value) for name, value in state.items()}


def same(a: Path, b: Path) -> bool:
    """Whether two checkpoints have the same weights, to the bit."""
    left, right = weights(a), weights(b)
    return list(left) == list(right) and all(np.array_equal(left[k], right[k]) for k in left)


# ---------------------------------------------------------------- what it learns and leaves


def test_two_classes_are_learnt(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "data" / "test", 25, seed=1)
    shutil.copytree(shapes, tmp_path / "data" / "train")
    out = tmp_path / "out"
    options = ["--epochs", 10, "--batch-size", 8, "--lr", 0.003, "--out", out, "--report"]
    pytest.importorskip("matplotlib")
    assert train("lenet5", "--data", tmp_path / "data", *options) == 0
    text = capsys.readouterr().out
    assert "2 classes: 64 training images, 16 for validation, 50 to test" in text
    accuracy = float(text.split("test accuracy ")[1].split(" %")[0])
    assert accuracy > 90
    rows = {line.split()[0]: line.split()[1:3] for line in text.splitlines() if "%" in line}
    assert rows["disc"][0] == rows["square"][0] == "25"
    assert 2 * accuracy / 100 * 25 == sum(int(rows[name][1]) for name in ("disc", "square"))
    names = ["best.fc", "history.csv", "report.html", "run.json", "state.fc"]
    assert sorted(p.name for p in out.iterdir()) == names
    assert f"best model: {out / 'best.fc'}" in text
    with open(out / "history.csv", newline="") as stream:
        history = list(csv.DictReader(stream))
    assert [row["epoch"] for row in history] == [str(i) for i in range(1, 11)]
    assert "Mistakes" in (out / "report.html").read_text() or accuracy == 100
    model, about = checkpoint.read(out / "best.fc")
    assert about.classes == ["disc", "square"] and about.channels == 1
    prepared = folder.Preparation(about.image_size, about.resize, about.mean, about.std)
    right = 0
    for number, name in enumerate(about.classes):  # as whoever reads the file alone would do it
        for path in sorted((tmp_path / "data" / "test" / name).iterdir()):
            x = prepared.transform(False)(folder.upright(str(path), "L"))
            right += int(model(x[None]).argmax(1)) == number
    assert right == round(accuracy / 2)
    photo = tmp_path / "data" / "test" / "square" / "000.png"
    call = ["classify", str(photo), "--model", str(out / "best.fc")]
    assert main(call) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "as lenet5 was trained" in lines[0]
    said = {line.split()[2]: float(line.split()[0]) for line in lines if " %  " in line}
    scores = np.asarray(
        model(prepared.transform(False)(folder.upright(str(photo), "L"))[None]).detach()
    )
    shares = np.exp(scores[0]) / np.exp(scores[0]).sum()
    assert np.allclose([said[name] for name in about.classes], 100 * shares, atol=0.006)
    assert main([*call, "--preset", "caffe"]) == 2
    assert "--preset: " in capsys.readouterr().err


def test_training_is_the_same_for_a_seed_and_any_number_of_workers(
    shapes: Path, tmp_path: Path
) -> None:
    for name, more in (("a", ()), ("b", ("--workers", 2)), ("c", ("--seed", 1))):
        options = ["--out", tmp_path / name, "--augment", "crop,flip,color,erase", *more]
        assert train("resnet20", "--data", shapes, *QUICK, *options) == 0
    assert same(tmp_path / "a" / "best.fc", tmp_path / "b" / "best.fc")
    assert not same(tmp_path / "a" / "best.fc", tmp_path / "c" / "best.fc")


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "lars"])
def test_every_optimizer_and_schedule(optimizer: str, shapes: Path, tmp_path: Path) -> None:
    schedules = {"adam": "plateau", "adamw": "steps", "sgd": "constant"}
    options = ["--optimizer", optimizer, "--schedule", schedules.get(optimizer, "cosine")]
    assert train("lenet5", "--data", shapes, *QUICK, *options, "--out", tmp_path) == 0


def test_schedules_give_these_rates() -> None:
    optimizer = SGD([nn.Parameter(fastconv.zeros(1))], lr=1.0)
    make, when = SCHEDULES["steps"]
    schedule, rates = make(optimizer, 7, 5), []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert when == "epoch" and np.allclose(rates, [1, 1, 1, 0.1, 0.1, 0.1, 0.01])
    assert SCHEDULES["constant"][0](optimizer, 7, 5) is None and SCHEDULES["cosine"][1] == "step"


def test_a_folder_with_val_of_its_own(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shapes, tmp_path / "d" / "train")
    draw(tmp_path / "d" / "val", 5, seed=2)
    assert train("lenet5", "--data", tmp_path / "d", *QUICK, "--out", tmp_path / "o") == 0
    text = capsys.readouterr().out
    assert "80 training images, 10 for validation, none to test" in text
    assert "validation accuracy" in text and "there is no test/" in text
    error = failure(capsys, "lenet5", "--data", tmp_path / "d", "--validation", 0.5, code=2)
    assert "argument --validation" in error and "is there to validate with" in error
    (tmp_path / "d" / "val" / "triangle").mkdir()
    error = failure(capsys, "lenet5", "--data", tmp_path / "d")
    assert "not among the training classes: triangle; the classes are disc, square" in error


def test_division_is_stratified_and_seeded(shapes: Path) -> None:
    a, b, c = (folder.read(shapes, 3, 0.25, seed) for seed in (0, 0, 1))
    assert a.validation.paths == b.validation.paths != c.validation.paths
    assert np.bincount(a.validation.labels).tolist() == [10, 10]
    assert not set(a.train.paths) & set(a.validation.paths)
    assert len(a.train.paths) + len(a.validation.paths) == 80


def test_data_sets_are_scaled_by_their_training_images(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    plain = tasks.read_task("mnist", tmp_path, None, 0)
    images = np.stack([np.asarray(x) for x, _ in plain.train.dataset])
    scaled = tasks.read_task("mnist", tmp_path, None, 0, lambda images: ([0.25], [0.5]))
    x = np.asarray(scaled.test.dataset[3][0])
    assert np.allclose(x, (np.asarray(plain.test.dataset[3][0]) - 0.25) / 0.5)
    options = ["--data", tmp_path, "--epochs", 1, "--out", tmp_path]
    assert train("mnist", *options, "--normalize", "images") == 0
    about = checkpoint.read(tmp_path / "best.fc")[1]
    assert np.allclose(about.mean, images.mean()) and np.allclose(about.std, images.std())


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_are_those_of_the_training_pixels(shapes: Path, channels: int) -> None:
    pictures = folder.read(shapes, channels, 0.25, 0)
    mode = "L" if channels == 1 else "RGB"
    pixels = np.stack([np.asarray(folder.upright(p, mode), float) for p in pictures.train.paths])
    pixels = pixels.reshape(len(pixels), -1, channels) / 255
    mean, std = pictures.mean_std()
    assert np.allclose(mean, pixels.mean((0, 1))) and np.allclose(std, pixels.std((0, 1)))


def test_pictures_are_turned_as_the_camera_says(tmp_path: Path) -> None:
    from PIL import Image

    image = Image.new("RGB", (20, 10))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert folder.upright(str(tmp_path / "a.jpg"), "RGB").size == (10, 20)


def test_known_data_sets_take_other_networks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mnist(tmp_path)
    options = ["--data", tmp_path, "--epochs", 1, "--out", tmp_path, "--optimizer", "sgd"]
    again = ["mnist", *options, "--model", "resnet20"]
    assert train(*again) == 0
    about = checkpoint.read(tmp_path / "best.fc")[1]
    assert about.options == {"num_classes": 10, "in_channels": 1} and about.mean == [0.0]
    assert train(*again, "--normalize", "imagenet") == 0
    about = checkpoint.read(tmp_path / "best.fc")[1]
    assert np.allclose(about.mean, np.mean(folder.IMAGENET[0]))
    assert train(*again, "--weights", tmp_path / "best.fc") == 0
    assert checkpoint.read(tmp_path / "best.fc")[1] == about
    assert "head replaced" not in capsys.readouterr().out
    error = failure(capsys, "mnist", *options, "--model", "lenet-digits", code=2)
    assert "--model: lenet-digits is for 8×8 images with 1 channel" in error
    assert "MNIST has 28×28 images with 1 channel" in error


# ---------------------------------------------------------------- weights, freezing, resumption


def test_fine_tuning(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    assert train("resnet20", "--data", shapes, *QUICK, "--out", a) == 0
    draw(tmp_path / "three", 12, names=("circle", "square", "wheel"))
    capsys.readouterr()
    more = ["--data", tmp_path / "three", "--epochs", 1, "--batch-size", 8, "--freeze"]
    assert train("resnet20", *more, "--weights", a / "best.fc", "--out", b) == 0
    text = capsys.readouterr().out
    assert "head replaced:" in text and "has 2 classes (disc, square), here are 3" in text
    assert "only linear.weight, linear.bias learn" in text
    before, after = weights(a / "best.fc"), weights(b / "best.fc")
    assert after["linear.weight"].shape[0] == 3
    for name in before:  # running statistics too
        if not name.startswith("linear"):
            assert np.array_equal(before[name], after[name]), name
    about, begun = checkpoint.read(b / "best.fc")[1], checkpoint.read(a / "best.fc")[1]
    assert (about.mean, about.std, about.image_size) == (begun.mean, begun.std, 16)
    # a bare state_dict of the same number of classes keeps its head, and has ImageNet's mean
    state = fastconv.load(a / "best.fc")["state_dict"]
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    fastconv.save(state, tmp_path / "bare.pth", format="torch")
    bare = ["--data", shapes, *QUICK, "--weights", tmp_path / "bare.pth", "--lr", 1e-12]
    assert train("resnet20", *bare, "--out", c) == 0
    assert "head replaced" not in capsys.readouterr().out
    close = weights(c / "best.fc")
    assert np.allclose(close["linear.weight"], before["linear.weight"], atol=1e-9)
    assert checkpoint.read(c / "best.fc")[1].mean == folder.IMAGENET[0]


def test_the_same_number_of_other_classes_is_a_new_head(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = networks.build("lenet5", 2, 1, 28)
    before = np.asarray(built.model.state_dict()["classifier.5.weight"]).copy()
    known = checkpoint.Checkpoint("lenet5", built.options, ["a", "b"], 28, 28, [0.0], [1.0])
    other = networks.build("lenet5", 2, 1, 28).model.state_dict()
    for classes, kept in ((["a", "b"], False), (["c", "d"], True)):
        said = networks.begin_from(built, other, Path("x.fc"), known, classes)
        now = np.asarray(built.model.state_dict()["classifier.5.weight"])
        if kept:  # what the loop before put there stays
            assert any("has 2 classes (a, b)" in line for line in said)
        else:
            assert not np.array_equal(now, before) and len(said) == 1


def test_weights_of_another_network(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fastconv.save(fastconv.models.resnet32().state_dict(), tmp_path / "r.fc")
    call = ["resnet20", "--data", shapes, "--out", tmp_path, "--weights"]
    assert "r.fc is not of resnet20: it has other 72 weights" in failure(
        capsys, *call, tmp_path / "r.fc"
    )
    fastconv.save({"a": 3}, tmp_path / "n.fc")
    assert "holds no weights" in failure(capsys, *call, tmp_path / "n.fc")
    (tmp_path / "b.fc").write_bytes(b"no checkpoint")
    assert "b.fc" in failure(capsys, *call, tmp_path / "b.fc")
    assert "No such file" in failure(capsys, *call, tmp_path / "missing.fc")


def test_resumption_goes_on_to_the_bit(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    call = ["resnet20", "--data", shapes, "--batch-size", 8, "--image-size", 16, "--epochs", 3]
    assert train(*call, "--out", tmp_path / "a") == 0
    calls = [0]
    from fastconv.cli import classify

    real = classify.OPTIMIZERS["adam"]

    def stops(parameters: Any, lr: float, decay: float) -> Any:
        optimizer = real(parameters, lr, decay)
        step = optimizer.step

        def counted(*args: Any) -> Any:
            calls[0] += 1
            if calls[0] == 12:  # in the second epoch, of eight batches
                raise KeyboardInterrupt
            return step(*args)

        optimizer.step = counted
        return optimizer

    monkeypatch.setitem(classify.OPTIMIZERS, "adam", stops)
    assert train(*call, "--out", tmp_path / "b") == 130
    assert "--resume goes on from" in capsys.readouterr().err
    checkpoint.read(tmp_path / "b" / "best.fc")
    monkeypatch.setitem(classify.OPTIMIZERS, "adam", real)
    error = failure(capsys, *call, "--out", tmp_path / "b", "--resume", "--lr", 0.5, code=2)
    assert "was begun otherwise: learning_rate 0.001, now 0.5" in error
    assert train(*call, "--out", tmp_path / "b", "--resume") == 0
    assert "going on from" in capsys.readouterr().out
    assert same(tmp_path / "a" / "best.fc", tmp_path / "b" / "best.fc")
    rows = [
        [line.rsplit(",", 1)[0] for line in (tmp_path / name / "history.csv").open()]
        for name in "ab"
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 4


def test_nothing_to_resume(shapes: Path, tmp_path: Path, capsys: Any) -> None:
    error = failure(capsys, "lenet5", "--data", shapes, "--out", tmp_path, "--resume", code=2)
    assert "there is no training in" in error and "leave --resume out" in error
    assert train("lenet5", "--data", shapes, *QUICK, "--out", tmp_path) == 0
    whole = (tmp_path / "state.fc").read_bytes()
    (tmp_path / "state.fc").write_bytes(whole[: len(whole) // 2])
    call = ["lenet5", "--data", shapes, *QUICK, "--out", tmp_path, "--resume"]
    assert "state.fc is damaged" in failure(capsys, *call)
    (tmp_path / "state.fc").write_bytes(whole)
    (tmp_path / "run.json").write_text("{")
    assert "run.json is damaged" in failure(capsys, *call)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_killed_training_leaves_whole_files(shapes: Path, tmp_path: Path) -> None:
    options = ["--epochs", "500", "--batch-size", "8", "--image-size", "16", "--out", str(tmp_path)]
    heard = (  # a process that is started in the background ignores it
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from fastconv.cli import main; sys.exit(main())"
    )
    call = [sys.executable, "-c", heard, "train", "resnet20", "--data", str(shapes)]
    process = subprocess.Popen([*call, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 240
    while not (tmp_path / "state.fc").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and b"--resume goes on" in error
    checkpoint.read(tmp_path / "best.fc")
    fastconv.load(tmp_path / "state.fc")
    names = {"best.fc", "history.csv", "run.json", "state.fc"}
    assert {p.name for p in tmp_path.iterdir()} == names  # nothing half written


def test_a_head_that_does_not_learn(shapes: Path, tmp_path: Path, capsys: Any) -> None:
    options = ["--data", shapes, "--out", tmp_path]
    fastconv.save(fastconv.models.get("lenet5_original").state_dict(), tmp_path / "a.fc")
    more = ["--weights", tmp_path / "a.fc", "--freeze"]
    error = failure(capsys, "lenet5_original", *options, *more, code=2)
    assert "argument --freeze: codes is all there is to the head" in error


# ---------------------------------------------------------------- folders that do not do


def test_folders_that_do_not_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["lenet5", *QUICK, "--out", tmp_path / "out", "--data"]
    data = tmp_path / "data"
    data.mkdir()
    assert "has no folders: expected a folder for each class" in failure(capsys, *call, data)
    draw(data, 6, names=("disc",))
    assert "has only one class, disc" in failure(capsys, *call, data)
    (data / "square").mkdir()
    error = failure(capsys, *call, data)
    assert "found no files of the classes square" in error and "remove the folder" in error
    (data / "square" / "a.png").write_bytes(b"not a picture")
    error = failure(capsys, *call, data)
    assert "no picture of square can be read" in error and "a.png" in error
    draw(data, 6)
    error = failure(capsys, *call, data, "--validation", 0.01, code=2)
    assert "leaves no picture of 12 to validate with" in error
    error = failure(capsys, *call, data, "--validation", 0.95)
    assert "no training pictures of disc, square" in error and "smaller --validation" in error
    error = failure(capsys, *call, data, "--batch-size", 11, code=2)
    assert "--batch-size: 11 is more than the 10 training images" in error
    error = failure(capsys, *call, data, "--image-size", 4, code=2)
    assert "--image-size: 4 does not do: lenet5 is for 28×28 images" in error
    assert not (tmp_path / "out").exists()


def test_unreadable_pictures_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "d", 10)
    whole = (tmp_path / "d" / "disc" / "000.png").read_bytes()
    (tmp_path / "d" / "disc" / "000.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "d" / "square" / "003.png").write_bytes(b"")
    (tmp_path / "d" / ".cache").mkdir()
    assert train("lenet5", "--data", tmp_path / "d", *QUICK, "--out", tmp_path / "o") == 0
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if line.startswith("left out: ")]
    assert len(lines) == 2 and "disc/000.png" in lines[0] and "square/003.png" in lines[1]
    assert "2 classes: 14 training images, 4 for validation" in shown.out


def test_without_pillow(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "PIL").mkdir()
    (tmp_path / "PIL" / "__init__.py").write_text("raise ModuleNotFoundError('no', name='PIL')")
    done = subprocess.run(
        [sys.executable, "-m", "fastconv", "train", "lenet5", "--data", str(shapes)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])},
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "needs Pillow" in done.stderr and "pip install 'fastconv[vision]'" in done.stderr


# ---------------------------------------------------------------- parts


def test_build_refuses_what_is_no_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    class Maps(nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, num_classes, 3)

        def forward(self, x: Any) -> Any:
            return self.conv(x)

    monkeypatch.setattr(fastconv.models, "get", lambda name, **options: Maps(**options))
    with pytest.raises(UsageError, match=r"output is \(1, 2, 26, 26\), a classifier's is \(1, 2\)"):
        networks.build("lenet5", 2, 1, 28)


def test_auxiliary_classifiers_are_left_out() -> None:
    built = networks.build("googlenet", 3, 3, 32)
    whole = fastconv.models.googlenet(aux_logits=True).state_dict()
    said = networks.begin_from(built, whole, Path("g.fc"), None, ["a", "b", "c"])
    assert "left out of g.fc: its auxiliary classifiers" in said
    assert "g.fc has 1000 classes, here are 3; fc.weight, fc.bias begin anew" in said[-1]
    name = "inception5b.branch1.conv.weight"
    assert np.array_equal(np.asarray(built.model.state_dict()[name]), np.asarray(whole[name]))
    assert built.model.train()(fastconv.randn(2, 3, 32, 32)).shape == (2, 3)


def test_frozen_normalisations_stay() -> None:
    built = networks.build("resnet20", 2, 3, 32)
    networks.freeze_all_but(built.model, networks.head_of(built))
    before = {k: np.asarray(v).copy() for k, v in built.model.state_dict().items()}
    built.model.train()
    out = built.model(fastconv.randn(4, 3, 32, 32))
    out.sum().backward()
    learning = [name for name, p in built.model.named_parameters() if p.grad is not None]
    assert learning == ["linear.weight", "linear.bias"]
    for name, value in built.model.state_dict().items():
        assert np.array_equal(before[name], np.asarray(value)), name


def test_checkpoints_that_are_none(tmp_path: Path) -> None:
    from fastconv.cli.arguments import CommandError

    good = {
        "model": "lenet5", "options": {"num_classes": 2}, "classes": ["a", "b"], "image_size": 28,
        "resize": 28, "mean": [0.5], "std": [0.5],
        "state_dict": fastconv.models.lenet5(2).state_dict(),
    }  # fmt: skip
    fastconv.save(good, tmp_path / "a.fc")
    assert checkpoint.read(tmp_path / "a.fc")[1].classes == ["a", "b"]
    for change in ({"std": [0.0]}, {"classes": "ab"}, {"mean": []}, {"image_size": 0},
                   {"options": [1]}, {"model": 3}, {"model": "lenet6"},
                   {"options": {"colour": 1}}, {"state_dict": {}}):  # fmt: skip
        fastconv.save({**good, **change}, tmp_path / "b.fc")
        with pytest.raises(CommandError, match=r"b\.fc"):
            checkpoint.read(tmp_path / "b.fc")


def test_table_of_classes() -> None:
    text = class_table(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), ["a", "b", "c"], "test")
    lines = [line.split() for line in text.splitlines()]
    assert lines[2] == ["a", "4", "3", "75.0", "%", "b", "(1)"]
    assert lines[3] == ["b", "4", "4", "100.0", "%"] and lines[4] == ["c", "0", "0", "none"]
    many = class_table(np.eye(50, dtype=int), [f"c{i}" for i in range(50)], "test")
    assert len(many.splitlines()) == 43 and many.endswith("the 40 worst of 50 classes")
