"""The table that a reproduction ends with: published, measured, difference of protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..files import write_whole
from ..model.network import Network
from ..study.run import Run
from ..study.store import StudyFolder
from .experiment import Experiment, Finding, Scale, Size
from .savings import Chosen, chosen

NAMES = ("reproduction.csv", "reproduction.json")  # in the study's folder
WHAT = {"parameters": "of the parameters removed", "convolutions": "fewer multiply-adds in convolutions"}


@dataclass(frozen=True)
class Row:
    """A paper's result, and what the runs of one method that stand beside it gave; each has its own member."""

    problem: str
    paper: str
    finding: Finding
    method: str
    difference: str  # of protocol
    runs: int  # that were asked for
    finished: int
    members: tuple[Chosen, ...]  # of those of them that have one

    @property
    def published(self) -> str:
        """What the paper reports, and where that was read."""
        return f"{self.finding.reported} ({self.paper}, {self.finding.read})"

    @property
    def measured(self) -> str:
        """The median over runs of what is saved, and the least in brackets."""
        saved, what = [member.saved for member in self.members], self.finding.saving
        if not saved:
            reason = f"no member is sure to lose at most {self.finding.loss:g}" if self.finished else "no finished run"
            return f"none: {reason}"
        some = f", {len(saved)} of {self.runs} runs" if len(saved) < self.runs else ""
        worst = f" [{_written(min(saved), what)}]" if len(saved) > 1 else ""
        return f"{_written(float(np.median(saved)), what)}{worst} {WHAT.get(what, f'less {what}')}{some}"

    @property
    def lost(self) -> str:
        """What the same members lose on test: of one its 95 % interval in brackets, of several the median and worst."""
        losses = [member.test_loss for member in self.members]
        if not losses:
            return ""
        brackets = f"{max(losses):+.2f}" if len(losses) > 1 else "{:+.2f}, {:+.2f}".format(*self.members[0].interval)
        return f"{np.median(losses):+.2f} [{brackets}]"

    def json(self) -> dict[str, Any]:
        """All of it as JSON values: `saved`, `search_loss`, `test_loss` and `interval` have one entry for each run."""
        finding = {field.name: getattr(self.finding, field.name) for field in fields(Finding)}
        del finding["methods"]
        told = {"problem": self.problem, "method": self.method, "paper": self.paper} | finding
        told |= {"runs": self.runs, "finished": self.finished}
        told |= {f.name: [getattr(member, f.name) for member in self.members] for f in fields(Chosen)}
        return told | {"difference": self.difference}


def rows(
    experiment: Experiment, size: Size, runs: Sequence[Run], network: Network, study: StudyFolder
) -> Iterable[Row]:
    """The rows of an experiment, whose runs these are; `network` is that of its problem."""
    for finding in experiment.findings:
        for method in finding.methods:
            own = [run for run in runs if run.method == method]
            finished = [folder for run in own if (folder := run.folder(study)).whole]
            members = [member for folder in finished if (member := chosen(folder, network, finding)) is not None]
            told = difference(experiment, size, own)
            yield Row(
                experiment.problem, experiment.paper, finding, method, told, len(own), len(finished), tuple(members)
            )


def difference(experiment: Experiment, size: Size, runs: Sequence[Run]) -> str:
    """How the protocol is another than the paper's: in the words of the experiment, and what this scale leaves out."""
    scale, full = experiment.scale(size), experiment.full
    assert scale is not None
    here = _extent(scale, runs)
    if size != "full" and full is not None and scale != full:
        here += f"; at the scale full {full.budget:g} passes"
        here += f" of {full.search_images} images" if full.search_images else ""
        here += f", {len(full.seeds) * len(full.instances)} runs"
    return f"{experiment.difference} Here: {here}."


def _extent(scale: Scale, runs: Sequence[Run]) -> str:
    images = runs[0].search_images if runs else scale.search_images
    return f"{scale.budget:g} passes of {images} search images, {len(runs)} run{'s' * (len(runs) != 1)}"


def frame(found: Sequence[Row]) -> pd.DataFrame:
    """The table as it is printed, one row a line; what a row has in common with the one above it is left out."""
    columns = {
        "problem": [row.problem for row in found],
        "published": [row.published for row in found],
        "method": [row.method for row in found],
        "at most lost": [f"{row.finding.loss:g}" for row in found],
        "measured": [row.measured for row in found],
        "lost on test": [row.lost for row in found],
        "difference of protocol": [row.difference for row in found],
    }
    table = pd.DataFrame(columns)
    goes_on = table["problem"] == table["problem"].shift()
    for name in ("problem", "published", "difference of protocol"):
        table[name] = table[name].mask(goes_on & (table[name] == table[name].shift()), "")
    return table


def document(found: Sequence[Row], told: dict[str, Any]) -> str:
    """The table as JSON, beside what else is `told`."""
    return json.dumps(told | {"rows": [row.json() for row in found]}, indent=2) + "\n"


def write(found: Sequence[Row], told: dict[str, Any], study: StudyFolder) -> list[Path]:
    """Write the table as CSV, one line for each row with all its figures, and as JSON beside what else is `told`."""
    paths = [study.path / name for name in NAMES]
    contents = [pd.DataFrame([row.json() for row in found]).to_csv(index=False), document(found, told)]
    for path, text in zip(paths, contents, strict=True):
        write_whole(path, lambda file, text=text: file.write(text.encode()))  # type: ignore[misc]
    return paths


def _written(value: float, saving: str) -> str:
    return f"{100 * value:.2f} %" if saving == "parameters" else f"{value:.1f}x"
