"""Geometry of a convolution or a pooling, normalised and validated once.

Every geometric ``ValueError`` and ``TypeError`` of the package is raised here, in Python integers
(which cannot overflow), with the argument's name, its value and the shapes.  Past this package all
geometry has three spatial axes: 1-D and 2-D problems have leading axes of size one.
"""

from fastconv.spec.arguments import (
    Shape5,
    Triple,
    as_bool,
    as_int,
    as_shape,
    as_tuple,
    at_least,
    check_elements,
    split_batch,
)
from fastconv.spec.conv import ConvSpec, conv_spec, conv_transpose_spec
from fastconv.spec.norm import NormSpec, batch_norm_spec, group_norm_spec
from fastconv.spec.pool import PoolSpec, adaptive_pool_spec, pool_spec

__all__ = [
    "ConvSpec",
    "NormSpec",
    "PoolSpec",
    "Shape5",
    "Triple",
    "adaptive_pool_spec",
    "as_bool",
    "as_int",
    "as_shape",
    "as_tuple",
    "at_least",
    "batch_norm_spec",
    "check_elements",
    "conv_spec",
    "conv_transpose_spec",
    "group_norm_spec",
    "pool_spec",
    "split_batch",
]
