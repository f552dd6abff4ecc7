"""Weights in a file of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from ..errors import InputError
from .data import Data
from .weights import Progress, fill, read_checkpoint, sha256


@dataclass(frozen=True)
class Saved:
    """Weights at `path`, a torch or safetensors file; `digest` are the first hex digits of its SHA-256, or none."""

    path: Path
    prefix: str = ""  # of the names in the file, as in "module."
    digest: str = ""
    vary: ClassVar[bool] = False  # from instance to instance

    @property
    def lines(self) -> list[str]:
        """Where they come from, for people."""
        return [f"saved: {self.path}", *([f"SHA-256: {self.digest}..."] if self.digest else [])]

    def at_hand(
        self, module: Callable[[], nn.Module], data: Callable[[], Data], instance: int = 0, problem: str = ""
    ) -> bool:
        """Whether nothing must be trained."""
        return True

    def load(
        self, module: nn.Module, data: Callable[[], Data], report: Progress, instance: int = 0, problem: str = ""
    ) -> None:
        """Fill the module; raises InputError for another SHA-256, wrong keys, or what needs unpickling of code."""
        if not sha256(self.path).startswith(self.digest):
            raise InputError(
                f"{self.path} must have a SHA-256 that begins with {self.digest}, but has {sha256(self.path)[:12]}..."
            )
        fill(module, read_checkpoint(self.path), self.prefix, str(self.path))
