"""A member of a study's final front: what it reaches, and the network itself."""

from __future__ import annotations

from functools import cached_property

import pandas as pd
from torch import nn

from ..mask import Masks
from ..model.state import State
from ..registry import Registry
from ..study.folder import RunFolder
from ..study.member import Front
from .html import shown


class Member:
    """One network of a final front; the problem is loaded when the network is first asked for.

    `number` is its row in its run's front.
    """

    def __init__(self, folder: RunFolder, number: int, registry: Registry) -> None:
        self.number = number
        self._folder, self._registry = folder, registry

    @property
    def facts(self) -> dict[str, object]:
        """Whose it is and what it reaches: `removed` is a share of all parameters, errors are shares of the images."""
        identity, result = self._folder.identity, self._folder.result
        front = self._folder.front(["params", "search_error", "test_error"])
        return {
            **{name: identity[name] for name in ("problem", "method", "instance", "seed")},
            "number": self.number,
            "removed": float(1 - front["params"][self.number] / result["total_params"]),
            "search_error": float(front["search_error"][self.number]),
            "test_error": float(front["test_error"][self.number]),
            "dense_error": float(result["dense_error"]),
            "dense_test_error": float(result["dense_test_error"]),
        }

    @cached_property
    def layers(self) -> pd.DataFrame:
        """What it keeps of each layer: layer, units, kept."""
        kept, layers = self._folder.front(["kept"])["kept"][self.number], self._folder.result["layers"]
        return pd.DataFrame({"layer": list(layers), "units": list(layers.values()), "kept": kept})

    @cached_property
    def _front(self) -> Front:
        return Front.read(self._folder, self._registry, lambda line: None)

    @property
    def mask(self) -> Masks:
        """What it keeps, one mask."""
        return self._front.masks[[self.number]]

    def state(self) -> State:
        """Its parameters and buffers, zeros in place of what is pruned, as `pruneframe export` writes them."""
        return self._front.state(self.number)

    def module(self, shrunk: bool = False) -> nn.Module:
        """The network, in evaluation mode: with zeros in place, or physically without what is pruned."""
        return self._front.module(self.number, shrunk).requires_grad_()

    def __repr__(self) -> str:
        return f"<member {', '.join(f'{name} {value}' for name, value in self._told().items())}>"

    def _repr_html_(self) -> str:
        return shown(f"Member {self.number}", self._told(), self.layers)

    def _told(self) -> dict[str, object]:
        return {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in self.facts.items()}
