"""The literature's numbers: every row whole, said where it was read, and told to the studies that it concerns."""

from __future__ import annotations

import csv
import re
from importlib.resources import files

import pytest

from pruneframe.comparison.literature import RETRAINED, about, literature
from pruneframe.component import Claim

TABLE = (files("pruneframe.comparison") / "literature.csv").read_text(encoding="utf-8")
ROWS = list(csv.DictReader(TABLE.splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['method']} {row['network']}")
def test_a_row_says_what_was_read_and_where(row: dict[str, str]) -> None:
    assert all(row[name] for name in ("method", "paper", "source", "text"))
    assert re.match(r"abstract|table|summary", row["read"])
    assert re.fullmatch(r"[\w.-]+\.\w+(/\S*)?", row["page"]), "an address without its scheme"
    assert row["retrained"] in RETRAINED
    assert all(0 < float(row[name]) < 1 for name in ("removed", "removed_macs") if row[name])
    assert all(re.fullmatch(r"[a-z0-9]+-[a-z0-9]+", name) for name in row["problems"].split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['method']} {row['network']}")
def test_numbers_are_those_that_the_text_says(row: dict[str, str]) -> None:
    said = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", row["text"])]
    said += [part / whole for part in said for whole in said]  # "6.7 of 61 million are left"
    said += [0.5] * ("half" in row["text"])
    shares = [*said, *(1 - one for one in said), *(one / 100 for one in said), *(1 - one / 100 for one in said)]
    shares += [1 - 1 / one for one in said if one > 1]
    for name in ("removed", "removed_macs"):
        assert not row[name] or min(abs(float(row[name]) - one) for one in shares) < 1e-4
    if row["drop"]:
        assert abs(float(row["drop"])) in said or (float(row["drop"]) == 0 and "without" in row["text"])


def test_a_claim_carries_what_its_row_says() -> None:
    hrank = next(claim for claim in literature() if claim.method == "HRank")
    assert hrank.paper == "Lin et al., 2020 (doi 10.1109/CVPR42600.2020.00160)"
    assert hrank.protocol == "ResNet-110 on CIFAR-10, filters, retraining not mentioned"
    assert (hrank.removed, hrank.removed_macs, hrank.drop) == (0.592, 0.582, 0.14)
    assert (hrank.problems, hrank.read) == (("resnet110-cifar10",), "abstract")


def test_studies_are_told_what_concerns_their_methods_or_problems() -> None:
    claims = [Claim("A", "a", "", ("x",), method="one"), Claim("B", "b", "", ("y",), method="two")]
    claims += [Claim("C", "c", "", (), method="three"), claims[0]]
    assert [claim.paper for claim in about(claims, ["three"], ["x"])] == ["A", "C"]
    assert about(claims, [], []) == ()
