"""A detector in one stage and without anchors, on a small pyramid, with key points.

Tian, Shen, Chen, He, "FCOS: fully convolutional one-stage object detection" (ICCV 2019): figure 2
is `Detector`, equation (1) `Detector.encode`, equation (2) `detection_loss`, equation (3) the
centre-ness. Boxes are compared by generalised IoU (Rezatofighi et al., CVPR 2019). The key points
are offsets from a place, like the sides of its box (Zhou, Wang, Krähenbühl, "Objects as points",
2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..functions.boxes import batched_nms, clip_boxes_to_image
from ..functions.join import cat, stack
from ..nn import Conv2d, GroupNorm, Module, ModuleList, Parameter, ReLU, Sequential, init
from ..nn import functional as F
from ..tensor import Tensor, wrap
from ._blocks import ConvNormActivation
from ._weights import build
from .fpn import FeaturePyramidNetwork

Array = np.ndarray


def _tower(width: int, depth: int) -> Sequential:
    """3×3 convolutions with group norm and ReLU."""
    layers: list[Module] = []
    for _ in range(depth):
        layers += [
            Conv2d(width, width, 3, padding=1, bias=False),
            GroupNorm(math.gcd(8, width), width),
            ReLU(inplace=True),
        ]
    return Sequential(*layers)


class Detector(Module):
    """Convolutions with stride 2, a pyramid on the last of them, and one head for all its maps.

    At each place of each map the head says which class is there, how far it is from there to the
    four sides of its box, to each of its key points, and how near the place is to the middle.

    Parameters
    ----------
    num_classes : int
    keypoints : int
        Of an object, at most; 0 leaves them out.
    in_channels : int
    widths : sequence of int
        Channels of the convolutions, which halve the image each.
    levels : int
        How many of the last maps the pyramid has: with four convolutions and two levels the strides
        are 8 and 16.
    channels : int
        Of the pyramid and the head.
    depth : int
        Convolutions of the head before its results.
    reach : float
        A map has the objects whose farthest side is at most ``reach · stride`` away, and no map
        before it does; the last one has all that are left.

    Raises
    ------
    ValueError
        For counts that are not positive, or more levels than convolutions.
    """

    def __init__(
        self,
        num_classes: int = 3,
        keypoints: int = 4,
        in_channels: int = 3,
        widths: Sequence[int] = (16, 32, 64, 96),
        levels: int = 2,
        channels: int = 48,
        depth: int = 2,
        reach: float = 3.0,
    ) -> None:
        super().__init__()
        counts = (num_classes, in_channels, *widths, channels, depth)
        if not widths or min(counts) < 1 or keypoints < 0 or not reach > 0:
            raise ValueError(
                "Detector: num_classes, in_channels, widths, channels, depth and reach must be "
                f"positive and keypoints not negative, got {num_classes}, {in_channels}, "
                f"{tuple(widths)}, {channels}, {depth}, {reach} and {keypoints}"
            )
        if not 1 <= levels <= len(widths):
            raise ValueError(f"Detector: levels must be from 1 to {len(widths)}, got {levels}")
        self.num_classes, self.keypoints, self.reach = num_classes, keypoints, reach
        self.strides = [2**i for i in range(len(widths) - levels + 1, len(widths) + 1)]
        self.backbone = ModuleList(
            [
                Sequential(
                    ConvNormActivation(before, after, stride=2), ConvNormActivation(after, after)
                )
                for before, after in zip([in_channels, *widths], widths)
            ]
        )
        self.fpn = FeaturePyramidNetwork(widths[-levels:], channels)
        self.class_tower, self.place_tower = _tower(channels, depth), _tower(channels, depth)
        self.classes = Conv2d(channels, num_classes, 3, padding=1)
        self.sides = Conv2d(channels, 4, 3, padding=1)
        self.centerness = Conv2d(channels, 1, 3, padding=1)
        self.points = Conv2d(channels, 2 * keypoints, 3, padding=1) if keypoints else None
        self.scales = Parameter(wrap(np.ones(levels, np.float32)))
        for result in (self.classes, self.sides, self.centerness, self.points):
            if result is not None:
                init.normal_(result.weight, std=0.01)
                init.zeros_(result.bias)  # type: ignore[arg-type]
        init.constant_(self.classes.bias, -math.log(99))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """What the head says at the L places of all maps.

        Parameters
        ----------
        x : Tensor
            Images (N, in_channels, H, W); H and W divisible by the last stride.

        Returns
        -------
        dict of str to Tensor
            ``classes`` (N, L, num_classes) and ``centerness`` (N, L), logits; ``sides`` (N, L, 4),
            the distances to the left, top, right and bottom side in strides; ``points``
            (N, L, keypoints, 2), the offsets in strides, if there are key points.

        Raises
        ------
        ValueError
            For images of another size.
        """
        self._check(tuple(x.shape[-2:]))
        maps = {}
        for i, stage in enumerate(self.backbone):
            x = stage(x)
            maps[str(i)] = x
        named = list(maps)[-len(self.strides) :]
        found: dict[str, list[Tensor]] = {
            "classes": [],
            "sides": [],
            "centerness": [],
            "points": [],
        }
        for i, map in enumerate(self.fpn({name: maps[name] for name in named}).values()):
            what, where = self.class_tower(map), self.place_tower(map)
            found["classes"].append(_places(self.classes(what)))
            found["sides"].append(_places((self.sides(where) * self.scales[i]).exp()))
            found["centerness"].append(_places(self.centerness(where)))
            if self.points is not None:
                found["points"].append(_places(self.points(where)))
        out = {name: cat(parts, 1) for name, parts in found.items() if parts}
        out["centerness"] = out["centerness"].squeeze(2)
        if self.points is not None:
            n, places, _ = out["points"].shape
            out["points"] = out["points"].reshape(n, places, self.keypoints, 2)
        return out

    def _check(self, size: tuple[int, ...]) -> None:
        if any(side % self.strides[-1] or side == 0 for side in size):
            raise ValueError(
                f"Detector: height and width must be divisible by {self.strides[-1]}, got {size}"
            )

    def places(self, size: tuple[int, int]) -> tuple[Array, Array]:
        """The L places (x, y) of all maps of an image of `size` (height, width), and their strides.

        Each is the middle of the pixels that its map has for it, in the order of `forward`.
        """
        self._check(tuple(size))
        places, strides = [], []
        for stride in self.strides:
            y, x = np.mgrid[stride // 2 : size[0] : stride, stride // 2 : size[1] : stride]
            places.append(np.stack([x.ravel(), y.ravel()], 1))
            strides.append(np.full(x.size, stride))
        return np.concatenate(places).astype(np.float32), np.concatenate(strides).astype(np.float32)

    def encode(
        self, size: tuple[int, int], boxes: Any, labels: Any, keypoints: Any = None
    ) -> Array:
        """What the head should say of one image: the target of `detection_loss`.

        A place belongs to the smallest object whose box it lies in, within one and a half strides
        of its middle, if the object is one of the place's map.

        Parameters
        ----------
        size : tuple of two int
            Height and width of the image.
        boxes : array
            (M, 4): x1, y1, x2, y2.
        labels : array of int
            (M,), classes from 0.
        keypoints : array, optional
            (M, keypoints, 2): x, y; NaN where an object has no such point.

        Returns
        -------
        ndarray of float32
            (L, 5 + 2 · keypoints): class or −1, four sides and the points in strides.

        Raises
        ------
        ValueError
            For other shapes, or labels that are no classes.
        """
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        labels = np.asarray(labels).reshape(-1)
        shape = (len(boxes), self.keypoints, 2)
        points = np.asarray(np.full(shape, np.nan) if keypoints is None else keypoints, np.float32)
        if len(labels) != len(boxes) or points.shape != shape:
            raise ValueError(
                f"Detector.encode: {len(boxes)} boxes need labels ({len(boxes)},) and keypoints "
                f"{shape}, got {labels.shape} and {points.shape}"
            )
        if len(labels) and not (labels.min() >= 0 and labels.max() < self.num_classes):
            raise ValueError(
                f"Detector.encode: labels must be from 0 to {self.num_classes - 1}, got {labels}"
            )
        places, strides = self.places(size)
        target = np.zeros((len(places), 5 + 2 * self.keypoints), np.float32)
        target[:, 0] = -1
        target[:, 5:] = np.nan
        if not len(boxes):
            return target
        sides = np.concatenate([places[:, None] - boxes[:, :2], boxes[:, 2:] - places[:, None]], 2)
        middle = np.abs(places[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).max(2)
        farthest, limit = sides.max(2), self.reach * strides[:, None]
        first = strides[:, None] == self.strides[0]
        last = strides[:, None] == self.strides[-1]
        mine = (sides.min(2) > 0) & (middle < 1.5 * strides[:, None])
        mine &= ((farthest > limit / 2) | first) & ((farthest <= limit) | last)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        which = np.where(mine, area, np.inf).argmin(1)
        here = np.flatnonzero(mine.any(1))
        which, scale = which[here], strides[here, None]
        target[here, 0] = labels[which]
        target[here, 1:5] = sides[here, which] / scale
        offsets = (points[which] - places[here, None]) / scale[:, None]
        target[here, 5:] = offsets.reshape(len(here), -1)
        return target

    def detect(
        self,
        x: Tensor,
        score_threshold: float = 0.3,
        iou_threshold: float = 0.5,
        limit: int = 100,
    ) -> list[dict[str, Tensor]]:
        """The objects of images, best first, after ``eval()``.

        Parameters
        ----------
        x : Tensor
            (N, in_channels, H, W).
        score_threshold : float
            Objects with less are left out.
        iou_threshold : float
            Of two boxes of a class that overlap more, the better one stays.
        limit : int
            Objects of an image.

        Returns
        -------
        list of dict
            For each image ``boxes`` (M, 4), ``scores`` (M,), ``labels`` (M,) and ``keypoints``
            (M, keypoints, 2), in pixels.
        """
        from ..autograd import no_grad

        with no_grad():
            out = self(x)
        size = (int(x.shape[-2]), int(x.shape[-1]))
        places, strides = self.places(size)
        # A class's probability times centre-ness: a place off the middle has a poorer box.
        middle = out["centerness"].sigmoid().unsqueeze(2)
        scores = (out["classes"].sigmoid() * middle).sqrt().numpy()
        sides = out["sides"].numpy() * strides[:, None]
        corners = np.concatenate([places - sides[..., :2], places + sides[..., 2:]], -1)
        found = []
        for i in range(len(scores)):
            place, label = np.nonzero(scores[i] > score_threshold)
            score = scores[i][place, label]
            boxes = clip_boxes_to_image(wrap(corners[i][place]), size)
            kept = batched_nms(boxes, wrap(score), wrap(label), iou_threshold).numpy()[:limit]
            one = {"boxes": boxes.numpy()[kept], "scores": score[kept], "labels": label[kept]}
            if self.points is not None:
                offsets = out["points"].numpy()[i][place[kept]] * strides[place[kept], None, None]
                one["keypoints"] = places[place[kept], None] + offsets
            found.append({name: wrap(np.ascontiguousarray(value)) for name, value in one.items()})
        return found


def _places(map: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H · W, C)."""
    return map.permute(0, 2, 3, 1).flatten(1, 2)


def detection_loss(out: dict[str, Tensor], target: Tensor) -> Tensor:
    """Focal loss of the classes; of places with an object, their boxes, middle and key points.

    Parameters
    ----------
    out : dict of str to Tensor
        What a `Detector` returns for N images.
    target : Tensor
        (N, L, 5 + 2 · keypoints): what `Detector.encode` makes of each.

    Returns
    -------
    Tensor
        A sum divided by the number of places with an object.

    Raises
    ------
    ValueError
        For a target of another shape.
    """
    classes, numbers = out["classes"], np.asarray(target.detach())
    keypoints = out["points"].shape[2] if "points" in out else 0
    if numbers.shape != (*classes.shape[:2], 5 + 2 * keypoints):
        raise ValueError(
            f"detection_loss: target must be {(*classes.shape[:2], 5 + 2 * keypoints)}, "
            f"got {numbers.shape}"
        )
    kind = np.asarray(classes.detach()).dtype
    label = numbers[..., 0].astype(np.int64)
    wanted = (label[..., None] == np.arange(classes.shape[2])).astype(kind)
    loss = F.sigmoid_focal_loss(classes, wrap(wanted), reduction="sum")
    image, place = np.nonzero(label >= 0)
    if not len(image):
        return loss  # type: ignore[no-any-return]
    sides = numbers[image, place, 1:5].astype(kind)
    # Equation (3): 1 in the middle, 0 at a side.
    pairs = np.stack([sides[:, 0::2], sides[:, 1::2]], 1)
    middle = np.sqrt((pairs.min(2) / pairs.max(2)).prod(1))
    boxes = 1 - generalized_iou(out["sides"][image, place], wrap(sides))
    loss = loss + (boxes * wrap(middle)).sum() / float(middle.mean())
    loss = loss + F.binary_cross_entropy_with_logits(
        out["centerness"][image, place], wrap(middle), reduction="sum"
    )
    if keypoints:
        offsets = numbers[image, place, 5:].reshape(-1, keypoints, 2).astype(kind)
        there = ~np.isnan(offsets[..., 0])
        seen = out["points"][image, place][wrap(there)]
        loss = loss + F.smooth_l1_loss(seen, wrap(offsets[there]), reduction="sum", beta=0.25) / 4
    return loss / len(image)


def generalized_iou(sides: Tensor, other: Tensor) -> Tensor:
    """IoU of boxes around one place each, less the share of their hull that neither fills.

    Parameters
    ----------
    sides, other : Tensor
        (M, 4): distances to the left, top, right and bottom side, positive.

    Returns
    -------
    Tensor
        (M,), from −1 to 1.
    """
    pair = stack([sides, other], 0)
    least, most = pair.amin(0), pair.amax(0)
    areas = (pair[..., 0] + pair[..., 2]) * (pair[..., 1] + pair[..., 3])
    inter = (least[:, 0] + least[:, 2]) * (least[:, 1] + least[:, 3])
    hull = (most[:, 0] + most[:, 2]) * (most[:, 1] + most[:, 3])
    union = areas.sum(0) - inter
    return inter / union - (hull - union) / hull  # type: ignore[no-any-return]


def fcos_tiny(*, weights: Any = None, progress: bool = True, **options: Any) -> Detector:
    """A small detector with key points: 350 530 parameters; 96×96.

    Options are those of :class:`Detector`.
    """
    return build("fcos_tiny", Detector, weights, options)
