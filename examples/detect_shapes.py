"""A one-stage detector finds circles, squares and triangles, their boxes and their key points.

Shapes are drawn with NumPy, turned by up to 30°, over one another and on a noisy ground. Key points
are the corners, from the upper left or the top one clockwise, and a circle's middle.

mAP@0.5 0.975; key points 0.95 pixels off (28 November 2026).
"""

from __future__ import annotations

import numpy as np
from _common import curves, finish, plt, settings, show

import fastconv as fc
from fastconv import metrics, models, train

SIZE, CLASSES, POINTS = 96, ("circle", "square", "triangle"), 4
Scene = dict[str, np.ndarray]


def corners(kind: int, size: float, turn: float) -> np.ndarray:
    """Corners around the middle: four of a square, three of a triangle, many of a circle."""
    count = (48, 4, 3)[kind]
    start = (-0.5, -0.75, -0.5)[kind]  # of a half turn: y grows downwards
    angles = turn + np.pi * start + 2 * np.pi * np.arange(count) / count
    return size * np.stack([np.cos(angles), np.sin(angles)], 1)


def inside(polygon: np.ndarray) -> np.ndarray:
    """Pixels of the image on the right of all edges."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    result = np.ones((SIZE, SIZE), bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, 0)):
        result &= (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) >= 0
    return result


def draw(rng: np.random.Generator) -> tuple[np.ndarray, Scene]:
    """An image (3, SIZE, SIZE) and what is on it: boxes, labels and key points."""
    image = rng.uniform(0, 1, (3, 1, 1)) + rng.normal(0, 0.08, (3, SIZE, SIZE))
    boxes, labels, points = [], [], []
    for _ in range(rng.integers(1, 5)):
        kind, size = int(rng.integers(3)), rng.uniform(8, 24)
        middle = rng.uniform(size, SIZE - size, 2)
        polygon = middle + corners(kind, size, rng.uniform(-np.pi / 6, np.pi / 6))
        box = np.concatenate([polygon.min(0), polygon.max(0)])
        if boxes and metrics.matched_boxes(  # nothing lies quite under another
            {"boxes": box[None], "scores": [1], "labels": [0]},
            {"boxes": np.stack(boxes), "labels": [0] * len(boxes)}, 0.15,
        )[0] >= 0:  # fmt: skip
            continue
        image[:, inside(polygon)] = rng.uniform(0, 1, (3, 1)) + rng.normal(0, 0.03, (3, 1))
        seen = np.full((POINTS, 2), np.nan)
        seen[: (1, 4, 3)[kind]] = middle if kind == 0 else polygon
        boxes, labels, points = [*boxes, box], [*labels, kind], [*points, seen]
    scene = {"boxes": np.stack(boxes), "labels": np.array(labels), "keypoints": np.stack(points)}
    return image.clip(0, 1).astype(np.float32), scene


def drawn(count: int, seed: int) -> tuple[np.ndarray, list[Scene]]:
    """Images (count, 3, SIZE, SIZE) and their scenes."""
    rng = np.random.default_rng(seed)
    images, scenes = zip(*(draw(rng) for _ in range(count)))
    return np.stack(images) - 0.5, list(scenes)


def offsets(found: list[Scene], truth: list[Scene]) -> np.ndarray:
    """How far off, in pixels, the key points are of each object that is found."""
    far = []
    for one, scene in zip(found, truth):
        which = metrics.matched_boxes(one, scene)
        off = np.asarray(one["keypoints"])[which >= 0] - scene["keypoints"][which[which >= 0]]
        far.append(np.hypot(off[..., 0], off[..., 1]).ravel())
    far = np.concatenate(far)
    return far[~np.isnan(far)]


args = settings(__doc__)
count, epochs = (32, 1) if args.short else (4000, 7)
images, scenes = drawn(count, args.seed)
test_images, test_scenes = drawn(16 if args.short else 300, args.seed + 1000)
model = models.fcos_tiny(num_classes=len(CLASSES), keypoints=POINTS)
size = (SIZE, SIZE)
targets, test_targets = (
    np.stack([model.encode(size, **scene) for scene in some]) for some in (scenes, test_scenes)
)
optimizer = fc.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
scheduler = train.warm_cosine(optimizer, epochs * -(-count // 16))
history = train.fit(
    model, models.detection_loss, optimizer, (images, targets), (test_images, test_targets), epochs,
    batch_size=16, scheduler=scheduler, schedule_on="step", clip_norm=5.0,
    restore_best=False,  # the test images choose nothing: the last epoch counts
)  # fmt: skip

model.eval()
parts = np.array_split(test_images, -(-len(test_images) // 50))
every = [one for part in parts for one in model.detect(fc.tensor(part), score_threshold=0.05)]
quality = metrics.detection_average_precision(every, test_scenes)
far = offsets(every, test_scenes)
error = f"{np.median(far):.2f}" if len(far) else "-"
print(f"test: mAP@0.5 {quality:.3f}, key points {error} pixels off (median)")

fig, axes = plt.subplots(2, 4, figsize=(15, 7.5), layout="constrained")
for ax, image, one in zip(axes.flat[:7], test_images, every):
    show(ax, image + 0.5)
    sure = [np.asarray(one[name])[np.asarray(one["scores"]) > 0.5]
            for name in ("boxes", "labels", "scores", "keypoints")]  # fmt: skip
    for (x1, y1, x2, y2), label, score, points in zip(*sure):
        color = ("tab:orange", "tab:cyan", "tab:pink")[label]
        ax.add_patch(plt.Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=color))
        ax.text(
            x1, y1 - 2, f"{CLASSES[label]} {score:.2f}", fontsize=8, bbox={"fc": color, "pad": 1}
        )
        ax.plot(*points[: (1, 4, 3)[label]].T - 0.5, "o", color=color, mec="white", ms=5)
curves(axes[1, 3], {"training": history["loss"], "test": history["valid_loss"]}, "Loss")
finish(fig, args, "detect_shapes")
