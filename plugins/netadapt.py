"""Greedy pruning layer by layer: every step saves a given share of a resource where it harms least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import pruneframe as pf

HARM = ("error", "distortion")  # objectives that pruning makes worse
SMALLEST = 1e-3  # share of the unpruned network's resource: steps that save less end the search


@dataclass(frozen=True, repr=False)
class NetAdapt(pf.Method):
    """From the unpruned network on, each step narrows the one layer that loses least accuracy for what it saves."""

    name = "netadapt"
    provenance = (
        "Published: Yang, Howard, Chen, Zhang, Go, Sandler, Sze and Adam, 'NetAdapt', ECCV 2018: proposals that each "
        "narrow one layer until a resource falls by a step, the best of which is kept. Ours: the best is the one that "
        "loses least accuracy for what it saves, as the comparison of hamp has it; errors are measured on the search "
        "images, a step is halved where no layer alone can save it, and there is no fine-tuning unless it is asked for."
    )
    bibtex = """
    @inproceedings{yang2018netadapt,
      author = {Yang, Tien-Ju and Howard, Andrew and Chen, Bo and Zhang, Xiao and Go, Alec
        and Sandler, Mark and Sze, Vivienne and Adam, Hartwig},
      title = {{NetAdapt}: Platform-Aware Neural Network Adaptation for Mobile Applications},
      booktitle = {European Conference on Computer Vision},
      year = {2018}
    }
    """
    resource: str | None = pf.setting(
        None,
        "objective that each step saves; none: the problem's first but error and distortion",
        kind="objective",
        tried=(),
    )
    scorer: str = pf.setting("l2", "importance that decides which filters of a layer stay", kind="scorer")
    step: float = pf.setting(
        0.025, "share of the unpruned network's resource that the first step saves", above=0, below=1
    )
    decay: float = pf.setting(0.96, "factor of that share from step to step", above=0, most=1)
    tuned: int = pf.setting(0, "training images of a short fine-tuning of every proposal; 0: none", least=0)
    learning_rate: float = pf.setting(0.01, "of that fine-tuning, at first", above=0)

    @property
    def deterministic(self) -> bool:
        return not self.tuned

    def search(self, task: pf.Task) -> None:
        if not task.units.removable:
            task.decline(
                f"it narrows layers, but the problem's units, {task.layout.units}s, cannot be taken out; prune others, "
                "as by --units filter"
            )
        resource = Resource(task, self._resource(task))
        ladder = Ladder(task.layout, task.scores(self.scorer))
        widths, weights = list(task.layout.sizes), pf.DENSE
        error = task.objectives.index("error")
        left = dense = resource(ladder.masks([widths]))
        current = task.evaluate(ladder.masks([widths]))[0, error]
        steps: list[dict[str, float | str]] = []
        goal = self.step * dense
        try:
            while goal > SMALLEST * dense:
                proposals = self._proposals(resource, ladder, widths, left - goal)
                if not proposals:  # no layer alone saves so much any more
                    goal /= 2
                    continue
                masks = ladder.masks([wide for wide, _ in proposals])
                ids = [self._tuned(task, masks[[row]], weights) for row in range(len(masks))]
                values = task.evaluate(masks, ids)
                remains = np.array([remains for _, remains in proposals])
                if resource.name in task.objectives:  # measured once more, so that no lucky measurement is kept
                    remains = values[:, task.objectives.index(resource.name)]
                saved, errors = np.maximum(left - remains, SMALLEST * dense), values[:, error]
                best = int(np.lexsort((-saved, np.maximum(0, errors - current) / saved))[0])
                layer = int(np.argmax(np.array(widths) != proposals[best][0]))
                widths, left, weights, current = proposals[best][0], remains[best], ids[best], errors[best]
                row = {"wanted": goal / dense, "resource": left / dense, "error of the step": current}
                steps.append({"layer": task.layout.names[layer]} | row)
                goal *= self.decay
        finally:
            task.record("steps", pd.DataFrame(steps))

    def _resource(self, task: pf.Task) -> str:
        """The objective that is saved."""
        others = [name for name in task.objectives if name not in HARM]
        if "error" not in task.objectives or not others:
            task.decline("it weighs the objective 'error' against another, and the problem lacks one of them")
        if self.resource in HARM:
            raise pf.InputError(f"resource must be something that pruning saves, but got {self.resource!r}")
        return self.resource or others[0]

    def _proposals(
        self, resource: Resource, ladder: Ladder, widths: list[int], wanted: float
    ) -> list[tuple[list[int], float]]:
        """For each layer that can, the widths at which it alone lowers the resource as wanted, and what remains."""
        found = []
        for layer, width in enumerate(widths):
            narrow, wide = ladder.least[layer] - 1, width  # halve the range: the resource falls with the width
            remains = None
            while wide - narrow > 1:
                middle = (narrow + wide) // 2
                value = resource(ladder.masks([[*widths[:layer], middle, *widths[layer + 1 :]]]))
                if value <= wanted:
                    narrow, remains = middle, value
                else:
                    wide = middle
            if remains is not None:
                found.append(([*widths[:layer], narrow, *widths[layer + 1 :]], remains))
        return found

    def _tuned(self, task: pf.Task, mask: pf.Masks, weights: str) -> str:
        """The weights after a short fine-tuning, if there is one."""
        if not self.tuned:
            return weights
        return task.train(mask, weights, pf.Recipe(images=self.tuned, learning_rate=self.learning_rate))


class Ladder:
    """Networks by the widths of their layers, the most important filters first."""

    def __init__(self, layout: pf.Layout, scores: pf.Scores) -> None:
        self._layout = layout
        self.least = [group.least for group in layout.groups]  # units that stay
        self._orders = [np.argsort(-part, kind="stable") for part in layout.split(scores)]

    def masks(self, widths: Sequence[Sequence[int]]) -> pf.Masks:
        """One mask for each row of widths."""
        keep = np.zeros((len(widths), self._layout.total), dtype=bool)
        for row, wide in zip(keep, widths, strict=True):
            for part, order, width in zip(self._layout.split(row), self._orders, wide, strict=True):
                part[order[:width]] = True
        return pf.Masks.pack(keep, self._layout)


class Resource:
    """What a network takes of a resource, asked on a single image: parameters and latency depend on no more."""

    def __init__(self, task: pf.Task, name: str) -> None:
        self._task = task
        self.name = name

    def __call__(self, mask: pf.Masks) -> float:
        """The value of one mask."""
        return float(self._task.probe(self.name, mask, count=1)[0])


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [NetAdapt]
