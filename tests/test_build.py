"""The build: complete interface and dependencies, no compiler, spill check, light import."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"


def run(command, cwd=ROOT, **environment):
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def build():
    """The cffi build file as a module; it expects to run in the project's root."""
    pytest.importorskip("cffi")
    before, path = os.getcwd(), list(sys.path)
    os.chdir(ROOT)
    sys.path.insert(0, str(CSRC))
    try:
        import build as module

        yield module
    finally:
        os.chdir(before)
        sys.path[:] = path


def exported(text):
    """Names of the functions that a C text defines without `static`."""
    returns = r"int|int64_t|double|void|void \*|const char \*"
    return set(re.findall(rf"^(?:{returns}) ?(fc_\w+)\(", text, re.M))


def test_interface_declares_every_exported_function(build):
    sources = [CSRC / name for name in build.SOURCES if name not in build.UNITS]
    defined = set().union(*(exported(source.read_text()) for source in sources))
    table = (CSRC / "kernels.h").read_text()  # what dispatch.c makes of its lines
    defined |= {f"fc_{name}" for name in re.findall(r"^FC_FAMILY(?:_OF)?\((\w+),", table, re.M)}
    declared = set(re.findall(r"\b(fc_\w+)\(", build.interface()))
    assert defined and defined == declared


def test_capabilities():
    """One line of the table says what a kernel can do: the bits agree with what it does."""
    pytest.importorskip("fastconv._fastconv")
    from fastconv._fastconv import ffi, lib

    numbers = {name: getattr(lib, name) for name in dir(lib) if re.match("FC_CONV_[FB]", name)}
    directions = lib.FC_FORWARD | lib.FC_BACKWARD_INPUT | lib.FC_BACKWARD_WEIGHT
    geometry = ffi.new("fc_conv_geom *", {
        "batch": 1, "in_channels": 16, "out_channels": 16, "groups": 1, "in_size": [1, 9, 9],
        "out_size": [1, 9, 9], "kernel": [1, 3, 3], "stride": [1, 1, 1], "pad": [0, 1, 1],
        "dilation": [1, 1, 1], "x_stride": [1296, 1, 1296, 144, 16],
        "y_stride": [1296, 1, 1296, 144, 16],
    })  # fmt: skip
    assert len(numbers) == lib.FC_CONV_KERNELS
    for name, number in numbers.items():
        bits = lib.fc_conv_capabilities(number)
        (direction,) = [d for d in ("FORWARD", "BACKWARD_INPUT", "BACKWARD_WEIGHT") if d in name]
        assert bits & directions == getattr(lib, f"FC_{direction}"), name
        assert bool(bits & lib.FC_TRANSFORMS) == ("WINOGRAD" in name), name
        assert not bits & lib.FC_FINISHES or direction == "FORWARD", name
        size = lib.fc_conv_packed_bytes(lib.fc_get_isa(), number, lib.FC_F32, geometry)
        assert (size > 0) == bool(bits & lib.FC_PACKS), name
    assert lib.fc_conv_capabilities(-1) == lib.fc_conv_capabilities(lib.FC_CONV_KERNELS) == 0


def test_every_c_file_is_a_dependency(build):
    depends = set(build.ffibuilder._assigned_source[3]["depends"])
    files = {p.relative_to(ROOT).as_posix() for p in CSRC.rglob("*") if p.suffix in (".c", ".h")}
    assert files <= depends


def test_every_kernel_file_is_included():
    included = set()
    for path in CSRC.rglob("*.[ch]"):
        included |= set(re.findall(r'^\s*#include "([\w./]+)"', path.read_text(), re.M))
    files = {p.relative_to(CSRC).as_posix() for p in CSRC.rglob("*.h")}
    files |= {p.relative_to(CSRC).as_posix() for p in CSRC.rglob("*.inc.c")}
    assert files == included


def test_one_version():
    from fastconv.sysinfo import VERSION

    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()


def test_no_intrinsics_and_no_fast_math():
    for path in CSRC.rglob("*.[ch]"):
        text = path.read_text()
        assert "immintrin" not in text and "arm_neon" not in text, path
    flags = (CSRC / "build.py").read_text()
    assert '"-ffast-math"' not in flags and "march=native" not in flags


LOOP = """
	movaps	%xmm1, -24(%rsp)
	leaq	8(%rdi), %rbp
.L2:
	vmovups	(%rbp), %zmm3
	{}
	vfmadd231ps	(%rsi), %zmm1, %zmm2
	jne	.L2
	vmovups	%zmm2, 64(%rsp)
	jmp	.L2
""".replace("{}", "{body}")  # fmt: skip


def test_spill_check_sees_stack_traffic_in_loops_only(build, monkeypatch):
    monkeypatch.syspath_prepend(str(CSRC / "selfcheck"))
    import check_asm

    def spills(body, before=""):
        return check_asm.spills((before + LOOP.format(body=body)).splitlines())

    assert spills("addq	$1, %rax") == []
    assert len(spills("vmovaps	%zmm7, -64(%rsp)")) == 1
    assert len(spills("vfmadd231ps	128(%rsp), %zmm7, %zmm8")) == 1
    # With a frame pointer %rbp is the stack too.
    assert len(spills("nop", before="	movq	%rsp, %rbp\n")) == 1


# ---------------------------------------------------------------- without a compiler


@pytest.fixture(scope="module")
def without_compiler(tmp_path_factory):
    """The package built in a copy of the source where no compiler works."""
    source = tmp_path_factory.mktemp("source")
    skip = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("csrc", "fastconv"):
        shutil.copytree(ROOT / name, source / name, ignore=skip)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    done = run(
        [sys.executable, "setup.py", "-q", "build", "--build-lib", "lib"],
        source, CC="no-such-compiler", FASTCONV_DEV="0",
    )  # fmt: skip
    return source / "lib", done


def test_installs_without_a_compiler(without_compiler):
    pytest.importorskip("setuptools")
    library, done = without_compiler
    assert done.returncode == 0, done.stderr
    assert "Install a C compiler" in done.stderr
    assert (library / "fastconv" / "py.typed").exists()
    assert not list((library / "fastconv").glob("_fastconv*.so"))


# An editable install would find the extension in the source tree.
ALONE = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in str(f)]
"""
INFO = """
import warnings
warnings.simplefilter("error")
import fastconv
facts = fastconv.info()
print(facts["backend"])
print(facts["backends"]["c"])
"""


def test_numba_takes_over(without_compiler):
    pytest.importorskip("numba")
    library, _ = without_compiler
    done = run([sys.executable, "-c", ALONE + INFO], library, PYTHONPATH=str(library))
    backend, c = done.stdout.splitlines()
    assert backend == "numba"
    assert c.startswith("not available") and "install a C compiler" in c


NAIVE = """
sys.modules["numba"] = None
import numpy as np, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastconv
    x = np.ones((1, 1, 3, 3), np.float32)
    y = fastconv.ops.conv_forward(x, x[..., :2, :2])
print(fastconv.info()["backend"], int(y.sum()), [str(w.message) for w in caught])
"""


def test_naive_takes_over_with_a_warning(without_compiler):
    library, _ = without_compiler
    done = run([sys.executable, "-c", ALONE + NAIVE], library, PYTHONPATH=str(library))
    assert done.stdout.startswith("naive 16"), done.stderr
    assert "naive backend is very slow" in done.stdout


# ---------------------------------------------------------------- import


HEAVY = ("numba", "matplotlib", "sklearn", "tqdm", "PIL", "torch")
IMPORT = """
import sys
import fastconv
print([name for name in {heavy!r} if name in sys.modules])
"""


def test_import_is_light():
    done = run([sys.executable, "-c", IMPORT.format(heavy=HEAVY)])
    assert done.stdout.strip() == "[]"
