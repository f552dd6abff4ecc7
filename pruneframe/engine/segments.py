"""Segments of a large module, whose inner values are computed again when gradients need them, and not kept.

Chen, Xu, Zhang and Guestrin, "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174, 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial, reduce

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

KEPT = 2**30  # bytes that the gradients of a batch may need
SHARE = 2  # of what may be kept, the part that a segment may need while it is computed again
FEW = 2  # inputs on which a module is measured, and must compute the same in segments


class Segments:
    """The submodules of a module in training that are computed twice where a batch would keep more than `KEPT` bytes.

    `forward` are the module's outputs; `images` some inputs [n, ...], of which a few are looked at. `pieces`, if there
    are any, share the module's layers and compute the same one after the other; they stand for its submodules, as those
    of a graph are never called. Outputs, gradients and what batch norm remembers are the same to the bit: a module of
    which they are not keeps everything.
    """

    def __init__(
        self,
        module: nn.Module,
        forward: Callable[[Tensor], Tensor],
        images: Tensor,
        pieces: Sequence[nn.Module] = (),
    ) -> None:
        self._module, self._forward, self._few = module, forward, images[:FEW].clone()
        self._pieces = pieces
        self._found: dict[int, list[nn.Module]] = {}  # by the size of a batch
        with self._untouched(), _piece_by_piece(module, pieces):
            self._bytes = _bytes_kept([*module.modules(), *pieces], lambda: forward(self._few.clone()))

    def outputs(self, images: Tensor) -> Tensor:
        """The module's outputs, from which one can go back once."""
        return self._outputs(images, self.of(len(images)))

    def _outputs(self, images: Tensor, segments: Sequence[nn.Module]) -> Tensor:
        pieces = self._pieces if segments else ()
        with _piece_by_piece(self._module, pieces), _computed_again(segments):
            return self._forward(images)

    def of(self, n: int) -> Sequence[nn.Module]:
        """The segments for a batch of n inputs; none where it may keep all."""
        if n not in self._found:
            each = KEPT * len(self._few) / n
            inner = self._pieces or list(self._module.children())
            found = [] if self._bytes[self._module] <= each else list(self._within(inner, each / SHARE))
            self._found[n] = found if self._agrees(found) else []
        return self._found[n]

    def _within(self, modules: Iterable[nn.Module], most: float) -> Iterator[nn.Module]:
        """The largest submodules that keep at most so many bytes; or smallest ones, but no single layers."""
        for child in modules:
            if child in self._bytes and any(child.children()):
                smaller = self._within(child.children(), most) if self._bytes[child] > most else ()
                yield from list(smaller) or [child]

    def _agrees(self, segments: Sequence[nn.Module]) -> bool:
        """Whether nothing changes; torch refuses where something writes into what a segment was given."""
        if not segments:
            return True
        expected = self._learned([])
        try:
            found = self._learned(segments)
        except RuntimeError:
            return False
        return all(one is other or torch.equal(one, other) for one, other in zip(expected, found, strict=True))

    def _learned(self, segments: Sequence[nn.Module]) -> list[Tensor]:
        """Outputs, gradients, and the module's buffers behind them."""
        wanted = [parameter for parameter in self._module.parameters() if parameter.requires_grad]
        with self._untouched():
            outputs = self._outputs(self._few.clone(), segments)
            gradients = torch.autograd.grad(outputs.square().sum(), wanted, allow_unused=True)
            return [outputs.detach(), *gradients, *(buffer.clone() for buffer in self._module.buffers())]

    @contextmanager
    def _untouched(self) -> Iterator[None]:
        """Neither the module's buffers nor torch's random numbers move, which are always the same ones within it."""
        with torch.random.fork_rng(devices=[]), _remembering_nothing(self._module):
            torch.manual_seed(0)
            yield


def _bytes_kept(modules: Sequence[nn.Module], run: Callable[[], Tensor]) -> dict[nn.Module, int]:
    """What a run of the first of some modules keeps for gradients in each that it calls, in bytes."""
    own = [*modules[0].parameters(), *modules[0].buffers()]
    seen = {tensor.untyped_storage().data_ptr() for tensor in own}
    found: dict[nn.Module, int] = {}
    total, begun = 0, []

    def keep(tensor: Tensor) -> Tensor:
        nonlocal total
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total += storage.nbytes()
        return tensor

    def begin(part: nn.Module, _: object) -> None:
        begun.append(total)

    def end(part: nn.Module, _: object, __: object) -> None:
        found[part] = found.get(part, 0) + total - begun.pop()

    hooks = [part.register_forward_pre_hook(begin) for part in modules]
    hooks += [part.register_forward_hook(end) for part in modules]
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            kept = run()  # whose graph lives on, so that no memory is seen twice
    finally:
        for hook in hooks:
            hook.remove()
    del kept
    return found


@contextmanager
def _piece_by_piece(module: nn.Module, pieces: Sequence[nn.Module]) -> Iterator[None]:
    """The module runs its pieces within it, if it has any."""
    if pieces:
        module.forward = lambda images: reduce(lambda value, piece: piece(value), pieces, images)
    try:
        yield
    finally:
        if pieces:
            del module.forward


@contextmanager
def _computed_again(segments: Sequence[nn.Module]) -> Iterator[None]:
    """What these submodules are given within it they keep, and nothing else."""
    for segment in segments:
        twice = partial(checkpoint, segment.forward, use_reentrant=False, context_fn=partial(_contexts, segment))
        segment.forward = twice  # of this one object, for one pass
    try:
        yield
    finally:
        for segment in segments:
            del segment.forward


def _contexts(segment: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Of the pass, and of that which goes over it once more, of which batch norm must not hear."""
    return nullcontext(), _remembering_nothing(segment)


@contextmanager
def _remembering_nothing(module: nn.Module) -> Iterator[None]:
    """A module's buffers are afterwards what they were before."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
