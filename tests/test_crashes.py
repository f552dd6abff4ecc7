"""Short forms of the programs that kill runs and damage studies: nothing may come out differently."""

from __future__ import annotations

from collections import Counter

import pytest
from test_benchmarks import printed


def test_killed_runs_end_as_undisturbed_ones() -> None:
    (found,) = printed("kill_test.py", "--kills", "3", "--methods", "random", "--budget", "8")
    assert found["kills"] == sum(found["phases"].values()) == 3
    assert found["differing"] == []


@pytest.mark.slow("minutes")
def test_killed_runs_of_all_methods_end_as_undisturbed_ones() -> None:
    found = printed("kill_test.py", "--kills", "40")
    assert sum(row.get("kills", 0) for row in found) >= 30
    assert not any(row.get("differing") for row in found)


def test_no_flip_changes_a_number_silently() -> None:
    rows = printed("flip_test.py", "--sample", "3", "--mended", "1")
    outcomes: Counter[str] = Counter()
    for row in rows:
        outcomes += Counter({name: n for name, n in row.items() if name not in ("file", "bytes", "flips")})
    assert outcomes["DIFFERENT"] == 0
    assert min(outcomes[name] for name in ("refused", "named", "without effect", "mended")) >= 3
