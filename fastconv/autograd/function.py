"""Operations that users define, under PyTorch's path."""

from .._function import Function, once_differentiable

FunctionCtx = Function  # an instance of the class is its `ctx`
InplaceFunction = Function

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]
