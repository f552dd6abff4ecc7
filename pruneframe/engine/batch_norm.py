"""batch_norm=shifted: running statistics moved by what pruning did to the batch statistics.

A pure function of mask and weights: over a fixed set of training images, with m and v the batch statistics of the
pruned and of the unpruned network, running mean += m_pruned - m_dense, and running var + eps is multiplied by
(v_pruned + eps) / (v_dense + eps), that ratio kept within `RATIO`. Without the guard, channels that were dead in the
dense network explode.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..network import NORMS, Network

RATIO = (0.05, 20.0)
BATCH = 250  # every layer is normalised by its own batch of at least so many images; batches are averaged


def statistics(module: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Batch means and variances of every batch-norm layer's input, by buffer name; the module is left as it was."""
    norms = {n: m for n, m in module.named_modules() if isinstance(m, NORMS) and m.running_mean is not None}
    saved = {name: tensor.clone() for name, tensor in module.named_buffers()}
    momenta = {name: norm.momentum for name, norm in norms.items()}
    sizes: dict[str, int] = {}  # values behind each channel's statistics
    hooks = [
        norm.register_forward_pre_hook(lambda m, x, name=name: sizes.update({name: x[0].numel() // x[0].shape[1]}))
        for name, norm in norms.items()
    ]
    for norm in norms.values():
        norm.momentum = 1.0  # running statistics become the batch's
        norm.train()
    batches = images.tensor_split(max(1, len(images) // BATCH))
    found: dict[str, Tensor] = {}
    for batch in batches:
        module(batch)
        for name, norm in norms.items():
            biased = (sizes[name] - 1) / sizes[name]  # torch divides by n - 1 there, but normalises by n
            for statistic, factor in (("running_mean", 1.0), ("running_var", biased)):
                share = getattr(norm, statistic) * (factor / len(batches))
                key = f"{name}.{statistic}"
                found[key] = found[key] + share if key in found else share
    for hook in hooks:
        hook.remove()
    for name, norm in norms.items():
        norm.momentum = momenta[name]
        norm.eval()
    buffers = dict(module.named_buffers())
    for name, tensor in saved.items():
        buffers[name].copy_(tensor)
    return found


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
