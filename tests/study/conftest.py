"""Studies that tests only read; `small`, of one board, is shared by all tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import study_of

from pruneframe.study.store import StudyFolder

RULES: tuple[dict[str, Any], ...] = (
    {},
    {"budget": 30.0},
    {"units": "filter"},
    {"objectives": ("error", "params", "macs")},
)


@pytest.fixture(scope="session")
def boards(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> StudyFolder:
    """One problem under four sets of rules."""
    folder = tmp_path_factory.mktemp("boards")
    for rules in RULES:
        study = study_of(folder, ["random"], **rules)
    return study
