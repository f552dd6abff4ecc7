"""A module's outputs with gradients, computed as fast as its size and device allow.

A small network on a processor is run by the kernel, forwards and backwards, in float32 (`tape`). All others are run by
torch, channels last where that is right, and where bfloat16 is wanted under autocast: convolutions and matrix products
multiply bfloat16, and what flows between them is bfloat16; weights, their gradients as the optimiser adds them up, and
the statistics and parameters of batch norm are float32, and so are the outputs. Which it is depends on the network, the
device and the precision alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from ..errors import InputError
from ..model.inputs import Inputs, Shape
from ..model.recipe import Recipe
from ..model.rows import Source, Stream
from ..model.trace import device_of, trace
from ..model.training import Aim, Keep, Pass, Steps, TorchPass, TorchSteps, masks
from .lesson import Lesson
from .operations import Recording
from .plan import Unsupported
from .segments import Segments
from .tape import Done, Tape
from .taping import recorded

SMALL = 5_000_000  # multiply-adds of an image, at most, for which torch takes most of its time between them
TOLERANCE = 1e-4  # of the outputs' spread
DRAWN = 20  # images on which a tape must compute what the module does: more than a group of them
Pieces = Callable[[], Sequence[nn.Module]]  # see Trainable


class Trainable:
    """A module on its device, whose parameters it shares; `macs` are the multiply-adds of one input.

    `inputs` is one input or its shape, `layout` the memory format that torch reads images in. `pieces` are asked for
    where memory is short: modules with the same layers that compute the same one after the other; see `Segments`.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Inputs | Shape,
        macs: float,
        layout: torch.memory_format = torch.contiguous_format,
        bfloat16: bool = False,
        pieces: Pieces = tuple,
    ) -> None:
        self.module = module
        self._pieces = pieces
        self._device = device_of(module)
        self._macs, self._inputs = macs, Inputs.of(inputs)
        self._recording = self._recorded() if self._device.type == "cpu" and macs <= SMALL else None
        self._tape = None if self._recording is None else Tape(self._recording)
        self._judged: dict[Trainable, Recording] = {}  # with those behind it
        self._layout = torch.contiguous_format if self._tape is not None else layout
        if self._tape is None:
            module.to(memory_format=layout)
        self._halves = torch.autocast(self._device.type, torch.bfloat16, enabled=bfloat16)
        self._segments: Segments | None = None
        self._names = {id(parameter): name for name, parameter in module.named_parameters()}

    @property
    def kernel(self) -> bool:
        """Whether the kernel runs it."""
        return self._tape is not None

    def place(self, images: Source) -> Source:
        """Inputs as they are read fastest; do it once per set of them. A stream's come there whenever they are read."""
        return images.then(self.placed) if isinstance(images, Stream) else self.placed(images)

    def placed(self, images: Tensor) -> Tensor:
        """Inputs in memory as they are read fastest."""
        layout = self._layout if images.dim() == 4 else torch.contiguous_format
        return images.to(self._device).contiguous(memory_format=layout)

    def __call__(self, images: Tensor) -> Tensor:
        """Outputs float32[n, ...] in the module's own mode, which torch can differentiate."""
        return self._tape(images) if self._tape is not None else self._by_torch(images, {})

    def forward(self, images: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Pass:
        """The same as a pass that goes back once; some parameters, by name, may be replaced by others."""
        return self.bound(parameters or {})(images)

    def bound(self, parameters: Mapping[str, Tensor]) -> Callable[[Tensor], Pass]:
        """`forward` with these parameters and, unless others take their places later, the module's own."""
        tape = self._tape
        if tape is None:
            large = self.module.training and not parameters and self._device.type == "cpu"
            return lambda images: TorchPass(self._segmented(images) if large else self._by_torch(images, parameters))
        used = [one if one is None else parameters.get(self._names[id(one)], one) for one in tape.parameters]
        return lambda images: _TapePass(tape, tape.run(images, used), used)

    def steps(self, images: Source, aim: Aim, recipe: Recipe, keep: Keep) -> Steps:
        """Steps of SGD on images in their `place`, for `train`: the kernel's, where it runs the judge as well."""
        own = self._recording if recipe.plain else None
        whole = own if aim.judge is None else self._behind(aim.judge)
        if own is None or whole is None or not _in_rows(self.module) or not _in_rows(aim.judge):
            return TorchSteps(self.module, images, aim, recipe, keep, self.forward)
        learned, kept = list(self.module.parameters()), masks(self.module, keep)
        return Lesson(whole, own.result, images, aim, recipe, learned, kept, self._macs)

    def _behind(self, judge: object) -> Recording | None:
        """This module with a judge behind it; None where the kernel does not run both."""
        if not isinstance(judge, Trainable) or self._recording is None or judge._recording is None:
            return None
        if judge not in self._judged:
            self._judged[judge] = recorded(judge._graph, judge._inputs, self._recording)
        return self._judged[judge]

    def _segmented(self, images: Tensor) -> Tensor:
        """In training, where a batch may keep more than there is memory for."""
        if self._segments is None:
            self._segments = Segments(self.module, partial(self._by_torch, parameters={}), images, self._pieces())
        return self._segments.outputs(images)

    def _by_torch(self, images: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        with self._halves:
            outputs = functional_call(self.module, dict(parameters), (images,)) if parameters else self.module(images)
        return outputs.float()

    @cached_property
    def _graph(self) -> fx.GraphModule:
        if isinstance(self.module, fx.GraphModule):
            return self.module
        return trace(self.module, self._inputs, "a tape needs")

    def _recorded(self) -> Recording | None:
        """What the kernel runs; None where it cannot, or would compute something else than the module."""
        training, images = self.module.training, self._inputs.random(DRAWN)
        self.module.eval()  # in training, norms would move
        try:
            recording = recorded(self._graph, self._inputs)
            with torch.no_grad():
                expected, found = self.module(images), Tape(recording)(images)
        except (InputError, Unsupported):
            return None
        finally:
            self.module.train(training)
        spread = float(expected.max() - expected.min()) or 1.0
        return recording if float((expected - found).abs().max()) <= TOLERANCE * spread else None


def _in_rows(module: object) -> bool:
    """Whether all parameters of a module lie as the kernel writes them, which those of images can be made to."""
    if isinstance(module, Trainable):
        module = module.module
    if not isinstance(module, nn.Module):
        return True
    module.to(memory_format=torch.contiguous_format)
    return all(parameter.is_contiguous() for parameter in module.parameters())


class _TapePass:
    """A pass of the kernel."""

    def __init__(self, tape: Tape, done: Done, used: Sequence[Tensor | None]) -> None:
        self.outputs = done.outputs
        self._tape, self._done, self._used = tape, done, used

    def gradients(self, slopes: Tensor, of: Sequence[Tensor]) -> list[Tensor | None]:
        asked = set(map(id, of))
        found = self._tape.back(self._done, slopes, (False, *(id(one) in asked for one in self._used)))
        places = {id(one): gradient for one, gradient in zip(self._used, found[1:], strict=True)}
        return [places.get(id(one)) for one in of]
