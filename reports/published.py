"""What papers report of these methods, or of these networks and data, beside what was measured here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

import pruneframe as pf


@dataclass(frozen=True, repr=False)
class PublishedResults(pf.Report):
    """The papers' headline numbers as cited rows; never compared by a test."""

    name = "published"
    place = 80

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Table]:
        rows = [
            {
                "method": claim.method,
                "paper": claim.paper,
                "reports": claim.text,
                "protocol": claim.protocol,
                "read in": claim.read,
            }
            for claim in sorted(study.claims, key=lambda claim: claim.method.lower())
        ]
        if rows:
            caption = (
                "Published results of these methods, or on these networks and data. Not measured here, different "
                "protocols; the last column says what of each paper was read."
            )
            yield pf.Table("published", caption, pd.DataFrame(rows), methods=())


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [PublishedResults]
