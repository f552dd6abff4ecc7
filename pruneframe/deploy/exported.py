"""Members of a final front as files: written, read back in a fresh process, compared, and measured beside the dense."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import VerificationFailed
from ..files import write_whole
from ..model.shrink import TIED
from ..registry import Registry
from ..study.folder import RunFolder
from ..study.machine import measuring, prepare_torch
from ..study.member import Front
from ..target import Meter, Target
from . import formats
from .formats import Format
from .reader import read_back

BATCH = 100  # images that are sent at once


@dataclass(frozen=True)
class Measures:
    """What a network takes: parameters and multiply-adds an image that remain, bytes of its file, seconds an image."""

    params: int
    macs: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Exported:
    """One file: whose member it is, what it holds, what it and the unpruned network take, and its errors.

    `images` are those of the search split on which the file, read back, predicted the member's classes.
    """

    file: str
    sha256: str
    member: int
    shrunk: bool
    pruned: Measures
    dense: Measures
    target: str
    search_error: float
    test_error: float
    images: int

    @property
    def holds(self) -> str:
        """In which form, in a few words."""
        return "without what is pruned" if self.shrunk else "with zeros in place of what is pruned"

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"holds": self.holds}


def export(
    front: Front,
    folder: RunFolder,
    rows: Sequence[int],
    files: Sequence[Path],
    registry: Registry,
    sources: Sequence[str] = (),
) -> list[Exported]:
    """Write members of a run's front into files of one format; each is read back before this returns.

    Raises VerificationFailed where one predicts other classes than its member, on any image of the search split.
    """
    prepare_torch(1)
    format = formats.of(files[0].suffix)
    shrunk = format.shrinks and front.bench.network.units.removable
    modules = [front.module(row, shrunk) for row in rows]
    inputs = front.bench.network.inputs
    for module, file in zip(modules, files, strict=True):
        written = format.write(module, inputs)
        write_whole(file, lambda to, content=written: to.write(content))  # type: ignore[misc]
    loaded = front.bench.loaded
    for images, found in read_back(files, folder.identity, sources, loaded.data.source(loaded.search).split(BATCH)):
        for module, file, logits in zip(modules, files, found, strict=True):
            with torch.inference_mode():
                wrong = int(_otherwise(module(images), logits).sum())
            if wrong:
                raise VerificationFailed(
                    f"{file.name} must predict what its member does, but classifies {wrong} of {len(images)} images of "
                    "the search split otherwise; choose another format"
                )
    return _measured(front, folder, rows, modules, files, format, shrunk, registry)


def _otherwise(expected: Tensor, found: Tensor) -> Tensor:
    """For which images the classes differ, bool[n]; between logits that rounding can swap, either is right."""
    spread = float(expected.max() - expected.min()) or 1.0
    chosen = expected.gather(1, found.argmax(1, keepdim=True))[:, 0]
    return expected.max(dim=1).values - chosen > TIED * spread


def _measured(
    front: Front,
    folder: RunFolder,
    rows: Sequence[int],
    modules: Sequence[nn.Module],
    files: Sequence[Path],
    format: Format,
    shrunk: bool,
    registry: Registry,
) -> list[Exported]:
    """What each file and the unpruned network take, timed in turns on what runs such files."""
    network, found = front.bench.network, folder.front()
    target = registry.component(Target, format.target)
    meter = Meter(target, timed=True)
    with measuring(meter):
        series = target.series([network.module, *modules], [network.inputs] * (len(modules) + 1))
    whole, *seconds = map(float, np.median(series, axis=1))
    size = len(format.write(network.module, network.inputs))
    dense = Measures(network.total_params, network.total_macs, size, whole)
    exported, images = [], len(front.bench.loaded.search)
    for row, file, taken in zip(rows, files, seconds, strict=True):
        content, mask = file.read_bytes(), front.masks[[row]]
        pruned = Measures(int(network.params(mask)[0]), int(network.macs(mask)[0]), len(content), taken)
        errors = float(found["search_error"][row]), float(found["test_error"][row])
        sha256 = hashlib.sha256(content).hexdigest()
        exported.append(Exported(file.name, sha256, row, shrunk, pruned, dense, repr(target), *errors, images))
    return exported
