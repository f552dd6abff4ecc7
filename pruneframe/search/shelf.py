"""The shelf: named tensors of a run, in memory and in its folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ..errors import Gone, InputError
from ..files import write_whole
from ..mask import Masks
from ..model.state import State, digest

HELD = 1 << 29  # bytes of tensors that stay in memory


class Shelf:
    """Named tensors by digest, as safetensors files in one folder, or in memory alone when there is no folder.

    With a folder, what was used last stays in memory as far as `limit` bytes hold it.
    """

    def __init__(self, folder: Path | None, limit: int = HELD) -> None:
        self.folder = folder
        self._limit = limit
        self._held: dict[str, dict[str, Tensor]] = {}  # what was used last comes last

    def put(self, tensors: dict[str, Tensor]) -> str:
        """Keep tensors; returns their digest, by which equal tensors are kept once."""
        name = digest(tensors)
        if self.folder is not None and not self._path(name).exists():
            data = save({key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()})
            write_whole(self._path(name), lambda file: file.write(data))
        self._hold(name, tensors)
        return name

    def get(self, name: str) -> dict[str, Tensor]:
        """The tensors of a digest; raises InputError when they are gone or damaged."""
        tensors = self._held.pop(name) if name in self._held else self._load(self._path(name))
        self._hold(name, tensors)
        return tensors

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove the files of all other tensors."""
        wanted = set(names)
        for path in self.folder.glob("*.safetensors") if self.folder is not None else ():
            if path.stem not in wanted:
                path.unlink()

    def _load(self, path: Path) -> dict[str, Tensor]:
        if not path.exists():
            raise Gone(
                f"{path} is needed, but is not there: either no answer of this run gave the id {path.stem!r}, or the "
                "file was removed; then run bench with --force"
            )
        try:
            with torch.inference_mode(False):  # whoever asks first: training may need them later
                tensors = load_file(path)
        except Exception as error:  # safetensors raises its own error class, or OSError
            raise Gone(f"{path} is needed, but cannot be read: {error}; run bench with --force") from error
        if digest(tensors) != path.stem:
            raise Gone(f"{path} must hold the tensors of its name, but holds others; run bench with --force")
        return tensors

    def _hold(self, name: str, tensors: dict[str, Tensor]) -> None:
        self._held[name] = tensors
        while self.folder is not None and len(self._held) > 1 and self._bytes() > self._limit:
            del self._held[next(iter(self._held))]

    def _bytes(self) -> int:
        return sum(tensor.nbytes for tensors in self._held.values() for tensor in tensors.values())

    def _path(self, name: str) -> Path:
        if self.folder is None:
            raise InputError(f"no tensors are named {name!r} in this run")
        return self.folder / f"{name}.safetensors"


def copied(module: nn.Module) -> State:
    """A module's parameters and buffers on the CPU, which its further training leaves alone."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}


def for_each(masks: Masks, weights: str | Sequence[str]) -> list[str]:
    """A weights id for each mask, of one for all or one per mask; raises ValueError for any other number of them."""
    found = [weights] * len(masks) if isinstance(weights, str) else list(weights)
    if len(found) != len(masks):
        raise ValueError(f"one weights id, or one per mask, but got {len(found)} for {len(masks)} masks")
    return found
