"""Units: what the bits of a mask stand for."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from .component import Component
from .mask import Layout
from .model.network import Network


@dataclass(frozen=True, repr=False)
class Units(Component):
    """A kind of unit that a mask keeps or removes, such as single weights or filters.

    Units that are `removable` can be taken out physically: every slice that their layout names is removed from its
    parameter. The shrunk network must then predict what the masked one does; that is proved before anything physical
    is measured. Units that are not are zeroed, and remain.
    """

    kind = "unit"
    removable: ClassVar[bool] = False

    @abstractmethod
    def layout(self, network: Network) -> Layout:
        """The units of a network, group by group in forward order; `Layout.units` is `repr(self)`.

        `network.module`, `layers`, `input_shape` and `parameter` are there to be asked; what depends on the layout is
        not yet. No groups where the network has no such units. Raises InputError where it cannot be told.
        """
