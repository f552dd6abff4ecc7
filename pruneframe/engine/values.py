"""Tensors between a network's layers: what is written, and the ways to walk through it."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]
Shape3 = tuple[int, int, int]


@dataclass(eq=False)
class Buffer:
    """What steps write: a tensor with memory of its own or, as a part of a concatenation, with some of another one's.

    Its border are the zeros around each plane that its readers want: above, left, below and right.
    """

    shape: Shape3  # the channels of a concatenation grow with its parts
    images: bool = False
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    home: tuple[Buffer, int] | None = None  # the concatenation, and the first channel there
    parts: bool = False  # whether it is a concatenation

    @property
    def root(self) -> Buffer:
        """The buffer whose memory it takes."""
        return self if self.home is None else self.home[0].root

    @property
    def channel(self) -> int:
        """Its first channel there."""
        return 0 if self.home is None else self.home[0].channel + self.home[1]

    @property
    def alone(self) -> bool:
        """Whether its memory is its own and nobody else's."""
        return self.home is None and not self.parts and not self.images

    def take(self, part: Buffer) -> None:
        """Put another buffer behind what is there."""
        part.home, self.parts = (self, self.shape[0]), True
        self.shape = (self.shape[0] + part.shape[0], *self.shape[1:])
        self.widen(part.border)

    def widen(self, border: tuple[int, int, int, int]) -> None:
        """Have at least such a border."""
        root = self.root
        root.border = tuple(map(max, root.border, border))  # type: ignore[assignment] # four of four


@dataclass(frozen=True)
class Value:
    """A tensor as a part of a buffer: channels from `channel`, pixels from `start`, every so many as `step` says.

    Pixels outside the buffer are zero. Channels [low, low + count) of `shape` are the buffer's; others are zero. A
    count of 0 stands for all channels. `flat`: torch sees one row per image; `last`: channels come last.
    """

    buffer: Buffer
    shape: Shape3
    channel: int = 0
    start: Pair = (0, 0)
    step: Pair = (1, 1)
    low: int = 0
    count: int = 0
    flat: bool = False
    last: bool = False

    @property
    def root(self) -> Buffer:
        """The buffer whose memory it lies in."""
        return self.buffer.root

    @property
    def whole(self) -> bool:
        """Whether it is all of its buffer, as it lies there."""
        usual = self.channel == self.count == 0 and self.start == (0, 0) and self.step == (1, 1)
        return usual and self.shape == self.buffer.shape

    def framed(self, first: Pair, last: Pair) -> bool:
        """Whether its pixels from `first` to `last` that are not in its shape are zeros of its buffer's border."""
        sizes = zip(first, last, self.start, self.step, self.shape[1:], self.buffer.shape[1:], strict=True)
        return all(
            (low >= 0 or start < step) and (high < size or start + size * step >= whole)
            for low, high, start, step, size, whole in sizes
        )

    def reach(self, first: Pair, last: Pair) -> None:
        """Have the buffer hold all pixels from `first` to `last`, in steps of this tensor."""
        low = [start + at * step for start, at, step in zip(self.start, first, self.step, strict=True)]
        high = [
            start + at * step - size + 1
            for start, at, step, size in zip(self.start, last, self.step, self.buffer.shape[1:], strict=True)
        ]
        self.buffer.widen((max(0, -low[0]), max(0, -low[1]), max(0, high[0]), max(0, high[1])))
