"""Weights that come with a plugin, so that figures are the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from ..errors import InputError
from ..files import write_whole
from ..spec import ranges
from .data import Data
from .trained import Trained
from .weights import Progress, fill, read_checkpoint, sha256, write_checkpoint

SUMS = "SHA256SUMS"  # as sha256sum writes and checks it


@dataclass(frozen=True)
class Shipped:
    """Weights in `folder`, one file for each of the first instances, and the recipe that made them.

    The folder holds `0.safetensors`, `1.safetensors`, ... and SHA256SUMS; `pruneframe train PROBLEM --into FOLDER`
    writes such a one. Further instances are trained here, by the same recipe: training again on another machine may
    give other last digits, which is why the first ones are shipped.
    """

    folder: Path
    trained: Trained
    vary: ClassVar[bool] = True  # from instance to instance

    @property
    def instances(self) -> list[int]:
        """Those whose weights are there, ascending."""
        return numbered(self.folder)

    def path(self, instance: int) -> Path:
        """Where the weights of one of `instances` lie."""
        return self.folder / f"{instance}.safetensors"

    @property
    def lines(self) -> list[str]:
        """Where they come from, for people."""
        return [f"shipped: those of instances {ranges(self.instances)}", *self.trained.lines]

    def at_hand(
        self, module: Callable[[], nn.Module], data: Callable[[], Data], instance: int = 0, problem: str = ""
    ) -> bool:
        """Whether nothing must be trained any more."""
        return instance in self.instances or self.trained.at_hand(module, data, instance, problem)

    def load(
        self, module: nn.Module, data: Callable[[], Data], report: Progress, instance: int = 0, problem: str = ""
    ) -> None:
        """Fill the module; raises InputError where a file that is shipped is missing or has another SHA-256."""
        if instance not in self.instances:
            self.trained.load(module, data, report, instance, problem)
            return
        path = self.path(instance)
        check(path)
        fill(module, read_checkpoint(path), "", str(path))


def sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a folder that its SHA256SUMS names; none where it has no such list."""
    path = folder / SUMS
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def numbered(folder: Path) -> list[int]:
    """The numbers of the files that a folder's SHA256SUMS names, ascending."""
    return sorted(int(name.partition(".")[0]) for name in sums(folder))


def check(path: Path) -> None:
    """Raise InputError where a file that is shipped is missing or has another SHA-256 than its folder's list says."""
    expected, found = sums(path.parent)[path.name], sha256(path) if path.exists() else "none"
    if found != expected:
        raise InputError(
            f"{path} must have the SHA-256 {expected[:12]}... of {SUMS}, but has {found[:12]}; install its package "
            "again"
        )


def ship(folder: Path, instance: int, module: nn.Module) -> Path:
    """Write an instance's weights into a folder, and into its list of SHA-256s; returns where they lie."""
    path = folder / f"{instance}.safetensors"
    write_checkpoint(path, module)
    enlist(path)
    return path


def enlist(path: Path) -> None:
    """Write a file's SHA-256 into its folder's list."""
    folder = path.parent
    known = sums(folder) | {path.name: sha256(path)}
    names = sorted(known, key=lambda name: int(name.partition(".")[0]))
    text = "".join(f"{known[name]}  {name}\n" for name in names)
    write_whole(folder / SUMS, lambda file: file.write(text.encode()))
