"""A mask of removable units made into a physically smaller module, and the proof that it predicts the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ..errors import InputError, PruneframeError
from ..mask import Group, Layout, Masks
from .attention import without_heads
from .branches import without
from .groups import NORMS, entries
from .layers import CONVOLUTIONS
from .network import Network
from .rules import Convolution, loses_groups
from .state import reweighted

PROVED = 4  # random images of a trial
MOST = 2  # units that are tried to remain where a network does not run without the last ones
TIED = 1e-4  # of the spread: rounding decides between logits that are nearer to each other


def shrink(network: Network, mask: Masks, state: dict[str, Tensor]) -> nn.Module:
    """The module without the units that one mask removes; `state` is the masked network's, zeros in place.

    A group that lost all its units keeps one, all of it zero, see `Network.structure`; a branch goes with its addition.
    """
    real = network.layout.split(network.structure(mask).unpack(0))
    module = reweighted(network.module, state).cpu()
    groups = list(zip(network.layout.groups, real, strict=True))
    if gone := [group for group, units in groups if group.kind == "branch" and not units.any()]:
        module = without(network, module, gone)
    for group, units in groups:
        if group.kind == "heads" and not units.all():
            without_heads(module, group, int(units.sum()))
    remaining = {name for name, _ in [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]}
    for (name, dim), kept in _kept(network, real).items():
        if name in remaining:  # the rest went with a branch
            dense = network.module.get_submodule(name.rpartition(".")[0])
            _narrow(module, name, kept, dim, isinstance(dense, CONVOLUTIONS) and loses_groups(dense))
    return module


def proved_network(network: Network) -> Network:
    """The network with those groups of its units alone that can be taken out: masked and shrunk agree on random images.

    All at once are tried first, half of each group's units removed; where that fails, one half of the groups and the
    other, down to single ones. What fails stays, and the network's notes say why. Raises InputError where nothing is
    left, or where what can go alone cannot go together.
    """
    if not network.units.removable:
        return network
    notes: list[str] = []
    free: list[Group] = []
    for group, owners in zip(network.layout.groups, _tied(network), strict=True):
        if owners:
            notes.append(f"the {network.units.name}s of {group.layer} stay: {owners}")
        else:
            free.append(group)
    obstacle = _obstacle(network.narrowed(free)) if free else None
    stays = free if obstacle is None else _provable(network, free, obstacle, notes)
    if not stays:
        raise InputError(f"the network has no {network.units.name}s that can be taken out; {'; '.join(notes)}")
    if obstacle is None and not notes:
        return network
    found = network.narrowed(stays, notes)
    if obstacle is not None and (left := _obstacle(found)) is not None:
        raise InputError(f"{network.units.name}s that can be taken out must be so together, but: {left}")
    return found


def _provable(network: Network, groups: Sequence[Group], obstacle: str, notes: list[str]) -> list[Group]:
    """Of groups that cannot all be taken out, for a reason, those that can be in parts; a note for each other one."""
    parts: list[Sequence[Group]] = [groups[: len(groups) // 2], groups[len(groups) // 2 :]]
    if len(groups) == 1:
        [group] = groups
        if group.kind == "branch" or group.least == MOST or group.size <= group.least + 1:
            notes.append(f"the {network.units.name}s of {group.layer} stay: {obstacle}")
            return []
        parts = [[replace(group, least=group.least + 1)]]  # code that only cannot do without the last of them
    found: list[Group] = []
    for part in parts:
        reason = _obstacle(network.narrowed(part))
        found += part if reason is None else _provable(network, part, reason, notes)
    return found


def _tied(network: Network) -> list[str]:
    """For each group, which of its parameters another module owns as well, under another name; empty where none is."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in network.module.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    shared = {name: others for others in names.values() if len(others) > 1 for name in others}
    found = []
    for group in network.layout.groups:
        own = [shared[part.parameter] for part in group.slices if part.parameter in shared]
        found.append(f"{' and '.join(own[0])} are one parameter" if own else "")
    return found


def _obstacle(network: Network) -> str | None:
    """Why the network does not do without half of its units, or with as few as there can be, or None."""
    own, masks = network.module.state_dict(), _trials(network.layout)
    for row in range(len(masks)):
        kept = network.keep(masks, row)
        state = {name: (tensor * kept[name] if name in kept else tensor.clone()).cpu() for name, tensor in own.items()}
        try:
            proved(network, masks[[row]], state, network.inputs.random(PROVED))
        except PruneframeError as error:
            return str(error)
    return None


def _trials(layout: Layout) -> Masks:
    """Half of each group's units, and as few as can be; also without every second group that can go entirely."""
    rng = np.random.default_rng(0)  # no two groups lose the same: what they share would go unnoticed
    halves = [rng.permutation(size) < max(1, size // 2) for size in layout.sizes]
    fewest = [np.arange(group.size) < group.least for group in layout.groups]
    trials = [halves, fewest]
    free = [column for column, group in enumerate(layout.groups) if not group.least]
    if free[1:]:
        trials.append([part & (column not in free[1::2]) for column, part in enumerate(halves)])
    return Masks.pack(np.array([np.concatenate(trial) for trial in trials]), layout)


def _kept(network: Network, real: Sequence[NDArray[np.bool_]]) -> dict[tuple[str, int], Tensor]:
    """What stays of each parameter along a dimension, int64[places], by both; `real` is each group's bool[units]."""
    stays: dict[tuple[str, int], NDArray[np.bool_]] = {}
    for group, units in zip(network.layout.groups, real, strict=True):
        for part in () if units.all() else group.slices:
            length = (*entries(network.module, part.parameter).shape, 1)[part.dim]
            along = stays.setdefault((part.parameter, part.dim), np.ones(length, dtype=bool))
            along[part.along(len(units))] &= units[:, None]
    return {place: torch.from_numpy(np.flatnonzero(along)) for place, along in stays.items()}


def proved(network: Network, mask: Masks, state: dict[str, Tensor], images: Tensor) -> nn.Module:
    """The same, after it has predicted what the masked network does, on images [n, ...].

    Raises InputError where the shrunk network does not run, since its code counts on the dense one's shapes.
    """
    masked, shrunk = reweighted(network.module, state).cpu(), shrink(network, mask, state)
    try:
        with torch.inference_mode():
            prove(masked(images.clone()), shrunk(images.clone()), tied=TIED)
    except PruneframeError:
        raise
    except Exception as error:  # code that counts on the dense network's shapes may fail in any way
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"the network must run without its units, but: {reason}") from error
    return shrunk


def _narrow(module: nn.Module, name: str, kept: Tensor, dim: int, by_group: bool) -> None:
    """Keep some entries of a parameter or buffer along one dimension, and tell its layer its new size.

    `by_group`: it is a grouped convolution that loses whole groups, not a channel of each.
    """
    owner_name, _, leaf = name.rpartition(".")
    owner = module.get_submodule(owner_name)
    whole = getattr(owner, leaf)
    smaller = whole.detach().index_select(dim, kept)
    setattr(owner, leaf, nn.Parameter(smaller, requires_grad=False) if isinstance(whole, nn.Parameter) else smaller)
    if isinstance(owner, CONVOLUTIONS):
        if leaf == "weight":
            _resize_convolution(owner, dim, len(kept), by_group)
    elif isinstance(owner, nn.Linear):
        setattr(owner, ("out_features", "in_features")[dim], len(kept))
    elif isinstance(owner, nn.PReLU):
        owner.num_parameters = len(kept)
    elif isinstance(owner, nn.Embedding):
        owner.embedding_dim = len(kept)
    elif isinstance(owner, NORMS) and leaf in ("weight", "running_mean"):
        _resize_norm(owner, kept)


def _resize_convolution(layer: Convolution, dim: int, length: int, by_group: bool) -> None:
    """Tell a convolution how long its weight is along a dimension."""
    first, second = ("in_channels", "out_channels") if layer.transposed else ("out_channels", "in_channels")
    if dim == 1:
        setattr(layer, second, length * layer.groups)
        return
    if by_group:
        groups = layer.groups * length // getattr(layer, first)
        setattr(layer, second, getattr(layer, second) * groups // layer.groups)
        layer.groups = groups
    setattr(layer, first, length)


def _resize_norm(norm: nn.GroupNorm | _NormBase, kept: Tensor) -> None:
    """Tell a norm which of its channels stay; one over groups of them loses whole groups."""
    if isinstance(norm, nn.GroupNorm):
        norm.num_groups = norm.num_groups * len(kept) // norm.num_channels
        norm.num_channels = len(kept)
        return
    norm.num_features = len(kept)
    for statistic in ("running_mean", "running_var"):
        values = getattr(norm, statistic)
        if values is not None and norm.weight is not None:
            setattr(norm, statistic, values.index_select(0, kept))


def prove(masked: Tensor, shrunk: Tensor, tolerance: float = 1e-4, tied: float = 0.0) -> None:
    """Raise unless two networks' logits float[n, classes] agree to `tolerance` of their spread, with equal classes.

    A class whose logit is behind the best by no more than `tied` of the spread is as good as the best.
    """
    spread = float(masked.max() - masked.min()) or 1.0
    difference = float((masked - shrunk).abs().max()) / spread
    chosen = masked.gather(1, shrunk.argmax(1, keepdim=True))[:, 0]
    behind = float((masked.max(dim=1).values - chosen).max()) / spread
    if not (difference <= tolerance and behind <= tied):
        raise PruneframeError(
            f"a shrunk network must predict what the masked one does, but its logits differ by {difference:.1e} "
            f"of their spread (at most {tolerance:.0e})"
        )
