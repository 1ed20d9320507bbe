"""Generated problems on every kernel: ``python -m bench.verify`` is ``fastconv verify``."""

from __future__ import annotations

import sys

from fastconv.cli import main

if __name__ == "__main__":
    sys.exit(main(["verify", *sys.argv[1:]]))
