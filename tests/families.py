"""The bundled networks on digits, images like MNIST's, CIFAR and Tiny-ImageNet, by the names of their problems."""

from __future__ import annotations

from types import ModuleType

from pruneframe_problems import alexnet, cifar_resnet, lenet, mlp, mobilenet, resnet8, tiny_imagenet, vgg

FAMILIES: tuple[ModuleType, ...] = (alexnet, cifar_resnet, lenet, mlp, mobilenet, resnet8, tiny_imagenet, vgg)
PROBLEMS = {problem.name: problem for family in FAMILIES for problem in family.pruneframe_problems()}
SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "fashionmnist": (1, 28, 28), "tinyimagenet": (3, 64, 64)}


def shape(name: str) -> tuple[int, ...]:
    """Of an image of a problem's data."""
    return SHAPES.get(name.rpartition("-")[2], (3, 32, 32))
