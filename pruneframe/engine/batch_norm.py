"""batch_norm=shifted: running statistics moved by what pruning did to the batch statistics.

A pure function of mask and weights: over a fixed set of training images, with m and v the batch statistics of the
pruned and of the unpruned network, running mean += m_pruned - m_dense, and running var + eps is multiplied by
(v_pruned + eps) / (v_dense + eps), that ratio kept within `RATIO`. Without the guard, channels that were dead in the
dense network explode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model.network import NORMS, Network
from ..model.rows import Source

RATIO = (0.05, 20.0)
BATCH, FEWEST = 250, 50  # every layer is normalised by its own batch of at least so many images; batches are averaged
NUMBERS = 2**22  # of a batch of large images, which are fewer then


def statistics(module: nn.Module, images: Source) -> dict[str, Tensor]:
    """Batch means and variances of every batch-norm layer's input, by buffer name; the module is left as it was."""
    norms = {n: m for n, m in module.named_modules() if isinstance(m, NORMS) and m.running_mean is not None}
    found: dict[str, list[Tensor]] = {f"{n}.{s}": [] for n in norms for s in ("running_mean", "running_var")}

    def by_its_batch(name: str, norm: nn.Module) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            mean, var = _moments(x)
            found[f"{name}.running_mean"].append(mean)
            found[f"{name}.running_var"].append(var)
            return F.batch_norm(x, mean, var, norm.weight, norm.bias, False, 0.0, norm.eps)  # type: ignore[arg-type]

        return forward

    try:
        for name, norm in norms.items():
            norm.forward = by_its_batch(name, norm)  # type: ignore[assignment]
        for batch in batches(images):
            module(batch)
    finally:
        for norm in norms.values():
            norm.__dict__.pop("forward", None)
    return {name: torch.stack(values).mean(dim=0) for name, values in found.items()}


def batches(images: Source) -> Iterable[Tensor]:
    """Images in the batches that are normalised by their own statistics."""
    size = min(BATCH, max(FEWEST, NUMBERS // math.prod(images.shape[1:])))
    return images.tensor_split(max(1, len(images) // size))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every channel of x[n, channels, ...].

    Not torch's training kernel: on channels last it sums naively in float32, and where a channel varies little around
    a large mean, as behind an emptied layer, it is off by more than a standard deviation.
    """
    values = x.movedim(1, -1).flatten(0, -2)
    mean = values.mean(dim=0)
    return mean, (values - mean).square().mean(dim=0)


def pair(unpruned: nn.Module, pruned: nn.Module) -> None:
    """Make a pruned copy's running statistics shift by what pruning does to each batch, with gradients.

    For one batch after the other that the unpruned network sees first. Unlike the rule for candidates, a layer's
    statistics are of what reaches it in this very pass, so that nothing shifts where nothing is pruned.
    """
    moments: dict[str, tuple[Tensor, Tensor]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            moments[name] = _moments(inputs[0])

        return hook

    def shifted(name: str, norm: Any) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            (mean, var), (own_mean, own_var) = moments[name], _moments(x)
            ratio = torch.clamp((own_var + norm.eps) / (var + norm.eps), *RATIO)
            scale = ((norm.running_var + norm.eps) * ratio).rsqrt()
            if norm.weight is not None:
                scale = scale * norm.weight
            shift = -(norm.running_mean + own_mean - mean) * scale
            if norm.bias is not None:
                shift = shift + norm.bias
            return F.batch_norm(x, torch.zeros_like(scale), torch.ones_like(scale), scale, shift, False, 0.0, 0.0)

        return forward

    for name, norm in unpruned.named_modules():
        if isinstance(norm, NORMS) and norm.running_mean is not None:
            norm.register_forward_pre_hook(note(name))
            copy = pruned.get_submodule(name)
            copy.forward = shifted(name, copy)


def shifted_statistics(
    network: Network, state: dict[str, Tensor], unpruned: dict[str, Tensor], pruned: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Running means and variances for a pruned network, by buffer name; `state` holds the unpruned ones."""
    shifted = {}
    for name, norm in network.norms.items():
        mean, var, eps = f"{name}.running_mean", f"{name}.running_var", norm.eps
        shifted[mean] = state[mean].to(pruned[mean].device) + pruned[mean] - unpruned[mean]
        ratio = torch.clamp((pruned[var] + eps) / (unpruned[var] + eps), *RATIO)  # type: ignore[operator]
        shifted[var] = (state[var].to(ratio.device) + eps) * ratio - eps  # type: ignore[operator]
    return shifted
