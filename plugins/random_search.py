"""Random search: the least that a method must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pruneframe as pf

BATCH = 20


@dataclass(frozen=True, repr=False)
class RandomSearch(pf.Method):
    """Genomes drawn at random, spread over densities; nothing is learned from their values."""

    name = "random"
    provenance = "A baseline without a source: uniform sampling of the encoding, evaluated until the budget is spent."
    encoding: str = pf.setting("layer-threshold", "encoding to sample from", kind="encoding")
    scorer: str = pf.setting(
        "magnitude", "importance that the encoding uses; random removes units blindly", kind="scorer"
    )

    def search(self, task: pf.Task) -> None:
        encoding, scores = task.encoding(self.encoding), task.scores(self.scorer)
        while True:
            genomes = encoding.sample(BATCH, task.layout, scores, task.rng)
            task.evaluate(encoding.decode(genomes, task.layout, scores))


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [RandomSearch]
