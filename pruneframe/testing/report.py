"""The contract of reports: what they draw of two small studies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from ..item import Item, Remark, Table, check_item
from ..report import Report, StudyFacts
from .rule import Case, Contract
from .settings import with_settings
from .small import small_study

STUDIES = (("one",), ("one", "two"))  # the methods of each


@dataclass(frozen=True)
class Drawn:
    """What a report draws of one study; `kept`: whether it left the study's table as it was."""

    study: StudyFacts
    items: list[Item]
    kept: bool


class ReportCase(Case):
    """A report, and what it draws."""

    component: Report

    @cached_property
    def first(self) -> list[Drawn]:
        """Of a study of one method, and of one of two."""
        return [self.draw(methods) for methods in STUDIES]

    def draw(self, methods: Sequence[str]) -> Drawn:
        """Of a study of these methods."""
        table, study = small_study(methods)
        known = table.copy()
        with self.watched():
            items = list(self.component.draw(table, study))
        return Drawn(study, items, table.equals(known))

    @property
    def ids(self) -> list[list[str]]:
        """Of the figures and tables of each study."""
        return [[one.id for one in drawn.items if not isinstance(one, Remark)] for drawn in self.first]


CONTRACT: Contract[ReportCase] = with_settings(Contract[ReportCase]())


@CONTRACT.rule("draws", "yield pf.Figure, pf.Table and pf.Remark; nothing where there is nothing to show", needed=True)
def draws(case: ReportCase) -> str:
    """It draws a study of one method, and one of two: figures, tables and remarks."""
    for drawn in case.first:
        for item in drawn.items:
            try:
                check_item(item, {getattr(item, "board", "")})  # which has a rule of its own
            except (TypeError, ValueError) as error:
                raise AssertionError(str(error)) from error
    return f"{len(case.first[-1].items)} items of two methods"


@CONTRACT.rule("table", "work on a copy of the table")
def leaves_the_table(case: ReportCase) -> None:
    """The study's table stays as it is, others read it too."""
    assert all(drawn.kept for drawn in case.first), "the table must stay as it is, others read it too"


@CONTRACT.rule("ids", "name items as the report, with a number for each board: f'{self.name}-{number}'")
def has_ids_of_its_own(case: ReportCase) -> None:
    """Ids are of letters, digits and dashes, and unique."""
    for ids in case.ids:
        assert all(re.fullmatch(r"[A-Za-z0-9-]+", one) for one in ids), "ids are of letters, digits and dashes"
        assert len(set(ids)) == len(ids), "ids must be unique"


@CONTRACT.rule("captions", "say in a sentence what is shown, of which runs, and how it is computed")
def says_what_is_shown(case: ReportCase) -> None:
    """Every figure and table has a caption."""
    shown = [one for drawn in case.first for one in drawn.items if not isinstance(one, Remark)]
    assert all(one.caption for one in shown), "captions must say what is shown"


@CONTRACT.rule("boards", "give each item the hash of the board that it is about, or none")
def knows_its_boards(case: ReportCase) -> None:
    """A board is one of the study's, or empty."""
    for drawn in case.first:
        known = {"", *(board.hash for board in drawn.study.boards)}
        assert all(item.board in known for item in drawn.items), "a board must be one of the study's, or empty"


@CONTRACT.rule("repeatable", "seed whatever is resampled, by the study's own facts")
def is_repeatable(case: ReportCase) -> None:
    """Drawn again, tables say the same."""
    again = case.draw(STUDIES[-1])
    assert [one.frame.to_csv() for one in tables(again)] == [one.frame.to_csv() for one in tables(case.first[-1])], (
        "drawn again, tables must say the same"
    )


def tables(drawn: Drawn) -> list[Table]:
    """The tables among the items."""
    return [one for one in drawn.items if isinstance(one, Table) and isinstance(one.frame, pd.DataFrame)]


def check_report(report: Report) -> None:
    """Raise AssertionError where a report breaks a rule."""
    CONTRACT.hold(ReportCase(report))
