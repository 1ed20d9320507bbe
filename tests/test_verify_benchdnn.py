"""benchdnn's descriptors and batch files: what they say, by its rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastconv import backends
from fastconv.cli import main
from fastconv.spec import conv_spec, conv_transpose_spec
from fastconv.verify.benchdnn import descriptor, problems, read


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (  # all of it
            'mb1_ic3ih224oc64oh112kh7sh2ph3n"name"',
            "conv c=3 k=64 size=224x224 out=112x112 kernel=7x7 stride=2x2 pad=3x3 dilation=1x1",
        ),
        (  # 2 images, the output from the padding, the square from one side
            "ic4oc8ih10kh3ph1",
            "conv n=2 c=4 k=8 size=10x10 out=10x10 kernel=3x3 stride=1x1 pad=1x1 dilation=1x1",
        ),
        (  # the padding from the output
            "mb1ic4oc8ih10oh5kh3sh2",
            "conv c=4 k=8 size=10x10 out=5x5 kernel=3x3 stride=2x2 pad=0x0 dilation=1x1",
        ),
        (
            "mb1ic4oc8ih10oh10kh3",
            "conv c=4 k=8 size=10x10 out=10x10 kernel=3x3 stride=1x1 pad=1x1 dilation=1x1",
        ),
        (  # an output that asks for more padding at the end than at the beginning
            'mb1ic32oc13_ih13oh12kh3ph0_n"tails_conv:1"',
            "conv c=32 k=13 size=13x13 out=12x12 kernel=3x3 stride=1x1 pad=0x0 dilation=1x1",
        ),
        (  # one axis, and groups
            "g2mb3ic4oc6iw13ow11kw3pw0",
            "conv n=3 c=4 k=6 g=2 size=13 out=11 kernel=3 stride=1 pad=0 dilation=1",
        ),
        (  # a cube from one side; dilation counts from 0
            "mb1ic2oc3id9kd3dd1",
            "conv c=2 k=3 size=9x9x9 out=5x5x5 kernel=3x3x3 stride=1x1x1 pad=0x0x0 "
            "dilation=2x2x2",
        ),
        (  # every axis its own, in another order
            "oc3kw2sw3iw8ih7kh1ic2mb1pw1",
            "conv c=2 k=3 size=7x8 out=7x3 kernel=1x2 stride=1x3 pad=0x1 dilation=1x1",
        ),
        (
            "mb1ic2oc3id4kd3_ih5kh2_iw6kw1",
            "conv c=2 k=3 size=4x5x6 out=2x4x6 kernel=3x2x1 stride=1x1x1 pad=0x0x0 "
            "dilation=1x1x1",
        ),
    ],
)  # fmt: skip
def test_descriptors(text: str, says: str) -> None:
    assert str(descriptor(text)) == says
    descriptor(text).spec()


@pytest.mark.parametrize(
    "text",
    ["", "mb1", "ic3oc4", "ic3oc4ih5", "ic3oc4kh3", "oc4ih5kh3", "ic3oc4ih5kh3xh2",
     "ih5kh3ic3oc4g2", "ic3oc4ih2kh5", "ic3oc4ih5kh3sh0", "ic3oc4ih5kh3g0"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="benchdnn"):
        descriptor(text)


def test_outputs_are_those_of_the_formula() -> None:
    problem = descriptor("mb2ic4oc6_ih11kh3sh2ph1dh1_iw12kw4sw3pw2")
    spec = conv_spec((2, 4, 11, 12), (6, 4, 3, 4), (2, 3), (1, 2), (2, 1))
    assert problem.spec() == spec
    problem = descriptor("mb2ic4oc6_ih11kh3sh2ph1dh1_iw12kw4sw3pw2", transposed=True)
    assert problem.spec() == conv_transpose_spec(
        (2, 4, 11, 12), (4, 6, 3, 4), (2, 3), (1, 2), 0, 1, (2, 1)
    )


def test_batch_files(tmp_path: Path) -> None:
    (tmp_path / "shapes").write_text(
        '# a comment\n\nic4oc8ih10kh3ph1n"one"\nic4oc8ih9kh3ph1n"a name in words" ic2oc2iw5kw1\n'
    )
    (tmp_path / "all").write_text(
        "--reset --dir=FWD_B,BWD_D\n--mb=5 --attr-post-ops=relu\n--batch=shapes\n"
        "--mb=7\nic4oc8ih10kh3ph1\n--reset ic4oc8ih10kh3ph1\n--deconv --mb=1 ic4oc8ih10kh3ph1\n"
    )
    found = list(read(tmp_path / "all"))
    assert [(p.n, p.c, p.k, p.size[0]) for p in found] == [
        (2, 4, 8, 10), (2, 4, 8, 9), (2, 2, 2, 5), (7, 4, 8, 10), (2, 4, 8, 10), (1, 8, 4, 10),
    ]  # fmt: skip
    every = list(problems(tmp_path / "all", "naive/direct", "-"))
    assert len(every) == 5 * 4  # one of them comes twice
    assert {p.op for p in every} == {
        "forward", "backward_input", "backward_weight", "backward_bias",
    }  # fmt: skip


def test_a_wrong_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shapes").write_text("ic4oc8ih10kh3\nic4oc8ih10\n")
    assert main(["verify", "--batch", str(tmp_path / "shapes")]) == 1
    assert "shapes, line 2: benchdnn: 'ic4oc8ih10' needs ih and kh" in capsys.readouterr().err


@pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")
def test_a_batch_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        'ic19oc33_ih13oh13kh3ph1_n"tails"',
        "g17mb3ic17id5oc17od5kd3pd1",
        "ic3oc5iw13ow12kw3pw0",
    ]
    (tmp_path / "shapes").write_text("\n".join(lines))
    assert main(["verify", "--batch", str(tmp_path / "shapes")]) == 0
    assert "12 of 12 problems, 0 failed" in capsys.readouterr().out
