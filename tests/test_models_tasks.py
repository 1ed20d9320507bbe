"""Networks that do something else than to classify images: a step of each, and what each is for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import models, nn
from fastconv.nn import functional as F
from fastconv.nn.init import undrawn
from tests.models_table import TASKS

#: Network, options, shape of what comes in, shape of what comes out (the first of several).
SMALL: list[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ("fpn_resnet18", {"out_channels": 8}, (2, 3, 64, 33), (2, 8, 16, 9)),
    ("unet", {"width": 4, "depth": 2}, (2, 1, 12, 20), (2, 2, 12, 20)),
    ("unet", {"width": 4, "depth": 2, "up": "linear"}, (2, 1, 12, 20), (2, 2, 12, 20)),
    ("unet_original", {"width": 2, "depth": 2, "in_channels": 3}, (2, 3, 44, 52), (2, 2, 4, 12)),
    ("unet3d", {"width": 2, "depth": 2}, (2, 3, 8, 12, 4), (2, 3, 8, 12, 4)),
    ("unet3d", {"width": 2, "depth": 1, "up": "linear"}, (2, 3, 8, 12, 4), (2, 3, 8, 12, 4)),
    ("fcn_resnet50", {"num_classes": 3, "aux_loss": True}, (2, 3, 33, 33), (2, 3, 33, 33)),
    ("deeplabv3_mobilenet_v3_large", {"aux_loss": True}, (2, 3, 33, 33), (2, 21, 33, 33)),
    ("lraspp_mobilenet_v3_large", {"num_classes": 3}, (2, 3, 33, 41), (2, 3, 33, 41)),
    ("autoencoder", {"shape": (3, 4, 5), "widths": (9, 2)}, (2, 3, 4, 5), (2, 3, 4, 5)),
    ("conv_autoencoder", {"shape": (3, 8, 12), "code": 3}, (2, 3, 8, 12), (2, 3, 8, 12)),
    ("conv_autoencoder", {"norm": False, "widths": (3,)}, (2, 1, 28, 28), (2, 1, 28, 28)),
    ("vae", {"shape": (1, 6, 5), "hidden": 9}, (2, 1, 6, 5), (2, 1, 6, 5)),
    ("conv_vae", {"shape": (2, 8, 8), "width": 3}, (2, 2, 8, 8), (2, 2, 8, 8)),
    ("dcgan_generator", {"width": 4, "size": 16}, (2, 100), (2, 3, 16, 16)),
    ("dcgan_generator", {"width": 4, "kernel_size": 4}, (2, 100, 1, 1), (2, 3, 64, 64)),
    ("dcgan_discriminator", {"width": 4, "size": 16}, (2, 3, 16, 16), (2,)),
    ("dcgan_discriminator", {"width": 4, "kernel_size": 4}, (2, 3, 64, 64), (2,)),
    ("capsnet", {"width": 8, "capsules": 2, "hidden": (9,)}, (2, 1, 28, 28), (2, 10)),
    ("tcn", {"widths": (4, 5), "kernel_size": 3}, (2, 1, 30), (2, 10)),
    ("tcn", {"widths": (4, 4), "in_channels": 2, "each": True}, (2, 2, 30), (2, 10, 30)),
    ("c3d", {"width": 2, "num_classes": 7}, (1, 3, 16, 112, 112), (1, 7)),
    ("r3d_18", {"num_classes": 7}, (2, 3, 4, 17, 17), (2, 7)),
    ("mc3_18", {"num_classes": 7, "zero_init_residual": True}, (2, 3, 4, 17, 17), (2, 7)),
    ("r2plus1d_18", {"num_classes": 7}, (2, 3, 4, 17, 17), (2, 7)),
    ("dncnn", {"depth": 4, "width": 6}, (2, 1, 9, 11), (2, 1, 9, 11)),
    ("espcn", {"upscale": 2, "in_channels": 3}, (2, 3, 5, 6), (2, 3, 10, 12)),
    ("style_transfer", {"width": 4}, (2, 3, 20, 24), (2, 3, 20, 24)),
]


def test_every_family_has_a_small_network() -> None:
    assert {models._BUILDERS[name] for name, *_ in SMALL} | {"detector", "siamese"} == TASKS


def results(out: Any) -> list[Any]:
    """The tensors of what a network returns."""
    out = list(out.values()) if isinstance(out, dict) else out
    return list(out) if isinstance(out, (list, tuple)) else [out]


@pytest.mark.parametrize("case", range(len(SMALL)), ids=[f"{n} {o}" for n, o, *_ in SMALL])
def test_step(case: int) -> None:
    """Forward and backward: the shape, a gradient for every parameter, and the input matters."""
    name, options, given, expected = SMALL[case]
    fc.manual_seed(case)
    network = models.get(name, **options)
    found = results(network(fc.rand(*given)))
    assert found[0].shape == expected
    sum((tensor * fc.rand(*tensor.shape)).sum() for tensor in found).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert np.isfinite(np.asarray(parameter.grad)).all(), key
    with fc.no_grad():
        network.eval()
        x = fc.rand(*given)
        fc.manual_seed(0)
        one = results(network(x))
        fc.manual_seed(0)
        assert all(fc.equal(a, b) for a, b in zip(one, results(network(x)), strict=True))
        fc.manual_seed(0)
        other = results(network(fc.rand(*given)))
        assert not fc.equal(one[0], other[0])


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("fpn_resnet18", {"out_channels": 0}, "must be positive, got .* and 0"),
        ("unet", {"dims": 1}, "dims must be 2 or 3, got 1"),
        ("unet", {"up": "nearest"}, "'transpose' or 'linear', got 'nearest'"),
        ("unet", {"depth": 0}, "depth must be positive, got 0"),
        ("unet", {"width": -1}, "width must be positive, got -1"),
        ("autoencoder", {"widths": ()}, "widths must be positive, got ()"),
        ("autoencoder", {"shape": (0, 2, 2)}, "shape must be positive"),
        ("conv_autoencoder", {"shape": (1, 30, 28)}, "divisible by 4, got .1, 30, 28."),
        ("conv_autoencoder", {"code": 0}, "code must be positive"),
        ("vae", {"code": 0}, r"vae: code must be positive, got \(0,\)"),
        ("conv_vae", {"shape": (1, 6, 6)}, "divisible by 4"),
        ("dcgan_generator", {"size": 48}, "power of two from 8, got 48"),
        ("dcgan_generator", {"code": 0}, "code must be positive, got 0"),
        ("dcgan_discriminator", {"kernel_size": 3}, "must be 4 or 5, got 3"),
        ("dcgan_discriminator", {"size": 4}, "power of two from 8, got 4"),
        ("capsnet", {"shape": (1, 16, 28)}, "at least 17×17"),
        ("capsnet", {"width": 0}, "must be positive"),
        ("tcn", {"kernel_size": 0}, "must be positive"),
        ("tcn", {"widths": ()}, "must be positive"),
        ("c3d", {"width": 0}, "width must be positive, got 0"),
        ("r3d_18", {"layers": (1, 1)}, "four elements, got 4 and 2"),
        ("dncnn", {"depth": 1}, "at least 2"),
        ("espcn", {"widths": (4,)}, "two widths"),
        ("style_transfer", {"width": 0}, "width must be positive, got 0"),
        ("fcn_resnet50", {"num_classes": 0}, "num_classes must be positive"),
    ],
)
def test_wrong_arguments(name: str, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        models.get(name, **options)


def test_wrong_inputs() -> None:
    with pytest.raises(ValueError, match=r"halved 2 times: its map has \(7, 4\) after 1 of them"):
        models.unet(width=2, depth=2)(fc.rand(1, 1, 14, 8))
    with pytest.raises(ValueError, match=r"codes must be \(N, 100\) or .* got shape \(2, 99\)"):
        models.dcgan_generator(width=2, size=8)(fc.rand(2, 99))
    with pytest.raises(ValueError, match=r"images must be \(N, 3, 8, 8\), got shape"):
        models.dcgan_discriminator(width=2, size=8)(fc.rand(2, 3, 16, 16))
    with pytest.raises(ValueError, match=r"clips must be \(N, 3, 16, 112, 112\)"):
        models.c3d(width=1)(fc.rand(1, 3, 8, 112, 112))
    with pytest.raises(ValueError, match="target must have the shape of the images made"):
        net = models.vae(hidden=2, code=1)
        models.vae_loss(net(fc.rand(2, 1, 28, 28)), fc.rand(2, 784))
    pyramid = models.FeaturePyramidNetwork([2, 3], 4)
    with pytest.raises(ValueError, match="expected 2 maps, got 1: a"):
        pyramid({"a": fc.rand(1, 2, 4, 4)})
    with pytest.raises(ValueError, match="of one length, got 2 and 1"):
        models.FPN(nn.Sequential(nn.ReLU()), [2], 4, {"0": "a", "1": "b"})
    with pytest.raises(TypeError, match="resnet cannot be set"):
        models.fpn_resnet50(resnet=None)
    with pytest.raises(TypeError, match="there is no option 'aux_loss'"):
        models.lraspp_mobilenet_v3_large(aux_loss=True)


# -- what each is for ------------------------------------------------------------------------------


def test_a_pyramid_on_any_backbone() -> None:
    net = models.create_feature_extractor(models.resnet20(), ["layer2", "layer3"])
    maps = models.FPN(net, [32, 64], 16, extra=True)(fc.rand(1, 3, 16, 24))
    shapes = {name: tuple(map.shape) for name, map in maps.items()}
    assert shapes == {"layer2": (1, 16, 8, 12), "layer3": (1, 16, 4, 6), "pool": (1, 16, 2, 3)}

    class Two(nn.Module):
        def forward(self, x: Any) -> Any:
            return [x, x[..., ::2, ::2]]

    assert list(models.FPN(Two(), [1, 1], 4)(fc.rand(1, 1, 7, 9))) == ["0", "1"]


def test_the_map_above_reaches_the_map_below() -> None:
    """Equal weights: the larger map's result is its own and the enlarged one's."""
    pyramid = models.FeaturePyramidNetwork([1, 1], 1)
    with fc.no_grad():
        for block in (*pyramid.inner_blocks, *pyramid.layer_blocks):
            block[0].weight.zero_()
            middle = block[0].kernel_size[0] // 2
            block[0].weight[0, 0, middle, middle] = 1.0
        large, small = fc.rand(1, 1, 4, 6), fc.rand(1, 1, 2, 3)
        maps = pyramid({"large": large, "small": small})
    expected = large.numpy() + np.repeat(np.repeat(small.numpy(), 2, 2), 2, 3)
    np.testing.assert_allclose(maps["large"].numpy(), expected, rtol=1e-6)
    assert fc.equal(maps["small"], small)


def test_the_original_unet_has_the_papers_sizes() -> None:
    """572² to 388², and 132 × 132 × 116 to 44 × 44 × 28 without padding: both figures' sizes."""
    network = models.unet_original(width=1)
    with fc.no_grad():
        assert network(fc.rand(1, 1, 572, 572)).shape == (1, 2, 388, 388)
        volumes = models.unet3d(width=1, padding=False)
        assert volumes(fc.rand(1, 3, 132, 132, 116)).shape == (1, 3, 44, 44, 28)


def test_a_unet_carries_pixels_across() -> None:
    """What it saw at full size gets around the pooling: gradients reach single pixels."""
    fc.manual_seed(0)
    network = models.unet(width=4, depth=2).eval()
    x = fc.rand(1, 1, 16, 16).requires_grad_()
    scores = network(x)
    (scores[0, 0, 4, 4] - scores[0, 0, 4, 5]).backward()
    reach = np.asarray(x.grad)[0, 0] != 0
    assert reach[4, 4] and reach[0, 0] and reach.sum() > 25


def test_a_denoising_autoencoder_learns() -> None:
    fc.manual_seed(0)
    rng = np.random.default_rng(0)
    clean = np.zeros((64, 1, 8, 8), np.float32)
    for image in clean[:, 0]:
        image[rng.integers(8)] = 1
    x, y = fc.tensor(clean + rng.normal(0, 0.3, clean.shape).astype(np.float32)), fc.tensor(clean)
    for network, rate in (
        (models.autoencoder(shape=(1, 8, 8), widths=(24, 8)), 0.02),
        (models.conv_autoencoder(shape=(1, 8, 8), widths=(16,), code=8), 0.01),
    ):
        optimizer = fc.optim.Adam(network.parameters(), lr=rate)
        for _ in range(120):
            optimizer.zero_grad()
            F.mse_loss(network(x), y).backward()
            optimizer.step()
        assert float(F.mse_loss(network(x), y)) < 0.05 < float(((x - y) ** 2).mean())


def test_a_vae_draws_around_its_mean() -> None:
    """The code is mean + deviation · noise, and both get their gradients."""
    fc.manual_seed(0)
    mean = fc.full((20_000, 2), 1.5).requires_grad_()
    log_variance = fc.full((20_000, 2), math.log(0.25)).requires_grad_()
    drawn = models.VAE.draw(mean, log_variance)
    assert float(drawn.mean()) == pytest.approx(1.5, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.5, abs=0.02)
    (drawn**2).sum().backward()
    noise = (drawn.detach() - 1.5) / 0.5
    np.testing.assert_allclose(mean.grad.numpy(), 2 * drawn.detach().numpy(), rtol=1e-4)
    expected = 2 * drawn.detach().numpy() * noise.numpy() * 0.25  # d deviation / d log σ² = σ / 2
    np.testing.assert_allclose(log_variance.grad.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_the_loss_of_a_vae() -> None:
    """Against the divergence by numbers, and the likelihood written out."""
    mean, log_variance = fc.tensor([[0.7]]), fc.tensor([[-0.4]])
    logits, target = fc.tensor([[0.3, -2.0]]), fc.tensor([[1.0, 0.25]])
    grid = np.linspace(-12, 12, 200_001)
    sigma = math.exp(-0.2)
    q = np.exp(-0.5 * ((grid - 0.7) / sigma) ** 2) / sigma / math.sqrt(2 * math.pi)
    ratio = -0.5 * ((grid - 0.7) / sigma) ** 2 - math.log(sigma) + 0.5 * grid**2
    divergence = float((q * ratio).sum() * (grid[1] - grid[0]))
    p = 1 / (1 + np.exp(-logits.numpy()))
    t = target.numpy()
    likelihood = float(-(t * np.log(p) + (1 - t) * np.log(1 - p)).sum())
    for weight in (1.0, 4.0):
        loss = models.vae_loss((logits, mean, log_variance), target, weight)
        assert float(loss) == pytest.approx(likelihood + weight * divergence, rel=1e-5)


def test_dcgan_begins_and_ends_as_the_paper_says() -> None:
    fc.manual_seed(0)
    generator = models.dcgan_generator(width=16)
    images = generator(fc.randn(4, 100))
    assert images.shape == (4, 3, 64, 64) and float(images.abs().max()) <= 1
    assert float(generator.main[0].weight.std()) == pytest.approx(0.02, rel=0.02)
    kinds = [type(layer).__name__ for layer in models.dcgan_discriminator(width=2).main]
    assert kinds == ["Conv2d", "LeakyReLU"] + ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3 + [
        "Conv2d"
    ]
    count = [
        sum(p.numel() for p in build(width=64, kernel_size=4).parameters())
        for build in (models.dcgan_generator, models.dcgan_discriminator)
    ]
    assert count == [3_576_704, 2_765_568]  # those of PyTorch's tutorial


def test_two_networks_play() -> None:
    """A step of each player: the generator's gradient comes through the discriminator."""
    fc.manual_seed(0)
    generator = models.dcgan_generator(width=4, size=8, channels=1)
    judge = models.dcgan_discriminator(width=4, size=8, channels=1)
    fake = generator(fc.randn(8, 100))
    loss = F.binary_cross_entropy_with_logits
    (
        loss(judge(fc.rand(8, 1, 8, 8)), fc.ones(8)) + loss(judge(fake.detach()), fc.zeros(8))
    ).backward()
    assert all(p.grad is None for p in generator.parameters())
    loss(judge(fake), fc.ones(8)).backward()
    assert all(p.grad is not None for p in generator.parameters())


def test_capsnet_makes_the_image_of_the_class_asked_for() -> None:
    fc.manual_seed(0)
    network = models.capsnet(num_classes=3, shape=(1, 18, 18), width=8, capsules=2, hidden=(16,))
    x, y = fc.rand(4, 1, 18, 18), fc.tensor([0, 2, 1, 0])
    out = network(x, y)
    assert out.lengths.shape == (4, 3) and out.images.shape == x.shape
    assert (out.lengths >= 0).all() and (out.lengths < 1).all()
    loss = models.capsnet_loss(out, x, y)
    margin = nn.CapsuleMarginLoss()(out.lengths, y)
    squares = ((out.images - x) ** 2).sum() / 4
    assert float(loss) == pytest.approx(float(margin) + 0.0005 * float(squares), rel=1e-5)
    other = network(x, fc.tensor([1, 2, 1, 0]))
    assert not fc.equal(out.images[0], other.images[0])
    assert fc.equal(out.images[1:], other.images[1:])
    best = out.lengths.argmax(1)
    assert fc.equal(network(x).images, network(x, best).images)
    plain = models.capsnet(num_classes=3, shape=(1, 18, 18), width=8, capsules=2, hidden=())
    assert plain(x).images is None
    assert float(models.capsnet_loss(plain(x), x, y)) > 0
    without = sum(p.numel() for p in models.capsnet(hidden=()).parameters())
    assert without == 6_804_224  # section 5.1: 6.8 M


def test_capsnet_learns() -> None:
    """Bars that stand and bars that lie."""
    fc.manual_seed(0)
    rng = np.random.default_rng(0)
    x = np.zeros((32, 1, 17, 17), np.float32)
    y = np.arange(32) % 2
    for image, label in zip(x[:, 0], y):
        row, column = rng.integers(0, 8, 2)
        turned = image if label else image.T
        turned[row : row + 9, column + 4] = 1
    network = models.capsnet(num_classes=2, shape=(1, 17, 17), width=8, capsules=4, hidden=(32,))
    optimizer = fc.optim.Adam(network.parameters(), lr=0.01)
    images, labels = fc.tensor(x), fc.tensor(y)
    for _ in range(25):
        optimizer.zero_grad()
        models.capsnet_loss(network(images, labels), images, labels).backward()
        optimizer.step()
    assert float((network(images).lengths.argmax(1) == labels).float().mean()) > 0.9


def test_a_tcn_does_not_see_what_comes_later() -> None:
    fc.manual_seed(0)
    network = models.tcn(widths=(4, 4, 4), kernel_size=3, each=True).eval()
    with fc.no_grad():
        for parameter in network.network.parameters():
            parameter.fill_(0.5)  # no ReLU stops anything
    assert network.receptive_field == 1 + 2 * 2 * 7
    x = fc.rand(1, 1, 60)
    before = network(x)
    changed = x.clone()
    changed[0, 0, 20] += 1
    touched = np.flatnonzero((network(changed) != before).any(1)[0].numpy())
    assert touched[0] == 20 and touched[-1] == 20 + network.receptive_field - 1
    assert {"network.0.conv1.weight_g", "network.0.conv1.weight_v"} <= set(network.state_dict())
    last = models.tcn(widths=(4, 4, 4), kernel_size=3).eval()
    last.load_state_dict(network.state_dict())
    np.testing.assert_allclose(last(x).numpy(force=True), before[..., -1].numpy(force=True), 1e-5)


def test_published_lengths_of_tcn() -> None:
    """Eight levels with kernels of 7 see all 784 pixels."""
    assert models.tcn().receptive_field >= 784


def test_divided_convolutions_have_the_parameters_of_whole_ones() -> None:
    """Section 3.5: as many channels between as make the counts alike."""
    from fastconv.models.video import Conv2Plus1D

    with undrawn():
        network = models.r2plus1d_18(num_classes=2)
    less = []
    for name, module in network.named_modules():
        if isinstance(module, Conv2Plus1D):
            space, time = module[0], module[3]
            whole = space.in_channels * time.out_channels * 27
            found = space.weight.numel() + time.weight.numel()
            assert found <= whole
            if found < 0.99 * whole:
                less.append(name)
    # As published: a block's second convolution has the channels between of its first.
    assert less == [f"layer{i}.0.conv2.0" for i in (2, 3, 4)]


def test_dncnn_takes_the_noise_away() -> None:
    network = models.dncnn(depth=3, width=4)
    with fc.no_grad():
        network.noise[-1].weight.zero_()
        network.noise[-1].bias.fill_(0.25)
    x = fc.rand(1, 1, 6, 7)
    np.testing.assert_allclose(network(x).numpy(force=True), x.numpy() - 0.25, rtol=1e-6)


def test_espcn_orders_its_pixels() -> None:
    network = models.espcn(upscale=2)
    with fc.no_grad():
        network.pixels[0].weight.zero_()
        network.pixels[0].bias.copy_(fc.tensor([1.0, 2.0, 3.0, 4.0]))
    tile = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(network(fc.rand(1, 1, 2, 3)).numpy(force=True)[0, 0],
                                  np.tile(tile, (2, 3)))  # fmt: skip


def test_style_transfer_has_the_names_of_published_files() -> None:
    """Of PyTorch's example: 62 tensors."""
    state = models.style_transfer().state_dict()
    assert len(state) == 62
    for key, shape in {
        "conv1.conv2d.weight": (32, 3, 9, 9),
        "in3.bias": (128,),
        "res5.conv2.conv2d.bias": (128,),
        "res1.in1.weight": (128,),
        "deconv1.conv2d.weight": (64, 128, 3, 3),
        "in5.weight": (32,),
        "deconv3.conv2d.weight": (3, 32, 9, 9),
    }.items():
        assert state[key].shape == shape
    assert models.style_transfer(width=2)(fc.rand(1, 3, 21, 18)).shape == (1, 3, 24, 20)


def test_siamese() -> None:
    """One set of weights for both images; the distance does not ask which is first."""
    fc.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    network = models.Siamese(encoder, 5)
    one, other = fc.rand(3, 1, 3, 4), fc.rand(3, 1, 3, 4)
    logits = network(one, other)
    assert logits.shape == (3,) and fc.equal(logits, network(other, one))
    assert fc.equal(network(one, one), network.similar.bias.expand(3))
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    network = models.siamese(features=3)
    assert network(fc.rand(1, 1, 105, 105), fc.rand(1, 1, 105, 105)).shape == (1,)
    assert float(network.similar.bias) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match="one shape"):
        network(one, one[:2])
    with pytest.raises(ValueError, match="features must be positive, got 0"):
        models.siamese(features=0)


def test_weights_of_a_segmentation_network(tmp_path: Path) -> None:
    """Files have the auxiliary head, and so has a network with weights; a backbone's file loads."""
    name = "deeplabv3_mobilenet_v3_large"
    first = models.get(name, num_classes=2, aux_loss=True).eval()
    path = tmp_path / "weights.pt"
    fc.save(first.state_dict(), path)
    second = models.get(name, weights=path, num_classes=2).eval()
    x = fc.rand(1, 3, 17, 17)
    with fc.no_grad():
        assert fc.equal(first(x)["aux"], second(x)["aux"])
    backbone = models.mobilenet_v3_large()
    fc.save(backbone.state_dict(), path)
    third = models.lraspp_mobilenet_v3_large(weights_backbone=path)
    assert fc.equal(third.backbone["16"][0].weight, backbone.features[16][0].weight)
    fc.save({}, path)
    with pytest.raises(RuntimeError, match="Missing key"):
        models.lraspp_mobilenet_v3_large(weights_backbone=path)
