"""Style transfer: a picture with the content of one and the style of another.

    picture = fastconv.style.transfer("cat.jpg", "mosaic.jpg", weights="vgg19.pth")

docs/visualize.md says more.
"""

from .losses import content_loss, gram_matrix, style_loss, total_variation
from .networks import CONTENT_LAYER, STYLE_LAYERS, VGG19_LAYERS, vgg19_features, weights_in_order
from .transfer import Progress, imagenet, transfer

__all__ = [
    "CONTENT_LAYER",
    "STYLE_LAYERS",
    "VGG19_LAYERS",
    "Progress",
    "content_loss",
    "gram_matrix",
    "imagenet",
    "style_loss",
    "total_variation",
    "transfer",
    "vgg19_features",
    "weights_in_order",
]
