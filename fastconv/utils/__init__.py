"""Under PyTorch's names: `utils.data` is `fastconv.data`; `utils.checkpoint` saves memory."""

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
