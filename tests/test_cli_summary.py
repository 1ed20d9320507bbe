"""``fastconv summary``: tables of networks by name and of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastconv import models
from fastconv.cli import main
from tests.models_table import NETWORKS

OWN = """
from beside import WIDTH
from fastconv import nn


class Net(nn.Sequential):
    def __init__(self, num_classes=4):
        super().__init__(nn.Conv2d(3, WIDTH, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(WIDTH, num_classes))


def number():
    return 3


made = Net(5)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file with networks, and one that it imports."""
    (tmp_path / "beside.py").write_text("WIDTH = 6\n")
    (tmp_path / "nets.py").write_text(OWN)
    return tmp_path / "nets.py"


def test_a_network_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "LeNet5"]) == 0
    text = capsys.readouterr().out
    assert "[1, 1, 28, 28]" in text and "Total params: 61\u202f706" in text
    assert main(["summary", "resnet20", "--num-classes", "7", "--input", "2x3x16x16",
                 "--depth", "1", "--columns", "output_size,kernel_size"]) == 0  # fmt: skip
    text = capsys.readouterr().out
    assert "[2, 7]" in text and "Kernel Shape" in text and "Input Shape" not in text
    assert "Sequential (layer1)" in text and "CifarBlock" not in text and "(conv2)" not in text


def test_every_network_has_a_size_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == models.list()
    assert main(["summary", "--list", "resnet2*"]) == 0
    assert "resnet20  3×32×32" in capsys.readouterr().out
    assert {name: models.input_size(name) for name in models.list()} == {
        name: row.input for name, row in NETWORKS.items()
    }
    with pytest.raises(ValueError, match="did you mean lenet5"):
        models.input_size("lenet6")


def test_a_size_that_does_not_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "resnet20", "--input", "1,1,32,32"]) == 1
    error = capsys.readouterr().err
    assert "resnet20 does not take an input of 1,1,32,32" in error and "--input" in error


def test_a_network_in_a_file(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, classes in (("Net", 4), ("made", 5)):
        assert main(["summary", f"{own}:{name}", "--input", "1,3,8,8"]) == 0
        assert f"[1, {classes}]" in capsys.readouterr().out
    assert main(["summary", f"{own}:Net", "--input", "1,3,8,8", "--num-classes", "9"]) == 0
    assert "[1, 9]" in capsys.readouterr().out
    for call, code, message in (
        (["Net"], 2, "--input: a network of yours needs it"),
        (["Nat", "--input", "1,3,8,8"], 2, "has no 'Nat'; it has Net, number"),
        (["number", "--input", "1,3,8,8"], 1, "makes int, a Module is needed"),
        (["number", "--input", "1,3,8,8", "--num-classes", "3"], 1, "TypeError"),
    ):
        assert main(["summary", f"{own}:{call[0]}", *call[1:]]) == code
        assert message in capsys.readouterr().err
    own.write_text("1 +")
    assert main(["summary", f"{own}:Net", "--input", "1,3,8,8"]) == 1
    assert "cannot be run: SyntaxError" in capsys.readouterr().err
