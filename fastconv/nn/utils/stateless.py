"""A module called with other parameters, under PyTorch's older path."""

from ...func import functional_call

__all__ = ["functional_call"]
