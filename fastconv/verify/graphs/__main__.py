"""``python -m fastconv.verify.graphs``."""

import sys

from .judge import main

sys.exit(main())
