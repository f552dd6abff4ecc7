"""What commands share that run methods on problems: their options, and what these ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import NothingSelected
from ..files import followed
from ..study.wanted import FIRST, RULES, Wanted, check_used
from . import options
from .options import Command


def where(instances: str, seeds: str | None, otherwise: str = "") -> Callable[[Command], Command]:
    """On which problems, instances and seeds, with the defaults of a command, or what it does `otherwise`."""
    return options.several(
        click.option(
            "--problems",
            multiple=True,
            show_default=f"those of --problem-file, else {FIRST}",
            help="Problems, by name.",
        ),
        click.option(
            "--instances",
            multiple=True,
            default=[instances],
            show_default=True,
            help="Of every problem: 0-4, 1,5,9.",
        ),
        click.option(
            "--seeds",
            multiple=True,
            default=[] if seeds is None else [seeds],
            show_default=otherwise or True,
            help="Independent repetitions: 0-4, 1,5,9.",
        ),
    )


def output(default: str) -> Callable[[Command], Command]:
    """The study's folder."""
    path = click.Path(path_type=Path)
    return click.option("--output", type=path, default=default, show_default=True, help="The study's folder.")


rules = options.several(
    click.option("--budget", type=float, help="Compute per run, in passes: dense forward passes over the search set."),
    click.option("--units", help="What is pruned, e.g. weight or filter; see pruneframe list units."),
    click.option("--batch-norm", type=click.Choice(["frozen", "shifted"]), help="What happens to batch statistics."),
    click.option("--search-images", type=click.IntRange(1), help="Images behind each evaluation."),
    click.option("--objectives", multiple=True, help="What to minimise, e.g. error,params."),
    click.option("--target", metavar="TARGET", help="What latency and memory are measured on, e.g. local-cpu."),
)
machine = options.several(
    click.option(
        "--jobs",
        type=click.IntRange(1),
        help="Runs at the same time [default: one per core; 1 on a GPU, and where latency is measured].",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        help="Threads that torch computes a run with; part of its identity.",
    ),
    click.option("--device", default="cpu", show_default=True, help="cpu, or cuda:0."),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        help="What the search computes in; all that is reported is float32 [default: float32, on a GPU tf32].",
    ),
)


def wanted(methods: Sequence[str], sources: tuple[str, ...], given: dict[str, Any]) -> Wanted:
    """From the values of the options above; raises InputError or NothingSelected for what cannot be meant."""
    from ..spec import names, numbers

    chosen, boards = names(methods), names(given["problems"])
    if not chosen or (given["problems"] and not boards):
        raise NothingSelected("at least one method and one problem must be named; see pruneframe list")
    rules = {name: given[name] for name in RULES}
    rules["objectives"] = tuple(names(given["objectives"])) if given["objectives"] else None
    instances, seeds = (numbers(given[name], name) for name in ("instances", "seeds"))
    sources = resolved(sources)
    registry = options.registry(sources)
    machine = {name: given[name] for name in ("device", "threads", "precision", "jobs")} | {"dask": given.get("dask")}
    boards = boards or registry.declared or [FIRST]
    found = Wanted(registry, sources, chosen, boards, instances, seeds, rules, **machine)
    found.check()
    idle = next((name for name in registry.declared if name not in boards), "")
    check_used({"--problem-file": idle}, f"it declares {idle}, which --problems does not name")
    return found.canonical()


def resolved(sources: Sequence[str]) -> tuple[str, ...]:
    """The values of `-p` as another process understands them: files by their whole path."""
    return tuple(source if source.startswith("no:") else str(followed(source)) for source in sources)
