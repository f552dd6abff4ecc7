"""Loans: copies of the unpruned network that components are handed, and what they did with them.

A component keeps its copy as it was, and runs images through it as far as it has declared: what is used is counted in
forward passes of one image where it happens, in copies of the copy as well, and going back counts as two.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, Overstepped, faults_of
from ..model.cut import Cut
from ..model.layers import Layer
from ..model.network import Network
from ..scorer import Scorer

OF_THE_MODULE = ("module", "norms", "_traced", "cutter", "digest")  # attributes that lead to the module itself
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks", "_state_dict_hooks")
PLAIN = (bool, int, float, str, tuple, type(None))  # attributes of a layer that are compared
ROUNDING = 1e-6  # of what was declared


class Loan:
    """A copy of a network for one component, made when its module is first asked for."""

    def __init__(self, network: Network) -> None:
        self._own = network
        self.used = 0.0  # forward passes of one image
        self.network: Network = Lent(network, self._copied, self._ran)
        self._module: nn.Module | None = None
        self._hooks: dict[str, list[int]] = {}
        self._running = False

    def settle(self, kind: str, spec: str, declared: float = 0.0, way_out: str = "") -> None:
        """Raise Overstepped where the copy has changed, or has run more images than `declared`.

        `kind` and `spec` are the component's that it was lent to; without a spec it is the method.
        """
        who, changed = f"{kind} {spec}" if spec else f"a {kind}", None
        if self._module is not None:
            there = self.network.module is self._module
            changed = next(self._differences(), None) if there else "module"
        if changed is not None:
            raise Overstepped(
                f"{who} must leave the network that it is handed as it is, but changed its {changed}; "
                "work on copy.deepcopy(network.module)",
                kind,
                spec,
            )
        if self.used > declared * (1 + ROUNDING):
            raise Overstepped(
                f"{who} must run no more images through the network than it pays for, {declared:g} forward passes of "
                f"one image, but ran {self.used:g} (going back counts as two); {way_out}",
                kind,
                spec,
            )

    def _copied(self) -> nn.Module:
        self._module = copy.deepcopy(self._own.module)
        per_image = math.prod(self._own.input_shape)
        self._watch(self._module, lambda inputs, outputs: inputs.numel() / per_image)
        for layer in self._own.layers:
            if layer.parameter == f"{layer.name}.weight":  # projections of attention are no modules
                self._watch(self._module.get_submodule(layer.name), self._share(layer))
        self._hooks = hooks(self._module)
        return self._module

    def _share(self, layer: Layer) -> Callable[[Tensor, Tensor], float]:
        """What a layer called by itself has computed, as a share of the network's multiply-adds."""
        return lambda inputs, outputs: outputs.numel() / layer.outputs * layer.weights / self._own.total_macs

    def _watch(self, module: nn.Module, images: Callable[[Tensor, Tensor], float]) -> None:
        """Count what goes through a module, not again through the layers inside; hooks are copied with the module."""
        outer: list[bool] = []

        def begin(module: nn.Module, args: Any, kwargs: Any) -> None:
            outer.append(not self._running)
            self._running = True

        def end(module: nn.Module, args: Any, kwargs: Any, outputs: Any) -> None:
            if not outer.pop():
                return
            self._running = False
            if not isinstance(outputs, Tensor):  # it has failed
                return
            count = images(next(x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)), outputs)
            self.used += count
            if outputs.requires_grad:
                outputs.register_hook(lambda slopes: self._went_back(count))

        module.register_forward_pre_hook(begin, with_kwargs=True)
        module.register_forward_hook(end, with_kwargs=True, always_call=True)

    def _ran(self, passes: float) -> None:
        self.used += passes

    def _went_back(self, count: float) -> None:
        self.used += 2 * count

    def _differences(self) -> Iterator[str]:
        """What of the copy is no longer as in the original."""
        assert self._module is not None
        ours, theirs = dict(self._own.module.named_modules()), dict(self._module.named_modules())
        if ours.keys() != theirs.keys():
            yield "layers"
            return
        for name, module in theirs.items():
            if type(module) is not type(ours[name]) or plain(module) != plain(ours[name]):
                yield f"layer {name!r}" if name else "mode or attributes"
        if hooks(self._module) != self._hooks:
            yield "hooks"
        yield from changed(tensors(self._module), tensors(self._own.module))
        for name, parameter in self._module.named_parameters():
            if parameter.requires_grad or parameter.grad is not None:
                yield f"gradient of {name!r}"


class Lent(Network):
    """A network as a component sees it; what torch.fx finds out about it is known from the original."""

    def __init__(self, own: Network, module: Callable[[], nn.Module], ran: Callable[[float], None]) -> None:
        self.__dict__ |= {name: value for name, value in own.__dict__.items() if name not in OF_THE_MODULE}
        self._own = own
        self._copied, self._told = module, ran

    @property
    def original(self) -> Network:
        """The network that was lent."""
        return self._own.original

    def ran(self, passes: float) -> None:
        """Counted like images that go through the copy."""
        self._told(passes)

    @cached_property
    def module(self) -> nn.Module:  # type: ignore[override] # made when it is first asked for
        """The copy."""
        return self._copied()

    @cached_property
    def cuts(self) -> tuple[Cut, ...]:
        """As the original's."""
        return self._own.cuts

    def norm_behind(self, layer: str) -> str | None:
        """As the original's."""
        return self._own.norm_behind(layer)

    def activation_behind(self, layer: str) -> str | None:
        """As the original's."""
        return self._own.activation_behind(layer)


def check(scorer: Scorer, network: Network) -> None:
    """Raise InputError where a score is not defined for a network's units."""
    loan = Loan(network)
    with faults_of("scorer", repr(scorer)):
        scorer.check(loan.network)
    loan.settle("scorer", repr(scorer), 0, "score runs it")


def defined(scorer: Scorer, network: Network) -> bool:
    """Whether a score is defined for a network's units."""
    try:
        check(scorer, network)
    except Overstepped:
        raise
    except InputError:
        return False
    return True


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers, also those that are not kept in a state dict."""
    return dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))


def changed(found: dict[str, Tensor], known: dict[str, Tensor]) -> Iterator[str]:
    """Tensors that are not what they were, by name; what is no number is equal to itself."""
    if found.keys() != known.keys():
        yield "parameters"
        return
    for name, tensor in found.items():
        own = known[name]
        same = tensor.shape == own.shape and tensor.dtype == own.dtype
        if not same or not (torch.equal(tensor, own) or torch.equal(bits(tensor), bits(own))):
            yield repr(name)


def bits(tensor: Tensor) -> Tensor:
    """The bytes behind a tensor."""
    return tensor.detach().contiguous().flatten().view(torch.uint8)


def hooks(module: nn.Module) -> dict[str, list[int]]:
    """The numbers of all hooks, by layer."""
    return {name: [key for kind in HOOKS for key in getattr(part, kind)] for name, part in module.named_modules()}


def plain(module: nn.Module) -> dict[str, Any]:
    """The mode and settings of a layer by itself, and the names of all else that it holds."""
    return {name: value if isinstance(value, PLAIN) else None for name, value in vars(module).items()}
