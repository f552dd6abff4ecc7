"""Turn over bits of every file of a small study, one at a time, and look what becomes of it.

The study has a run of nsga2 that is finished and trained once more, and one of random that was stopped in the middle.
After each flip everything is read that figures are made of, and the tensors of the front. The flip is

- refused: the study is none any more, or the tensors are;
- named: its run is left out and said to be damaged, and the other run is told as before;
- without effect: all is told as before.

Anything else is a number that changed silently. With `--all` a bit of every byte is turned over, of files from which
anything is read; whether the other run is told as before is then looked at for a sample. Of the flips that are named,
`--mended` per file are mended by carrying the run out again, and all must then be told as before, but for seconds.

    python benchmarks/flip_test.py --all

It exits with 1 where anything differs.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
from kill_test import differences

from pruneframe.errors import PruneframeError
from pruneframe.registry import Registry
from pruneframe.search.journal import Journal
from pruneframe.search.shelf import Shelf
from pruneframe.study.facts import facts, summaries
from pruneframe.study.folder import RunFolder
from pruneframe.study.plan import plan
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table
from pruneframe.study.worker import carry_out

STOPPED = 12  # answers of the run that was stopped
OUTCOMES = ("refused", "named", "without effect", "DIFFERENT")
FREE = ("lock", "log.txt")  # of which no figure is made


class Stopped(BaseException):
    """As if the process had been killed."""


def stop(run: Run, study: Path) -> None:
    """Carry out the beginning of a run."""
    write = Journal.write

    def written(journal: Journal, *arguments: Any) -> Any:
        answer = write(journal, *arguments)
        if answer.number == STOPPED:
            raise Stopped
        return answer

    Journal.write = written  # type: ignore[method-assign]
    try:
        carry_out(run, study, ())
    except Stopped:
        pass
    finally:
        Journal.write = write  # type: ignore[method-assign]


def made(folder: Path) -> tuple[StudyFolder, list[Run]]:
    """The small study, and its runs."""
    study, registry, runs = StudyFolder(folder / "study"), Registry(), []
    study.prepare({"methods": ["nsga2", "random"]}, {"pruneframe": "0"})
    for method in ("nsga2", "random"):
        settings = {"budget": 20.0, "search_images": 100}
        runs += plan(registry, [method], ["lenet-digits"], [0], [0], settings, "cpu", 1, lambda line: None).runs
    assert carry_out(runs[0], study.path, (), 1)["status"] == "done"
    stop(runs[1], study.path)
    return study, runs


def told(study: StudyFolder) -> dict[str, str]:
    """All that is told of a study, by run."""
    known = facts(study)
    table = long_table(study).groupby("method")
    rows = {str(method): part.dropna(axis=1, how="all").to_csv(index=False) for method, part in table}
    told = {run.method: json.dumps(run.json(), default=str) + rows.get(run.method, "") for run in summaries(study)}
    return told | {f"board {board.hash}": f"{board.label} {board.rules}" for board in known.boards}


def tensors(study: StudyFolder) -> list[str]:
    """The names of all tensors that fronts have, which are read."""
    found: list[str] = []
    for folder in (folder for folder in study.runs() if folder.finished):
        shelf = Shelf(folder.weights)
        found += [name for name in folder.front(["weights"])["weights"].tolist() if name != "dense" and shelf.get(name)]
    return found


def outcome(study: StudyFolder, file: Path, before: dict[str, str], kept: list[str], closely: bool) -> str:
    """What has become of a study of which one file was changed; `closely`: also of its other run."""
    try:
        opened = StudyFolder.existing(study.path)
        if file.suffix == ".safetensors":
            tensors(opened)
        damages = opened.damages
        if damages and any(str(file) in damage for damage in damages):
            alone = len(damages) == len(list(opened.runs())) == 1
            return "named" if alone and (not closely or told(opened).items() < before.items()) else "DIFFERENT"
        return "without effect" if (told(opened), tensors(opened)) == (before, kept) else "DIFFERENT"
    except PruneframeError:
        return "refused"


def turned(content: bytes, place: int) -> bytes:
    """With one bit turned over."""
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def mended(run: Run, reference: RunFolder, study: StudyFolder) -> bool:
    """Whether the run, carried out again, is what it was; one that was stopped is carried out there as well."""
    result = carry_out(run, study.path, (), 1)
    return result["status"] == "done" and not differences(reference, run.folder(study))


@click.command()
@click.option("--all", "everything", is_flag=True, help="A bit of every byte that is read, in place of a sample.")
@click.option("--sample", type=click.IntRange(1), default=40, show_default=True, help="Bytes per file.")
@click.option("--mended", "most", type=click.IntRange(0), default=2, show_default=True, help="Flips mended per file.")
@click.option("--seed", default=0, show_default=True, help="Of which bits are turned over.")
@click.option("--json", "as_json", is_flag=True, help="One object per line in place of the table.")
def main(everything: bool, sample: int, most: int, seed: int, as_json: bool) -> None:
    """Print a row per file: its bytes, flips, and what became of them."""
    rng, total = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        study, runs = made(Path(name))
        before, kept = told(study), tensors(study)
        whole = StudyFolder(Path(shutil.copytree(study.path, Path(name) / "whole")))
        for run in runs:
            assert carry_out(run, whole.path, (), 1)["status"] == "done"
        files = [path for path in sorted(study.path.rglob("*")) if path.is_file() and path.name not in FREE]
        for file in files:
            content, found = file.read_bytes(), Counter[str]()
            size = len(content)
            some = range(size) if size <= sample else sorted(rng.sample(range(size), sample))
            rest: set[int] = set()
            for place in some:
                file.write_bytes(turned(content, 8 * place + rng.randrange(8)))
                found[outcome(study, file, before, kept, True)] += 1
            if everything and {*found} != {"without effect"}:  # else nothing is read from it
                rest = {*range(size)} - {*some}
            for place in rest:
                file.write_bytes(turned(content, 8 * place + rng.randrange(8)))
                found[outcome(study, file, before, kept, False)] += 1
            file.write_bytes(content)
            owner = next((run for run in runs if file.is_relative_to(run.folder(study).path)), None)
            for number in range(most if owner and (found["named"] or file.suffix == ".safetensors") else 0):
                copy = StudyFolder(Path(shutil.copytree(study.path, Path(name) / f"{file.name}-{number}")))
                changed = copy.path / file.relative_to(study.path)
                changed.write_bytes(turned(content, rng.randrange(8 * size)))
                assert owner is not None
                found["mended" if mended(owner, owner.folder(whole), copy) else "DIFFERENT"] += 1
                shutil.rmtree(copy.path)
            total += found
            row = {
                "file": file.relative_to(study.path).as_posix(),
                "bytes": size,
                "flips": len(some) + len(rest),
            } | dict(found)
            click.echo(json.dumps(row) if as_json else "  ".join(f"{name}: {value}" for name, value in row.items()))
    if not as_json:
        click.echo("in all  " + "  ".join(f"{name}: {total[name]}" for name in (*OUTCOMES, "mended")))
    sys.exit(1 if total["DIFFERENT"] else 0)


if __name__ == "__main__":
    main()
