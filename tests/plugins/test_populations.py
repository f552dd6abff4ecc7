"""Populations of large networks: they stay packed, whatever makes or varies them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import tiny

from pruneframe import Encoding, Masks, Variation
from pruneframe.kit import best
from pruneframe_plugins.magnitude import sweep
from pruneframe_plugins.part_evolution import floored
from pruneframe_plugins.pm_moea import mined
from pruneframe_plugins.s_nsga2 import exchanged, stripes
from pruneframe_plugins.sparse import crossed, flipped, scattered

UNITS, POPULATION = 400_000, 100
LAYOUT = tiny.layout(first=UNITS // 4, second=3 * UNITS // 4)
SCORES = np.random.default_rng(0).random(UNITS, dtype=np.float32)


def decoded(encoding: str) -> Masks:
    coder, rng = tiny.lookup(Encoding, encoding), np.random.default_rng(0)
    return coder.decode(coder.sample(POPULATION, LAYOUT, SCORES, rng), LAYOUT, SCORES)


def varied(variation: str) -> Masks:
    rng, variables = np.random.default_rng(0), tiny.lookup(Encoding, "mask").variables(LAYOUT)
    parents = np.zeros((2 * POPULATION, LAYOUT.width), dtype=np.uint8)
    return Masks(tiny.lookup(Variation, variation).vary(parents, POPULATION, variables, rng, SCORES), LAYOUT)


MAKERS: dict[str, Callable[[], object]] = {
    **{name: lambda name=name: decoded(name) for name in ("mask", "layer-threshold", "global-cut", "layer-ratio")},
    **{name: lambda name=name: varied(name) for name in ("uniform", "bit-flip", "layer-crossover", "weighted-flip")},
    "full": lambda: LAYOUT.full(POPULATION),
    "crossed": lambda: crossed(LAYOUT.full(POPULATION), LAYOUT.full(POPULATION), np.random.default_rng(0)),
    "exchanged": lambda: exchanged(LAYOUT.full(POPULATION), LAYOUT.full(POPULATION), np.random.default_rng(0)),
    "flipped": lambda: flipped(LAYOUT.full(POPULATION), np.random.default_rng(0)),
    "mined": lambda: mined(LAYOUT.full(POPULATION), 4, True, np.random.default_rng(0)),
    "scattered": lambda: scattered(np.full(POPULATION, UNITS // 2), LAYOUT, np.random.default_rng(0)),
    "stripes": lambda: stripes(np.linspace(1, 0, POPULATION), LAYOUT),
    "floored": lambda: floored(LAYOUT.full(POPULATION), SCORES, 0.1),
    "best": lambda: best(SCORES, LAYOUT, np.linspace(0, UNITS, POPULATION).astype(int)),
    "sweep": lambda: [np.packbits(keep) for keep in sweep(SCORES, LAYOUT.sizes, np.linspace(0, 1, POPULATION))],
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_population_is_never_unpacked(name: str) -> None:
    MAKERS[name]()  # what is imported and kept for good is there
    tracemalloc.start()
    try:
        MAKERS[name]()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < POPULATION * UNITS * 0.75, "a byte for every bit is what it must not take"
