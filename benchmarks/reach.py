"""How many channels of published architectures can be removed as filters, beside what torch-pruning offers.

    python benchmarks/reach.py [mobilenet_v2 resnet50 ...] [--json]

Random weights, ten classes, images of 64 by 64 pixels. A group that torch-pruning offers is right where the network
without a random half of it predicts what the same network does in which that half is zero: weights and biases that
write it, scales and shifts of norms, and the weights that read it. Exits with 1 where fewer filters are offered than
torch-pruning offers rightly, and no note says why. Architectures of timm are there where timm is installed.
"""

from __future__ import annotations

import copy
import json
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import click
import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch_pruning import DependencyGraph

from pruneframe.errors import PruneframeError
from pruneframe.model.network import Network
from pruneframe.model.rules import loses_groups
from pruneframe.model.shrink import prove, proved_network
from pruneframe.registry import Registry
from pruneframe.units import Units

TORCHVISION = (
    *("resnet18", "resnet50", "vgg16_bn", "alexnet", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"),
    *("densenet121", "squeezenet1_1", "googlenet", "inception_v3", "regnet_y_400mf", "mnasnet0_5"),
    *("shufflenet_v2_x0_5", "convnext_tiny"),
)
TIMM = ("mobilenetv4_conv_small", "repvgg_a0", "ghostnet_100", "resnetv2_50") if find_spec("timm") else ()
ALONE = {name: {"aux_logits": False, "init_weights": False} for name in ("googlenet", "inception_v3")}
PIXELS = {"inception_v3": 96}
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
Cut = tuple[str, list[int]]  # the layer that a group of torch-pruning's begins with, and which of its channels go


def built(name: str) -> nn.Module:
    """An architecture with weights, scales and statistics that all count."""
    torch.manual_seed(0)
    if name in TIMM:
        import timm

        module: nn.Module = timm.create_model(name, pretrained=False, num_classes=10)
    else:
        module = torchvision.models.get_model(name, weights=None, num_classes=10, **ALONE.get(name, {}))
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() != 4 and parameter.dim() != 2:
                parameter.add_(0.3 * torch.randn(parameter.shape))
        for norm in (one for one in module.modules() if isinstance(one, nn.BatchNorm2d)):
            norm.momentum = None  # the mean of all that follows
        module.train()(torch.randn(16, *shape(name)))
    return module.eval()


def shape(name: str) -> tuple[int, int, int]:
    """Of the images."""
    pixels = PIXELS.get(name, 64)
    return 3, pixels, pixels


def offered(network: Network) -> int:
    """Channels that filters are made of: those of the layer that leads, and of convolutions that lose whole groups.

    Such a one reads some channels and writes others, all of one unit; torch-pruning has two groups of them.
    """
    found = 0
    for group in network.layout.groups:
        owners = [network.module.get_submodule(part.parameter.rpartition(".")[0]) for part in group.slices]
        found += group.size * group.slices[0].width
        for part, owner in zip(group.slices[1:], owners[1:], strict=True):
            if part.parameter.endswith(".weight") and blocks_of(owner) > 1 and isinstance(owner, CONVOLUTIONS):
                found += group.size * part.width * loses_groups(owner)
    return found


class Theirs:
    """What torch-pruning offers of a module whose layers are named in forward order, the last of them its outputs."""

    def __init__(self, module: nn.Module, images: Tensor, layers: Sequence[str]) -> None:
        self.module, self.images = module, images
        self.graph = graph_of(module, images)
        self.names = {one: name for name, one in [*module.named_modules(), *module.named_parameters()]}
        rng = np.random.default_rng(0)
        groups = list(self.graph.get_all_groups(ignored_layers=[module.get_submodule(layers[-1])]))
        self.channels = {self.names[group[0].dep.target.module]: self._lead(group, layers) for group in groups}
        self.cuts = [self._half(group, rng) for group in groups]

    def _lead(self, group: Any, layers: Sequence[str]) -> int:
        """Channels of a group, as of ours: those of the first layer that writes them."""
        written = {
            self.names[dep.target.module]: len(places)
            for dep, places in group
            if self.graph.is_out_channel_pruning_fn(dep.handler) and dep.target.module in self.names
        }
        return next(written[layer] for layer in layers if layer in written)

    def _half(self, group: Any, rng: np.random.Generator) -> Cut:
        """Half of a group's channels, the same of every group of a convolution or norm, as torch-pruning needs them."""
        blocks = max([blocks_of(dep.target.module) for dep, _ in group])
        size = len(group[0].idxs) // blocks
        gone = rng.permutation(size)[: size // 2]
        return self.names[group[0].dep.target.module], sorted(
            int(one) + block * size for block in range(blocks) for one in gone
        )

    def right(self) -> int:
        """Channels of the groups that can be taken out."""
        return sum(self.channels[layer] for layer, _ in self._proved(self.cuts))

    def _proved(self, cuts: Sequence[Cut]) -> list[Cut]:
        """Of some cuts those that are right: all where they are together, else one half's and the other's."""
        if not cuts or self._agrees(cuts):
            return list(cuts)
        if len(cuts) == 1:
            return []
        half = len(cuts) // 2
        return self._proved(cuts[:half]) + self._proved(cuts[half:])

    def _agrees(self, cuts: Sequence[Cut]) -> bool:
        masked, pruned = copy.deepcopy(self.module), copy.deepcopy(self.module).requires_grad_(True)
        try:
            graph = graph_of(pruned, self.images)
            for layer, gone in cuts:
                group_of(self.graph, self.module, layer, gone, self._blank, masked)
                group_of(graph, pruned, layer, gone).prune()
            with torch.inference_mode():
                prove(masked(self.images), pruned(self.images), 1e-3, tied=1e-3)
        except (PruneframeError, RuntimeError, ValueError, IndexError):
            return False
        return True

    def _blank(self, masked: nn.Module, dep: Any, gone: list[int]) -> None:
        """Zero what one step of a group would take out."""
        target = dep.target.module
        if target not in self.names:
            return  # an operation without parameters
        name = self.names[target]
        with torch.no_grad():
            if isinstance(target, nn.Parameter):
                masked.get_parameter(name).index_fill_(dep.target.pruning_dim, torch.tensor(gone), 0)
                return
            layer: Any = masked.get_submodule(name)
            if self.graph.is_in_channel_pruning_fn(dep.handler) and isinstance(layer, (*CONVOLUTIONS, nn.Linear)):
                blank_inputs(layer, gone)
            elif getattr(layer, "weight", None) is not None:
                layer.weight[(slice(None), gone) if isinstance(layer, TRANSPOSED) else gone] = 0
                if getattr(layer, "bias", None) is not None:
                    layer.bias[gone] = 0


def blank_inputs(layer: Any, gone: list[int]) -> None:
    """Zero the weights that read some channels; of a grouped convolution, those of their group."""
    groups = getattr(layer, "groups", 1)
    if isinstance(layer, TRANSPOSED):
        layer.weight[gone] = 0
        return
    inputs, outputs = layer.weight.shape[1], layer.weight.shape[0] // groups
    for one in gone:
        group = one // inputs
        layer.weight[group * outputs : (group + 1) * outputs, one % inputs] = 0


def blocks_of(module: nn.Module) -> int:
    """Groups of a convolution that is not depthwise, or of a norm; 1 of anything else."""
    if isinstance(module, CONVOLUTIONS) and module.groups < module.out_channels:
        return module.groups
    return module.num_groups if isinstance(module, nn.GroupNorm) else 1


def graph_of(module: nn.Module, images: Tensor) -> DependencyGraph:
    """Torch-pruning's graph; it follows gradients."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DependencyGraph().build_dependency(module.requires_grad_(True), images[:1])


def group_of(
    graph: DependencyGraph, module: nn.Module, layer: str, gone: list[int], each: Any = None, masked: Any = None
) -> Any:
    """What goes with some channels of a layer; `each` is called with every step of it."""
    root = module.get_submodule(layer)
    group = graph.get_pruning_group(root, graph.get_pruner_of_module(root).prune_out_channels, gone)
    for dep, places in group if each else ():
        each(masked, dep, [int(place) for place in places])
    return group


def compared(name: str) -> dict[str, Any]:
    """One row."""
    module = built(name)
    units = Registry().component(Units, "filter")
    network = proved_network(Network(module, shape(name), units))
    row = {"network": name, "filters": offered(network), "reach": round(network.reach, 4), "notes": network.notes}
    layers = [layer.name for layer in network.layers]
    try:
        theirs = Theirs(copy.deepcopy(module), torch.randn(4, *shape(name)), layers)
    except Exception as error:  # whatever torch-pruning raises
        return row | {"offered": 0, "right": 0, "notes": (*network.notes, f"torch-pruning fails: {error}")}
    return row | {"offered": sum(theirs.channels.values()), "right": theirs.right()}


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(names: tuple[str, ...], as_json: bool) -> None:
    """Print one row per architecture: filters offered, torch-pruning's channels and how many of them are right."""
    fewer = []
    if not as_json:
        print(f"{'network':24} {'filters':>8} {'torch-pruning':>14} {'right':>8} {'reach':>7}")
    for name in names or (*TORCHVISION, *TIMM):
        row = compared(name)
        if row["filters"] < row["right"] and not row["notes"]:
            fewer.append(name)
        text = f"{name:24} {row['filters']:8,} {row['offered']:14,} {row['right']:8,} {row['reach']:7.1%}"
        print(json.dumps(row) if as_json else "\n    ".join([text, *row["notes"]]), flush=True)
    if fewer:
        sys.exit(f"fewer filters than torch-pruning's right ones, and no note says why: {', '.join(fewer)}")


if __name__ == "__main__":
    main()
