"""Processor seconds that a finished study of many runs takes to be told of.

    python benchmarks/report.py [--runs 200] [--json]

Ten seeds of four methods are run on lenet-digits; the other runs are copies of them under other seeds. A row is one
command in a process of its own: `report` for the first time and again, `summary`, and `bench`, which finds everything
there, typesets for the first time and then leaves it.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import click

from pruneframe.study.folder import RunFolder
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder

METHODS = ("nsga2", "moead", "random", "magnitude")
REAL = 10  # seeds that are run


def command(*arguments: str) -> None:
    """Run pruneframe, its output thrown away."""
    script = "from pruneframe.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)


def copy(folder: RunFolder, study: StudyFolder, seed: int) -> None:
    """A finished run under another seed."""
    identity = folder.identity
    run = replace(Run.of(identity), seed=seed)
    target = run.folder(study).path
    shutil.copytree(folder.path, target)
    RunFolder(target).begin(identity | asdict(run) | {"hash": run.hash})


def seconds(*arguments: str) -> tuple[float, float]:
    """What a command takes: of processors, and of the clock."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command(*arguments)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


@click.command()
@click.option("--runs", type=click.IntRange(4), default=200, show_default=True, help="Of the study.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(runs: int, as_json: bool) -> None:
    """Print one row per command."""
    seeds = runs // len(METHODS)
    with tempfile.TemporaryDirectory() as name:
        study, pdf = StudyFolder(Path(name) / "study"), str(Path(name) / "report.pdf")
        asked = ["--methods", ",".join(METHODS), "--output", str(study.path)]
        command("bench", *asked, "--seeds", f"0-{min(REAL, seeds) - 1}")
        for folder in list(study.runs()):
            for seed in range(folder.identity["seed"] + REAL, seeds, REAL):
                copy(folder, study, seed)
        bench = ("bench", *asked, "--seeds", f"0-{seeds - 1}")
        told = {
            "report": ("report", str(study.path), "-o", pdf),
            "report again": ("report", str(study.path), "-o", pdf),
            "summary": ("summary", str(study.path)),
            "summary --json": ("summary", str(study.path), "--json"),
            "bench": bench,
            "bench again": bench,
        }
        for what, arguments in told.items():
            processor, wall = seconds(*arguments)
            row = {
                "command": what,
                "runs": len(METHODS) * seeds,
                "seconds": round(processor, 2),
                "wall": round(wall, 2),
            }
            print(
                json.dumps(row) if as_json else f"{what:15} {processor:7.2f} s of processor, {wall:7.2f} s", flush=True
            )


if __name__ == "__main__":
    main()
