"""Networks that are ready to train.

A family of networks is a file; it is imported when one of its names is first used. ``get(name)``
builds a network by its name, ``list()`` names them all.
"""

from __future__ import annotations

import importlib
import sys
from fnmatch import fnmatch
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..nn import Module

#: Each family's file, its builders (what `get` and `list` know) and its other public names.
FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mlp": (("mlp",), ("MLP",)),
    "neocognitron": (
        ("neocognitron", "neocognitron_modern"),
        ("CLayer", "Neocognitron", "NeocognitronModern", "SLayer"),
    ),
    "lenet": (("lenet5", "lenet5_original"), ("LeNet5", "LeNet5Original")),
    "lenet_digits": (("lenet_digits",), ("LeNetDigits",)),
    "alexnet": (("alexnet", "alexnet_2012", "zfnet"), ("AlexNet", "AlexNet2012", "ZFNet")),
    "vgg": (
        ("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
        ("VGG",),
    ),
    "googlenet": (("googlenet",), ("GoogLeNet", "GoogLeNetOutputs")),
    "inception": (("inception_v3",), ("Inception3", "InceptionOutputs")),
    "resnet": (
        (
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
            "resnext50_32x4d",
            "resnext101_32x8d",
            "resnext101_64x4d",
            "wide_resnet50_2",
            "wide_resnet101_2",
            "se_resnet50",
        ),
        ("ResNet",),
    ),
    "cifar_resnet": (
        ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
        ("CifarResNet",),
    ),
    "densenet": (("densenet121", "densenet161", "densenet169", "densenet201"), ("DenseNet",)),
    "squeezenet": (("squeezenet1_0", "squeezenet1_1"), ("SqueezeNet",)),
    "xception": (("xception",), ("Xception",)),
    "mobilenetv1": (("mobilenet_v1",), ("MobileNetV1",)),
    "mobilenetv2": (("mobilenet_v2",), ("MobileNetV2",)),
    "mobilenetv3": (("mobilenet_v3_large", "mobilenet_v3_small"), ("MobileNetV3",)),
    "shufflenetv2": (
        ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"),
        ("ShuffleNetV2",),
    ),
    "mnasnet": (("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"), ("MNASNet",)),
    "nasnet": (("nasnet_a_mobile",), ("NASNet",)),
    "efficientnet": (
        (
            "efficientnet_b0",
            "efficientnet_b1",
            "efficientnet_b2",
            "efficientnet_b3",
            "efficientnet_b4",
            "efficientnet_b5",
            "efficientnet_b6",
            "efficientnet_b7",
            "efficientnet_v2_s",
            "efficientnet_v2_m",
            "efficientnet_v2_l",
        ),
        ("EfficientNet",),
    ),
    "regnet": (
        (
            "regnet_x_400mf",
            "regnet_x_800mf",
            "regnet_x_1_6gf",
            "regnet_x_3_2gf",
            "regnet_x_8gf",
            "regnet_x_16gf",
            "regnet_x_32gf",
            "regnet_y_400mf",
            "regnet_y_800mf",
            "regnet_y_1_6gf",
            "regnet_y_3_2gf",
            "regnet_y_8gf",
            "regnet_y_16gf",
            "regnet_y_32gf",
            "regnet_y_128gf",
        ),
        ("RegNet",),
    ),
    "convnext": (
        ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
        ("ConvNeXt",),
    ),
    "fpn": (("fpn_resnet18", "fpn_resnet50", "fpn_resnet101"), ("FPN", "FeaturePyramidNetwork")),
    "unet": (("unet", "unet_original", "unet3d"), ("UNet",)),
    "segmentation": (
        (
            "fcn_resnet50",
            "fcn_resnet101",
            "deeplabv3_resnet50",
            "deeplabv3_resnet101",
            "deeplabv3_mobilenet_v3_large",
            "lraspp_mobilenet_v3_large",
        ),
        ("ASPP", "LRASPP", "DeepLabHead", "FCNHead", "SegmentationNetwork"),
    ),
    "autoencoder": (("autoencoder", "conv_autoencoder"), ("Autoencoder", "ConvAutoencoder")),
    "vae": (("vae", "conv_vae"), ("VAE", "vae_loss")),
    "dcgan": (
        ("dcgan_generator", "dcgan_discriminator"),
        ("DCGANDiscriminator", "DCGANGenerator"),
    ),
    "capsnet": (("capsnet",), ("CapsNet", "CapsNetOutputs", "capsnet_loss")),
    "tcn": (("tcn",), ("TCN",)),
    "c3d": (("c3d",), ("C3D",)),
    "video": (("r3d_18", "mc3_18", "r2plus1d_18"), ("VideoResNet",)),
    "restoration": (("dncnn", "espcn"), ("ESPCN", "DnCNN")),
    "style_transfer": (("style_transfer",), ("TransformerNet",)),
    "siamese": (("siamese",), ("Siamese",)),
    "detector": (("fcos_tiny",), ("Detector", "detection_loss", "generalized_iou")),
    "feature_extraction": (
        (),
        (
            "FeatureExtractor",
            "IntermediateLayerGetter",
            "create_feature_extractor",
            "get_graph_node_names",
        ),
    ),
    "transfer": ((), ("Ensemble", "freeze", "unfreeze")),
}

_BUILDERS = {name: family for family, (builders, _) in FAMILIES.items() for name in builders}
_PUBLIC = _BUILDERS | {name: family for family, (_, others) in FAMILIES.items() for name in others}

__all__ = ["get", "input_size", "list", *sorted(_PUBLIC)]


def list(pattern: str = "*") -> list[str]:  # type: ignore[valid-type]
    """The names that :func:`get` knows, sorted.

    Parameters
    ----------
    pattern : str
        As a shell matches file names: ``"resnet*"``.
    """
    return sorted(name for name in _BUILDERS if fnmatch(name, pattern))


def get(name: str, **options: Any) -> Module:
    """Build a network by its name.

    Parameters
    ----------
    name : str
        One of :func:`list`; upper case and hyphens are read as lower case and underscores.
    **options
        Passed on to the builder: ``num_classes`` and what its docstring names.

    Raises
    ------
    ValueError
        For an unknown name; the message has the names that resemble it.
    TypeError
        For an option that the builder does not have.
    """
    key = _key("get", name)
    network: Module = getattr(_family(_BUILDERS[key]), key)(**options)
    return network


def input_size(name: str) -> tuple[int, ...]:
    """Channels, height and width of the images that a network is made for.

    Many take other sizes too, and other channels with ``in_channels``.

    Parameters
    ----------
    name : str
        As :func:`get` takes it.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    from ._inputs import input_size as known

    return known(_key("input_size", name))


def _key(function: str, name: str) -> str:
    """A network's name as the table has it."""
    if not isinstance(name, str):
        raise TypeError(f"models.{function}: name must be a string, got {type(name).__name__}")
    key = name.lower().replace("-", "_")
    if key not in _BUILDERS:
        import difflib

        near = difflib.get_close_matches(key, _BUILDERS, 4, 0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(
            f"models.{function}: no network is named {name!r}; {hint}models.list() has all"
        )
    return key


def _family(name: str) -> Any:
    return importlib.import_module(f".{name}", __name__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        found = getattr(_family(_PUBLIC[name]), name)
        globals()[name] = found
        return found
    if name in FAMILIES:  # models.resnet.BasicBlock without an import of its own
        return _family(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:  # type: ignore[valid-type]
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This package: importing a file does not take the place of the builder of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
