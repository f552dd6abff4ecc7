"""Every bundled network on MNIST-like, CIFAR and Tiny-ImageNet images has the size that its literature states."""

from __future__ import annotations

import pytest
import tiny
from families import PROBLEMS, shape
from torch import nn

from pruneframe import Trained
from pruneframe_problems import mobilenet
from pruneframe_problems.datasets import SHORT

# Parameters, prunable weights and million multiply-adds, by what states them.
SIZES: dict[str, tuple[int, int, float]] = {
    "lenet-digits": (13_802, 13_584, 0.092),  # ours
    # Han et al., NeurIPS 2015, tables 1 and 3: LeNet-300-100 of 267 K and Caffe's LeNet-5 of 431 K parameters.
    **dict.fromkeys(("lenet300-mnist", "lenet300-fashionmnist"), (266_610, 266_200, 0.266)),
    **dict.fromkeys(("lenet-mnist", "lenet-fashionmnist"), (431_080, 430_500, 2.293)),
    # He et al., CVPR 2016, table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 M; option A, which adds no parameters.
    "resnet20-cifar10": (269_722, 268_336, 40.55),
    "resnet32-cifar10": (464_154, 461_872, 68.86),
    "resnet44-cifar10": (658_586, 655_408, 97.17),
    "resnet56-cifar10": (853_018, 848_944, 125.49),
    "resnet110-cifar10": (1_727_962, 1_719_856, 252.89),
    "resnet20-cifar100": (275_572, 274_096, 40.56),
    "resnet32-cifar100": (470_004, 467_632, 68.87),
    "resnet44-cifar100": (664_436, 661_168, 97.18),
    "resnet56-cifar100": (858_868, 854_704, 125.49),
    "resnet110-cifar100": (1_733_812, 1_725_616, 252.89),
    # pytorch-cifar-models, README: 0.27, 0.47, 0.66, 0.86 M and 40.81, 69.12, 97.44, 125.75 M multiply-adds; on
    # CIFAR-100 0.28, 0.47, 0.67, 0.86 M and 40.82, 69.13, 97.44, 125.75 M. It has no ResNet-110.
    "resnet20b-cifar10": (272_474, 270_896, 40.81),
    "resnet32b-cifar10": (466_906, 464_432, 69.12),
    "resnet44b-cifar10": (661_338, 657_968, 97.44),
    "resnet56b-cifar10": (855_770, 851_504, 125.75),
    "resnet110b-cifar10": (1_730_714, 1_722_416, 253.15),
    "resnet20b-cifar100": (278_324, 276_656, 40.82),
    "resnet32b-cifar100": (472_756, 470_192, 69.13),
    "resnet44b-cifar100": (667_188, 663_728, 97.44),
    "resnet56b-cifar100": (861_620, 857_264, 125.75),
    "resnet110b-cifar100": (1_736_564, 1_728_176, 253.16),
    # The same README: 15.25 and 15.30 M parameters, 313.73 and 313.77 M multiply-adds.
    "vgg16-cifar10": (15_253_578, 15_239_872, 313.73),
    "vgg16-cifar100": (15_299_748, 15_285_952, 313.77),
    # kuangliu's pytorch-cifar, as others count it: 14.73 M parameters, 0.31 G multiply-adds.
    "vgg14-cifar10": (14_728_266, 14_715_584, 313.20),
    # Howard et al., arXiv 1704.04861, for ImageNet alone (see below).
    "mobilenetv1-cifar10": (3_217_226, 3_195_328, 46.35),
    # The README of pytorch-cifar-models: 2.24 and 2.35 M parameters, 87.98 and 88.09 M multiply-adds.
    "mobilenetv2-cifar10": (2_236_682, 2_202_560, 87.98),
    "mobilenetv2-cifar100": (2_351_972, 2_317_760, 88.09),
    # bearpaw's pytorch-classification, README: 2.47 M parameters.
    "alexnet-cifar10": (2_472_266, 2_471_104, 14.96),
    # mlcommons/tiny: Keras counts 78,666 values, the 480 running statistics of batch norm among them; 12.5 M.
    "resnet8-cifar10": (78_666 - 480, 77_360, 12.50),
    # weiaicunzai's pytorch-cifar100, which Synaptic-Flow takes: 11.2 M; 0.56 G for 32x32 images, so four times as many.
    "resnet18-tinyimagenet": (11_271_432, 11_261_632, 2221.77),
}
CLASSES = {"cifar100": 100, "tinyimagenet": 200}  # 10 everywhere else


def test_the_sizes_of_all_are_known() -> None:
    assert set(SIZES) == set(PROBLEMS)
    assert set(PROBLEMS) <= set(tiny.registry().names("problem"))


@pytest.mark.parametrize("name", SIZES)
def test_a_networks_size_is_what_its_literature_states(name: str) -> None:
    network = tiny.network(PROBLEMS[name].module(), shape(name))
    params, weights, mmacs = SIZES[name]
    assert network.total_params == params
    assert network.layout.total == weights
    assert network.total_macs / 1e6 == pytest.approx(mmacs, abs=0.005)
    assert network.outputs == CLASSES.get(name.rpartition("-")[2], 10)


def test_mobilenet_has_the_size_of_its_paper_for_imagenet() -> None:
    """Howard et al., arXiv 1704.04861, table 8: 569 M multiply-adds, 4.2 M parameters."""
    network = tiny.network(mobilenet.MobileNet(classes=1000, stride=2), (3, 224, 224))
    assert round(network.total_macs / 1e6) == 569
    assert round(network.total_params / 1e6, 1) == 4.2


@pytest.mark.parametrize("name", SIZES)
def test_a_problem_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    problem = PROBLEMS[name]
    assert problem.varies == (("split",) if "halves" in problem.source else ("training", "split"))
    assert problem.summary
    assert "trained by us" in problem.source or any(word in problem.source for word in ("BSD", "Apache"))
    assert problem.bibtex.count("@") >= 1


@pytest.mark.parametrize("name", [name for name in SIZES if "cifar" in name])
def test_networks_with_batch_norm_that_are_trained_here_have_the_short_form(name: str) -> None:
    weights = PROBLEMS[name].weights
    if isinstance(weights, Trained):
        normed = any(isinstance(part, nn.BatchNorm2d) for part in PROBLEMS[name].module().modules())
        assert weights.short == (SHORT if normed else None)
        assert weights.recipe.source
