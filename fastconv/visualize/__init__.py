"""Looking inside: what a network sees, and how it decides.

Every function gives arrays and needs no drawing; those called ``show_…`` draw them and give a
figure of matplotlib (``pip install 'fastconv[vision]'``), which is imported when one is asked for.

    heat = fastconv.visualize.grad_cam(model, image, "features.12")
    fastconv.visualize.show_heatmaps(picture, {"Grad-CAM": heat}).savefig("cam.png")

docs/visualize.md has them all in a table. A network is run in evaluation mode and is as before
afterwards; while a function runs, no other thread should use it.
"""

from . import handmade
from .cam import ablation_cam, grad_cam, grad_cam_plus_plus, hires_cam, score_cam
from .dream import activation_maximisation, deep_dream
from .embedding import pca, show_embedding, tsne
from .evaluation import (
    Calibration,
    calibration,
    show_calibration,
    show_confusion,
    show_roc,
)
from .filters import filters, first_convolution, show_filters
from .graph import LayerTime, dot, layer_times, render, show_layer_times
from .maps import (
    activations,
    attention_rollout,
    attention_weights,
    features,
    show_activations,
    spatial_attention,
)
from .neighbours import Neighbours, nearest, neighbours, show_neighbours
from .occlusion import occlusion
from .overlay import overlay, show_attributions, show_heatmaps
from .receptive import (
    ReceptiveField,
    field_box,
    measured_field,
    receptive_field,
    show_receptive_field,
)
from .saliency import (
    deconvnet,
    guided_backprop,
    input_x_gradient,
    integrated_gradients,
    saliency,
    smoothgrad,
)

__all__ = [
    "Calibration",
    "LayerTime",
    "Neighbours",
    "ReceptiveField",
    "ablation_cam",
    "activation_maximisation",
    "activations",
    "attention_rollout",
    "attention_weights",
    "calibration",
    "deconvnet",
    "deep_dream",
    "dot",
    "features",
    "field_box",
    "filters",
    "first_convolution",
    "grad_cam",
    "grad_cam_plus_plus",
    "guided_backprop",
    "handmade",
    "hires_cam",
    "input_x_gradient",
    "integrated_gradients",
    "layer_times",
    "measured_field",
    "nearest",
    "neighbours",
    "occlusion",
    "overlay",
    "pca",
    "receptive_field",
    "render",
    "saliency",
    "score_cam",
    "show_activations",
    "show_attributions",
    "show_calibration",
    "show_confusion",
    "show_embedding",
    "show_filters",
    "show_heatmaps",
    "show_layer_times",
    "show_neighbours",
    "show_receptive_field",
    "show_roc",
    "smoothgrad",
    "spatial_attention",
    "tsne",
]
