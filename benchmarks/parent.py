"""What memory the process of `bench` takes while a run in a worker makes 10,000 evaluations and more.

It follows the run as a command does: it reads the journal and tells the passes and the hypervolume. Its memory is
looked at each time.

    python benchmarks/parent.py --evaluations 12000

A row for each thousand evaluations, in megabytes; `grown` is what was added since the first thousand.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from pruneframe.registry import Registry
from pruneframe.study.display import display
from pruneframe.study.executor import LocalExecutor, carry_out_all
from pruneframe.study.plan import plan
from pruneframe.study.progress import Progress
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder


def resident() -> float:
    """Megabytes of this process that are in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


@click.command()
@click.option("--evaluations", default=12_000, help="How many the run makes, about one for each pass.")
@click.option("--images", default=50, help="Behind each evaluation; few, so that answers are quick.")
@click.option("--json", "as_json", is_flag=True)
def main(evaluations: int, images: int, as_json: bool) -> None:
    """Follow a run, and print what that takes."""
    rules = {"budget": float(evaluations), "search_images": images}
    runs = plan(Registry(("no:*",)), ["random"], ["lenet-digits"], [0], [0], rules, "cpu", 1, print).runs
    found: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        study = StudyFolder(Path(folder))
        progress = Progress(runs[0].folder(study), runs[0].budget)
        with display(study, runs) as show:

            def watch(states: dict[Run, str]) -> None:
                show(states)
                progress.refresh()
                if progress.evaluations:
                    found.setdefault(progress.evaluations // 1000, resident())

            failures = carry_out_all(runs, study, ("no:*",), lambda: LocalExecutor(1, 1), watch)
    assert not failures, failures
    first = found[min(found)]
    for thousand, megabytes in sorted(found.items()):
        row = {"evaluations": thousand * 1000, "megabytes": round(megabytes, 1), "grown": round(megabytes - first, 1)}
        click.echo(json.dumps(row) if as_json else "  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
