"""An edition of a comparison: which reports it has and how it is printed; written as a PDF, its parts and a page."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Faulty, InputError, NothingSelected
from ..files import read_plain, sweep
from ..spec import meant, names, parse_spec
from ..study.wanted import Say

if TYPE_CHECKING:  # these take matplotlib along, which a comparison that still stands does not need
    from ..component import Claim
    from ..registry import Registry
    from ..report import StudyFacts
    from ..study.store import StudyFolder
    from .document import Comparison


def unheard(line: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Edition:
    """How a comparison is drawn and printed: by which reports, as specs, and as `pruneframe report` says."""

    reports: tuple[str, ...]
    control: str | None = None
    highlight: str | None = None
    paper: str = "a4"
    anonymous: bool = False
    template: Path | None = None
    html: bool = False

    @property
    def text(self) -> str:
        """All of it, the template with what it says."""
        return repr(self) + (read_plain(self.template).decode(errors="replace") if self.template else "")


def specs(registry: Registry, chosen: Sequence[str]) -> tuple[str, ...]:
    """The reports that are asked for, or all; raises InputError for one that there is not."""
    specs = names(chosen) or registry.names("report")
    for spec in specs:
        registry.check("report", spec)
    return tuple(specs)


def write(
    studies: Sequence[StudyFolder], registry: Registry, output: Path, edition: Edition, warn: Say
) -> tuple[list[Path], list[str]]:
    """Typeset the comparison, and write its parts beside it; returns what lies there then, and reports' complaints.

    What has been made of the same, and is still as it was written, is left as it is. `warn` is told each complaint at
    once.
    """
    from .receipt import NAME, Receipt, made_of, stands

    parts = output.with_name(f"{output.stem}-parts")
    if parts.is_symlink():
        raise InputError(f"{parts} must be a folder of its own, but is a symbolic link; remove it")
    for folder in (output.parent, parts):
        sweep(folder)
    wanted = [output, parts, *([output.with_suffix(".html")] if edition.html else [])]
    plugins = sorted(f"{plugin.distribution} {plugin.name} {plugin.stamp}" for plugin in registry.plugins)
    date = os.environ.get("SOURCE_DATE_EPOCH", "")
    digest = made_of(*(study.digest for study in studies), *plugins, date, edition.text)
    whole = [path for path in wanted if path != parts]
    if stands(parts, digest, whole):
        return wanted, []
    try:
        files, complaints = _made(studies, registry, output, edition, parts, warn)
        if complaints:  # are told again next time
            (parts / NAME).unlink(missing_ok=True)
        else:
            Receipt.of(digest, parts, [*whole, *files]).write(parts)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another place with -o") from error
    return wanted, complaints


def _made(
    studies: Sequence[StudyFolder], registry: Registry, output: Path, edition: Edition, parts: Path, warn: Say
) -> tuple[list[Path], list[str]]:
    """Write the comparison; returns the files of its parts, and what reports that failed have to say."""
    from ..study.table import long_table
    from .document import close, typeset, write_parts
    from .page import write_page

    known, table = told(studies, registry, edition), long_table(*studies)
    comparison, complaints = composed(studies, registry, table, known, edition, warn)
    try:
        typeset(comparison, output, edition.paper, edition.template)
        files = write_parts(comparison, parts)
        if edition.html:
            write_page(comparison, known, table, output.with_suffix(".html"), edition.anonymous)
    finally:
        close(comparison)
    return files, complaints


def write_meanwhile(study: StudyFolder, registry: Registry, refresh: int | None, warn: Say = unheard) -> None:
    """Write the page of a study that is under way, which a browser reads again after so many seconds, or never."""
    from ..study.facts import facts
    from ..study.table import long_table
    from .document import close, unfinished
    from .page import write_page

    edition, table = Edition(specs(registry, ())), long_table(study)
    try:
        known = told([study], registry, edition)
    except NothingSelected:
        known = facts(study)
        comparison = unfinished(known)
    else:
        comparison, _ = composed([study], registry, table, known, edition, warn)
    write_page(comparison, known, table, study.pdf.with_suffix(".html"), refresh=refresh)
    close(comparison)


def told(studies: Sequence[StudyFolder], registry: Registry, edition: Edition) -> StudyFacts:
    """What reports are told, with what papers claim of its methods, or of its problems.

    Raises NothingSelected where no run has reached anything.
    """
    from ..study.facts import facts
    from .literature import about, literature

    known = facts(*studies)
    if not known.boards:
        lacking = "run that reached anything" if any(run.status == "empty" for run in known.runs) else "finished run"
        raise NothingSelected(f"{studies[0].path} has no {lacking} yet; run bench first, or with a larger --budget")
    highlight = None if edition.highlight is None else meant("method", edition.highlight, known.methods)
    own, problems = {_base(method) for method in known.methods}, {board.problem for board in known.boards}
    claims = about((*literature(), *_own(registry)), own, problems)
    return replace(known.beside(edition.control), claims=claims, highlight=highlight)


def _own(registry: Registry) -> Iterator[Claim]:
    """What methods say themselves that their papers report."""
    for name in registry.names("method"):
        yield from (replace(claim, method=name) for claim in registry.described("method", name)[0].claims)


def _base(method: str) -> str:
    """The name of a method without its settings and versions."""
    return method.partition(" (")[0].partition("[")[0]


def _bibtex(registry: Registry, study: StudyFacts) -> str:
    """The entries of all methods, problems and claims of a study, each once."""
    methods = {_base(method) for method in study.methods} | {claim.method for claim in study.claims}
    named = [("method", name) for name in methods]
    named += [("problem", board.problem) for board in study.boards]
    texts = [registry.described(kind, name)[0].bibtex for kind, name in named if name in registry.names(kind)]
    entries = {inspect.cleandoc(entry) for text in texts for entry in re.findall(r"^ *@.*?^ *}$", text, re.M | re.S)}
    return "".join(f"{entry}\n\n" for entry in sorted(entries))


def composed(
    studies: Sequence[StudyFolder], registry: Registry, table: Any, known: StudyFacts, edition: Edition, warn: Say
) -> tuple[Comparison, list[str]]:
    """The comparison, and what reports that fail have to say, which is also told at once."""
    from ..report import Report
    from .document import compose

    complaints: list[str] = []

    def complain(fault: Faulty) -> None:
        plugin = registry.described("report", parse_spec(fault.spec)[0])[1]
        complaints.append(plugin.signed(str(fault)))
        warn(complaints[-1])

    reports = [registry.component(Report, spec) for spec in edition.reports]
    settings, bibtex = [study.settings for study in studies], _bibtex(registry, known)
    return compose(reports, table, known, settings, complain, edition.anonymous, bibtex), complaints
