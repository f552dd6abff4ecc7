"""`pruneframe bench` as a call."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ..comparison.conduct import Conduct
from ..comparison.edition import write_meanwhile
from ..comparison.live import with_page
from ..configuration.tuned import with_settings
from ..engine import Precision
from ..errors import NothingSelected, RunsFailed
from ..files import followed
from ..problem import Problem
from ..study.machine import prepared
from ..study.store import StudyFolder
from ..study.table import long_table
from ..study.terms import Terms
from ..study.wanted import FIRST, Wanted
from .prompt import Named, Plugin, integers, registry_of, showing, sources_of, specs


def bench(
    methods: Named,
    problems: Named = FIRST,
    seeds: int | str | Iterable[int] = (),
    *,
    instances: int | str | Iterable[int] = 0,
    budget: float | None = None,
    units: str | None = None,
    batch_norm: str | None = None,
    search_images: int | None = None,
    objectives: Named = (),
    target: str | None = None,
    output: str | Path = "pruneframe-study",
    control: str | None = None,
    finetune: int = 0,
    timeout: float | None = None,
    retries: int = 0,
    settings: str | Path | None = None,
    html: bool = False,
    force: bool = False,
    jobs: int | None = None,
    dask: str | None = None,
    threads: int = 1,
    device: str = "cpu",
    precision: Precision | None = None,
    plugins: Iterable[Plugin] = (),
    progress: bool | None = None,
) -> pd.DataFrame:
    """Compare methods on problems, as the command of this name: only what is missing in `output` is carried out.

    `methods` and `problems` are specs, or objects, one or several; a problem that is an object is carried out in this
    process. Without `seeds` there are as many as allow a claim. `settings` is a file that `pruneframe tune` wrote.
    With `html` the study has a page, comparison.html, which is written anew every minute while runs go on. Everything
    else is as the command's options. Returns the long table of the whole study, see `Report`; what else there is to it
    `pf.load(output)` has. Raises InputError for what cannot be meant, Declined where no method will run, and
    RunsFailed, when all runs have ended, where some have failed.
    """
    sources = sources_of([*plugins, *_objects(problems)])
    registry, (say, watching) = registry_of(sources), showing(progress)
    chosen, boards = specs(methods), _named(problems)
    if not chosen or not boards:
        raise NothingSelected("at least one method and one problem must be named; see pruneframe list")
    rules: dict[str, Any] = {"budget": budget, "units": units, "batch_norm": batch_norm, "target": target}
    rules |= {"search_images": search_images, "objectives": tuple(specs(objectives)) or None}
    numbered = integers(instances, "instances"), integers(seeds, "seeds")
    wanted = Wanted(registry, sources, chosen, boards, *numbered, rules, device, threads, precision, jobs, dask)
    wanted.check()
    wanted = wanted.canonical()
    if settings is not None:
        wanted, control = with_settings(wanted, Path(settings), control, say)
    study = StudyFolder(followed(output))
    with prepared(threads):
        conduct = Conduct.of(wanted, study, control, say, Terms(finetune, timeout, retries))
        for line in conduct.planned.declined:
            warnings.warn(f"skipped: {line}", stacklevel=2)
        failures = conduct.carry_out(say, with_page(registry, watching) if html else watching, force)
    if html:
        write_meanwhile(study, registry, None, lambda line: warnings.warn(line, stacklevel=2))
    if failures:
        raise RunsFailed(f"{'; '.join(failures)}; pf.load({str(output)!r}) has the others")
    return long_table(study)


def _objects(problems: Named) -> list[Problem]:
    """The problems that are objects."""
    several = [problems] if isinstance(problems, str | Problem) else problems
    return [one for one in several if isinstance(one, Problem)]


def _named(problems: Named) -> list[str]:
    """All of them by name."""
    several = [problems] if isinstance(problems, str | Problem) else problems
    return specs([one.name if isinstance(one, Problem) else one for one in several])
