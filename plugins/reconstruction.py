"""An importance score from what removing units together does to the next layer's sums."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pruneframe as pf

BATCH = 50
POSITIONS = 64  # of a feature map that are looked at, per image
STEPS = 600  # of a greedy removal: a filter with more weights loses several at a time
BLOCK = 2048  # inputs of a filter at most that are looked at together: their second moments take the square of it
QKV = "q_proj", "k_proj", "v_proj"  # what attention does to queries, keys and values
ORDER = 1e-6  # relative distance between units that a running maximum would tie


@dataclass
class Moments:
    """What one layer was seen to do: second moments of a filter's inputs, and each filter's effect [filters].

    For each group of a grouped convolution there are matrices [k, k], one for each block of inputs. The effect is the
    mean over images of the squared gradient of a random projection of the logits, summed over positions.
    """

    products: list[list[Tensor]] = field(default_factory=list)
    columns: int = 0
    effect: Tensor = field(default_factory=lambda: torch.zeros(()))

    def inputs(self, columns: Tensor, groups: int) -> None:
        """Take in inputs float64[groups x k, columns]."""
        parts = columns.chunk(groups)
        found = [[block @ block.t() for block in part.split(BLOCK)] for part in parts]
        for before, now in zip(self.products, found, strict=False):
            now[:] = [a + b for a, b in zip(before, now, strict=True)]
        self.products = found
        self.columns += columns.shape[1]

    def gradients(self, gradients: Tensor) -> None:
        """Take in gradients [n, filters, positions]."""
        self.effect = self.effect + gradients.double().square().sum(dim=(0, 2))

    @classmethod
    def joined(cls, parts: Sequence[Moments]) -> Moments:
        """Those of the filters of several layers, as of one in groups."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            [blocks for part in parts for blocks in part.second()], 1, torch.cat([part.effect for part in parts])
        )

    def second(self) -> list[list[Tensor]]:
        """Second moments, one [k, k] for each group and block."""
        return [[product / self.columns for product in blocks] for blocks in self.products]


def columns_of(layer: Any, inputs: Tensor, rng: np.random.Generator) -> Tensor:
    """What a layer's filters are multiplied with, [inputs, columns], at random positions of each image."""
    if isinstance(layer, nn.Linear):
        return inputs.flatten(0, -2).t()
    windows = windows_of(layer, inputs)
    sides = len(layer.kernel_size)
    sizes = windows.shape[2 : 2 + sides]
    chosen = rng.permutation(math.prod(sizes))[:POSITIONS]
    if len(chosen) < math.prod(sizes):
        places: list[Any] = [torch.from_numpy(along) for along in np.unravel_index(chosen, sizes)]
        windows, sides = windows[:, :, *places], 1
    kernel = windows.movedim((0, *range(2, 2 + sides)), tuple(range(-1 - sides, 0)))
    return kernel.flatten(-1 - sides).flatten(0, -2)


def windows_of(layer: Any, inputs: Tensor) -> Tensor:
    """What a convolution reads for each of its outputs, [n, channels, outputs' positions ..., kernel ...]."""
    sides = range(len(layer.kernel_size))
    reach = [layer.dilation[side] * (layer.kernel_size[side] - 1) for side in sides]
    padding = [0 if isinstance(layer.padding, str) else layer.padding[side] for side in sides]
    pads, stride = [(width, width) for width in padding], layer.stride
    if layer.transposed:  # a convolution over its inputs spread apart, with its kernel turned round
        spread = inputs.new_zeros(*inputs.shape[:2], *((inputs.shape[2 + s] - 1) * stride[s] + 1 for s in sides))
        spread[:, :, *(slice(None, None, step) for step in stride)] = inputs
        pads = [(reach[s] - padding[s], reach[s] - padding[s] + layer.output_padding[s]) for s in sides]
        inputs, stride = spread, (1,) * len(sides)
    windows = F.pad(inputs, [width for pair in reversed(pads) for width in pair])
    for side in sides:
        windows = windows.unfold(2 + side, reach[side] + 1, stride[side])[..., :: layer.dilation[side]]
    return windows.flip([-1 - side for side in sides]) if layer.transposed else windows


def opened(network: pf.Network) -> nn.Module:
    """A copy of the unpruned network in which attention calls its projections, so that hooks see them."""
    module = copy.deepcopy(network.module).eval()
    for attention in [part for part in module.modules() if type(part) is nn.MultiheadAttention]:
        open_up(attention)
    return module


def observe(network: pf.Network, names: Sequence[str], images: Tensor, rng: np.random.Generator) -> dict[str, Moments]:
    """The moments of some layers of the unpruned network."""
    module = opened(network)
    parts = {layer.name: modules_of(layer) for layer in network.layers if layer.name in names}
    found: dict[str, Moments] = {}
    outputs: list[tuple[str, Tensor]] = []

    def watch(name: str) -> None:
        def hook(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            linear = isinstance(layer, nn.Linear)
            found[name].inputs(columns_of(layer, inputs[0].detach().double(), rng), 1 if linear else layer.groups)
            outputs.append((name, output.requires_grad_()))  # no weight needs a gradient
            return output.clone()  # which what follows may write into

        found[name] = Moments()
        module.get_submodule(name).register_forward_hook(hook)

    for name in chain.from_iterable(parts.values()):
        watch(name)
    for batch in images.split(network.at_once(BATCH, gradients=True)):
        outputs.clear()
        logits = module(batch)
        signs = torch.from_numpy(rng.choice(np.array([-1, 1], dtype=np.float32), tuple(logits.shape)))
        slopes = torch.autograd.grad((logits * signs).sum(), [output for _, output in outputs], allow_unused=True)
        for (name, output), slope in zip(outputs, slopes, strict=True):
            linear = isinstance(module.get_submodule(name), nn.Linear)
            slope = torch.zeros_like(output) if slope is None else slope
            found[name].gradients(slope.flatten(0, -2)[..., None] if linear else slope.flatten(2))
    for name, moments in found.items():
        if not moments.columns:
            raise pf.InputError(
                f"scorer 'reconstruction' needs layers that are called, but {name!r} is not; use the scorer magnitude"
            )
        moments.effect = moments.effect / len(images)
    return {name: Moments.joined([found[part] for part in parts[name]]) for name in names}


def modules_of(layer: pf.Layer) -> list[str]:
    """The modules that compute a layer; the projections that attention holds as one parameter are several."""
    packed = layer.parameter == f"{layer.owner}.in_proj_weight"
    return [f"{layer.owner}.{part}" for part in QKV] if packed else [layer.name]


def open_up(attention: Any) -> None:
    """Make the projections of attention, which computes the same as before, modules that are called."""
    packed, biases = attention.in_proj_weight, attention.in_proj_bias
    weights = packed.chunk(3) if packed is not None else [getattr(attention, f"{name}_weight") for name in QKV]
    for name, weight, bias in zip(QKV, weights, [None] * 3 if biases is None else biases.chunk(3), strict=True):
        outputs, inputs = weight.shape
        layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias is not None)  # which draws nothing
        layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
        attention.add_module(name, layer)
    width, same = attention.embed_dim, torch.eye(attention.embed_dim)
    attend: Any = F.multi_head_attention_forward

    def forward(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        given = inspect.signature(nn.MultiheadAttention.forward).bind(None, query, key, value, *args, **kwargs)
        options = {
            name: value for name, value in given.arguments.items() if name not in ("self", "query", "key", "value")
        }
        projected = [attention.get_submodule(name)(x) for name, x in zip(QKV, (query, key, value), strict=True)]
        turned = attention.batch_first and query.dim() == 3
        heads, weights = attend(
            *((x.transpose(0, 1) for x in projected) if turned else projected),
            *(width, attention.num_heads, None, None, attention.bias_k, attention.bias_v, attention.add_zero_attn),
            *(0.0, same, None, False),
            **options,
            use_separate_proj_weight=True,
            **{f"{name}_weight": same for name in QKV},  # projected already
        )
        return attention.out_proj(heads.transpose(0, 1) if turned else heads), weights

    attention.forward = forward


def removal_damage(weights: Tensor, second: Tensor) -> Tensor:
    """What each unit adds to the squared error of its row's sum when it goes, float64[rows, k]; greedy, least first.

    Removing the set R from row w changes its sum by w[R] . x[R], whose mean square is w[R] second[R, R] w[R]. Damages
    are a running maximum along the order of removal, told apart so that they sort in that order.
    """
    k = weights.shape[1]
    weights, second = weights.double(), second.double()
    own, twice = weights.square() * second.diagonal(), 2 * weights
    shared = torch.zeros_like(weights)  # second @ removed part of the row
    at_once, order, highest = -(-k // STEPS), [], []
    for step in range(0, k, at_once):
        least, units = torch.addcmul(own, twice, shared).topk(min(at_once, k - step), dim=1, largest=False)
        own.scatter_(1, units, torch.inf)  # is gone
        removed = weights.gather(1, units)
        for column in range(units.shape[1]):
            shared.addcmul_(removed[:, column, None], second[units[:, column]])
        order.append(units)
        highest.append(least[:, -1:].expand_as(least))
    damages = torch.cat(highest, dim=1).clamp_min(0).cummax(dim=1).values * (1 + ORDER * torch.arange(k))
    return torch.empty_like(weights).scatter_(1, torch.cat(order, dim=1), damages)


def weight_damages(network: pf.Network, found: dict[str, Moments]) -> list[Tensor]:
    """For each layer: what each weight does to the logits, through its filter's sum."""
    damages = []
    for group in network.layout.groups:
        moments, second = found[group.layer], found[group.layer].second()
        weights = torch.from_numpy(group.matrix(network.parameter(group.parameter).detach().numpy())).flatten(1)
        parts = [blockwise_damage(w, blocks) for w, blocks in zip(weights.chunk(len(second)), second, strict=True)]
        damage = torch.cat(parts) * moments.effect[:, None]
        damages.append(torch.from_numpy(group.in_order(damage.numpy())))
    return damages


def blockwise_damage(weights: Tensor, second: Sequence[Tensor]) -> Tensor:
    """`removal_damage` of weights [rows, k] whose second moments are known within blocks of inputs."""
    blocks = weights.split([len(block) for block in second], dim=1)
    return torch.cat([removal_damage(w, m) for w, m in zip(blocks, second, strict=True)], dim=1)


def filter_damages(network: pf.Network, found: dict[str, Moments]) -> list[Tensor]:
    """For each group: what each filter does to the logits, through the sums that read it, per weight of the filter."""
    damages = []
    for group in network.layout.groups:
        filters = group.size
        joint = torch.zeros(filters, filters, dtype=torch.float64)
        for layer, part in readers(network, group):
            moments = found[layer.name]
            own = layer.group(layer.weights).matrix(network.parameter(layer.parameter).detach().numpy())
            weights = torch.from_numpy(own).double().flatten(1)
            second = moments.second()[0]
            of_filter = torch.zeros(own.shape[1], filters, dtype=torch.float64)
            of_filter[torch.from_numpy(part.along(filters)), torch.arange(filters)[:, None]] = 1
            of_filter = of_filter.repeat_interleave(own.shape[2], dim=0)
            sizes = [len(block) for block in second]
            for w, owner, block in zip(weights.split(sizes, dim=1), of_filter.split(sizes), second, strict=True):
                joint += owner.t() @ (w.t() @ (moments.effect[:, None] * w) * block) @ owner
        damages.append(removal_damage(torch.ones(1, filters), joint).flatten() / group.weights)
    return damages


def readers(network: pf.Network, group: pf.Group) -> list[tuple[pf.Layer, pf.Slices]]:
    """The layers that read a group's units, and where; raises InputError where there are none whose sums are known."""
    layers = {layer.parameter: layer for layer in network.layers}
    found = [(layers[part.parameter], part) for part in group.slices if part.parameter in layers]
    reading = [(layer, part) for layer, part in found if part.dim == (0 if layer.turned else 1)]
    grouped = [layer for layer, _ in reading if getattr(network.module.get_submodule(layer.owner), "groups", 1) > 1]
    if not reading or grouped or group.kind == "branch":
        which = f"grouped layers such as {grouped[0].name!r} do" if grouped else f"none does those of {group.layer!r}"
        raise pf.InputError(
            f"scorer 'reconstruction' needs layers without groups that read every unit, but {which}; use the scorer "
            "magnitude"
        )
    return reading


@dataclass(frozen=True, repr=False)
class Reconstruction(pf.Scorer):
    """Damage to the logits, estimated layer by layer, of units that are removed together, least damage first.

    Weights of one filter whose contributions cancel may go together, which no score of single weights sees. Greedy
    removal by what the next sums lose is ThiNet's (Luo, Wu and Lin, ICCV 2017), for channels; second moments of a
    layer's inputs as its Hessian are those of Dong, Chen and Pan, "Learning to Prune Deep Neural Networks via
    Layer-wise Optimal Brain Surgeon", NeurIPS 2017. Filters are made comparable by the squared gradient of random
    projections of the logits. Nothing is retrained or compensated. The combination is ours.
    """

    name = "reconstruction"
    images = 1000
    passes = 3
    draws = True

    def check(self, network: pf.Network) -> None:
        for group in () if network.layout.single else network.layout.groups:
            readers(network, group)

    def score(self, network: pf.Network, images: Tensor, labels: Tensor, rng: np.random.Generator) -> pf.Scores:
        if network.layout.single:
            damages = weight_damages(network, observe(network, network.layout.names, images, rng))
        else:
            groups = network.layout.groups
            reading = dict.fromkeys(layer.name for group in groups for layer, _ in readers(network, group))
            damages = filter_damages(network, observe(network, list(reading), images, rng))
        flat = torch.cat(damages)
        damages.clear()  # which are millions, and take as much as what they were joined to
        return flat.div_(flat.max().clamp_min(torch.finfo(torch.float64).tiny)).numpy().astype(np.float32)


@pf.hookimpl
def pruneframe_scorers() -> Sequence[type[pf.Scorer]]:
    return [Reconstruction]
