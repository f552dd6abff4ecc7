"""`pruneframe list`."""

from __future__ import annotations

import pytest
from command import Cli

METHODS = (
    *("emo-dir", "hamp", "hierarchical", "magnitude", "moead", "netadapt", "nsga2", "platypus", "random"),
    *("evopress", "fast-nas", "halp", "iterative-magnitude", "nndrea"),
    "weighted-ga",
    *("sparse-ea", "s-nsga2", "moea-psl", "pm-moea", "ts-sparse-ea"),
)
IMAGENET = ("resnet18", "resnet50", "mobilenetv2", "efficientnet-lite0", "deit-tiny")
DEPTHS = (20, 32, 44, 56, 110)
BUNDLED = {
    "method": METHODS,
    "problem": (
        *("alexnet-cifar10", "lenet-digits", "lenet-mnist", "lenet-fashionmnist", "lenet300-mnist"),
        *("lenet300-fashionmnist", "mobilenetv1-cifar10", "mobilenetv2-cifar10", "mobilenetv2-cifar100"),
        *(f"resnet{depth}-{data}" for depth in DEPTHS for data in ("cifar10", "cifar100")),
        *(f"resnet{depth}b-{data}" for depth in DEPTHS for data in ("cifar10", "cifar100")),
        *("tiny-attention", "tiny-lenet", "tiny-resnet20"),
        "resnet18-tinyimagenet",
        *("resnet8-cifar10", "vgg14-cifar10", "vgg16-cifar10", "vgg16-cifar100"),
        *(f"{network}-{images}" for network in IMAGENET for images in ("imagenet", "imagenet100", "imagenette")),
    ),
    "objective": ("error", "distortion", "params", "macs", "size", "latency", "memory"),
    "target": ("local-cpu", "local-cuda", "lookup-table", "analytic", "onnxruntime", "openvino", "command"),
    "unit": ("weight", "filter", "neuron", "head", "block"),
    "encoding": (
        *("mask", "layer-threshold", "layer-ratio", "channel-count", "unit-threshold", "global-cut"),
        *("n-m", "blocks"),
    ),
    "scorer": (
        *("magnitude", "l2", "lamp", "fpgm", "bn-scale", "taylor", "snip", "fisher", "random"),
        *("reconstruction", "hrank", "chip", "apoz", "wanda"),
    ),
    "variation": (
        *("uniform", "layer-crossover", "bit-flip", "importance-guided", "sbx-pm"),
        *("weighted-flip", "block-shift"),
    ),
    "report": (
        *("fronts", "difference", "progress", "results", "reductions", "operating-points", "distances"),
        *(
            "comparisons",
            "variances",
            "generalisation",
            "layers",
            "parallel",
            "running-times",
            "seconds",
            "ranks",
            "profile",
            "published",
            "finetuned",
            "records",
        ),
    ),
}


def test_list_names_everything_with_its_origin(cli: Cli) -> None:
    rows = cli("list", "--json").parsed
    named = {(row["kind"], row["name"]) for row in rows}
    assert len(named) == len(rows)
    assert named == {(kind, name) for kind, names in BUNDLED.items() for name in names}
    assert all(row["summary"] and row["distribution"] == "pruneframe" for row in rows)
    plain = cli("list").out
    assert all(f"  {name} " in plain for _, name in named)


@pytest.mark.parametrize("kind", ["method", "methods"])
def test_list_of_one_kind(kind: str, cli: Cli) -> None:
    rows = cli("list", kind, "--json").parsed
    assert [row["name"] for row in rows] == sorted(METHODS)
    assert cli("list", kind).out.startswith("methods\n")
