"""The data sets of bundled problems: how their official images are split, and whom to cite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pruneframe as pf


@dataclass(frozen=True)
class Dataset:
    """Official training and test images; most networks of the field read them by `mean` and `std`, one per channel."""

    name: str  # as problems are named
    title: str
    classes: int
    load: Callable[[], tuple[pf.Split, pf.Split]]
    held_out: int  # of the training images, as search images of networks that are trained here
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bibtex: str
    tested: str = "official test images"  # on which networks that are trained here are tested

    @property
    def origin(self) -> str:
        """What problems say of networks that are trained here."""
        return (
            f"trained by us, the search images, {self.held_out:,} of the official training images, held out before; "
            f"tested on the {self.tested}"
        )

    @property
    def unseen(self) -> str:
        """What problems say of the images of published networks."""
        return f"search and test images are halves of {self.title}'s official test images"

    def held(self) -> pf.Splits:
        """For networks that are trained here: search images are held out before, the official test images are test."""
        return pf.Splits(self._held)

    def halves(self, mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None) -> pf.Splits:
        """For published networks, which have seen all training images: halves of the official test images.

        `mean` and `std` are their publisher's, where those are others.
        """
        return pf.Splits(lambda instance: self._halved(instance, mean or self.mean, std or self.std))

    def _held(self, instance: int) -> pf.Data:
        train, test = self.load()
        search, rest = train.stratified(self.held_out, instance)
        return pf.Data(rest, search, test, mean=self.mean, std=self.std)

    def _halved(self, instance: int, mean: tuple[float, ...], std: tuple[float, ...]) -> pf.Data:
        train, unseen = self.load()
        search, test = unseen.stratified(len(unseen) // 2, instance)
        return pf.Data(train, search, test, mean=mean, std=std)


CIFAR_BIBTEX = """
@techreport{krizhevsky2009learning,
  author = {Krizhevsky, Alex},
  title = {Learning Multiple Layers of Features from Tiny Images},
  institution = {University of Toronto},
  year = {2009}
}
"""
SHORT = pf.Recipe(
    epochs=10,
    learning_rate=0.2,
    schedule="one-cycle",
    warmup=1,
    crop=4,
    flip=True,
    source="a short form of ours for networks with batch norm on CIFAR",
)
# Loaders are looked up when data are loaded, since they lie behind imports that take long.
MNIST = Dataset(
    "mnist",
    "MNIST",
    10,
    lambda: pf.mnist(),
    held_out=10_000,
    mean=(0.1307,),
    std=(0.3081,),
    bibtex=r"""
@article{lecun1998gradient,
  author = {LeCun, Yann and Bottou, L{\'e}on and Bengio, Yoshua and Haffner, Patrick},
  title = {Gradient-based learning applied to document recognition},
  journal = {Proceedings of the IEEE},
  volume = {86},
  number = {11},
  pages = {2278--2324},
  year = {1998}
}
""",
)
FASHION = Dataset(
    "fashionmnist",
    "Fashion-MNIST",
    10,
    lambda: pf.fashion_mnist(),
    held_out=10_000,
    mean=(0.2860,),
    std=(0.3530,),
    bibtex="""
@article{xiao2017fashion,
  author = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
  title = {{Fashion-MNIST}: a Novel Image Dataset for Benchmarking Machine Learning Algorithms},
  journal = {arXiv:1708.07747},
  year = {2017}
}
""",
)
CIFAR10 = Dataset(
    "cifar10",
    "CIFAR-10",
    10,
    lambda: pf.cifar10(),
    held_out=5000,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    bibtex=CIFAR_BIBTEX,
)
CIFAR100 = Dataset(
    "cifar100",
    "CIFAR-100",
    100,
    lambda: pf.cifar100(),
    held_out=5000,
    mean=(0.5070, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2761),
    bibtex=CIFAR_BIBTEX,
)
TINY_IMAGENET = Dataset(
    "tinyimagenet",
    "Tiny-ImageNet",
    200,
    lambda: pf.tiny_imagenet(),
    held_out=10_000,
    mean=(0.480, 0.448, 0.397),
    std=(0.276, 0.269, 0.282),
    bibtex="""
@techreport{le2015tiny,
  author = {Le, Ya and Yang, Xuan},
  title = {{Tiny ImageNet} Visual Recognition Challenge},
  institution = {Stanford University, CS 231N},
  year = {2015}
}
""",
    tested="official validation images, since the test images have no labels",
)
