"""What each network is made for: channels, (frames or depth,) height and width; of a code one."""

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
    "autoencoder": (1, 28, 28),
    "conv_autoencoder": (1, 28, 28),
    "conv_vae": (1, 28, 28),
    "vae": (1, 28, 28),
    "capsnet": (1, 28, 28),
    "siamese": (1, 105, 105),
    "dcgan_discriminator": (3, 64, 64),
    "dcgan_generator": (100,),
    "dncnn": (1, 40, 40),
    "espcn": (1, 17, 17),
    "style_transfer": (3, 256, 256),
    "tcn": (1, 784),
    "fcn_*": (3, 520, 520),
    "deeplabv3_*": (3, 520, 520),
    "lraspp_*": (3, 520, 520),
    "fcos_tiny": (3, 96, 96),
    "unet": (1, 512, 512),
    "unet_original": (1, 572, 572),
    "unet3d": (3, 64, 64, 64),
    "c3d": (3, 16, 112, 112),
    "mc3_18": (3, 16, 112, 112),
    "r3d_18": (3, 16, 112, 112),
    "r2plus1d_18": (3, 16, 112, 112),
    "*": (3, 224, 224),
}


def input_size(key: str) -> tuple[int, ...]:
    """The entry of a network's name."""
    return next(size for pattern, size in INPUTS.items() if fnmatch(key, pattern))
