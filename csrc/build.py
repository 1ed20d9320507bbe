"""Describe the C extension to cffi: `fastconv._fastconv`, API mode.

Paths are relative to the project's root, where setuptools runs. ``depends`` lists every file of
csrc/, because an edit of one that is only included would not be rebuilt otherwise.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cffi import FFI

CSRC = Path("csrc")
#: One unit for every instruction set and type, the longest to compile last.
UNITS = [f"core/{isa}_f{bits}.c" for isa in ("generic", "avx2", "avx512") for bits in (64, 32)]
SOURCES = ["core/dispatch.c", "core/memory.c", "selfcheck/reference.c", "winograd/facts.c", *UNITS]
# Per-kernel freedom without -ffast-math, which would set flush-to-zero for the whole process.
# Python's own -g would take a third of the time to compile, and most of the file.
CFLAGS = ["-O3", "-g0", "-std=gnu11", "-fno-math-errno", "-ffp-contract=fast", "-Wall", "-Wextra"]
OPENMP = "-fopenmp"


def interface() -> str:
    """Return what cffi reads: fastconv.h between its two marks, and what kernels.h stands for."""
    text = (CSRC / "fastconv.h").read_text(encoding="utf-8")
    text = text.split("/* cffi: begin */", 1)[1].split("/* cffi: end */", 1)[0]
    table = (CSRC / "kernels.h").read_text(encoding="utf-8")
    numbers = re.findall(r"^FC_CONV_KERNEL\((\w+),", table, re.M)
    text += f"enum {{ {', '.join(f'FC_CONV_{name}' for name in numbers)}, FC_CONV_KERNELS }};\n"
    for name, parameters in re.findall(r"^FC_FAMILY\((\w+),\s*\((.*?)\),", table, re.M | re.S):
        text += f"int fc_{name}(int dtype, {parameters});\n"
    family_of = r"^FC_FAMILY_OF\((\w+),\s*\w+,\s*\((.*?)\),"
    for name, parameters in re.findall(family_of, table, re.M | re.S):
        text += f"int fc_{name}(int kind, int dtype, {parameters});\n"
    return text


def flags() -> list[str]:
    """Return the compiler flags; FASTCONV_DEV=1 turns warnings into errors."""
    return [*CFLAGS, *(["-Werror"] if os.environ.get("FASTCONV_DEV") == "1" else [])]


ffibuilder = FFI()
ffibuilder.cdef(interface())
ffibuilder.set_source(
    "fastconv._fastconv",
    '#include "fastconv.h"',
    sources=[(CSRC / name).as_posix() for name in SOURCES],
    depends=sorted(p.as_posix() for p in CSRC.rglob("*") if p.suffix in (".c", ".h", ".py")),
    include_dirs=[CSRC.as_posix()],
    extra_compile_args=[*flags(), OPENMP],
    extra_link_args=[OPENMP],
    # A machine without a compiler still gets the package; in development a failure is an error.
    optional=os.environ.get("FASTCONV_DEV") != "1",
)
