"""Networks put to further use: parts that do not learn any more, and several that vote."""

from __future__ import annotations

from typing import Any, TypeVar

from ..nn import Module, ModuleList
from ..nn import functional as F
from ..nn.modules.batchnorm import _BatchNorm
from ..tensor import Tensor

M = TypeVar("M", bound=Module)


def freeze(model: M, until: str | None = None) -> M:
    """Let a network learn no more, or only from some module on.

    The parameters get no gradients, and batch normalisation uses its running statistics and leaves
    them as they are, in training too.

    Parameters
    ----------
    model : Module
    until : str, optional
        The last module that is frozen, by its name in ``named_modules``, in the order in which they
        are defined; all of them when not given.

    Returns
    -------
    Module
        The network itself. :func:`unfreeze` takes it back.

    Raises
    ------
    ValueError
        For a name that is no module's.

    Examples
    --------
    >>> model = freeze(models.resnet18(), until="layer3")  # layer4 and fc learn
    """
    for module in _up_to(model, until):
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad = False
        if isinstance(module, _BatchNorm):
            _thaw(module)
            module.register_forward_pre_hook(_evaluate)
            module.eval()
    return model


def unfreeze(model: M) -> M:
    """Let all of a network learn again, after :func:`freeze`."""
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad = True
        if isinstance(module, _BatchNorm):
            _thaw(module)
            module.train(model.training)
    return model


def _up_to(model: Module, until: str | None) -> list[Module]:
    named = list(model.named_modules())
    if until is None:
        return [module for _, module in named]
    inside = [
        i for i, (name, _) in enumerate(named) if name == until or name.startswith(f"{until}.")
    ]
    if not inside or not until:
        children = ", ".join(name for name, _ in model.named_children())
        raise ValueError(
            f"freeze: until must be a module's name, such as {children}; got {until!r}"
        )
    return [module for _, module in named[: inside[-1] + 1]]


def _evaluate(module: Module, args: Any) -> None:
    """Before each call of a frozen normalisation: whatever `train` has said."""
    module.training = False


def _thaw(module: Module) -> None:
    hooks = module._forward_pre_hooks
    for key in [key for key, (hook, _) in hooks.items() if hook is _evaluate]:
        del hooks[key]


class Ensemble(Module):
    """Several networks of one task: the mean of what they say.

    Parameters
    ----------
    *models : Module
    probabilities : bool
        The mean of their probabilities (softmax over axis 1), rather than of their outputs.

    Raises
    ------
    ValueError
        Without networks.
    """

    def __init__(self, *models: Module, probabilities: bool = False) -> None:
        super().__init__()
        if not models:
            raise ValueError("Ensemble: models must not be empty")
        self.models = ModuleList(models)
        self.probabilities = probabilities

    def forward(self, *args: Any) -> Tensor:
        """(N, …) as each network's output."""
        total: Any = None
        for model in self.models:
            output = model(*args)
            if self.probabilities:
                output = F.softmax(output, 1)
            total = output if total is None else total + output
        return total / len(self.models)

    def extra_repr(self) -> str:
        return f"probabilities={self.probabilities}"
