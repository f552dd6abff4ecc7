"""The page of a study while its runs go on: written every minute, and read again by a browser until nothing changes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny import registry

from pruneframe.comparison import edition, live
from pruneframe.study.run import Run
from pruneframe.study.store import StudyFolder

REFRESH = re.compile(r'<head>.*<meta http-equiv="refresh" content="(\d+)">.*</head>', re.DOTALL)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One table is drawn; what is asked here is when."""
    monkeypatch.setattr(edition, "specs", lambda registry, chosen: ("results",))


def test_it_is_written_every_minute_and_less_often_where_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now, written, told = [100.0], [], []
    takes = {100.0: 1.0, 161.0: 20.0}

    def write(study: object, registry: object, refresh: int) -> None:
        written.append(now[0])
        now[0] += takes.get(now[0], 1.0)

    @contextmanager
    def watching(study: StudyFolder, runs: Sequence[Run]) -> Iterator[Callable[[dict[Run, str]], None]]:
        yield told.append

    monkeypatch.setattr(live, "write_meanwhile", write)
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    with live.with_page(registry(), watching)(StudyFolder(Path()), []) as watch:
        for second in (100, 130, 160, 161, 200, 380, 381, 400):
            now[0] = max(now[0], float(second))
            watch({})
    assert written == [100, 161, 381]
    assert len(told) == 8


def test_a_begun_study_has_a_page_that_is_read_again(small: StudyFolder, few: None, tmp_path: Path) -> None:
    empty = StudyFolder(tmp_path / "empty")
    empty.prepare({}, {})
    edition.write_meanwhile(empty, registry(), 60)
    text = (empty.path / "comparison.html").read_text()
    assert REFRESH.search(text)[1] == "60"
    assert "none of 0 runs done" in text
    copy = StudyFolder(Path(shutil.copytree(small.path, tmp_path / "copy")))
    edition.write_meanwhile(copy, registry(), 7)
    text = (copy.path / "comparison.html").read_text()
    assert REFRESH.search(text)[1] == "7"
    assert "6 of 6 runs done" in text
    edition.write_meanwhile(copy, registry(), None)
    assert not REFRESH.search((copy.path / "comparison.html").read_text())
