"""Objectives: error, distortion, parameters, multiply-adds and size; latency and memory on a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

import pruneframe as pf


@dataclass(frozen=True, repr=False)
class Error(pf.Objective):
    """Share of images that are misclassified; 1 is guessing, 1 - 1/classes."""

    name = "error"
    quantity = "share"

    def measure(self, candidate: pf.Candidate) -> float:
        return candidate.error

    def reference(self, dense: pf.Candidate) -> float:
        return 1 - 1 / dense.classes


@dataclass(frozen=True, repr=False)
class Distortion(pf.Objective):
    """Mean Kullback-Leibler divergence of the outputs from the dense network's, in nats; needs no labels.

    1 is log(classes): the divergence of a uniform guess from an output that is sure of one class.
    """

    name = "distortion"
    quantity = "nats"

    def measure(self, candidate: pf.Candidate) -> float:
        dense = candidate if candidate.dense is None else candidate.dense
        before = log_softmax(dense.logits.astype(np.float64), axis=1)
        after = log_softmax(candidate.logits.astype(np.float64), axis=1)
        return max(0.0, float(np.mean(np.sum(np.exp(before) * (before - after), axis=1))))

    def reference(self, dense: pf.Candidate) -> float:
        return math.log(dense.classes)


@dataclass(frozen=True, repr=False)
class Params(pf.Objective):
    """Parameters that remain, biases and batch norm included; of the shrunk network for filters."""

    name = "params"
    aliases = ("parameters",)
    quantity = "parameters"
    predicts = False

    def measure(self, candidate: pf.Candidate) -> float:
        return candidate.params

    def reference(self, dense: pf.Candidate) -> float:
        return dense.params


@dataclass(frozen=True, repr=False)
class Macs(pf.Objective):
    """Multiply-adds per image: non-zero weights times output positions; of the shrunk network for filters."""

    name = "macs"
    aliases = ("flops", "mult-adds")
    quantity = "multiply-adds"
    predicts = False

    def measure(self, candidate: pf.Candidate) -> float:
        return candidate.macs

    def reference(self, dense: pf.Candidate) -> float:
        return dense.macs


@dataclass(frozen=True, repr=False)
class Size(pf.Objective):
    """Bytes on disk as float32: weights need a bitmap of what is kept beside the values, a shrunk network does not."""

    name = "size"
    quantity = "bytes"
    predicts = False

    def measure(self, candidate: pf.Candidate) -> float:
        bitmap = 0 if candidate.network.units.removable else candidate.masks.layout.width
        return 4 * candidate.params + bitmap

    def reference(self, dense: pf.Candidate) -> float:
        return 4 * dense.params


@dataclass(frozen=True, repr=False)
class Latency(pf.Objective):
    """Median time of one image's forward pass through the shrunk network, as a share of the dense network's.

    Both are measured in one series in which they take turns, so that what slows the machine down slows both down.
    """

    name = "latency"
    quantity = "share of dense"
    predicts = False
    physical = timed = True

    def measure(self, candidate: pf.Candidate) -> float:
        return self.measure_all([candidate])[0]

    def measure_all(self, candidates: Sequence[pf.Candidate]) -> list[float]:
        dense = candidates[0].dense or candidates[0]
        seconds = np.median(dense.meant_for.latencies([dense, *candidates]), axis=1)
        return [float(value) for value in seconds[1:] / seconds[0]]

    def reference(self, dense: pf.Candidate) -> float:
        return 1.0


@dataclass(frozen=True, repr=False)
class Memory(pf.Objective):
    """Bytes at the peak of one image's forward pass through the shrunk network: weights and living activations."""

    name = "memory"
    quantity = "bytes"
    predicts = False
    physical = True

    def measure(self, candidate: pf.Candidate) -> float:
        return candidate.meant_for.memory(candidate)

    def reference(self, dense: pf.Candidate) -> float:
        return dense.meant_for.memory(dense)


@pf.hookimpl
def pruneframe_objectives() -> Sequence[type[pf.Objective]]:
    return [Error, Distortion, Params, Macs, Size, Latency, Memory]
