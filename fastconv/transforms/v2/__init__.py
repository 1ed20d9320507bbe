"""`fastconv.transforms` under torchvision's newer name."""

from .. import *  # noqa: F403
from .. import __all__, functional
