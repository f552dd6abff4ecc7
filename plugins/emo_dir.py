"""Divide and conquer: parts of a network are pruned one by one, and their fronts joined by the harm that each does.

Shang, Zhu, Wu, Zhang, Jiao and Xu, "A Multi-objective Complex Network Pruning Framework Based on Divide-and-conquer and
Global Performance Impairment Ranking", arXiv 2303.16212, 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

import pruneframe as pf
from pruneframe.kit import SMALLEST, is_pruned, paired, ranked, recorded, summed

from .experiments import EMO_DIR
from .part_evolution import Genomes, Ration
from .part_fronts import Found, Front, dense_error, joined, predecessor, scheme_price

SHARES = ("training", "joining", "finetuning")
LEFT = 0.05  # of the budget must remain for the evolution


@dataclass(frozen=True, repr=False)
class EmoDir(pf.Method):
    """NSGA-II on every part of the network, training across parts, and joint schemes by impairment."""

    name = "emo-dir"
    provenance = (
        "Published (Shang et al., arXiv 2303.16212): the network is divided into sub-networks, each is pruned by an "
        "evolutionary multi-objective search on features, sub-networks are trained under cross-network constraints "
        "and judged by a pre-trained detector, and their fronts are joined by global performance impairment ranking. "
        "Our reconstruction: cuts at changes of resolution, NSGA-II with its operators and numbers, the shares of the "
        "budget, the linear detector, the loss (cross-entropy plus squared distance to the unpruned features), which "
        "pruned network precedes a part, and the sweep of the rank that gives nested schemes. Not of the paper at all: "
        "a member's training begins with the weights of the next larger one (inheriting), and joint schemes by the "
        "sum of impairments (joint=sum, and for what the ranking leaves of the budget)."
    )
    bibtex = """
    @article{shang2023emo,
      author = {Shang and Zhu and Wu and Zhang and Jiao and Xu},
      title = {A Multi-objective Complex Network Pruning Framework
        Based on Divide-and-conquer and Global Performance Impairment Ranking},
      journal = {arXiv preprint arXiv:2303.16212},
      year = {2023}
    }
    """
    experiments = EMO_DIR
    cuts: Literal["resolution", "none"] | tuple[int, ...] = pf.setting(
        "resolution", "where parts begin: at changes of resolution, nowhere, or at these prunable layers, from 0"
    )
    detector: Literal["linear", "rest"] = pf.setting(
        "linear", "what classifies a part's output: a layer on its pooled channels, or the untouched rest"
    )
    scorer: str = pf.setting(
        "magnitude", "importance behind the start, the encoding and guided variation", kind="scorer"
    )
    encoding: str = pf.setting("mask", "what the genome of a part is", kind="encoding")
    variation: str | None = pf.setting(
        None, "operators in turn, joined by +; none: uniform+bit-flip or sbx-pm", kind="variation"
    )
    population: int = pf.setting(50, "genomes of a part, at most", least=SMALLEST)
    generations: int = pf.setting(5, "of a part, at least; where evaluations are few, the population shrinks", least=1)
    least: float = pf.setting(0.1, "share of every layer's units that stay", least=0, most=1)
    members: int = pf.setting(20, "of a part's front that are trained and ranked, at most", least=1)
    training: float = pf.setting(
        0.5, "share of the budget for cross-network training; 0 switches it off", least=0, most=1, tried=(0, 0.65)
    )
    alpha: float = pf.setting(1.0, "weight of the squared distance to the unpruned features in training", least=0)
    crossing: bool = pf.setting(True, "half of a part's inputs in training come from a pruned predecessor")
    tolerated: float = pf.setting(
        5.0, "points of impairment that this predecessor's parts have at most, if any can", least=0
    )
    inheriting: bool = pf.setting(True, "a member's training begins with the weights of the next larger one")
    batch: int = pf.setting(64, "images of a training step", least=1)
    images: int = pf.setting(5000, "training images whose features are kept, at most", least=2)
    learning_rate: float = pf.setting(0.01, "of the training, at first", above=0)
    joining: float = pf.setting(
        0.25,
        "share of the budget for impairments and joint schemes; members are so many",
        above=0,
        most=1,
        tried=(0.05, 0.5),
    )
    joint: Literal["ranking", "sum", "pairing"] = pf.setting(
        "ranking",
        "schemes by impairment, and what they leave of the budget on sums; or all by the sums of impairments and "
        "parameters; or the members at the same place in every part's front",
    )
    finetuning: float = pf.setting(
        0.0, "share of the budget for training joint schemes at the end", least=0, most=1, tried=(0, 0.3)
    )
    finetuned: int = pf.setting(5, "joint schemes that are trained, at most", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self._searching < LEFT - 1e-9:  # sums of shares round
            given = " + ".join(str(getattr(self, name)) for name in SHARES)
            raise ValueError(f"{' + '.join(SHARES)} <= {1 - LEFT} must hold, but got {given}")

    @property
    def _searching(self) -> float:
        """Share of the budget for the evolution."""
        return 1 - self.training - self.joining - self.finetuning

    def search(self, task: pf.Task) -> None:
        if "error" not in task.objectives:
            task.decline("it ranks by the objective 'error', which the problem does not have")
        parts = self._divided(task)
        names = ("encoding", "variation", "population", "generations", "least")
        genomes = Genomes(task, task.scores(self.scorer), **{name: getattr(self, name) for name in names})
        if len(parts) == 1:
            self._undivided(task, parts[0], genomes)
        else:
            self._conquer(task, [part for part in parts if part.layout.total], genomes)
        if self.finetuning:
            with recorded(task, "fine-tuning"):
                self._finetune(task)

    def _divided(self, task: pf.Task) -> list[pf.Part]:
        """The parts, one after the other."""
        network = task.network
        try:
            cuts = self.cuts if isinstance(self.cuts, tuple) else network.stages if self.cuts == "resolution" else ()
            if self.cuts == "resolution" and not cuts:
                places = ", ".join(str(cut.layer) for cut in network.cuts) or "none"
                raise pf.InputError(f"its resolution changes nowhere that it can be cut; set cuts (possible: {places})")
            return [task.part(start, stop) for start, stop in pairwise((0, *cuts, len(network.layers)))]
        except pf.InputError as error:
            task.decline(f"it divides the network, but {error}")

    def _undivided(self, task: pf.Task, part: pf.Part, genomes: Genomes) -> None:
        """Plain evolutionary pruning of the whole network, and training of its front."""
        members = (
            max(1, min(self.members, int(self.joining * task.budget.total / task.prices.evaluation)))
            if self.training
            else 0
        )
        ration = Ration(task, members * scheme_price(task) + self.finetuning * task.budget.total)
        with recorded(task, "evolution"), ration(self._searching, self.training):
            genomes.evolve(part, task.evaluate, task.prices.evaluation, task.references)
        if not task.archive.evaluations:  # too small a budget to set anything aside
            task.evaluate(task.layout.full())
        if not self.training:
            return
        masks, _ = task.archive.front()
        front = Front.of(task, part, masks, task.archive.front_values() / task.references, members)
        images = self._images(task, members, 1 + task.prices.trained * members)
        with recorded(task, "training"), ration(self.training, 0):
            self._train(task, front, pf.REST, images, None)
        task.record("front of the network", front.table())
        with recorded(task, "trained members"):
            task.evaluate(front.masks, front.weights)

    def _conquer(self, task: pf.Task, parts: Sequence[pf.Part], genomes: Genomes) -> None:
        """Prune and train every part, and join their fronts."""
        task.evaluate(task.layout.full())  # the scheme in which no part is pruned
        members, images = self._afforded(task, parts)
        fronts: list[Front] = []
        for number, part in enumerate(parts):
            work = [other.through(self._level(task, other)) for other in parts[number:]]
            later = sum(work[1:]) / work[0] * (self._searching + self.training)
            found = Found(task, part, self._head(task, part, images))
            ration = Ration(task, self._reserve(task, fronts, [members] * len(work), parts[number:]))
            with recorded(task, f"evolution of {part}"), ration(self._searching, self.training + later):
                genomes.evolve(part, found, part.price(found.head), Found.references(task))
            front = Front.of(task, part, found.front.masks, found.front.values / Found.references(task), members)
            if self.training:
                sizes = [len(front.masks), *[members] * len(work[1:])]
                ration = Ration(task, self._reserve(task, fronts, sizes, parts[number:]))
                with recorded(task, f"training of {part}"), ration(self.training, later):
                    before = predecessor(task, fronts, self.tolerated / 100) if self.crossing else None
                    self._train(task, front, found.head, images, before)
            if self._ranks:
                with recorded(task, f"impairments of {part}"):
                    front.impairments = part.evaluate(front.masks, pf.REST, front.weights) - dense_error(task)
            task.record(f"front of {part}", front.table())
            fronts.append(front)
        with recorded(task, "joint schemes"):
            self._join(task, fronts)

    @property
    def _ranks(self) -> bool:
        """Whether members are judged in the whole network, one by one."""
        return self.joint != "pairing"

    def _reserve(self, task: pf.Task, fronts: Sequence[Front], sizes: Sequence[int], parts: Sequence[pf.Part]) -> float:
        """Passes for ranking so many members of the parts that are left, for joining them, and for fine-tuning."""
        done = [len(front.masks) for front in fronts]
        schemes = sum(done) + sum(sizes) if self._ranks else max([*done, *sizes])
        ranking = (
            sum(size * part.price(pf.REST) for size, part in zip(sizes, parts, strict=True)) if self._ranks else 0.0
        )
        return ranking + schemes * scheme_price(task) + self.finetuning * task.budget.total

    def _level(self, task: pf.Task, part: pf.Part) -> str:
        """The kind of detector: behind the last part it is always the network itself."""
        return pf.REST if self.detector == "rest" or part.stop == len(task.network.layers) else self.detector

    def _head(self, task: pf.Task, part: pf.Part, images: int) -> str:
        """The detector's id."""
        if self._level(task, part) == pf.REST:
            return pf.REST
        with recorded(task, f"detector of {part}"):
            return part.fit_head(pf.Recipe(epochs=20, learning_rate=0.05, images=images))

    def _afforded(self, task: pf.Task, parts: Sequence[pf.Part]) -> tuple[int, int]:
        """How many members of each front can be ranked and joined, and on how many images they can be trained."""
        total = task.budget.total
        price = self._reserve(task, [], [1] * len(parts), parts) - self.finetuning * total
        members = max(1, min(self.members, int((self.joining * total - task.prices.evaluation) / price)))
        features = 1 + sum(task.network.share(0, part.start) for part in parts)
        work = sum(part.through(self._level(task, part)) for part in parts)
        return members, self._images(task, members * len(parts), features + task.prices.trained * members * work)

    def _images(self, task: pf.Task, trainings: int, passes: float) -> int:
        """Images that so many trainings can pay for, each passed so often; detectors need some in any case."""
        images = min(self.images, task.train_images)
        if not self.training:
            return images
        budget = self.training * task.budget.total - trainings * task.prices.new_weights
        return max(2, min(images, int(budget / passes * task.search_images)))

    def _train(self, task: pf.Task, front: Front, head: str, images: int, before: pf.Predecessor | None) -> None:
        """New weights for each member, trained as long as the current share of the budget allows."""
        part, passes = front.part, images / task.search_images
        features = passes * task.network.share(0, part.stop)
        if before is not None:
            features += passes * task.network.share(0, part.start) + task.prices.new_weights
        left = task.budget.left - features - len(front.masks) * task.prices.new_weights
        epochs, longer = divmod(
            int(left / max(1e-9, task.prices.trained * passes * part.through(head))), max(1, len(front.masks))
        )
        recipe = pf.Recipe(learning_rate=self.learning_rate, batch=self.batch, images=images)
        weights = pf.DENSE
        for row in range(len(front.masks)):
            recipe = replace(recipe, epochs=max(1, epochs + (row < longer)))
            front.weights[row] = part.fit(front.masks[[row]], head, recipe, weights, before, self.alpha)
            weights = front.weights[row] if self.inheriting else pf.DENSE

    def _join(self, task: pf.Task, fronts: Sequence[Front]) -> None:
        """Evaluate joint schemes one by one, so that none is lost when the budget ends."""
        rows: list[dict[str, float | str]] = []
        try:
            for by, scheme in self._schemes(task, fronts):
                mask, weights = joined(task, fronts, scheme)
                values = task.evaluate(mask, weights)[0]
                rows.append(dict(zip(task.objectives, values.tolist(), strict=True)) | {"by": by})
        finally:
            task.record("joint schemes", pd.DataFrame(rows))

    def _schemes(self, task: pf.Task, fronts: Sequence[Front]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Joint schemes, the largest first, and what sums of impairments promise for the rest of the budget."""
        impairments, params = [front.impairments for front in fronts], [front.params for front in fronts]
        first: list[tuple[int, ...]] = []
        if self.joint == "ranking":
            first = [scheme for scheme in ranked(impairments, params) if is_pruned(scheme)]
        elif self.joint == "pairing":
            first = [scheme for scheme in paired([len(front.masks) for front in fronts]) if is_pruned(scheme)]
        yield from ((self.joint, scheme) for scheme in first)
        if not self._ranks:
            return
        total = task.network.total_params
        schemes, points = summed(impairments, [total - sizes for sizes in params], (dense_error(task), total))
        rest = np.array([row for row, scheme in enumerate(schemes) if is_pruned(scheme) and scheme not in first], int)
        affordable = max(0, int((task.budget.left - self.finetuning * task.budget.total) / scheme_price(task)))
        yield from (("sum", schemes[row]) for row in rest[pf.thin(points[rest] / Found.references(task), affordable)])

    def _finetune(self, task: pf.Task) -> None:
        """Train some of the front, evenly spread, as whole networks."""
        masks, members = task.archive.front()
        pruned = np.flatnonzero(masks.counts() < task.layout.total)
        rows = pruned[pf.thin(task.archive.front_values()[pruned] / task.references, self.finetuned)]
        if not len(rows):
            return
        visits = task.prices.trainable(task.budget.left / len(rows) - scheme_price(task))
        images = max(2, min(self.images, task.train_images, int(visits)))
        epochs = max(1, int(visits / images))
        recipe = pf.Recipe(epochs=epochs, learning_rate=self.learning_rate, batch=self.batch, images=images)
        for row in rows:
            mask = masks[[row]]
            task.evaluate(mask, task.train(mask, members[row].weights, recipe))


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [EmoDir]
