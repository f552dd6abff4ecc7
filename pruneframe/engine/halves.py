"""Dense bfloat16: torch's forward pass of a masked network, with batch norm folded into the layers before it.

On a processor that multiplies bfloat16 itself this is faster than the kernel in float32 while most of a network is
left. Weights are rounded once, masked and scaled, and so are images and activations; sums are float32.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from ..mask import Masks
from ..model.layers import Layer
from ..model.network import Network
from ..model.rows import Source, Stream
from ..model.trace import calls, record
from .library import Floats
from .lists import Pruned
from .plain import BATCH
from .plan import Plan, Weights

# The least share of what torch multiplies that must be left, by what multiplies bfloat16. For AVX512-BF16 it is where
# the two sides of `benchmarks/evaluation.py --work precision` take equally long, for AMX where this pass and the kernel
# did on a ResNet-56; ARM has not been measured, and has AVX512-BF16's.
WORTH = {"amx_bf16": 0.3, "avx512_bf16": 0.45, "bf16": 0.45}
FILLED = 16  # torch fills the channels that it reads and writes up to a multiple of this
RELU = (F.relu, torch.relu, "relu")


class Halves:
    """Runs candidates of a network that the kernel has a plan for, in a memory format, one after the other.

    `worth` is the least share of torch's multiply-adds that must be left for this to be the faster path.
    """

    def __init__(self, network: Network, plan: Plan, memory_format: torch.memory_format, worth: float) -> None:
        self._network = network
        self._least = worth * sum(map(_filled, network.layers))
        self._layers = [weights for weights in plan.weights if weights is not None]
        self._format = memory_format
        folded = _folded(network.module, self._layers)
        self._module = folded.to(torch.bfloat16).to(memory_format=memory_format)
        self._images: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def least(self) -> float:
        """The share of the network's multiply-adds that must be left; above 1 this is never the faster path."""
        return self._least / self._network.total_macs

    def faster(self, masks: Masks) -> NDArray[np.bool_]:
        """Whether this is the faster path, for each candidate by its own multiply-adds alone."""
        return self._network.macs(masks) >= self._least

    def logits(self, candidate: Pruned, images: Source) -> Floats:
        """Outputs float32[images, classes]."""
        with torch.inference_mode():
            for layer in self._layers:
                self._write(layer, candidate)
            outputs = [self._module(batch) for batch in self._held(images).split(self._network.at_once(BATCH))]
            return torch.cat(outputs).float().numpy()

    def _write(self, layer: Weights, candidate: Pruned) -> None:
        """One layer's weights, masked and scaled by its batch norm, and its biases."""
        own, name = self._module.get_submodule(layer.layer), f"{layer.layer}.weight"
        rows = slice(layer.first, layer.first + layer.outputs)
        weights = candidate.state[name]
        scaled = weights * torch.from_numpy(candidate.scales[rows]).view(-1, *[1] * (weights.dim() - 1))
        if name in candidate.keep:
            scaled *= torch.from_numpy(candidate.keep[name])
        own.weight.copy_(scaled)  # type: ignore[operator]
        own.bias.copy_(torch.from_numpy(candidate.biases[rows]))  # type: ignore[operator]

    def _held(self, images: Source) -> Source:
        """Images in bfloat16, rounded once per set; a stream's whenever they are read."""
        if isinstance(images, Stream):
            return images.then(self._rounded)
        if id(images) not in self._images:
            self._images[id(images)] = images, self._rounded(images)
        return self._images[id(images)][1]

    def _rounded(self, images: Tensor) -> Tensor:
        return images.to(torch.bfloat16).contiguous(memory_format=self._format)


def foldable(network: Network, plan: Plan) -> bool:
    """Whether all that a plan multiplies are layers, and their norms modules that a layer can take in."""
    traced = record(network.module, "it needs")
    for weights in filter(None, plan.weights):
        kinds = isinstance(network.module.get_submodule(weights.layer), nn.Conv2d | nn.Linear)
        if not kinds or (weights.factor, weights.shift) != (1, 0):
            return False
        if weights.norm is not None and not calls(traced, weights.norm):
            return False
    return True


def _filled(layer: Layer) -> float:
    """The multiply-adds that torch computes for a layer: channels that are not there are multiplied as zeros."""
    outputs, inputs, *window = layer.shape
    return math.prod([-(-outputs // FILLED) * FILLED, -(-inputs // FILLED) * FILLED, *window, layer.positions])


def _folded(module: nn.Module, layers: Sequence[Weights]) -> fx.GraphModule:
    """A copy without the norms of layers, which have biases in their place; ReLU writes over what nobody else reads."""
    traced = record(copy.deepcopy(module), "it needs")
    for layer in layers:
        own = traced.get_submodule(layer.layer)
        if own.bias is None:
            own.bias = nn.Parameter(torch.zeros(layer.outputs))
        if layer.norm is not None:
            _bypass(traced.graph, calls(traced, layer.norm))
    fresh = {id(traced.get_submodule(layer.layer)) for layer in layers}
    for node in list(traced.graph.nodes):
        if _is_relu(traced, node) and len(node.args[0].users) == 1 and _is_fresh(traced, node.args[0], fresh):
            with traced.graph.inserting_before(node):
                node.replace_all_uses_with(traced.graph.call_function(torch.relu_, (node.args[0],)))
            traced.graph.erase_node(node)
    traced.recompile()
    return traced


def _bypass(graph: fx.Graph, nodes: Iterable[fx.Node]) -> None:
    for node in nodes:
        node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
        graph.erase_node(node)


def _is_relu(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), nn.ReLU)
    return node.target in RELU


def _is_fresh(traced: fx.GraphModule, node: fx.Node, layers: set[int]) -> bool:
    """Whether a node computes a tensor of its own: the sums of a layer."""
    return node.op == "call_module" and id(traced.get_submodule(str(node.target))) in layers
