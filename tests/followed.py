"""Small networks whose channels are followed: what is offered, in a line for each group, and that all of it is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pruneframe import InputError, Masks, Network
from pruneframe.mask import Group, Slices
from pruneframe.model.shrink import shrink
from pruneframe.model.state import reweighted

SHAPE = (2, 8, 8)
Run = Callable[[Any, Tensor], Tensor]
OF_ACTIVATIONS = ("bmm", "baddbmm", "scaled_dot_product")  # products in which no parameter takes part


class Sketch(nn.Module):
    """Layers and parameters by name, a function of this module and images, and `fc` of what it gives, averaged."""

    def __init__(self, run: Run, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 3] of what may be feature maps, tokens or features."""
        found = self.run(self, images)
        return self.fc(found.mean((2, 3)) if found.dim() == 4 else found.mean(1) if found.dim() == 3 else found)


@dataclass(frozen=True)
class Case:
    """A sketch, the groups that are offered of it, as `told` tells them, and the notes on what stays."""

    run: Run
    parts: dict[str, nn.Module | nn.Parameter]
    offered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    uncounted: int = 0  # multiply-adds whose weights are computed

    def holds(self) -> None:
        """Fail unless exactly this is offered and noted, and all of it is true."""
        module = Sketch(self.run, **self.parts)
        if not self.offered:
            with pytest.raises(InputError, match="the network has no prunable filters") as caught:
                followed(module)
            assert all(note in str(caught.value) for note in self.notes)
            return
        network = followed(module)
        assert (tuple(told(network)), network.notes) == (self.offered, self.notes)
        check(network, uncounted=self.uncounted)


def case(run: Run, offered: Sequence[str] = (), notes: Sequence[str] = (), uncounted: int = 0, **parts: Any) -> Case:
    """A case, its parts by keyword."""
    return Case(run, parts, tuple(offered), tuple(notes), uncounted)


def parameter(*shape: int) -> nn.Parameter:
    """A parameter in no layer."""
    return nn.Parameter(torch.zeros(shape))


def conv(inputs: int, outputs: int, size: int = 3, **settings: Any) -> nn.Conv2d:
    """A convolution that leaves the resolution as it is."""
    return nn.Conv2d(inputs, outputs, size, **{"padding": size // 2} | settings)


def followed(module: nn.Module, units: str = "filter", shape: tuple[int, ...] = SHAPE) -> Network:
    """A module as a network, after everything in it was given values that tell it apart from nothing."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            inputs = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.add_(0.3 / inputs**0.5 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                noise = torch.rand(buffer.shape, generator=generator)
                buffer.copy_(noise + 0.5 if name.endswith("var") else buffer + noise - 0.5)
    return tiny.network(module, shape, units)


def told(network: Network) -> list[str]:
    """Each group in a line: its size, then its slices, as `4: a.weight/0 a.bias/0 fc.weight/1x16`.

    A slice is a parameter, a dimension, the places of a unit if more than one, and where they lie if not from 0 on.
    """
    return [_line(group) for group in network.layout.groups]


def _line(group: Group) -> str:
    return f"{group.size}: {' '.join(_slice(part) for part in group.slices)}"


def _slice(part: Slices) -> str:
    width = f"x{part.width}" if part.width > 1 else ""
    places = f"@{','.join(map(str, part.places))}" if part.places else f"@{part.start}" if part.start else ""
    return f"{part.parameter}/{part.dim}{width}{places}"


def check(network: Network, uncounted: int = 0, macs: bool = True) -> None:
    """Random masks of three densities: masked and shrunk agree, and cost what the network says they do."""
    rng, images = np.random.default_rng(1), torch.randn(6, *network.input_shape)
    dense = network.module(images.clone())
    for density in (0.2, 0.5, 0.8):
        mask = Masks.pack(rng.random((1, network.layout.total)) < density, network.layout)
        keep = network.keep(mask, 0)
        state = {name: tensor * keep.get(name, 1) for name, tensor in network.module.state_dict().items()}
        small = shrink(network, mask, state)
        with torch.inference_mode():
            masked, shrunk = reweighted(network.module, state)(images.clone()), small(images.clone())
        assert float((masked - shrunk).abs().max()) <= 1e-4 * float(dense.max() - dense.min())
        assert network.params(mask) == [sum(parameter.numel() for parameter in small.parameters())]
        assert not macs or network.macs(mask) == [counted(small, network.input_shape) - uncounted]


def counted(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds with parameters for one image, by torch's own counter."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(torch.zeros(1, *shape))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    found = counter.get_flop_counts()["Global"].items()
    return sum(flops for name, flops in found if not any(one in str(name) for one in OF_ACTIVATIONS)) // 2
