"""What a network is fed: numbers of any shape, or token ids."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Inputs:
    """One input of a network: its shape, and, where it is of token ids, how many different ones there are."""

    shape: Shape  # without the batch: channels, height, width of an image; length of a text
    vocabulary: int | None = None  # ids are from 0 to below it; None for float32 numbers

    @classmethod
    def of(cls, given: Inputs | Shape) -> Inputs:
        """A shape alone is that of numbers."""
        return given if isinstance(given, Inputs) else cls(tuple(given))

    def blank(self, n: int) -> Tensor:
        """N inputs of zeros, float32[n, *shape] or int64[n, *shape]."""
        return torch.zeros(n, *self.shape, dtype=torch.float32 if self.vocabulary is None else torch.int64)

    def random(self, n: int) -> Tensor:
        """N inputs of normal numbers or of any ids, the largest among them, as `blank`; always the same ones."""
        generator = torch.Generator().manual_seed(0)
        if self.vocabulary is None:
            return torch.randn(n, *self.shape, generator=generator)
        drawn = torch.randint(self.vocabulary, (n, *self.shape), generator=generator)
        drawn.view(-1)[0] = self.vocabulary - 1  # which a network may have no embedding for
        return drawn
