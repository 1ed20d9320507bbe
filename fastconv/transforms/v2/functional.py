"""`fastconv.transforms.functional` under torchvision's newer name."""

from ..functional import *  # noqa: F403
from ..functional import __all__ as __all__
