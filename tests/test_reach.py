"""The benchmark of how many channels can be removed: what it counts as right, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import tiny
import torch
from click.testing import CliRunner
from torch import Tensor, nn

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import reach

    return reach


class Normed(nn.Module):
    """A stream under a layer norm, which torch-pruning cuts into, beside hidden units, which may go."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.into, self.out, self.fc = nn.Linear(8, 12), nn.Linear(12, 8), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32[n, 10]."""
        tokens = self.stem(images).permute(0, 2, 3, 1)
        return self.fc((tokens + self.out(torch.relu(self.into(self.norm(tokens))))).mean((1, 2)))


def test_a_published_network_is_compared_in_a_row(reach: ModuleType) -> None:
    done = CliRunner().invoke(reach.main, ["squeezenet1_1", "--json"])
    assert done.exit_code == 0, done.output
    [row] = [json.loads(line) for line in done.output.splitlines()]
    assert row.pop("reach") > 0.999  # torch has no layer without channels
    assert row == {"network": "squeezenet1_1", "filters": 2944, "notes": [], "offered": 2944, "right": 2944}


def test_what_lies_under_a_layer_norm_is_not_right(reach: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "built", lambda name: Normed().eval())
    row = reach.compared("normed")
    assert (row["filters"], row["offered"], row["right"]) == (12, 20, 12)
    assert row["notes"] == ("8 channels of stem stay: a layer norm averages over them",)


@pytest.mark.parametrize(("note", "code"), [((), 1), (("they stay",), 0)])
def test_fewer_than_what_is_right_must_be_noted(
    reach: ModuleType, monkeypatch: pytest.MonkeyPatch, note: tuple[str, ...], code: int
) -> None:
    row = {"network": "any", "filters": 3, "reach": 0.5, "notes": note, "offered": 5, "right": 4}
    monkeypatch.setattr(reach, "compared", lambda name: row)
    done = CliRunner().invoke(reach.main, ["any"])
    assert done.exit_code == code
    assert ("no note says why: any" in done.output) == (code == 1)


def test_a_convolution_that_loses_whole_groups_counts_what_it_writes(reach: ModuleType) -> None:
    module = nn.Sequential(nn.Conv2d(2, 8, 3), nn.Conv2d(8, 12, 1, groups=4), nn.Flatten(), nn.Linear(192, 3))
    assert reach.offered(tiny.network(module, (2, 6, 6), "filter")) == 8 + 12
    depthwise = nn.Sequential(nn.Conv2d(2, 8, 3), nn.Conv2d(8, 8, 1, groups=8), nn.Flatten(), nn.Linear(128, 3))
    assert reach.offered(tiny.network(depthwise, (2, 6, 6), "filter")) == 8
