"""How often methods are told apart that are the same: simulated studies with one method under two names.

    python benchmarks/false_claims.py [STUDY...] [--studies 1000] [--methods 2,4,8,16] [--designs 10x2,1x5] [--json]

Hypervolumes are drawn from finished runs of STUDYs on one board, by instance; without a study from made-up ones, whose
spread is that of small networks. Of so many names two are one method, or all are; a study counts where it tells any two
names of one method apart. One row per design (instances x seeds), number of names and way of choosing the control:
named beforehand, none (all pairs), or the best, chosen after the fact, which is what must not be done. In brackets the
95 % interval of the share, after so many studies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import click
import numpy as np
from scipy.stats import binomtest

from pruneframe.comparison.statistics import Values, compare
from pruneframe.comparison.verdicts import values_of
from pruneframe.study.facts import summaries
from pruneframe.study.store import StudyFolder

NETWORKS, APART, SEEDS = 0.02, 0.008, 0.003  # standard deviations: of networks, of methods on one, of seeds
TIE = 1e-9  # breaks ties between draws of the same run
CONTROLS = ("none", "beforehand", "afterwards")

Pool = Mapping[str, Values]


def made_up(rng: np.random.Generator, methods: int = 16, instances: int = 40, seeds: int = 20) -> Pool:
    """Hypervolumes of methods that differ in general, and on each network by more or less."""
    networks = 0.85 + rng.normal(0, NETWORKS, instances)
    effects = rng.normal(0, 0.01, (methods, 1)) + rng.normal(0, APART, (methods, instances))
    drawn = (networks + effects)[..., None] + rng.normal(0, SEEDS, (methods, instances, seeds))
    return {f"method {m}": {i: list(drawn[m, i]) for i in range(instances)} for m in range(methods)}


def stored(studies: Sequence[Path]) -> Pool:
    """Those of finished runs; a usage error unless they are of one board."""
    runs = [run for run in summaries(*map(StudyFolder.existing, studies)) if run.done]
    boards = {run.board for run in runs}
    if len(boards) != 1:
        raise click.UsageError(f"the studies must have finished runs on one board, but have {len(boards)}")
    return values_of(runs)


def drawn(pool: Pool, methods: Sequence[str], instances: int, seeds: int, rng: np.random.Generator) -> list[Values]:
    """For each of some methods, which may be named twice, a study's values, all on the same instances."""
    known = sorted(set.intersection(*(set(pool[method]) for method in methods)))
    places = rng.choice(known, instances, replace=instances > len(known))
    return [
        {
            place: list(rng.choice(pool[method][instance], seeds) + rng.normal(0, TIE, seeds))
            for place, instance in enumerate(places)
        }
        for method in methods
    ]


def misled(methods: Sequence[str], values: Sequence[Values], control: str) -> bool:
    """Whether a study tells two names apart that stand for one method; names are places in the list."""
    named = dict(enumerate(values))
    if control == "afterwards":
        chosen: int | None = max(named, key=lambda name: np.median([v for own in named[name].values() for v in own]))
    else:
        chosen = 0 if control == "beforehand" else None
    texts = {str(name): own for name, own in named.items()}
    found = compare(texts, None if chosen is None else str(chosen))
    return any(one.significant and methods[int(one.first)] == methods[int(one.second)] for one in found)


def shares(
    pool: Pool, names: int, design: tuple[int, int], same: bool, studies: int, rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    """By way of choosing the control, the share of simulated studies that are misled; `same`: all names are one."""
    told = dict.fromkeys(CONTROLS, 0)
    for _ in range(studies):
        twin, *others = rng.permutation(sorted(pool))
        methods = [twin] * names if same else [twin, twin, *rng.choice(others or [twin], names - 2)]
        values = drawn(pool, methods, *design, rng)
        for control in CONTROLS:
            told[control] += misled(methods, values, control)
    return ((control, count / studies) for control, count in told.items())


def _design(text: str) -> tuple[int, int]:
    instances, _, seeds = text.partition("x")
    return int(instances), int(seeds)


@click.command()
@click.argument("folders", metavar="[STUDY...]", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--studies", default=1000, show_default=True, help="Simulated ones behind each row.")
@click.option("--methods", default="2,4,8,16", show_default=True, help="How many names a study has.")
@click.option("--designs", default="10x2,1x5", show_default=True, help="Instances x seeds.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(folders: tuple[Path, ...], studies: int, methods: str, designs: str, seed: int, as_json: bool) -> None:
    """Print one row per design, number of names and control."""
    rng = np.random.default_rng(seed)
    pool = stored(folders) if folders else made_up(rng)
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
