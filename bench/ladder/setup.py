"""Build the C rungs, each an extension of its own: ``python -m bench.ladder`` runs this.

cffi's API mode, as in csrc/build.py, but not part of the package: what is built stays in
bench/ladder/build and is meant for the machine that it is built on (``-march=native``).
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cffi import FFI
from setuptools import setup

RUNGS = Path("rungs")
FLAGS = ["-O3", "-std=gnu11", "-fno-math-errno", "-ffp-contract=fast", "-Wall", "-Wextra"]
OPENMP = "-fopenmp"
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS += ["-march=native", "-mprefer-vector-width=512"]
if os.environ.get("FASTCONV_DEV") == "1":
    FLAGS.append("-Werror")

CONV = """
void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *a, const float *b, float *out,
          int threads);
"""
MACHINE = """
double clock_rate(double seconds);
double read_rate(int64_t bytes, double seconds);
"""


def extension(source: Path, interface: str):
    """The extension ``ladder_<stem>`` of a C file; one that does not compile stops no other."""
    ffi = FFI()
    ffi.cdef(interface)
    ffi.set_source(
        f"ladder_{source.stem}",
        "#include <stdint.h>\n" + interface,
        sources=[source.as_posix()],
        depends=sorted(p.as_posix() for p in [*RUNGS.glob("*.h"), Path("setup.py")]),
        include_dirs=[RUNGS.as_posix()],
        extra_compile_args=[*FLAGS, OPENMP],
        extra_link_args=[OPENMP],
        optional=True,
    )
    return ffi.distutils_extension("build/glue")


setup(
    name="ladder",
    ext_modules=[
        extension(Path("machine.c"), MACHINE),
        *(extension(source, CONV) for source in sorted(RUNGS.glob("[0-9]*.c"))),
    ],
)
