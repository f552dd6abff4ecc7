"""How much a study's methods remove at a bounded loss: parameters, multiply-adds, and those in convolutions.

    python benchmarks/reductions.py STUDY... [--loss 0.5,1,2] [--json]

Of each run's final front, the member that saves most among those whose *search* error is at most so many points above
the dense network's; each of the three is chosen for itself. Of `weighted-ga` with one weighting also the fittest
member, again by its search error. Beside it what that member loses on the search images and on the test images.
Medians over the seeds that have such a member, and the worst of them in brackets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pruneframe.front import choose
from pruneframe.mask import Masks
from pruneframe.method import Method
from pruneframe.model.network import Network
from pruneframe.registry import Registry
from pruneframe.study.facts import facts
from pruneframe.study.folder import RunFolder
from pruneframe.study.store import StudyFolder
from pruneframe_plugins.weighted_ga import WeightedGA

SAVINGS = {"parameters removed": "{:.2f} %", "fewer multiply-adds": "{:.1f}x", "fewer in convolutions": "{:.1f}x"}


def savings(network: Network, masks: Masks) -> dict[str, np.ndarray]:
    """What masks save, float64[n] each, larger is better."""
    convolutional = [layer.convolutional for layer in network.layers]
    dense, macs = network.layer_macs(network.layout.full())[0], network.layer_macs(masks)
    return {
        "parameters removed": 100 * (1 - network.params(masks) / network.total_params),
        "fewer multiply-adds": dense.sum() / macs.sum(axis=1),
        "fewer in convolutions": dense[convolutional].sum() / np.maximum(1, macs[:, convolutional].sum(axis=1)),
    }


def chosen(
    run: RunFolder, network: Network, losses: list[float], weighting: tuple[float, float, float] | None
) -> Iterator[dict[str, Any]]:
    """For every choice and kind of saving, a member of a run's front and what it loses."""
    front, result = run.front(), run.result
    masks = Masks(front["bits"], network.layout)
    saved = savings(network, masks)
    choices = [
        (f"{loss:g}", name, choose(front["search_error"], values, result["dense_error"] + loss / 100))
        for loss in losses
        for name, values in saved.items()
    ]
    if weighting is not None:
        shares = network.macs(masks) / network.total_macs, network.params(masks) / network.total_params
        fitness = np.column_stack([front["search_error"], *shares]) @ weighting
        choices += [("fittest", name, int(fitness.argmin())) for name in saved]
    for points, name, row in choices:
        if row is not None:
            lost = {
                "search_drop": 100 * float(front["search_error"][row] - result["dense_error"]),
                "test_drop": 100 * float(front["test_error"][row] - result["dense_test_error"]),
            }
            yield {"points": points, "saving": name, "value": float(saved[name][row])} | lost


@click.command()
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--loss", "losses", default="0.5", show_default=True, help="Points of search error, one or several.")
@click.option("--json", "as_json", is_flag=True, help="One object per run, choice and saving in place of the table.")
def main(studies: tuple[Path, ...], losses: str, as_json: bool) -> None:
    """Print one row per method and choice."""
    wanted = [float(loss) for loss in losses.split(",")]
    registry = Registry()
    networks: dict[tuple[str, str], Network] = {}
    found, ended = [], []
    for told in facts(*map(StudyFolder.existing, studies)).runs:
        if not told.done:
            continue
        head = {key: getattr(told, key) for key in ("board", "problem", "method", "budget", "instance", "seed")}
        ended.append(head)
        key = told.problem, told.units
        if key not in networks:
            networks[key] = registry.problem(key[0]).with_settings(units=key[1]).load(registry.component).network
        method = registry.component(Method, told.method)
        own = method.settled() if isinstance(method, WeightedGA) else None
        weighting = own.weightings[0] if own is not None and own.fronts == 1 else None
        found += [head | row for row in chosen(RunFolder(Path(told.folder)), networks[key], wanted, weighting)]
    if not found:
        raise click.UsageError(f"no finished run here has a member within {losses} points of the unpruned network")
    if as_json:
        print(*(json.dumps(row) for row in found), sep="\n")
    else:
        Console().print(table(pd.DataFrame(found), pd.DataFrame(ended)))


def table(rows: pd.DataFrame, ended: pd.DataFrame) -> Table:
    """Medians over the runs that have such a member, of so many, and the worst of these in brackets."""
    shown = Table("problem", "method", "runs", "points", *SAVINGS)
    keys = ["board", "method", "budget"]
    runs = ended.groupby(keys).size()
    for (board, method, budget, points), own in rows.groupby([*keys, "points"], sort=False):
        cells = []
        for name, form in SAVINGS.items():
            found = own[own.saving == name]
            value, worst = form.format(found.value.median()), form.format(found.value.min())
            drops = {"search": found.search_drop, "test": found.test_drop}
            lost = ", ".join(f"{images} {drop.median():+.2f} [{drop.max():+.2f}]" for images, drop in drops.items())
            cells.append(escape(f"{value} [{worst}], {lost}"))
        count = f"{len(own.groupby(['instance', 'seed']))} of {runs[board, method, budget]}"
        shown.add_row(escape(board), escape(f"{method} at {budget:g}"), count, points, *cells)
    return shown


if __name__ == "__main__":
    main()
