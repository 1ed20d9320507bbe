"""What is published of each network: parameters with their source, and the size of its images.

A network of fastconv.models has a row in `NETWORKS`, and its family one in `PAPERS`. docs/models.md
is made from them (``python -m bench.models``); ``python -m tests.models_table`` writes the digests
of torchvision's networks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

DIGESTS = Path(__file__).with_name("models_torchvision.json")
TORCHVISION = "torchvision's documentation, num_params"


class Network(NamedTuple):
    """Published figures of a network.

    Attributes
    ----------
    parameters : int
        With the options below.
    source : str
        Where that is published, with the figure if it is a rounded one ("0.27 M"), or a sum.
    input : tuple of int
        Channels, height and width.
    options : dict
        With which the parameters were counted.
    """

    parameters: int
    source: str
    input: tuple[int, ...] = (3, 224, 224)
    options: dict[str, Any] = {}  # noqa: RUF012

    @property
    def torchvision(self) -> bool:
        """Whether torchvision has it."""
        return self.source == TORCHVISION

    def published(self) -> bool:
        """Whether what `source` says, rounded or as a sum, is `parameters`."""
        rounded = re.search(r"(\d+\.(\d+)) M", self.source)
        if rounded:
            return round(self.parameters / 1e6, len(rounded[2])) == float(rounded[1])
        said = self.source.split(":")
        for part in said:
            numbers = re.sub(r"(?<=\d) (?=\d)", "", part)
            terms = re.findall(r"\d+(?:·\d+)*", numbers)
            if terms and sum(_product(term) for term in terms) == self.parameters:
                return True
        return self.torchvision


def _product(term: str) -> int:
    result = 1
    for factor in term.split("·"):
        result *= int(factor)
    return result


#: File of fastconv/models: the paper.
PAPERS = {
    "mlp": "LeCun et al. 1998, figure 9",
    "neocognitron": "Fukushima 1980",
    "lenet": "LeCun et al. 1998",
    "lenet_digits": "none: LeNet-5's plan for 8×8",
    "alexnet": "Krizhevsky 2014",
    "vgg": "Simonyan, Zisserman 2015",
    "googlenet": "Szegedy et al. 2015",
    "inception": "Szegedy et al. 2016",
    "resnet": "He et al. 2016",
    "cifar_resnet": "He et al. 2016, section 4.2",
    "densenet": "Huang et al. 2017",
    "squeezenet": "Iandola et al. 2016",
    "xception": "Chollet 2017",
    "mobilenetv1": "Howard et al. 2017",
    "mobilenetv2": "Sandler et al. 2018",
    "mobilenetv3": "Howard et al. 2019",
    "shufflenetv2": "Ma et al. 2018",
    "mnasnet": "Tan et al. 2019",
    "nasnet": "Zoph et al. 2018",
    "efficientnet": "Tan, Le 2019",
    "regnet": "Radosavovic et al. 2020",
    "convnext": "Liu et al. 2022",
    "fpn": "Lin et al. 2017",
    "unet": "Ronneberger et al. 2015",
    "segmentation": "Long et al. 2015",
    "autoencoder": "Hinton, Salakhutdinov 2006",
    "vae": "Kingma, Welling 2014",
    "dcgan": "Radford et al. 2016",
    "capsnet": "Sabour et al. 2017",
    "tcn": "Bai et al. 2018",
    "c3d": "Tran et al. 2015",
    "video": "Tran et al. 2018",
    "restoration": "Zhang et al. 2017",
    "style_transfer": "Johnson et al. 2016",
    "siamese": "Koch et al. 2015",
    "detector": "Tian et al. 2019",
}

#: Families that do something else than to classify an image: tests/test_models_tasks.py.
TASKS = {
    "fpn", "unet", "segmentation", "autoencoder", "vae", "dcgan", "capsnet", "tcn", "c3d", "video",
    "restoration", "style_transfer", "siamese", "detector",
}  # fmt: skip

#: Networks whose paper is not their family's, by the beginning of their names.
OTHER_PAPERS = {
    "alexnet_2012": "Krizhevsky et al. 2012",
    "zfnet": "Zeiler, Fergus 2014",
    "resnext": "Xie et al. 2017",
    "wide_resnet": "Zagoruyko, Komodakis 2016",
    "se_resnet": "Hu et al. 2018",
    "efficientnet_v2": "Tan, Le 2021",
    "deeplabv3": "Chen et al. 2017",
    "lraspp": "Howard et al. 2019",
    "unet3d": "Çiçek et al. 2016",
    "espcn": "Shi et al. 2016",
}

NETWORKS = {
    # mlp.py
    "mlp": Network(266_610, "784·300 + 300 + 300·100 + 100 + 100·10 + 10", (1, 28, 28)),
    # neocognitron.py
    "neocognitron": Network(
        21_058, "weights a and b: 24·25 + 24 + 24·24·25 + 24 + 10·24·25 + 10", (1, 28, 28)
    ),
    "neocognitron_modern": Network(
        21_058, "24·25 + 24 + 24·24·25 + 24 + 10·24·25 + 10", (1, 28, 28)
    ),
    # lenet.py
    "lenet5": Network(
        61_706,
        "156 + 2416 + 48120 + 10164 + 850: S2 and S4 without parameters, C3 with all connections",
        (1, 28, 28),
    ),
    "lenet5_original": Network(
        60_000, "page 8 and section II.B: 156 + 12 + 1516 + 32 + 48120 + 10164", (1, 32, 32)
    ),
    # lenet_digits.py
    "lenet_digits": Network(23_802, "240 + 48 + 10416 + 96 + 12352 + 650", (1, 8, 8)),
    # alexnet.py
    "alexnet": Network(61_100_840, TORCHVISION),
    "alexnet_2012": Network(
        60_965_224, "Caffe's reference network: 60.97 M; the paper says 60 million", (3, 227, 227)
    ),
    "zfnet": Network(
        62_357_608,
        "figure 3: 14208 + 614656 + 885120 + 1327488 + 884992 + 37752832 + 16781312 + 4097000",
    ),
    # vgg.py
    "vgg11": Network(132_863_336, TORCHVISION),
    "vgg11_bn": Network(132_868_840, TORCHVISION),
    "vgg13": Network(133_047_848, TORCHVISION),
    "vgg13_bn": Network(133_053_736, TORCHVISION),
    "vgg16": Network(138_357_544, TORCHVISION),
    "vgg16_bn": Network(138_365_992, TORCHVISION),
    "vgg19": Network(143_667_240, TORCHVISION),
    "vgg19_bn": Network(143_678_248, TORCHVISION),
    # googlenet.py
    "googlenet": Network(6_624_904, TORCHVISION, options={"aux_logits": False}),
    # inception.py
    "inception_v3": Network(27_161_264, TORCHVISION, (3, 299, 299)),
    # resnet.py
    "resnet18": Network(11_689_512, TORCHVISION),
    "resnet34": Network(21_797_672, TORCHVISION),
    "resnet50": Network(25_557_032, TORCHVISION),
    "resnet101": Network(44_549_160, TORCHVISION),
    "resnet152": Network(60_192_808, TORCHVISION),
    "resnext50_32x4d": Network(25_028_904, TORCHVISION),
    "resnext101_32x8d": Network(88_791_336, TORCHVISION),
    "resnext101_64x4d": Network(83_455_272, TORCHVISION),
    "wide_resnet50_2": Network(68_883_240, TORCHVISION),
    "wide_resnet101_2": Network(126_886_696, TORCHVISION),
    "se_resnet50": Network(28_088_024, "timm's table, legacy_seresnet50: 28.09 M"),
    # cifar_resnet.py
    "resnet20": Network(269_722, "table 6: 0.27 M", (3, 32, 32)),
    "resnet32": Network(464_154, "table 6: 0.46 M", (3, 32, 32)),
    "resnet44": Network(658_586, "table 6: 0.66 M", (3, 32, 32)),
    "resnet56": Network(853_018, "table 6: 0.85 M", (3, 32, 32)),
    "resnet110": Network(1_727_962, "table 6: 1.7 M", (3, 32, 32)),
    # densenet.py
    "densenet121": Network(7_978_856, TORCHVISION),
    "densenet161": Network(28_681_000, TORCHVISION),
    "densenet169": Network(14_149_480, TORCHVISION),
    "densenet201": Network(20_013_928, TORCHVISION),
    # squeezenet.py
    "squeezenet1_0": Network(1_248_424, TORCHVISION),
    "squeezenet1_1": Network(1_235_496, TORCHVISION),
    # xception.py
    "xception": Network(22_855_952, "table 3: 22 855 952", (3, 299, 299)),
    # mobilenetv1.py
    "mobilenet_v1": Network(4_231_976, "table 8: 4.2 M"),
    # mobilenetv2.py
    "mobilenet_v2": Network(3_504_872, TORCHVISION),
    # mobilenetv3.py
    "mobilenet_v3_large": Network(5_483_032, TORCHVISION),
    "mobilenet_v3_small": Network(2_542_856, TORCHVISION),
    # shufflenetv2.py
    "shufflenet_v2_x0_5": Network(1_366_792, TORCHVISION),
    "shufflenet_v2_x1_0": Network(2_278_604, TORCHVISION),
    "shufflenet_v2_x1_5": Network(3_503_624, TORCHVISION),
    "shufflenet_v2_x2_0": Network(7_393_996, TORCHVISION),
    # mnasnet.py
    "mnasnet0_5": Network(2_218_512, TORCHVISION),
    "mnasnet0_75": Network(3_170_208, TORCHVISION),
    "mnasnet1_0": Network(4_383_312, TORCHVISION),
    "mnasnet1_3": Network(6_282_256, TORCHVISION),
    # nasnet.py
    "nasnet_a_mobile": Network(5_289_978, "table 4: 5.3 M"),
    # efficientnet.py
    "efficientnet_b0": Network(5_288_548, TORCHVISION),
    "efficientnet_b1": Network(7_794_184, TORCHVISION, (3, 240, 240)),
    "efficientnet_b2": Network(9_109_994, TORCHVISION, (3, 260, 260)),
    "efficientnet_b3": Network(12_233_232, TORCHVISION, (3, 300, 300)),
    "efficientnet_b4": Network(19_341_616, TORCHVISION, (3, 380, 380)),
    "efficientnet_b5": Network(30_389_784, TORCHVISION, (3, 456, 456)),
    "efficientnet_b6": Network(43_040_704, TORCHVISION, (3, 528, 528)),
    "efficientnet_b7": Network(66_347_960, TORCHVISION, (3, 600, 600)),
    "efficientnet_v2_s": Network(21_458_488, TORCHVISION, (3, 384, 384)),
    "efficientnet_v2_m": Network(54_139_356, TORCHVISION, (3, 480, 480)),
    "efficientnet_v2_l": Network(118_515_272, TORCHVISION, (3, 480, 480)),
    # regnet.py
    "regnet_x_400mf": Network(5_495_976, TORCHVISION),
    "regnet_x_800mf": Network(7_259_656, TORCHVISION),
    "regnet_x_1_6gf": Network(9_190_136, TORCHVISION),
    "regnet_x_3_2gf": Network(15_296_552, TORCHVISION),
    "regnet_x_8gf": Network(39_572_648, TORCHVISION),
    "regnet_x_16gf": Network(54_278_536, TORCHVISION),
    "regnet_x_32gf": Network(107_811_560, TORCHVISION),
    "regnet_y_400mf": Network(4_344_144, TORCHVISION),
    "regnet_y_800mf": Network(6_432_512, TORCHVISION),
    "regnet_y_1_6gf": Network(11_202_430, TORCHVISION),
    "regnet_y_3_2gf": Network(19_436_338, TORCHVISION),
    "regnet_y_8gf": Network(39_381_472, TORCHVISION),
    "regnet_y_16gf": Network(83_590_140, TORCHVISION),
    "regnet_y_32gf": Network(145_046_770, TORCHVISION),
    "regnet_y_128gf": Network(644_812_894, TORCHVISION),
    # convnext.py
    "convnext_tiny": Network(28_589_128, TORCHVISION),
    "convnext_small": Network(50_223_688, TORCHVISION),
    "convnext_base": Network(88_591_464, TORCHVISION),
    "convnext_large": Network(197_767_336, TORCHVISION),
    # fpn.py
    "fpn_resnet18": Network(
        13_783_616, "11176512 of ResNet-18: 11176512 + 960·256 + 4·256 + 4·589824 + 4·256"
    ),
    "fpn_resnet50": Network(
        26_852_416, "23508032 of ResNet-50: 23508032 + 3840·256 + 4·256 + 4·589824 + 4·256"
    ),
    "fpn_resnet101": Network(
        45_844_544, "42500160 of ResNet-101: 42500160 + 3840·256 + 4·256 + 4·589824 + 4·256"
    ),
    # unet.py
    "unet": Network(
        31_036_546,
        "the original and two for each channel of a norm, less one bias: 31030658 + 5888",
        (1, 512, 512),
    ),
    "unet_original": Network(
        31_030_658,
        "figure 1, stage by stage: 37568 + 221440 + 885248 + 3539968 + 14157824 + 2097664 + "
        "7078912 + 524544 + 1769984 + 131200 + 442624 + 32832 + 110720 + 130",
        (1, 572, 572),
    ),
    "unet3d": Network(
        19_069_955, "section 2: 19 069 955", (3, 64, 64, 64), options={"norm": False}
    ),
    # segmentation.py
    "fcn_resnet50": Network(35_322_218, TORCHVISION, (3, 520, 520), {"aux_loss": True}),
    "fcn_resnet101": Network(54_314_346, TORCHVISION, (3, 520, 520), {"aux_loss": True}),
    "deeplabv3_resnet50": Network(42_004_074, TORCHVISION, (3, 520, 520), {"aux_loss": True}),
    "deeplabv3_resnet101": Network(60_996_202, TORCHVISION, (3, 520, 520), {"aux_loss": True}),
    "deeplabv3_mobilenet_v3_large": Network(
        11_029_328, TORCHVISION, (3, 520, 520), {"aux_loss": True}
    ),
    "lraspp_mobilenet_v3_large": Network(3_221_538, TORCHVISION, (3, 520, 520)),
    # autoencoder.py
    "autoencoder": Network(
        2_837_314,
        "figure 1: 2·784·1000 + 2·1000·500 + 2·500·250 + 2·250·30 + 2·1000 + 2·500 + 2·250 + 30 "
        "+ 784",
        (1, 28, 28),
    ),
    "conv_autoencoder": Network(
        111_649, "192 + 4704 + 1568·32 + 32 + 32·1568 + 1568 + 4624 + 32 + 145", (1, 28, 28)
    ),
    # vae.py
    "vae": Network(
        815_824, "784·500 + 500 + 500·40 + 40 + 20·500 + 500 + 500·784 + 784", (1, 28, 28)
    ),
    "conv_vae": Network(
        413_573,
        "160 + 4640 + 1568·128 + 128 + 128·4 + 4 + 2·128 + 128 + 128·1568 + 1568 + 4624 + 145",
        (1, 28, 28),
    ),
    # dcgan.py
    "dcgan_generator": Network(
        18_855_040,
        "figure 1: 100·16·1024 + 1024·512·25 + 512·256·25 + 256·128·25 + 128·3·25 + 2·1920",
        (100,),
    ),
    "dcgan_discriminator": Network(
        17_232_768,
        "3·128·25 + 128·256·25 + 256·512·25 + 512·1024·25 + 1024·16 + 2·1792",
        (3, 64, 64),
    ),
    # capsnet.py
    "capsnet": Network(8_215_568, "section 5.1: 8.2 M", (1, 28, 28)),
    # tcn.py
    "tcn": Network(66_910, "table 1, sequential MNIST, 70 K: 0.07 M", (1, 784)),
    # c3d.py
    "c3d": Network(
        79_991_015,
        "figure 3: 5248 + 221312 + 884992 + 1769728 + 3539456 + 3·7078400 + 33558528 + 16781312 "
        "+ 1995239",
        (3, 16, 112, 112),
    ),
    # video.py
    "r3d_18": Network(33_371_472, TORCHVISION, (3, 16, 112, 112)),
    "mc3_18": Network(11_695_440, TORCHVISION, (3, 16, 112, 112)),
    "r2plus1d_18": Network(31_505_325, TORCHVISION, (3, 16, 112, 112)),
    # restoration.py
    "dncnn": Network(556_097, "640 + 15·36864 + 15·128 + 577", (1, 40, 40)),
    "espcn": Network(22_729, "section 3.1: 1664 + 18464 + 2601", (1, 17, 17)),
    # style_transfer.py
    "style_transfer": Network(
        1_679_235,
        "PyTorch's example fast_neural_style: 7776 + 32 + 18496 + 73856 + 10·147584 + 73792 + "
        "18464 + 7779 + 2·64 + 2·32 + 2·128 + 10·2·128 + 2·64 + 2·32",
        (3, 256, 256),
    ),
    # siamese.py
    "siamese": Network(
        38_951_745,
        "figure 4: 6464 + 401536 + 262272 + 524544 + 9216·4096 + 4096 + 4097",
        (1, 105, 105),
    ),
    # detector.py
    "fcos_tiny": Network(
        350_530,
        "backbone, pyramid, towers, results: 432 + 2304 + 4608 + 9216 + 18432 + 36864 + 55296 + "
        "82944 + 2·2·208 + 160·48 + 2·48 + 2·20784 + 4·20736 + 4·96 + 16·433 + 2",
        (3, 96, 96),
    ),
}


def digest(state: Iterable[tuple[str, Iterable[int]]]) -> list[Any]:
    """How many keys a state has, and a hash of its keys and shapes in their order."""
    lines = [f"{key} {list(shape)}" for key, shape in state]
    return [len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]]


def digests_of_torchvision(names: Iterable[str]) -> dict[str, list[Any]]:
    """`digest` of each network as torchvision has it; needs torchvision."""
    import inspect

    import torch
    import torchvision.models

    found = {}
    for name in names:
        builder = torchvision.models.get_model_builder(name)
        parts = inspect.signature(builder).parameters
        options = {"weights_backbone": None} if "weights_backbone" in parts else {}
        try:
            with torch.device("meta"):
                network = builder(**options)
        except NotImplementedError:  # RegNet computes its widths with tensors
            network = builder(**options)
        found[name] = digest((key, value.shape) for key, value in network.state_dict().items())
    return found


def main() -> None:
    """Write the digests of torchvision's networks."""
    digests = digests_of_torchvision(name for name, row in NETWORKS.items() if row.torchvision)
    lines = [f'  "{name}": {json.dumps(value)}' for name, value in digests.items()]
    DIGESTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
