"""Wrong arguments of layers' and networks' constructors: the error names layer, argument, value."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import pytest

import fastconv as fc
from fastconv import models, nn
from fastconv.nn.init import undrawn

#: Arguments that are right, by name; 2 where none is named.
RIGHT = {"padding": 1, "value": 0.0, "unflattened_size": (1, 2), "in_channels": 4,
         "out_channels": 4, "num_channels": 4, "embed_dim": 4, "input_channels": 4}  # fmt: skip
WRONG = [None, "a", -1, 1.5, (1, 2, 3, 4, 5), [], {}, object(), (None,), ("a",)]
LAYERS = [
    name for name in dir(nn)
    if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
]  # fmt: skip
PLAIN = (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError, MemoryError)


def complaints(name: str, make: Any, signature: inspect.Signature, needed: bool) -> list[str]:
    """Errors of one wrong argument at a time that do not name the maker and the argument."""
    parameters = [
        p for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"
    ]  # fmt: skip
    base = {p.name: RIGHT.get(p.name, 2) for p in parameters if p.default is p.empty and needed}
    found = []
    for p in parameters:
        if p.default is p.empty and not needed:
            continue
        for value in WRONG:
            try:
                make(**{**base, p.name: value})
            except Exception as error:
                text = str(error)
                said = p.name in text.replace(" ", "_") or repr(value) in text
                if name not in text or not said:
                    found.append(f"{p.name}={value!r:.30}: {type(error).__name__} {text}")
                elif not isinstance(error, PLAIN):
                    found.append(f"{p.name}={value!r:.30}: {type(error).__name__}")
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    layer = getattr(nn, name)
    if name == "RNNBase":  # whose first argument is a str
        return
    signature = inspect.signature(layer)
    if "args" in signature.parameters and name.startswith("LazyConv"):
        signature = inspect.signature(lambda out_channels, kernel_size, bias=True: None)
    make = partial(layer, output_ratio=0.5) if name == "FractionalMaxPool2d" else layer
    assert not complaints(name, make, signature, True)
    if name not in ("Module", "Identity"):
        with pytest.raises((TypeError, ValueError), match=name):
            layer(*[1] * 40, nothing=3)


@pytest.mark.parametrize("family", [f for f, (names, _) in models.FAMILIES.items() if names])
def test_networks(family: str) -> None:
    builders, others = models.FAMILIES[family]
    name = builders[0]
    classes = [getattr(models, other) for other in others]
    made = [c for c in classes if isinstance(c, type) and issubclass(c, nn.Module)]
    with undrawn():
        for network in made[:1]:
            signature = inspect.signature(network)
            assert not complaints(name, getattr(models, name), signature, False)


def test_what_is_said() -> None:
    for call, text in (
        (lambda: nn.BatchNorm2d("a"), r"^BatchNorm2d: num_features must be an int, got 'a'$"),
        (lambda: nn.CrossEntropyLoss(3), r"^CrossEntropyLoss: cannot assign .*weight = 3"),
        (lambda: nn.Inception(3, "a", 1, 1, 1, 1, 1), r"^Inception: ch1x1 must be an int"),
        (lambda: nn.ZeroPad2d(), r"^ZeroPad2d: missing 1 required positional argument: 'padding'"),
        (lambda: models.resnet18(num_classes="a"), r"^resnet18: num_classes must be an integer"),
        (lambda: models.resnet18(groups=-1), r"^resnet18: .*groups"),
        (lambda: models.resnet18(nothing=1), r"^resnet18: there is no option 'nothing'"),
        (lambda: models.ResNet(models.resnet.BasicBlock, 3), r"^ResNet: .*layers = 3"),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            call()


def test_classes_of_users_and_other_errors_stay() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            raise KeyError("mine")

    class Wide(nn.Conv2d):
        pass

    with pytest.raises(KeyError, match=r"^'mine'$"):
        Mine()
    with pytest.raises(TypeError, match=r"^Wide\(\): in_channels must be an int"):
        Wide("a", 3, 3)

    class Odd(Exception):
        pass

    def fails() -> nn.Module:
        raise Odd

    with pytest.raises(Odd):
        nn.SqueezeExcitation(4, 2, activation=fails)
    assert str(inspect.signature(nn.Linear)).startswith("(in_features: 'int'")
    assert fc.models.get("lenet5") is not None
