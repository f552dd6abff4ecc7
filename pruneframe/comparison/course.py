"""The course of a training as a figure: its loss and its errors over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..files import write_whole
from ..model.session import Epoch
from .style import COLOURS, look, panels


def draw(epochs: Sequence[Epoch], path: Path) -> None:
    """Write a PDF with the loss of each epoch, and beside it the errors on training and search images."""
    with look():
        figure, (loss, errors) = panels(2)
        numbers = [one.epoch for one in epochs]
        loss.plot(numbers, [one.loss for one in epochs], color=COLOURS[0], marker="o")
        loss.set(xlabel="epoch", ylabel="loss while training", ylim=(0, None))
        for colour, name in zip(COLOURS, ("training", "search"), strict=False):
            values = [100 * getattr(one, f"{name}_error") for one in epochs]
            errors.plot(numbers, values, color=colour, marker="o", label=f"{name} images")
        errors.set(xlabel="epoch", ylabel="error (%)", ylim=(0, None))
        errors.legend()
        # No date: the same training, the same file.
        write_whole(path, lambda file: figure.savefig(file, format="pdf", metadata={"CreationDate": None}))
