"""The page that `bench --html` leaves behind, however its runs have ended."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import METHOD, QUICK, Cli

from pruneframe.comparison import edition, live
from pruneframe.study.store import StudyFolder

REFRESH = re.compile(r'<head>.*<meta http-equiv="refresh" content="(\d+)">.*</head>', re.DOTALL)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One table is drawn; what is asked here is when."""
    monkeypatch.setattr(edition, "specs", lambda registry, chosen: ("results",))


def test_when_all_runs_have_ended_the_page_stays(
    cli: Cli, here: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = []

    def write(study: StudyFolder, *arguments: object) -> None:
        edition.write_meanwhile(study, *arguments)
        meanwhile.append(study.pdf.with_suffix(".html").read_text())

    monkeypatch.setattr(live, "write_meanwhile", write)
    done = cli("bench", "--methods", "magnitude", *QUICK, "--html")
    assert done.code == 0, done.err
    assert "comparison.pdf and " in done.out
    assert meanwhile
    assert all(REFRESH.search(text)[1] == "60" for text in meanwhile)
    text = (here / "pruneframe-study" / "comparison.html").read_text()
    assert not REFRESH.search(text)
    assert "1 of 1 run done" in text


def test_where_all_runs_have_failed_the_page_stays_too(cli: Cli, here: Path, few: None) -> None:
    (here / "own.py").write_text(METHOD.replace("BODY", "1 / 0"))
    assert cli("bench", "-p", "own.py", "--methods", "own", *QUICK, "--html").code == 1
    text = (here / "pruneframe-study" / "comparison.html").read_text()
    assert "none of 1 run done" in text
    assert not REFRESH.search(text)
