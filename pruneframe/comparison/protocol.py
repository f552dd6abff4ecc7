"""The method section of a comparison, written from the studies themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ..front import FRONT_LIMIT, REGION_MARGIN
from ..report import Board, RunSummary, StudyFacts, place
from ..spec import ranges, without_machine
from .effort import counted, extent, settings
from .nested import RESAMPLES
from .statistics import SIGNIFICANT
from .verdicts import chosen

HARDWARE = ("platform", "machine", "processor", "gpu", "bfloat16", "cores")  # what an anonymous comparison leaves out


@dataclass(frozen=True)
class Paragraph:
    """Some sentences under a heading."""

    heading: str
    text: str


def protocol(study: StudyFacts, anonymous: bool) -> Iterator[Paragraph]:
    """How the figures came about: rules, images, compute, indicators, tests, methods, versions, and what is missing."""
    yield Paragraph("Runs", _runs(study))
    for board in study.boards:
        yield Paragraph(board.label, _rules(board, study, anonymous))
    yield Paragraph("Verified", _verified(study))
    yield Paragraph("Settings", settings(study))
    yield Paragraph("Compute", _compute(study))
    yield Paragraph("Images", _images(study))
    yield Paragraph("Indicators", _indicators())
    yield Paragraph("Tests", _tests(study))
    for method, text in sorted(study.provenance.items()):
        yield Paragraph(method, text or "It says nothing about where it comes from.")
    yield Paragraph("Computed with", _versions(study, anonymous))
    if not anonymous:
        yield Paragraph("Plugins", _plugins(study))
    absent = [_absent(run, study, anonymous) for run in study.runs if not run.done]
    if absent:
        yield Paragraph("Not in any figure", " ".join(absent))


def _runs(study: StudyFacts) -> str:
    done = [run for run in study.runs if run.done]
    seeds = sorted({run.seed for run in done})
    instances = {run.instance for run in done}
    several = "" if instances <= {0} else f"instances {ranges(instances)}, "
    one = "a problem" if instances <= {0} else "one instance of a problem"
    own = "problem" if instances <= {0} else "problem, instance"
    return (
        f"{len(done)} of {counted(len(study.runs), 'run')} done: {counted(len(study.methods), 'method')} on "
        f"{extent(study)}, {several}seeds {', '.join(map(str, seeds))}. A "
        f"run is a method with its settings on {one} with one seed; per {own} and seed all methods get the same stream "
        "of random numbers."
    )


def _verified(study: StudyFacts) -> str:
    """How many runs have come out the same once more."""
    done = [run for run in study.runs if run.done]
    stamped = [run for run in done if run.verified]
    if not stamped:
        return "No run was carried out once more, which pruneframe verify does."
    which = f"All {len(done)}" if len(stamped) == len(done) else f"{len(stamped)} of {len(done)}"
    return (
        f"{which} runs were carried out once more on what their journals hold, their final fronts were measured anew, "
        "and all figures came out as they were written (pruneframe verify)."
    )


def _rules(board: Board, study: StudyFacts, anonymous: bool) -> str:
    rules = board.rules
    target = rules.get("target_identity", "")
    images = rules.get("images") or {}
    counts = ", ".join(f"{count} {name}" for name, count in images.items())
    parts = [
        board.source and f"{board.source}.",
        _instances(board),
        f"Objectives: {', '.join(board.objectives)}; of {board.unpruned}: {_values(board)}.",
        rules
        and f"Units: single {rules['units']}s; batch norm {rules['batch_norm']}; searched in {rules['precision']} on "
        f"{rules['device']} with {counted(rules['threads'], 'thread')}.",
        f"Images: {counts}." if counts else rules and f"Images: {rules['search_images']} search.",
        f"Budget: {board.budget:g} passes for each of {counted(len(study.done(board)), 'run')}.",
        f"Latency and memory as {without_machine(target) if anonymous else target}." if target else "",
    ]
    return " ".join(part for part in parts if part)


def _instances(board: Board) -> str:
    """Which there are and in what they differ; nothing where there is only the first."""
    numbers = [one.number for one in board.instances]
    if numbers == [0]:
        return ""
    if len(numbers) == 1:
        return f"Instance {numbers[0]}."
    return f"Instances {ranges(numbers)}, which differ in {' and '.join(board.varies)}."


def _values(board: Board) -> str:
    """The unpruned network's own objectives, on test."""
    quantities = board.quantities or ("",) * len(board.objectives)
    found = zip(board.objectives, board.dense_test, quantities, strict=True)
    return ", ".join(
        f"error {100 * value:.2f} %" if name == "error" else f"{name} {value:,.6g} {quantity}".rstrip()
        for name, value, quantity in found
    )


def _compute(study: StudyFacts) -> str:
    left = [run for run in study.runs if run.done and run.passes_spent < 0.99 * run.budget]
    early = f" {counted(len(left), 'run')} stopped before 99 % of the budget were spent." if left else ""
    seconds = sum(run.seconds for run in study.runs if run.done)
    extra = sum(run.finetuning_passes for run in study.runs)
    tuned = f" The common fine-tuning took {extra:.0f} passes beside it." if extra else ""
    return (
        "All methods that are compared had the same budget; one pass is one dense forward pass over the search set, "
        "and every evaluation, score and training step was charged, a backward pass as two forward ones, whatever the "
        f"mask. The answers to all searches took {_lasting(seconds)}.{early}{tuned}"
    )


def _lasting(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    if seconds < 100:
        return counted(round(seconds), "second")
    return counted(round(seconds / 60), "minute") if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def _images(study: StudyFacts) -> str:
    done = [run for run in study.runs if run.done]
    looks = sum(run.front_size for run in done)
    again = sum(run.front_size for run in done if run.finetuned)
    tuned = f" Each of {again} members was measured once more after the common fine-tuning." if again else ""
    return (
        "The networks were never trained on the search images, and the search never saw a test image. Each member of a "
        f"final front, thinned to at most {FRONT_LIMIT} members, was measured on the test split once, "
        f"{counted(looks, 'look')} in all.{tuned} Nothing was chosen by its test error. Whatever a search computed "
        "in, its final front and the unpruned network were measured in float32, on all images of both splits."
    )


def _indicators() -> str:
    return (
        "Objectives are divided by the unpruned network's value, error and distortion by guessing's; the hypervolume's "
        f"reference point is 1 in every objective and the ideal 0. The region's hypervolume divides the error by (the "
        f"unpruned network's + {REGION_MARGIN:g}). HV log has sizes on a log scale, on which 1 % and less is 0. A "
        "member is sure to lose at most so many points where the 90 % bound of its loss on the search images is no "
        "larger, one-sided by the score test of paired proportions (Tango)."
    )


def _tests(study: StudyFacts) -> str:
    return (
        f"{chosen(study, study.methods)} Runs are nested, seeds within instances. Methods that share several "
        "instances are compared by the means over seeds on each: Wilcoxon's signed ranks, exact; the interval of "
        "the difference by hierarchical bootstrap over instances, seeds and test images. On one instance seeds are "
        "independent repetitions: Mann-Whitney tests, signed ranks against a method that gives the same for every "
        "seed; the interval by bootstrap over seeds. All tests are two-sided and corrected by Holm, those of one "
        f"indicator on one problem together; A12 by Vargha and Delaney; percentile bootstrap with {RESAMPLES} "
        "resamples. Nothing is claimed where the smallest p that so many instances or seeds allow exceeds "
        f"{SIGNIFICANT}, nor between runs of other budgets, rules or versions."
    )


def environments(study: StudyFacts) -> list[dict[str, Any]]:
    """The distinct versions and machines that finished runs were computed with."""
    found = {str(run.environment): run.environment for run in study.runs if run.environment}
    return list(found.values())


def _versions(study: StudyFacts, anonymous: bool) -> str:
    told = [
        ", ".join(f"{name} {value}" for name, value in one.items() if not (anonymous and name in HARDWARE))
        for one in environments(study)
    ]
    return "; or with ".join(dict.fromkeys(told)) + "."


def _plugins(study: StudyFacts) -> str:
    """The distributions and files that the runs' components come from."""
    found = {f"{PurePath(name).name} {version}" for run in study.runs for name, version in run.plugins}
    return ", ".join(sorted(found)) + "." if found else "Not told."


def _absent(run: RunSummary, study: StudyFacts, anonymous: bool) -> str:
    reason = f" ({run.reason})" if run.reason and not anonymous else ""
    return f"{run.method} on {place(run, study.runs)}: {run.status}{reason}."
