"""Weights that are published in a form which pruneframe does not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ..errors import InputError
from ..files import cache_folder
from .data import Data
from .fetch import find
from .weights import Progress, fill, read_checkpoint, sha256


@dataclass(frozen=True)
class Given:
    """Weights in a file that a user makes and puts into the folder `weights` beside the data."""

    file: str  # its name
    sha256: str  # 64 hex digits
    origin: str  # how it is made
    vary: ClassVar[bool] = False  # from instance to instance

    @property
    def lines(self) -> list[str]:
        """Where they come from, for people."""
        return [f"given: weights/{self.file}; {self.origin}", f"SHA-256: {self.sha256}"]

    def at_hand(
        self, module: Callable[[], nn.Module], data: Callable[[], Data], instance: int = 0, problem: str = ""
    ) -> bool:
        """Whether nothing must be trained."""
        return True

    def load(
        self, module: nn.Module, data: Callable[[], Data], report: Progress, instance: int = 0, problem: str = ""
    ) -> None:
        """Fill the module; raises InputError where there is no such file, or another one of its name."""
        path = find(f"weights/{self.file}")
        if path is None:
            raise InputError(
                f"{self.file} is not on this machine, and is nowhere to be downloaded: {self.origin}; put it into "
                f"{cache_folder() / 'weights'}, or into weights of a folder that --data or PRUNEFRAME_DATA names"
            )
        if (found := sha256(path)) != self.sha256:
            raise InputError(
                f"{path} must have the SHA-256 {self.sha256[:12]}..., but has {found[:12]}...; "
                f"replace it: {self.origin}"
            )
        fill(module, read_checkpoint(path), "", str(path))
