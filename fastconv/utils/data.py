"""`fastconv.utils.data` is `fastconv.data`: importing this name gives that very module."""

import sys

from .. import data
from ..data import *  # noqa: F403

sys.modules[__name__] = data
