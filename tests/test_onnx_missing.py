"""Without the onnx package: what is said, and what still works."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = "import sys; sys.modules['onnx'] = None; import fastconv; "


def run(code: str) -> str:
    """What a program without the package prints."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code], capture_output=True, text=True, timeout=120
    )
    return done.stdout + done.stderr


def test_the_extra_is_named() -> None:
    for call in (
        "fastconv.onnx.load('a.onnx')",
        "fastconv.onnx.export(None, fastconv.ones(1), None)",
        "fastconv.onnx.backend",
    ):
        assert "ModuleNotFoundError: reading and writing ONNX files needs the onnx package: pip " \
            "install 'fastconv[onnx]'" in run(call), call  # fmt: skip


def test_nothing_is_imported_before() -> None:
    code = "import fastconv.onnx; print('protobuf' in str(sys.modules), sys.modules['onnx'])"
    assert run(code).split() == ["False", "None"]


def test_the_command_says_it_too() -> None:
    code = (
        "from fastconv.cli import main; from PIL import Image; import tempfile, os; "
        "p = os.path.join(tempfile.mkdtemp(), 'a.png'); Image.new('RGB', (9, 9)).save(p); "
        "print(main(['classify', p, '--model', p]))"
    )
    said = run(code)
    if "No module named 'PIL'" not in said:
        assert "pip install 'fastconv[onnx]'" in said and said.strip().startswith(("1", "fastconv"))
