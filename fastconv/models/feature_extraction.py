"""What a network computes on the way, under torchvision's names."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..nn import Module, ModuleDict
from ..tensor import Tensor

__all__ = [
    "FeatureExtractor",
    "IntermediateLayerGetter",
    "create_feature_extractor",
    "get_graph_node_names",
]

Nodes = Mapping[str, str] | Sequence[str]


class FeatureExtractor(Module):
    """A network that returns what some of its modules return: see `create_feature_extractor`.

    It has the network's own modules and parameters under the same names; nothing is copied.

    Parameters
    ----------
    model : Module
    train_nodes, eval_nodes : dict of str to str
        Name of a module: name in the result.
    """

    def __init__(
        self, model: Module, train_nodes: Mapping[str, str], eval_nodes: Mapping[str, str]
    ) -> None:
        super().__init__()
        fields = self.__dict__
        fields["_model"] = model  # not a module of this one: its modules are
        for table in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers"):
            fields[table] = model.__dict__[table]
        fields["training"] = model.training
        self.return_nodes = {True: dict(train_nodes), False: dict(eval_nodes)}
        modules = dict(model.named_modules())
        self._calls = {
            name: _find(modules, name) for nodes in self.return_nodes.values() for name in nodes
        }

    def train(self, mode: bool = True) -> FeatureExtractor:
        """As of every module; the network itself changes too."""
        self._model.train(mode)
        self.training = mode
        return self

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The results by name, in the order in which they were asked for."""
        wanted = self.return_nodes[self.training]
        with self._watched() as seen:
            self._model(*args, **kwargs)
        results = {}
        for name, label in wanted.items():
            path, number = self._calls[name]
            made = seen.get(path, [])
            if not -len(made) <= number < len(made):
                raise RuntimeError(
                    f"create_feature_extractor: {name!r} was not reached: module {path!r} was "
                    f"called {len(made)} times in {'training' if self.training else 'evaluation'}"
                )
            results[label] = made[number]
        return results

    @contextmanager
    def _watched(self) -> Iterator[dict[str, list[Any]]]:
        """The results of the modules wanted, as they come, in this thread."""
        seen: dict[str, list[Any]] = {}
        thread = threading.get_ident()
        handles = []

        def watch(path: str) -> None:
            def keep(module: Module, args: Any, result: Any) -> None:
                if threading.get_ident() == thread:
                    seen.setdefault(path, []).append(result)

            handles.append(self._model.get_submodule(path).register_forward_hook(keep))

        try:
            for path in {self._calls[name][0] for name in self.return_nodes[self.training]}:
                watch(path)
            yield seen
        finally:
            for handle in handles:
                handle.remove()


def create_feature_extractor(
    model: Module,
    return_nodes: Nodes | None = None,
    train_return_nodes: Nodes | None = None,
    eval_return_nodes: Nodes | None = None,
) -> FeatureExtractor:
    """A network that returns what some of its modules return.

    Parameters
    ----------
    model : Module
    return_nodes : list of str, or dict of str to str
        Names of modules as `named_modules` has them (``"layer3"``, ``"features.5"``); a dict says
        under which name each comes out. A module that is called several times is ``"relu"``,
        ``"relu_1"``, ``"relu_2"`` and so on, as in torchvision.
    train_return_nodes, eval_return_nodes : the same
        Both in place of `return_nodes`, where training and evaluation differ.

    Returns
    -------
    FeatureExtractor
        It has the network's own parameters, and computes all of it; gradients flow from what comes
        out. Its call returns a dict.

    Raises
    ------
    ValueError
        For a name that is no module's, no names, or both ways of giving them.

    Notes
    -----
    A result that the next module changes in place (``ReLU(inplace=True)``) comes out changed.
    """
    both = (train_return_nodes, eval_return_nodes)
    if return_nodes is None and None in both:
        raise ValueError(
            "create_feature_extractor: return_nodes must be given, or both train_return_nodes "
            "and eval_return_nodes"
        )
    if return_nodes is not None and both != (None, None):
        raise ValueError(
            "create_feature_extractor: return_nodes cannot be given together with "
            "train_return_nodes or eval_return_nodes"
        )
    if not isinstance(model, Module):
        raise TypeError(
            f"create_feature_extractor: model must be a Module, got {type(model).__name__}"
        )
    train, evaluation = both if return_nodes is None else (return_nodes, return_nodes)
    return FeatureExtractor(model, _named(train), _named(evaluation))


def get_graph_node_names(model: Module) -> tuple[list[str], list[str]]:
    """The names that `create_feature_extractor` takes, in training and in evaluation.

    They are the modules'; operations between modules have none.
    """
    names = [name for name, _ in model.named_modules() if name]
    return names, list(names)


class IntermediateLayerGetter(ModuleDict):
    """The first modules of a network one after the other, as far as they are needed.

    For networks whose ``forward`` is their direct modules in order (ResNet up to ``layer4``).
    Unlike a `FeatureExtractor` it has no modules that come later, and does not compute them.

    Parameters
    ----------
    model : Module
    return_layers : dict of str to str
        Name of a direct module: name in the result.

    Raises
    ------
    ValueError
        For a name that is no direct module's.
    """

    def __init__(self, model: Module, return_layers: Mapping[str, str]) -> None:
        children = dict(model.named_children())
        unknown = [name for name in return_layers if name not in children]
        if unknown or not return_layers:
            raise ValueError(
                "IntermediateLayerGetter: return_layers must name modules among "
                f"{', '.join(children)}; got {dict(return_layers)}"
            )
        last = max(list(children).index(name) for name in return_layers)
        super().__init__(dict(list(children.items())[: last + 1]))
        self.return_layers = dict(return_layers)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The results by name, in the network's order."""
        results = {}
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                results[self.return_layers[name]] = x
        return results


def _named(nodes: Any) -> dict[str, str]:
    """Names of modules with their names in the result."""
    if isinstance(nodes, str):
        nodes = [nodes]
    named = dict(nodes) if isinstance(nodes, Mapping) else {name: name for name in nodes}
    if not named or not all(isinstance(n, str) for pair in named.items() for n in pair):
        raise ValueError(
            f"create_feature_extractor: return_nodes must name modules, got {nodes!r:.80}"
        )
    if len(set(named.values())) < len(named):
        raise ValueError(
            f"create_feature_extractor: two results cannot have one name, got {nodes!r:.200}"
        )
    return named


def _find(modules: Mapping[str, Module], name: str) -> tuple[str, int]:
    """The module's path, and which of its calls: the last one of a module that has modules."""
    if name and name in modules:
        leaf = not any(True for _ in modules[name].children())
        return name, 0 if leaf else -1
    path, _, number = name.rpartition("_")
    if path and path in modules and number.isdecimal():
        return path, int(number)
    near = difflib.get_close_matches(name, [path for path in modules if path], 4, 0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"create_feature_extractor: no module is named {name!r}; {hint}"
        "get_graph_node_names(model) has all"
    )
