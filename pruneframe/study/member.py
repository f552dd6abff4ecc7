"""Members of a final front back as networks, to be exported, measured again or trained further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from torch import nn

from ..errors import InputError
from ..mask import Masks
from ..model.shrink import shrink
from ..model.state import State, reweighted
from ..problem import LoadedProblem
from ..registry import Registry
from ..search.shelf import Shelf
from ..search.workbench import Workbench
from .folder import RunFolder
from .run import Run


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

    def module(self, row: int, shrunk: bool) -> nn.Module:
        """One member in evaluation mode, on the CPU: physically without its pruned units, or with zeros in place.

        Raises InputError where they cannot be taken out.
        """
        return module_of(self.bench, self.masks[[row]], self.weights[row], shrunk)


def module_of(bench: Workbench, mask: Masks, weights: str, shrunk: bool) -> nn.Module:
    """One pruned network, see `Front.module`."""
    network, state = bench.network, bench.masked(mask, weights)
    if not shrunk:
        return reweighted(network.module, state).cpu().eval()
    if not network.units.removable:
        raise InputError(
            "units that can be taken out, such as filter, must be pruned for a shrunk network, but these are "
            f"{network.units.name}s"
        )
    return shrink(network, mask, state).eval()
