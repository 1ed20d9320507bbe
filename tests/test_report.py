"""The report: self-contained, escaped, complete, and written in one step."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from fastconv import report
from fastconv.files import atomic_path, write_text
from fastconv.report import figures
from fastconv.report.style import DARK, LIGHT


def history(epochs: int = 4) -> list[dict[str, Any]]:
    return [
        {
            "epoch": e, "seconds": 0.1, "learning_rate": 1e-3,
            "train_loss": 1 / e, "train_accuracy": 1 - 0.4 / e,
            "validation_loss": 1.1 / e, "validation_accuracy": 1 - 0.5 / e, "kept": e < 4,
        }
        for e in range(1, epochs + 1)
    ]  # fmt: skip


def full_results() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "title": "A run & <its> report",
        "summary": "What was done.",
        "tiles": [("98.5 %", "accuracy"), ("1.2 s", "training")],
        "history": history(),
        "confusion": np.array([[9, 1], [0, 10]]),
        "classes": ["0", "1"],
        "filters": rng.standard_normal((6, 1, 5, 5)),
        "mistakes": [
            {"image": rng.random((8, 8)), "true": "0", "predicted": "1", "probability": 0.7}
        ],
        "speed": [
            {"backend": "naive", "seconds": 2.0, "steps": 2},
            {"backend": "c", "seconds": 0.001, "steps": 500},
        ],
        "speed_note": "One step.",
        "machine": {"processor": "some <cpu>"},
        "command": "fastconv demo",
    }


class Checker(HTMLParser):
    """Collects what the page refers to, and checks that its tags nest."""

    VOID = frozenset({"meta", "img", "source", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.alternatives: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        for name in ("src", "srcset", "href"):
            if name in values:
                self.references.append(values[name] or "")
        if tag == "img":
            self.alternatives.append(values.get("alt") or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def test_page_is_self_contained_and_has_every_section() -> None:
    page = report.render(full_results())
    checker = parse(page)
    assert checker.references and all(r.startswith("data:image/") for r in checker.references)
    assert all(checker.alternatives)
    assert "url(" not in page and "@import" not in page and "<script" not in page
    text = " ".join(checker.text)
    for heading in (
        "Training", "Confusion matrix", "First layer", "Mistakes", "Speed", "How it was made"
    ):  # fmt: skip
        assert heading in text
    assert "19 of 20 test images" in text
    assert "2\u202f000.0×" in text


def test_each_picture_has_a_light_and_a_dark_version() -> None:
    page = report.render(full_results())
    pictures = re.findall(r"<picture>(.*?)</picture>", page)
    assert len(pictures) == 6
    for picture in pictures:
        assert "prefers-color-scheme: dark" in picture
        uris = re.findall(r'"(data:[^"]+)"', picture)
        assert len(uris) == 2
        for uri, theme in zip(uris, (DARK, LIGHT), strict=True):
            svg = base64.b64decode(uri.split(",", 1)[1]).decode()
            assert svg.rstrip().endswith("</svg>") and theme.surface in svg


def test_text_is_escaped() -> None:
    page = report.render(full_results())
    assert "A run &amp; &lt;its&gt; report" in page
    assert "<its>" not in page and "some <cpu>" not in page


def test_the_same_results_give_the_same_bytes() -> None:
    assert report.render(full_results()) == report.render(full_results())


@pytest.mark.parametrize("left_out", ["history", "confusion", "filters", "mistakes", "speed"])
def test_a_section_without_data_is_left_out(left_out: str) -> None:
    results = full_results()
    del results[left_out]
    parse(report.render(results))


def test_smallest_page_and_no_mistakes() -> None:
    page = report.render({"title": "t", "summary": "s", "mistakes": []})
    assert "Every test image was read correctly" in page
    parse(page)


def test_one_epoch_and_many_mistakes() -> None:
    results = full_results()
    results["history"] = history(1)
    results["mistakes"] *= 40
    page = report.render(results)
    assert "40 test images read wrong, the surest 24 shown" in page


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.50 s"), (123.4, "123 s"), (0.0123, "12.3 ms"), (4e-6, "4.00 µs"), (5e-7, "0.500 µs")],
)
def test_seconds_text(seconds: float, text: str) -> None:
    assert figures.seconds_text(seconds) == text


def test_throughput_with_and_without_a_peak() -> None:
    cells = [
        {"shape": s, "direction": d, "variant": v, "gflops": 10.0}
        for s in "abcd"
        for d in ("forward", "backward input")
        for v in ("numba", "c avx2")
    ]
    for peak in (None, 118.0):
        figure = figures.throughput(cells, peak, LIGHT)
        assert len([axes for axes in figure.axes if axes.get_visible()]) == 4


def test_write_replaces_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    assert report.write({"title": "t", "summary": "s"}, path) == path
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_atomic_path_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
