"""Kill runs anywhere and look whether the same command again gives what an undisturbed run gives.

Methods search lenet-digits, their final fronts are measured and trained once more, and everything is written. Runs are
killed by SIGKILL in the middle of it, again and again until they are done. Half of the kills are at a random event: a
line of a journal (before it, half-written, behind it) or a file (begun, full, just before and behind its naming). The
others come after a random time. Compared are masks, values, errors, which images are right, weights, evaluations,
indicators and the common fine-tuning, all but seconds; and nothing may be left over.

    python benchmarks/kill_test.py --kills 300

It exits with 1 where anything differs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import click
import numpy as np

from pruneframe.errors import InputError, PruneframeError
from pruneframe.registry import Registry
from pruneframe.search.answer import sealed
from pruneframe.search.journal import Journal
from pruneframe.spec import names
from pruneframe.study.folder import RunFolder
from pruneframe.study.plan import plan
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

FILTERS: dict[str, Any] = {"units": "filter"}
LATENCY = FILTERS | {"objectives": ("error", "params", "latency"), "target": "analytic"}
RULES: tuple[dict[str, Any], ...] = ({}, FILTERS, LATENCY, FILTERS | {"budget": 300.0})
SECONDS = ("seconds", "seconds_by_kind", "own_seconds", "processor_seconds", "seconds_in_all", "files")
ATTEMPTS = 6  # kills of one run at most, before it is let live


class Events:
    """Counts what is written in this process, and kills it at the event with number `at`; 0 lets it live."""

    def __init__(self, at: int) -> None:
        self.at, self.number = at, 0

    def pass_by(self, before: Callable[[], object] = lambda: None) -> None:
        """One event; `before` is done where it is the last."""
        self.number += 1
        if self.number == self.at:
            before()
            os.kill(os.getpid(), signal.SIGKILL)

    def listen(self) -> None:
        """Hear of every line of a journal, and of every file."""
        append, replace, fsync, mkstemp = Journal._append, os.replace, os.fsync, tempfile.mkstemp

        def appended(journal: Journal, line: dict[str, Any]) -> None:
            self.pass_by()
            text, _ = sealed(line, journal._seal)
            self.pass_by(lambda: journal._file and journal._file.write(text[: len(text) // 2]))
            append(journal, line)
            self.pass_by()

        def replaced(*arguments: Any) -> None:
            self.pass_by()
            replace(*arguments)
            self.pass_by()

        def synced(handle: int) -> None:
            fsync(handle)
            self.pass_by()

        def made(**given: Any) -> tuple[int, str]:
            found = mkstemp(**given)
            self.pass_by()
            return found

        Journal._append = appended  # type: ignore[method-assign]
        os.replace, os.fsync, tempfile.mkstemp = replaced, synced, made  # type: ignore[assignment]


def doomed(run: Run, study: Path, epochs: int, at: int, counted: Path | None = None) -> None:
    """Carry out a run in this process, as far as it lives."""
    events = Events(at)
    events.listen()
    result = carry_out(run, study, (), epochs)
    if counted is not None:
        counted.write_text(str(events.number))
    sys.exit(0 if result["status"] == "done" else f"{run.method} fails: {result['reason']}")


def phase(folder: RunFolder) -> str:
    """How far a killed run had come."""
    if folder.finished:
        return "fine-tuning" if folder.finetuned() is None else "done"
    kinds = {answer.kind for answer in folder.answers()} if folder.journal.exists() else set()
    return "measuring its front" if "member" in kinds else "searching" if kinds else "beginning"


def differences(one: RunFolder, two: RunFolder) -> list[str]:
    """What two runs do not have in common, or have left behind."""
    found = [f"{folder.path} {folder.damage}" for folder in (one, two) if folder.damage]
    first, second = one.front(), two.front()
    found += [name for name in first if not np.array_equal(first[name], second[name])]
    results = one.result, two.result
    found += [name for name in results[0] if name not in SECONDS and results[0][name] != results[1].get(name)]
    tables = [folder.evaluations().drop(columns=["seconds", "own", "processor"]) for folder in (one, two)]
    found += [] if tables[0].equals(tables[1]) else ["evaluations"]
    tuned = [folder.finetuned() or {} for folder in (one, two)]
    found += [f"tuned {n}" for n in tuned[0] if n != "seconds" and not np.array_equal(tuned[0][n], tuned[1].get(n))]
    kept = set(second["weights"].tolist())
    left = [path.name for path in two.path.rglob("*") if path.name.startswith(".")]
    return found + left + [path.name for path in two.weights.glob("*.safetensors") if path.stem not in kept]


class Killer:
    """Carries out the runs of one method, each in processes of its own, and kills some of them."""

    def __init__(self, run: Run, folder: Path, epochs: int, rng: random.Random) -> None:
        self.run, self.folder, self.epochs, self.rng = run, folder, epochs, rng
        self.processes = multiprocessing.get_context("forkserver")
        counted, start = folder / "events", time.monotonic()
        process = self.start(folder / "undisturbed", 0, counted)
        process.join()
        if process.exitcode:
            raise PruneframeError(f"{run.method} fails undisturbed")
        self.seconds, self.events = time.monotonic() - start, int(counted.read_text())
        self.reference = run.folder(StudyFolder(folder / "undisturbed"))
        self.phases: Counter[str] = Counter()

    def start(self, study: Path, at: int, counted: Path | None = None) -> BaseProcess:
        process = self.processes.Process(target=doomed, args=(self.run, study, self.epochs, at, counted))
        process.start()
        return process

    def kill(self, study: Path) -> bool:
        """Begin or go on, and kill; whether there was still something to be killed."""
        by_event = self.rng.random() < 0.5
        process = self.start(study, self.rng.randint(1, self.events) if by_event else 0)
        process.join(None if by_event else self.rng.uniform(0, self.seconds))
        process.kill()
        process.join()
        killed = process.exitcode == -signal.SIGKILL
        if killed:
            self.phases[phase(self.run.folder(StudyFolder(study)))] += 1
        return killed

    def rerun(self, number: int, most: int) -> tuple[int, list[str]]:
        """Kill a run up to so many times, then let it live; the kills, and what differs from an undisturbed one."""
        study, kills = self.folder / str(number), 0
        while kills < min(most, ATTEMPTS) and self.kill(study):
            kills += 1
        process = self.start(study, 0)
        process.join()
        if process.exitcode:
            return kills, ["it fails"]
        found = self.run.folder(StudyFolder(study))
        carry_out(self.run, study, (), self.epochs)  # what a kill behind the last file has left is swept by the next
        return kills, differences(self.reference, found)


@click.command()
@click.option("--kills", type=click.IntRange(1), default=300, show_default=True, help="Of all methods together.")
@click.option("--methods", multiple=True, help="[default: all that are installed and accept the budget]")
@click.option("--budget", type=float, default=40.0, show_default=True, help="Passes over 100 images.")
@click.option("--finetune", "epochs", type=click.IntRange(0), default=1, show_default=True, help="Epochs; 0 for none.")
@click.option("--seed", default=0, show_default=True, help="Of where they are killed.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(kills: int, methods: tuple[str, ...], budget: float, epochs: int, seed: int, as_json: bool) -> None:
    """Print a row per method: kills, reruns, in which phases it was killed, and how many results differ."""
    registry, rng = Registry(), random.Random(seed)
    chosen = names(methods) or registry.names("method")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pruneframe.study.worker", "sklearn.datasets", "pymoo.algorithms.moo.nsga2"])
    wrong = 0
    for place, method in enumerate(chosen):
        share = kills * (place + 1) // len(chosen) - kills * place // len(chosen)
        try:
            run = _run(registry, method, budget)
            with tempfile.TemporaryDirectory() as folder:
                row = _row(Killer(run, Path(folder), epochs, rng), share)
        except PruneframeError as error:
            row = {"method": method, "skipped": str(error)}
        wrong += len(row.get("differing", []))
        click.echo(json.dumps(row) if as_json else "  ".join(f"{name}: {value}" for name, value in row.items()))
    if not as_json:
        click.echo(f"results that differ: {wrong}")
    sys.exit(1 if wrong else 0)


def _run(registry: Registry, method: str, budget: float) -> Run:
    """Of single weights; where a method declines those of filters, with a latency, or at a larger budget."""
    declined: list[InputError] = []
    for rules in RULES:
        settings = {"budget": budget, "search_images": 100, **rules}
        try:
            [run] = plan(registry, [method], ["lenet-digits"], [0], [0], settings, "cpu", 1, lambda line: None).runs
            return run
        except InputError as error:
            declined.append(error)
    raise declined[0]


def _row(killer: Killer, share: int) -> dict[str, Any]:
    kills, reruns, differing = 0, 0, []
    while kills < share:
        done, found = killer.rerun(reruns, share - kills)
        kills, reruns = kills + done, reruns + 1
        differing += [", ".join(found)] if found else []
    phases = dict(sorted(killer.phases.items()))
    about = {"method": killer.run.method, "events": killer.events, "kills": kills, "reruns": reruns}
    return about | {"phases": phases, "differing": differing}


if __name__ == "__main__":
    main()
