"""What tests of a search share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pruneframe.engine import Engine
from pruneframe.search.workbench import Workbench


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for every candidate that the engine runs, and for every training."""
    calls: list[str] = []
    logits, train = Engine.logits, Workbench.train

    def counted(self: Engine, *arguments: Any, **more: Any) -> Iterator[Any]:
        for outputs in logits(self, *arguments, **more):
            calls.append("candidate")
            yield outputs

    def noted(self: Workbench, *arguments: Any) -> Any:
        calls.append("training")
        return train(self, *arguments)

    monkeypatch.setattr(Engine, "logits", counted)
    monkeypatch.setattr(Workbench, "train", noted)
    return calls
