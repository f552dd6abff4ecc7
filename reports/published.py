"""What the papers of the methods report, beside what was measured here."""

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
                "method": method,
                "paper": claim.paper,
                "reports": claim.text,
                "protocol": claim.protocol,
            }
            for method, claims in sorted(study.claims.items())
            for claim in claims
        ]
        if rows:
            caption = (
                "Published results of these methods, or on these problems. Not measured here, different protocols."
            )
            yield pf.Table("published", caption, pd.DataFrame(rows), methods=())


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [PublishedResults]
