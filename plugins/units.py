"""What bits stand for: single weights, channels, hidden units of linear layers, heads, residual branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pruneframe as pf


@dataclass(frozen=True, repr=False)
class Weight(pf.Units):
    """Single weights of convolutions and linear layers; biases and batch norm stay."""

    name = "weight"

    def layout(self, network: pf.Network) -> pf.Layout:
        return pf.Layout(repr(self), pf.single_weights(network))


@dataclass(frozen=True, repr=False)
class Filter(pf.Units):
    """Channels: filters of convolutions and units of linear layers, with all that must go with them.

    Where tensors are added, a channel is one of all layers that write it; a grouped convolution loses whole groups.
    """

    name = "filter"
    removable = True
    inner: bool = pf.setting(False, "only those that one layer writes, inside a block, as most published methods have")

    def layout(self, network: pf.Network) -> pf.Layout:
        return pf.Layout(repr(self), *pf.filter_groups(network, self.inner))


@dataclass(frozen=True, repr=False)
class Neuron(pf.Units):
    """Hidden units between linear layers, such as those of a transformer's feed-forward layers."""

    name = "neuron"
    removable = True
    heads: bool = pf.setting(False, "heads of attention as well, as where whole transformers are pruned")

    def layout(self, network: pf.Network) -> pf.Layout:
        neurons = pf.neuron_groups(network)
        if not self.heads:
            return pf.Layout(repr(self), neurons)
        heads, notes = pf.head_groups(network)
        places = [layer.parameter for layer in network.layers]
        groups = sorted((*neurons, *heads), key=lambda group: places.index(group.parameter))
        return pf.Layout(repr(self), tuple(groups), notes)


@dataclass(frozen=True, repr=False)
class Head(pf.Units):
    """Heads of attention: their rows of queries, keys and values, and what reads them; all of a layer's may go."""

    name = "head"
    removable = True

    def layout(self, network: pf.Network) -> pf.Layout:
        return pf.Layout(repr(self), *pf.head_groups(network))


@dataclass(frozen=True, repr=False)
class Block(pf.Units):
    """Residual branches, each of them whole: where one goes, its addition is replaced by the shortcut.

    What leads to one side of an addition alone, past a shortcut of no or fewer layers, is a branch.
    """

    name = "block"
    removable = True

    def layout(self, network: pf.Network) -> pf.Layout:
        return pf.Layout(repr(self), pf.block_groups(network))


@pf.hookimpl
def pruneframe_units() -> Sequence[type[pf.Units]]:
    return [Weight, Filter, Neuron, Head, Block]
