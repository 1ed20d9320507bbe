"""Build hook: the C extension is optional, everything else is in pyproject.toml."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from setuptools import setup
from setuptools.command.build_ext import build_ext

NO_EXTENSION = """
*** fastconv: the C kernels were not built: {reason}
*** The package is complete without them and runs on Numba, or on plain Python (slow).
*** Install a C compiler (gcc or clang) and install fastconv again to get them.
"""


def compile_side_by_side(compiler):
    """Let `compiler` work on as many files at once as there are processors."""
    compile_in_turn = compiler.compile

    def compile_all(sources, *args, **kwargs):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # the longest first: the widest instruction set is the last source
            made = pool.map(
                lambda source: compile_in_turn([source], *args, **kwargs), reversed(sources)
            )
            return [name for names in reversed(list(made)) for name in names]

    compiler.compile = compile_all


class optional_build_ext(build_ext):
    """Build the extension; without OpenMP where the compiler lacks it, or say why there is none."""

    def build_extensions(self):
        compile_side_by_side(self.compiler)
        super().build_extensions()

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except Exception as reason:
            if not ext.optional:
                raise
            if "-fopenmp" in ext.extra_compile_args and self._retry_serial(ext):
                return
            print(NO_EXTENSION.format(reason=reason), file=sys.stderr)
            raise

    def _retry_serial(self, ext):
        ext.extra_compile_args = [a for a in ext.extra_compile_args if a != "-fopenmp"]
        ext.extra_link_args = [a for a in ext.extra_link_args if a != "-fopenmp"]
        try:
            super().build_extension(ext)
        except Exception:
            return False
        print("*** fastconv: built without OpenMP: one thread", file=sys.stderr)
        return True


WITHOUT_EXTENSION = os.environ.get("FASTCONV_NO_EXT") == "1"

setup(
    cffi_modules=[] if WITHOUT_EXTENSION else ["csrc/build.py:ffibuilder"],
    cmdclass={"build_ext": optional_build_ext},
)
