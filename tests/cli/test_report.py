"""`pruneframe report`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import Cli, files, loaded_by, run_command
from strangers import HEADER

from pruneframe.study.store import StudyFolder

BROKEN = (
    HEADER
    + '''
@dataclass(frozen=True, repr=False)
class Broken(pf.Report):
    """Fails."""
    name = "broken"
    def draw(self, table, study):
        raise RuntimeError("on purpose")
@pf.hookimpl
def pruneframe_reports():
    return [Broken]
'''
)


def test_report_is_written_where_it_is_wanted(cli: Cli, own_study: Path, here: Path) -> None:
    found = cli("report", own_study, "-o", "paper/figures.pdf")
    assert (found.code, found.out) == (0, "paper/figures.pdf\npaper/figures-parts\n")
    assert (here / "paper" / "figures.pdf").read_bytes().startswith(b"%PDF")
    names = {path.name for path in (here / "paper" / "figures-parts").iterdir()}
    assert {"front-1.pdf", "results-1.tex", "results-1.csv"} <= names
    pdf, parts = own_study / "comparison.pdf", own_study / "comparison-parts"
    assert not pdf.exists()
    assert cli("report", own_study, "--reports", "results", "--json").parsed == [str(pdf), str(parts)]
    assert pdf.exists()


def test_report_draws_what_is_asked_for(cli: Cli, study: Path, here: Path) -> None:
    chosen = ["--reports", "results,progress[over=seconds]", "--control", "nsga2", "--highlight", "magnitude", "--html"]
    found = cli("report", study, study, "-o", "out.pdf", *chosen, "--format", "letter", "--anonymous")
    assert found.code == 0
    assert {path.stem for path in (here / "out-parts").iterdir()} <= {
        "results-1",
        "progress-1",
        "references",
        "contents",
        "receipt",
    }
    assert "the control, nsga2, named after the runs." in (here / "out-parts" / "results-1.tex").read_text()
    page = (here / "out.html").read_text()
    assert "processor seconds" in page
    assert "2 methods, 1 problem, 4 of 4 runs done" in page, "a study that is named twice counts once"


def test_report_traces_a_figure_to_its_runs(cli: Cli, study: Path, here: Path) -> None:
    found = cli("report", study, "--trace", "front-1", "--json").parsed
    assert [(run["method"], run["seed"]) for run in found] == [(m, s) for m in ("magnitude", "nsga2") for s in (0, 1)]
    assert all((Path(run["folder"]) / "run.json").exists() for run in found)
    lines = cli("report", study, "--trace", "results-1").out.splitlines()
    assert [line.split()[0] for line in lines] == [run["hash"] for run in found]
    assert files(here) == set()


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (["--trace", "front-9"], "no figure or table is named 'front-9'; did you mean 'front-1'?"),
        (["--control", "nsga3"], "did you mean 'nsga2'?"),
        (["--highlight", "other"], "no method is named 'other'"),
        (["--reports", "fronds"], "did you mean 'fronts'?"),
        (["-o", "out.txt"], "-o must name a .pdf file"),
    ],
)
def test_report_refuses_what_it_does_not_know(
    option: list[str], complaint: str, cli: Cli, study: Path, here: Path
) -> None:
    found = cli("report", study, *option)
    assert found.code == 2
    assert complaint in found.error
    assert files(here) == set()


def test_references_are_whole_and_each_stands_once(cli: Cli, study: Path, here: Path) -> None:
    assert cli("report", study, "-o", "out.pdf", "--reports", "results").code == 0
    text = (here / "out-parts" / "references.bib").read_text()
    keys = re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE)
    assert {"deb2002nsga2", "blank2020pymoo", "han2015learning", "alpaydin1998optical"} == set(keys)
    assert len(keys) == len(set(keys)) == text.count("\n}\n")
    assert text.count("{") == text.count("}")


def written(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files of a comparison, with when they were written."""
    paths = [folder / "out.pdf", *(folder / "out-parts").iterdir()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_a_comparison_is_left_as_it_is_until_something_changes(cli: Cli, own_study: Path, here: Path) -> None:
    asked = ("report", own_study, "-o", "out.pdf", "--reports", "results,ranks")
    assert cli(*asked).code == 0
    first = written(here)
    assert cli(*asked).out == "out.pdf\nout-parts\n"
    assert written(here) == first
    assert cli(*asked, "--control", "nsga2").code == 0
    assert written(here)["results-1.tex"][0] != first["results-1.tex"][0]
    assert cli(*asked).code == 0
    again = written(here)
    assert {name: content for name, (content, _) in again.items()} == {name: one for name, (one, _) in first.items()}
    (here / "out-parts" / "results-1.csv").write_text("damaged")
    assert cli(*asked).code == 0
    assert written(here)["results-1.csv"][0] == first["results-1.csv"][0]
    gone = next(iter(StudyFolder(own_study).runs()))
    gone.forget()
    assert cli(*asked).code == 0
    assert written(here)["results-1.csv"][0] != first["results-1.csv"][0]


def test_another_date_or_plugin_is_another_comparison(
    cli: Cli, study: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "broken.py").write_text(BROKEN)
    asked = ("report", study, "-o", "out.pdf", "--reports", "results")
    assert cli(*asked).code == 0
    times = [written(here)["out.pdf"][1]]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for more in ((), ("-p", "broken.py")):
        assert cli(*asked, *more).code == 0
        times.append(written(here)["out.pdf"][1])
    assert len(set(times)) == 3


def test_what_failed_is_told_each_time(cli: Cli, study: Path, here: Path) -> None:
    (here / "broken.py").write_text(BROKEN)
    for _ in range(2):
        found = cli("report", study, "-o", "out.pdf", "--reports", "results,broken", "-p", "broken.py")
        assert found.code == 1
        assert "Warning: report broken fails: RuntimeError: on purpose (plugin 'broken' of broken.py " in found.err


def test_a_report_needs_no_torch(study: Path, tmp_path: Path) -> None:
    script = run_command("report", str(study), "-o", str(tmp_path / "out.pdf"), "--reports", "results,published")
    assert loaded_by(script, ("torch", "pymoo")) == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "--trace", "front-1", "-o", "x.pdf"), "-o is used by nothing here: --trace writes nothing"),
        (("report", "--trace", "front-1", "--html"), "--html is used by nothing"),
        (("report", "--ioh", "curves", "--control", "nsga2"), "--control is used by nothing here: --ioh"),
        (("summary", "--json", "--control", "nsga2"), "--control is used by nothing here: --json"),
        (("export", "--data", "nowhere", "-o", "x"), "must name a folder, but got 'nowhere'"),
    ],
)
def test_what_nothing_uses_is_refused(arguments: tuple[str, ...], words: str, cli: Cli, study: Path) -> None:
    found = cli(arguments[0], study, *arguments[1:])
    assert found.code == 2
    assert words in found.error
