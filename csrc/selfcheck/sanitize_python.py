"""The kernels under the sanitizers, called from Python (`make sanitize-python`).

Makes build/sanitize/tree: the package and its tests, with an extension of the sanitized objects in
build/sanitize. Runs a part of the tests there, stratified: of each test function every N-th case,
of those that do not run Numba. The package beside the sources stays as it is.
"""

from __future__ import annotations

import argparse
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any

BUILD = Path("build/sanitize")
TREE = BUILD / "tree"
CC = shlex.split(os.environ.get("CC", "gcc"))
FLAGS = ["-fsanitize=address,undefined", "-fopenmp", "-shared", "-fPIC", "-O1", "-g1"]


def make_tree() -> None:
    """Copy the package and the tests, and link the extension."""
    shutil.rmtree(TREE, ignore_errors=True)
    without = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("fastconv", "tests", "bench"):
        shutil.copytree(name, TREE / name, ignore=without)
    shutil.copy("pyproject.toml", TREE)
    wrapper = BUILD / "_fastconv.c"
    build = runpy.run_path("csrc/build.py")
    build["ffibuilder"].emit_c_code(str(wrapper))
    objects = [str((BUILD / name).with_suffix(".o")) for name in build["SOURCES"]]
    include = ["-Icsrc", f"-I{sysconfig.get_path('include')}"]
    out = ["-o", str(TREE / "fastconv" / "_fastconv.so")]
    subprocess.run([*CC, *FLAGS, *include, str(wrapper), *objects, *out], check=True)


def run(tests: list[str], every: int, jobs: int) -> int:
    """Run the tests in several processes; the sum of their exit codes."""
    asan = subprocess.run(
        [*CC, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    )
    environment = {
        **os.environ,
        "LD_PRELOAD": asan.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own, at exit
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(Path(__file__).resolve().parent),
        "NUMBA_DISABLE_JIT": "1",
        "FASTCONV_EVERY": str(every),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "sanitize_python", *tests]
    started = [
        subprocess.Popen(command, cwd=TREE, env={**environment, "FASTCONV_PART": f"{i}/{jobs}"})
        for i in range(jobs)
    ]
    return sum(process.wait() != 0 for process in started)


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """As a plugin of pytest: every N-th case of each function, and of those this process's part."""
    every = int(os.environ["FASTCONV_EVERY"])
    part, jobs = map(int, os.environ["FASTCONV_PART"].split("/"))
    seen: Counter[Any] = Counter()
    chosen = []
    for item in items:
        if "numba" in item.name or "naive" in item.name:
            continue
        function = item.nodeid.split("[")[0]
        if seen[function] % every == 0:
            chosen.append(item)
        seen[function] += 1
    items[:] = chosen[part::jobs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("tests", nargs="+")
    arguments = parser.parse_args()
    make_tree()
    sys.exit(run(arguments.tests, arguments.every, arguments.jobs))
