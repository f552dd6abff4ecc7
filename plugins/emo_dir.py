"""Divide and conquer: parts of a network are pruned one by one, and their fronts joined by the harm that each does.

Shang, Zhu, Wu, Zhang, Jiao and Xu, "A Multi-objective Complex Network Pruning Framework Based on Divide-and-conquer and
Global Performance Impairment Ranking", arXiv 2303.16212, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pruneframe as pf
from pruneframe.kit import SMALLEST, recorded

from .emo_presets import PRESETS
from .experiments import EMO_DIR
from .part_evolution import Genomes, Ration
from .part_fronts import Found, Front, dense_error, divided, predecessor, scheme_price
from .presets import VARIATIONS
from .schemes import PAIRING, evaluate_each, finetune, joint_schemes

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
        "that a member's training may begin with the weights of the next larger one (inheriting), and joint schemes by "
        "the sum of impairments (joint=sum, and for what the ranking leaves of the budget). The numbers and operators "
        "of the default, preset=tuned, are those that `pruneframe tune` found on networks of ours (docs/tuning.md); "
        "the reconstruction is preset=paper."
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
    preset: Literal["tuned", "paper"] = pf.setting("tuned", "where settings that are not given come from", tried=())
    cuts: Literal["resolution", "none"] | tuple[int, ...] = pf.setting(
        "resolution", "where parts begin: at changes of resolution, nowhere, or at these prunable layers, from 0"
    )
    detector: Literal["linear", "rest"] = PRESETS.setting(
        "detector", "what classifies a part's output: a layer on its pooled channels, or the untouched rest"
    )
    scorer: str = PRESETS.setting(
        "scorer",
        "importance behind the start, the encoding and guided variation; a preset's is replaced by magnitude where it "
        "is not defined for the units or would cost more than a tenth of the budget",
        kind="scorer",
    )
    encoding: str = PRESETS.setting("encoding", "what the genome of a part is", kind="encoding")
    variation: str | None = PRESETS.setting(
        "variation",
        "operators in turn, joined by +; none: uniform+bit-flip or sbx-pm",
        kind="variation",
        tried=VARIATIONS,
    )
    population: int = PRESETS.setting("population", "genomes of a part, at most", least=SMALLEST, tried=(6, 400))
    generations: int = PRESETS.setting(
        "generations",
        "of a part, at least; where evaluations are few, the population shrinks",
        least=1,
        tried=(1, 40),
    )
    least: float = PRESETS.setting("least", "share of every layer's units that stay", least=0, most=1)
    members: int = PRESETS.setting(
        "members", "of a part's front that are trained and ranked, at most", least=1, tried=(2, 160)
    )
    training: float = PRESETS.setting(
        "training",
        "share of the budget for cross-network training; 0 switches it off",
        least=0,
        most=1,
        tried=(0, 0.65),
    )
    alpha: float = PRESETS.setting(
        "alpha", "weight of the squared distance to the unpruned features in training", least=0, tried=(0.125, 8)
    )
    crossing: bool = pf.setting(True, "half of a part's inputs in training come from a pruned predecessor")
    tolerated: float = PRESETS.setting(
        "tolerated",
        "points of impairment that this predecessor's parts have at most, if any can",
        least=0,
        tried=(0.5, 40),
    )
    inheriting: bool = PRESETS.setting(
        "inheriting", "a member's training begins with the weights of the next larger one"
    )
    batch: int = PRESETS.setting("batch", "images of a training step", least=1, tried=(8, 512))
    images: int = PRESETS.setting(
        "images", "training images whose features are kept, at most", least=2, tried=(600, 40_000)
    )
    learning_rate: float = PRESETS.setting("learning_rate", "of the training, at first", above=0, tried=(0.001, 0.1))
    joining: float = PRESETS.setting(
        "joining",
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
    finetuning: float = PRESETS.setting(
        "finetuning", "share of the budget for training joint schemes at the end", least=0, most=1, tried=(0, 0.3)
    )
    finetuned: int = PRESETS.setting("finetuned", "joint schemes that are trained, at most", least=1, tried=(1, 40))

    def __post_init__(self) -> None:
        super().__post_init__()
        settled = PRESETS.settled(self, self.preset)
        if settled._searching < LEFT - 1e-9:  # sums of shares round
            given = " + ".join(str(getattr(settled, name)) for name in SHARES)
            raise ValueError(f"{' + '.join(SHARES)} <= {1 - LEFT} must hold, but got {given}")

    @property
    def _searching(self) -> float:
        """Share of the budget for the evolution."""
        return 1 - self.training - self.joining - self.finetuning

    def search(self, task: pf.Task) -> None:
        if "error" not in task.objectives:
            task.decline("it ranks by the objective 'error', which the problem does not have")
        PRESETS.suited(self, self.preset, task)._search(task)

    def _search(self, task: pf.Task) -> None:
        """The search, with a value for every setting."""
        parts = divided(task, self.cuts)
        names = ("encoding", "variation", "population", "generations", "least")
        genomes = Genomes(task, self.scorer, **{name: getattr(self, name) for name in names})
        if len(parts) == 1:
            self._undivided(task, parts[0], genomes)
        else:
            self._conquer(task, [part for part in parts if part.layout.total], genomes)
        if self.finetuning:
            with recorded(task, "fine-tuning"):
                recipe = pf.Recipe(learning_rate=self.learning_rate, batch=self.batch, images=self.images)
                finetune(task, self.finetuned, recipe)

    def _undivided(self, task: pf.Task, part: pf.Part, genomes: Genomes) -> None:
        """Plain evolutionary pruning of the whole network, and training of its front."""
        total = task.budget.total
        members = max(1, min(self.members, int(self.joining * total / task.prices.evaluation))) if self.training else 0
        ration = Ration(task, members * scheme_price(task) + self.finetuning * total)
        with recorded(task, "evolution"), ration(self._searching, self.training):
            genomes.evolve(part, task.evaluate, task.prices.evaluation, task.references)
        if not task.archive.evaluations:  # too small a budget to set anything aside
            task.evaluate(task.layout.full())
        if not self.training:
            return
        masks, _ = task.archive.front()
        front = Front.of(task, part, masks, task.archive.front_values() / task.references, members)
        images = self._images(task, members, 1 + task.prices.trained * members, total)
        with recorded(task, "training"), ration(self.training, 0):
            self._train(task, front, pf.REST, images, None)
        task.record("front of the network", front.table())
        with recorded(task, "trained members"):
            task.evaluate(front.masks, front.weights)

    def _conquer(self, task: pf.Task, parts: Sequence[pf.Part], genomes: Genomes) -> None:
        """Prune and train every part, and join their fronts."""
        self._check_budget(task, parts)
        task.evaluate(task.layout.full())  # the scheme in which no part is pruned
        members, images = self._afforded(task, parts, task.budget.total)
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
            reserved = self.finetuning * task.budget.total
            evaluate_each(task, fronts, joint_schemes(task, fronts, self.joint, reserved))

    def _check_budget(self, task: pf.Task, parts: Sequence[pf.Part]) -> None:
        """Raise InputError where the budget ends before any part has a member that can be joined."""
        least = task.budget.total
        while (needed := self._opening(task, parts, least)) > least:
            least = needed
        if least > task.budget.total:
            told = f"{self.name!r}, which spends at least as much before its first pruned network"
            raise pf.InputError(f"budget >= {least:.4g} must hold for {told}, but got {task.budget.total:g}")

    def _opening(self, task: pf.Task, parts: Sequence[pf.Part], total: float) -> float:
        """Passes of a search of so many in all that are spent at best until a first member is joined."""
        members, images = self._afforded(task, parts, total)
        levels = [self._level(task, part) for part in parts]
        work = [part.through(level) for part, level in zip(parts, levels, strict=True)]
        spent, found, share = task.prices.evaluation, [], task.network.share
        for number, (part, level) in enumerate(zip(parts, levels, strict=True)):
            if level != pf.REST:  # the detector's, whose features are computed from the last ones on
                before = parts[number - 1].stop if number else 0
                spent += share(before, part.stop) * images / task.search_images + part.price_of_head(_detector(images))
            own = self._searching / (self._searching + self.training) * work[number] / sum(work[number:])
            evolution = (share(0, part.start) + part.price(level)) / own
            aside = self._reserve(task, [], [members] * len(parts[number:]), parts[number:])
            joining = scheme_price(task) + (part.price(pf.REST) if self._ranks else 0.0)
            found.append(spent + max(min(aside, evolution) + evolution, evolution * own + joining))
        return min(found)

    @property
    def _ranks(self) -> bool:
        """Whether members are judged in the whole network, one by one."""
        return self.joint != PAIRING

    def _reserve(self, task: pf.Task, fronts: Sequence[Front], sizes: Sequence[int], parts: Sequence[pf.Part]) -> float:
        """Passes for ranking so many members of the parts that are left, for joining them, and for fine-tuning."""
        done = [len(front.masks) for front in fronts]
        schemes = sum(done) + sum(sizes) if self._ranks else max([*done, *sizes])
        ranked = zip(sizes, parts, strict=True) if self._ranks else ()
        ranking = sum(size * part.price(pf.REST) for size, part in ranked)
        return ranking + schemes * scheme_price(task) + self.finetuning * task.budget.total

    def _level(self, task: pf.Task, part: pf.Part) -> str:
        """The kind of detector: behind the last part it is always the network itself."""
        return pf.REST if self.detector == "rest" or part.stop == len(task.network.layers) else self.detector

    def _head(self, task: pf.Task, part: pf.Part, images: int) -> str:
        """The detector's id."""
        if self._level(task, part) == pf.REST:
            return pf.REST
        with recorded(task, f"detector of {part}"):
            return part.fit_head(_detector(images))

    def _afforded(self, task: pf.Task, parts: Sequence[pf.Part], total: float) -> tuple[int, int]:
        """How many members of each front a budget can rank and join, and on how many images it can train them."""
        price = self._reserve(task, [], [1] * len(parts), parts) - self.finetuning * task.budget.total
        members = max(1, min(self.members, int((self.joining * total - task.prices.evaluation) / price)))
        features = 1 + sum(task.network.share(0, part.start) for part in parts)
        work = sum(part.through(self._level(task, part)) for part in parts)
        passes = features + task.prices.trained * members * work
        return members, self._images(task, members * len(parts), passes, total)

    def _images(self, task: pf.Task, trainings: int, passes: float, total: float) -> int:
        """Images that so many trainings can pay for, each passed so often; detectors need some in any case."""
        images = min(self.images, task.train_images)
        if not self.training:
            return images
        budget = self.training * total - trainings * task.prices.new_weights
        return max(2, min(images, int(budget / passes * task.search_images)))

    def _train(self, task: pf.Task, front: Front, head: str, images: int, before: pf.Predecessor | None) -> None:
        """New weights for each member, trained as long as the current share of the budget allows."""
        part, passes = front.part, images / task.search_images
        features = passes * task.network.share(0, part.stop)
        if before is not None:
            features += passes * task.network.share(0, part.start) + task.prices.new_weights
        left = task.budget.left - features - len(front.masks) * task.prices.new_weights
        epoch = max(1e-9, task.prices.trained * passes * part.through(head))
        epochs, longer = divmod(int(left / epoch), max(1, len(front.masks)))
        recipe = pf.Recipe(learning_rate=self.learning_rate, batch=self.batch, images=images)
        weights = pf.DENSE
        for row in range(len(front.masks)):
            recipe = replace(recipe, epochs=max(1, epochs + (row < longer)))
            front.weights[row] = part.fit(front.masks[[row]], head, recipe, weights, before, self.alpha)
            weights = front.weights[row] if self.inheriting else pf.DENSE


def _detector(images: int) -> pf.Recipe:
    """How a linear detector is trained."""
    return pf.Recipe(epochs=20, learning_rate=0.05, images=images)


@pf.hookimpl
def pruneframe_methods() -> Sequence[type[pf.Method]]:
    return [EmoDir]
