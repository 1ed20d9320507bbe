"""Files for TensorBoard, read back with that package's own reader."""

from __future__ import annotations

import builtins
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn, train
from fastconv.utils.tensorboard import SummaryWriter


def test_the_package_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("tensorboard"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for make in (SummaryWriter, train.TensorBoard):
        with pytest.raises(ModuleNotFoundError, match="pip install tensorboard"):
            make(tmp_path / "runs")
    assert not list(tmp_path.iterdir())


def read(path: Path) -> Any:
    """What was written there."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = module.EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


@pytest.fixture
def board() -> Any:
    return pytest.importorskip("tensorboard")


def test_scalars(board: Any, tmp_path: Path) -> None:
    values = [0.5, -3.0, 1e-30, math.inf]
    with SummaryWriter(tmp_path) as writer:
        assert writer.get_logdir() == str(tmp_path)
        for step, value in enumerate(values):
            writer.add_scalar("loss", fastconv.tensor([value]), 10 * step, walltime=100.0 + step)
        writer.add_scalar("plain", 7)
        writer.add_scalars("rates", {"a": 1.0, "b": np.float64(2)}, 3)
    events = read(tmp_path)
    assert sorted(events.Tags()["scalars"]) == ["loss", "plain"]
    found = events.Scalars("loss")
    assert [e.step for e in found] == [0, 10, 20, 30]
    assert [e.wall_time for e in found] == [100.0, 101.0, 102.0, 103.0]
    assert [np.float32(e.value) for e in found] == [np.float32(v) for v in values]
    assert [(e.step, e.value) for e in events.Scalars("plain")] == [(0, 7.0)]
    for key, value in {"a": 1.0, "b": 2.0}.items():  # a run of its own, drawn in one picture
        (one,) = read(tmp_path / f"rates_{key}").Scalars("rates")
        assert (one.step, one.value) == (3, value)


def test_histogram(board: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("weights", fastconv.tensor(values), 4, bins=8)
        with pytest.raises(ValueError, match="'nothing' are empty"):
            writer.add_histogram("nothing", np.zeros(0))
    (event,) = read(tmp_path).Histograms("weights")
    found, wide = event.histogram_value, values.astype(np.float64)
    assert event.step == 4 and found.num == 100
    np.testing.assert_allclose(
        [found.min, found.max, found.sum, found.sum_squares],
        [wide.min(), wide.max(), wide.sum(), (wide**2).sum()], rtol=1e-12,
    )  # fmt: skip
    counts, edges = np.histogram(wide, 8)
    assert list(found.bucket) == counts.tolist()
    np.testing.assert_allclose(found.bucket_limit, edges[1:])


def test_images(board: Any, tmp_path: Path) -> None:
    pictures = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 256, (3, 4, 6), np.uint8)
    grey = np.linspace(-0.5, 1.5, 20).reshape(4, 5)
    stack = rng.integers(0, 256, (2, 3, 4, 6), np.uint8)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("colour", fastconv.tensor(colour), 1)
        writer.add_image("grey", grey, 1, dataformats="HW")
        writer.add_image("last", colour.transpose(1, 2, 0), 1, dataformats="HWC")
        writer.add_images("row", stack, 1)
        with pytest.raises(ValueError, match="does not fit dataformats 'CHW'"):
            writer.add_image("flat", grey)
        with pytest.raises(ValueError, match="1, 3 or 4 channels"):
            writer.add_image("two", np.zeros((2, 4, 4)))
    events = read(tmp_path)
    wanted = {
        "colour": colour.transpose(1, 2, 0),
        "grey": (np.clip(grey, 0, 1) * 255).astype(np.uint8),
        "last": colour.transpose(1, 2, 0),
        "row": np.concatenate(list(stack.transpose(0, 2, 3, 1)), axis=1),
    }
    assert set(events.Tags()["images"]) == set(wanted)
    for name, want in wanted.items():
        (event,) = events.Images(name)
        assert (event.height, event.width) == want.shape[:2]
        got = np.asarray(pictures.open(io.BytesIO(event.encoded_image_string)))
        np.testing.assert_array_equal(got, want)


def test_figures(board: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    figures = [plt.figure(figsize=(1, 2), dpi=50) for _ in range(3)]
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("one", figures[0], 2)
        writer.add_figure("many", figures[1:], 2, close=False)
    assert plt.get_fignums() == [*before, figures[1].number, figures[2].number]
    for figure in figures[1:]:
        plt.close(figure)
    events = read(tmp_path)
    assert sorted(events.Tags()["images"]) == ["many/0", "many/1", "one"]
    (event,) = events.Images("one")
    assert (event.width, event.height, event.step) == (50, 100, 2)


def texts(events: Any) -> dict[str, str]:
    return {
        tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in events.Tags()["tensors"]
    }


def test_texts(board: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("note", "Größe", 1)
        writer.add_graph(model)
        writer.add_hparams({"lr": 0.1, "width": 8}, {"accuracy": 0.9}, global_step=5)
    events = read(tmp_path)
    found = texts(events)
    assert found["note/text_summary"] == "Größe"
    assert repr(model) in found["model/text_summary"]
    assert found["hparams/text_summary"] == "lr: 0.1\nwidth: 8"
    assert events.summary_metadata["note/text_summary"].plugin_data.plugin_name == "text"
    (measure,) = events.Scalars("accuracy")
    assert (measure.step, round(measure.value, 6)) == (5, 0.9)


def test_steps_that_are_run_again_replace_the_old(board: Any, tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1.0, step, walltime=step)
    with SummaryWriter(tmp_path, purge_step=3, filename_suffix=".second") as writer:
        writer.add_scalar("loss", 2.0, 3)
    assert len(list(tmp_path.glob("events*"))) == 2
    assert [(e.step, e.value) for e in read(tmp_path).Scalars("loss")] == [
        (0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0),
    ]  # fmt: skip


def test_the_folder_by_default(board: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="-small") as writer:
        writer.add_scalar("x", 1)
        writer.flush()
        (folder,) = (tmp_path / "runs").iterdir()
        assert folder.name.endswith("-small") and writer.log_dir == f"runs/{folder.name}"
        assert read(folder).Scalars("x")[0].value == 1.0


def test_a_training(board: Any, tmp_path: Path) -> None:
    fastconv.manual_seed(0)
    x = fastconv.randn(40, 3)
    y = x.sum(1, keepdim=True)
    history = train.fit(
        nn.Linear(3, 1), "mse", "adam", (x, y), (x, y), 3, ["mae"], [train.TensorBoard(tmp_path)],
        log=tmp_path / "log.json", progress=False,
    )  # fmt: skip
    events = read(tmp_path)
    names = {"loss", "mae", "valid_loss", "valid_mae", "seconds"}
    assert names <= set(events.Tags()["scalars"]) and "epoch" not in events.Tags()["scalars"]
    for name in names:
        found = events.Scalars(name)
        assert [e.step for e in found] == [1, 2, 3]
        np.testing.assert_array_equal(
            np.float32([e.value for e in found]), np.float32(history[name])
        )
    assert json.loads((tmp_path / "log.json").read_text())
