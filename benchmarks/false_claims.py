"""How often methods are told apart that are the same: simulated studies with one method under two names.

    python benchmarks/false_claims.py [STUDY...] [--studies 1000] [--methods 2,4,8,16] [--designs 10x2,1x5]
                                      [--over passes] [--json]

Hypervolumes are drawn from finished runs of STUDYs on one board, by instance; without a study from made-up ones, whose
spread is that of small networks. Over seconds whole runs are drawn, and each pair is looked at when the quicker of the
two had made its last evaluation, as `pruneframe.comparison.races` does. Of so many names two are one method, or all
are; a study counts where it tells any two names of one method apart. One row per design (instances x seeds), number of
names and way of choosing the control: named beforehand, none (all pairs), or the best, chosen after the fact, which is
what must not be done. In brackets the 95 % interval of the share, after so many studies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import click
import numpy as np
from scipy.stats import binomtest

from pruneframe.comparison.anytime import Curve, curves_of
from pruneframe.comparison.races import Field
from pruneframe.comparison.statistics import Comparison, Values, compare, compare_pairs, pairs_of
from pruneframe.comparison.verdicts import values_of
from pruneframe.report import RunSummary
from pruneframe.study.facts import overview
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import evaluations

NETWORKS, APART, SEEDS = 0.02, 0.008, 0.003  # standard deviations: of networks, of methods on one, of seeds
TIE = 1e-9  # breaks ties between draws of the same run
STEPS = 50  # evaluations of a made-up run
CONTROLS = ("none", "beforehand", "afterwards")

Found = float | Curve  # what a run reached in the end, or over time
Runs = Mapping[int, Sequence[Found]]  # of one method, by instance
Pool = Mapping[str, Runs]


def made_up(
    rng: np.random.Generator, methods: int = 16, instances: int = 40, seeds: int = 20, over: str = "passes"
) -> Pool:
    """Hypervolumes of methods that differ in general, and on each network by more or less."""
    networks = 0.85 + rng.normal(0, NETWORKS, instances)
    effects = rng.normal(0, 0.01, (methods, 1)) + rng.normal(0, APART, (methods, instances))
    drawn = (networks + effects)[..., None] + rng.normal(0, SEEDS, (methods, instances, seeds))
    paces = rng.lognormal(0, 1, methods)
    grown = {"passes": lambda m, value: value, "seconds": lambda m, value: run(value, paces[m], rng)}[over]
    return {f"method {m}": {i: [grown(m, v) for v in drawn[m, i]] for i in range(instances)} for m in range(methods)}


def run(last: float, pace: float, rng: np.random.Generator) -> Curve:
    """A made-up run that ends at this hypervolume, and takes about so many seconds for an evaluation."""
    passes = np.arange(1.0, STEPS + 1)
    seconds = np.cumsum(rng.exponential(pace, STEPS)) * rng.lognormal(0, 0.2)
    return Curve({"passes": passes, "seconds": seconds}, last * (1 - 0.5 ** (passes * rng.uniform(0.1, 0.2))))


def stored(studies: Sequence[Path], over: str = "passes") -> Pool:
    """Those of finished runs; a usage error unless they are of one board."""
    folders = [StudyFolder.existing(study) for study in studies]
    known = overview(*folders)
    if len(known.boards) != 1:
        raise click.UsageError(f"the studies must have finished runs on one board, but have {len(known.boards)}")
    runs = known.done()
    if over == "passes":
        return values_of(runs)
    found: dict[str, dict[int, list[Curve]]] = {}
    for (method, instance, _), curve in curves_of(evaluations(*folders), known.boards[0], runs).items():
        found.setdefault(method, {}).setdefault(instance, []).append(curve)
    return found


def drawn(pool: Pool, methods: Sequence[str], instances: int, seeds: int, rng: np.random.Generator) -> list[Runs]:
    """For each of some methods, which may be named twice, a study's runs, all on the same instances."""
    known = sorted(set.intersection(*(set(pool[method]) for method in methods)))
    places = rng.choice(known, instances, replace=instances > len(known))
    return [
        {
            place: [own[at] for at in rng.integers(len(own), size=seeds)]
            for place, own in enumerate(pool[method][instance] for instance in places)
        }
        for method in methods
    ]


def untied(values: Mapping[int, Sequence[float]], rng: np.random.Generator) -> Values:
    """The same values, of which no two are equal."""
    return {instance: [value + rng.normal(0, TIE) for value in own] for instance, own in values.items()}


def compared(named: Pool, control: str | None, rng: np.random.Generator) -> list[Comparison]:
    """The pairs of a study, by what runs reached in the end, or at equal seconds where they are known over time."""
    cells = [
        (name, i, s, one) for name, found in named.items() for i, own in found.items() for s, one in enumerate(own)
    ]
    curves = {(name, i, s): one for name, i, s, one in cells if isinstance(one, Curve)}
    if not curves:
        last = {name: {i: [float(v) for v in own] for i, own in found.items()} for name, found in named.items()}
        return compare({name: untied(found, rng) for name, found in last.items()}, control)
    field = Field([RunSummary("", name, i, s, "done") for name, i, s in curves], curves)
    reached = {pair: field.reached(pair, field.limits(pair)) for pair in pairs_of(named, control)}
    return compare_pairs({pair: (untied(one, rng), untied(two, rng)) for pair, (one, two) in reached.items()})


def misled(methods: Sequence[str], runs: Sequence[Runs], control: str, rng: np.random.Generator) -> bool:
    """Whether a study tells two names apart that stand for one method; names are places in the list."""
    named = {str(name): own for name, own in enumerate(runs)}
    best = partial(max, named, key=lambda name: np.median([_last(one) for own in named[name].values() for one in own]))
    chosen = {"none": lambda: None, "beforehand": lambda: "0", "afterwards": best}[control]()
    found = compared(named, chosen, rng)
    return any(one.significant and methods[int(one.first)] == methods[int(one.second)] for one in found)


def _last(found: Found) -> float:
    return found.last if isinstance(found, Curve) else found


def shares(
    pool: Pool, names: int, design: tuple[int, int], same: bool, studies: int, rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    """By way of choosing the control, the share of simulated studies that are misled; `same`: all names are one."""
    told = dict.fromkeys(CONTROLS, 0)
    for _ in range(studies):
        twin, *others = rng.permutation(sorted(pool))
        methods = [twin] * names if same else [twin, twin, *rng.choice(others or [twin], names - 2)]
        runs = drawn(pool, methods, *design, rng)
        for control in CONTROLS:
            told[control] += misled(methods, runs, control, rng)
    return ((control, count / studies) for control, count in told.items())


def _design(text: str) -> tuple[int, int]:
    instances, _, seeds = text.partition("x")
    return int(instances), int(seeds)


@click.command()
@click.argument("folders", metavar="[STUDY...]", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--studies", default=1000, show_default=True, help="Simulated ones behind each row.")
@click.option("--methods", default="2,4,8,16", show_default=True, help="How many names a study has.")
@click.option("--designs", default="10x2,1x5", show_default=True, help="Instances x seeds.")
@click.option(
    "--over", type=click.Choice(["passes", "seconds"]), default="passes", show_default=True, help="Equal what."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(
    folders: tuple[Path, ...], studies: int, methods: str, designs: str, over: str, seed: int, as_json: bool
) -> None:
    """Print one row per design, number of names and control."""
    rng = np.random.default_rng(seed)
    pool = stored(folders, over) if folders else made_up(rng, over=over)
    cases = product(designs.split(","), map(int, methods.split(",")), (False, True))
    for design, names, same in cases:
        if same and names == 2:
            continue  # two names of one method are all
        for control, share in shares(pool, names, _design(design), same, studies, rng):
            row = {"instances x seeds": design, "methods": names, "one method": "all" if same else "two of them"}
            low, high = binomtest(round(share * studies), studies).proportion_ci()
            row |= {"control": control, "false claims": share, "from": float(low), "to": float(high)}
            text = (
                "{instances x seeds:>6}  {methods:2} methods, {one method:11}  control {control:11} "
                "{false claims:.3f} [{from:.3f}, {to:.3f}]"
            )
            print(json.dumps(row) if as_json else text.format(**row), flush=True)


if __name__ == "__main__":
    main()
