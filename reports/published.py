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
                "method": method.partition("[")[0],
                "paper": claim.paper,
                "reports": claim.text,
                "protocol": claim.protocol,
            }
            for method, claims in sorted(study.claims.items())
            for claim in claims
        ]
        if rows:
            frame = pd.DataFrame(rows).drop_duplicates()
            yield pf.Table("published", "Published results. Not measured here, different protocols.", frame)


@pf.hookimpl
def pruneframe_reports() -> Sequence[type[pf.Report]]:
    return [PublishedResults]
