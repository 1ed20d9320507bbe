"""What each network is made for: channels, height and width of its images."""

from __future__ import annotations

from fnmatch import fnmatch

#: By names, as a shell matches them; the first that fits counts.
INPUTS: dict[str, tuple[int, ...]] = {
    "mlp": (1, 28, 28),
    "neocognitron*": (1, 28, 28),
    "lenet5": (1, 28, 28),
    "lenet5_original": (1, 32, 32),
    "lenet_digits": (1, 8, 8),
    "alexnet_2012": (3, 227, 227),
    "inception_v3": (3, 299, 299),
    "xception": (3, 299, 299),
    "resnet20": (3, 32, 32),
    "resnet32": (3, 32, 32),
    "resnet44": (3, 32, 32),
    "resnet56": (3, 32, 32),
    "resnet110": (3, 32, 32),
    "efficientnet_b1": (3, 240, 240),
    "efficientnet_b2": (3, 260, 260),
    "efficientnet_b3": (3, 300, 300),
    "efficientnet_b4": (3, 380, 380),
    "efficientnet_b5": (3, 456, 456),
    "efficientnet_b6": (3, 528, 528),
    "efficientnet_b7": (3, 600, 600),
    "efficientnet_v2_s": (3, 384, 384),
    "efficientnet_v2_*": (3, 480, 480),
    "*": (3, 224, 224),
}


def input_size(key: str) -> tuple[int, ...]:
    """The entry of a network's name."""
    return next(size for pattern, size in INPUTS.items() if fnmatch(key, pattern))
