"""A model card: where exported networks came from, what they do, and how to load them, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..problem import LoadedProblem
from ..study.folder import RunFolder
from ..study.machine import environment
from . import formats
from .exported import Exported, Measures


def card(exported: Sequence[Exported], folder: RunFolder, loaded: LoadedProblem) -> str:
    """The card of one file, or of several members of one run, in which each has a row."""
    identity, result, first = folder.identity, folder.result, exported[0]
    problem, data, here = loaded.problem, loaded.data, environment()
    shape = ", ".join(map(str, data.input_shape))
    lines = [
        f"# {problem.called}, pruned by {identity['method']}",
        "",
        f"{problem.summary or problem.name}; units: {identity['units']}. The files hold the network {first.holds}.",
        "",
        "| file | parameters | multiply-adds | bytes | ms an image | search error | test error |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        _row("unpruned", first.dense, result["dense_error"], result["dense_test_error"]),
        *(_row(one.file, one.pruned, one.search_error, one.test_error) for one in exported),
        "",
        "Parameters and multiply-adds are those that remain. Times are medians of one image on one thread: "
        f"{first.target}, {here['machine']}. No member was chosen by its test error. Each file was read back by a "
        f"fresh process, which predicted the member's classes on all {first.images} search images.",
        "",
        "## How to load it",
        "",
        "```python",
        formats.of(Path(first.file).suffix).loading.format(file=first.file),
        "```",
        "",
        f"`images` are [n, {shape}], less the mean {data.mean}, divided by the deviation {data.std} of each channel.",
        "",
        "## Where it comes from",
        "",
        f"- problem: {problem.called}, fingerprint {identity['fingerprint']}",
        f"- source: {problem.source or 'the problem names none'}",
        f"- method: {identity['method']}, seed {identity['seed']}, {identity['budget']:g} passes",
        f"- run: {identity['hash']}",
        f"- objectives: {', '.join(identity['objectives'])}; batch norm: {identity['batch_norm']}",
        f"- written by pruneframe {here['pruneframe']} and torch {here['torch']}",
        *(f"- SHA-256 of {one.file}: {one.sha256}" for one in exported),
    ]
    if problem.bibtex:
        lines += ["", "```bibtex", problem.bibtex.strip(), "```"]
    return "\n".join(lines) + "\n"


def _row(name: str, taken: Measures, search_error: float, test_error: float) -> str:
    cells = [name, f"{taken.params:,}", f"{taken.macs:,}", f"{taken.bytes:,}", f"{1e3 * taken.seconds:.3g}"]
    return f"| {' | '.join([*cells, f'{100 * search_error:.2f} %', f'{100 * test_error:.2f} %'])} |"
