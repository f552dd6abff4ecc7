"""Members of a final front back as networks, to be exported, measured again or trained further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from ..errors import InputError
from ..mask import Masks
from ..model.state import State
from ..problem import LoadedProblem
from ..registry import Registry
from ..search.shelf import Shelf
from ..search.workbench import Workbench
from .run import Run
from .store import RunFolder


@dataclass(frozen=True)
class Front:
    """The final front of a finished run: its workbench, and a mask and a weights id for each member."""

    bench: Workbench
    masks: Masks
    weights: tuple[str, ...]

    @classmethod
    def of(cls, folder: RunFolder, loaded: LoadedProblem, device: str = "cpu") -> Self:
        """From a run's folder, on its problem; raises InputError where the front is not one of that problem."""
        found, layout = folder.front(), loaded.network.layout
        if found["bits"].shape[1:] != (layout.width,):
            raise InputError(f"{folder.path} holds masks of another network than {loaded.problem.name!r}")
        bench = Workbench(loaded, device, Shelf(folder.weights))
        return cls(bench, Masks(found["bits"], layout), tuple(str(name) for name in found["weights"]))

    @classmethod
    def read(cls, folder: RunFolder, registry: Registry, report: Callable[[str], None]) -> Self:
        """From a run's folder alone, which names the problem; raises InputError where that is another one here."""
        return cls.of(folder, Run.of(folder.identity).load(registry, report))

    def __len__(self) -> int:
        return len(self.masks)

    def state(self, row: int) -> State:
        """One member's parameters and buffers: zeros in place of what is pruned, statistics as it was measured."""
        return self.bench.masked(self.masks[[row]], self.weights[row])
