"""What a module must be like so that its weights can be masked, and the one line that says how it becomes so."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize, prune

from ..errors import InputError

SAME = 1e-6  # of the spread, by which two passes over the same images may differ
WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
# Hooks that compute a weight anew before every pass, by their class, and what takes them off.
REWEIGHTED = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm({0})",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm({0})",
}


def check(module: nn.Module) -> None:
    """Raise InputError for a module whose weights are not its own, not there yet, or of another type than float32."""
    complaint = next(_complaints(module), None)
    if complaint:
        raise InputError(complaint)


def _complaints(module: nn.Module) -> Iterator[str]:
    """Everything in the way, with the remedy."""
    if isinstance(module, WRAPPERS):
        yield f"the network must be given without {type(module).__name__}; give its .module"
    if hasattr(module, "_orig_mod"):
        yield "the network must be given as it was before torch.compile; give its ._orig_mod"
    if isinstance(module, torch.jit.ScriptModule):
        yield "the network must be given as it was before torch.jit; a scripted module cannot be masked"
    for name, part in module.named_modules():
        where = f"module.{name}" if name else "module"
        for parameter, value in part.named_parameters(recurse=False):
            if isinstance(value, UninitializedParameter):
                yield f"layers must know their sizes, but {name!r} is lazy; run the network on one image first"
                return
            if value.is_floating_point() and value.dtype != torch.float32:
                kind = str(value.dtype).removeprefix("torch.")
                yield f"parameters must be float32, but {name}.{parameter} is {kind}; call module.float()"
        if parametrize.is_parametrized(part):
            weight = next(iter(part.parametrizations))
            remedy = f"torch.nn.utils.parametrize.remove_parametrizations({where}, {weight!r})"
            yield f"weights must be parameters themselves, but {name}.{weight} is parametrised; call {remedy}"
        for hook in part._forward_pre_hooks.values():
            kind = type(hook).__name__
            if kind in REWEIGHTED:
                remedy = REWEIGHTED[kind].format(where)
                yield f"weights must be parameters themselves, but {name} has {kind}; call {remedy}"
            elif isinstance(hook, prune.BasePruningMethod):
                remedy = f"torch.nn.utils.prune.remove({where}, {hook._tensor_name!r})"
                yield f"weights must be unmasked, but {name} still has a mask of torch.nn.utils.prune; call {remedy}"


def one_tensor(outputs: object) -> Tensor:
    """A network's outputs; raises InputError where they are not one row of numbers per image."""
    if not isinstance(outputs, Tensor):
        kind = type(outputs).__name__
        raise InputError(f"the network must give one tensor, but gives a {kind}; wrap it so that it gives logits alone")
    if outputs.dim() != 2:
        raise InputError(f"the network must give one row of outputs per image, but gives {list(outputs.shape)}")
    return outputs


def check_repeatable(module: nn.Module, images: Tensor) -> None:
    """Raise InputError where two passes over the same images differ, as with dropout that is always on."""
    with torch.inference_mode():
        first, second = (module(images.clone()) for _ in range(2))
    spread = float(first.max() - first.min()) or 1.0
    if not float((first - second).abs().max()) <= SAME * spread:
        raise InputError(
            "the network must give the same outputs twice in evaluation mode, but draws at random; switch off what is "
            "always on, such as F.dropout without training=self.training"
        )
