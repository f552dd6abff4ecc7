"""The comparison as files: the PDF, its parts, and that the same study gives the same bytes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.text import Text
from studies import SETTINGS, TWO, bundled, hand_made, joined
from tiny import lookup

import pruneframe as pf
from pruneframe.comparison.document import Comparison, close, compose, typeset, write_parts
from pruneframe.comparison.latex import latex
from pruneframe.errors import Faulty, InputError
from pruneframe.registry import Registry
from pruneframe.study.facts import facts, summaries
from pruneframe.study.plan import plan
from pruneframe.study.store import StudyFolder
from pruneframe.study.table import long_table
from pruneframe.study.worker import carry_out

HOSTILE = 'a_b*c* #panic() $x$ <y> @z \\ [w] `raw` // "quoted" é ü\nsecond line'
PREAMBLE = r"\documentclass{article}\usepackage{booktabs,siunitx}\usepackage[textwidth=7in]{geometry}\begin{document}"


@pytest.fixture(autouse=True)
def figures_closed() -> Iterator[None]:
    yield
    plt.close("all")


def composed(table: pd.DataFrame, known: pf.StudyFacts, settings: dict[str, Any] = SETTINGS, **more: Any) -> Comparison:
    complaints: list[Faulty] = []
    comparison = compose(bundled(), table, known, [settings], complaints.append, **more)
    assert complaints == []
    return comparison


def build(table: pd.DataFrame, known: pf.StudyFacts, settings: dict[str, Any], output: Path) -> None:
    comparison = composed(table, known, settings)
    typeset(comparison, output)
    close(comparison)


def written(study: StudyFolder, output: Path) -> bytes:
    build(long_table(study), facts(study), study.settings, output)
    return output.read_bytes()


def printed(study: StudyFolder, folder: Path) -> Path:
    """All of a comparison in a folder: the PDF, and its parts."""
    comparison = composed(long_table(study), facts(study), study.settings, bibtex="@book{a}")
    typeset(comparison, folder / "out.pdf")
    write_parts(comparison, folder / "parts")
    close(comparison)
    return folder


@pytest.fixture(scope="module")
def once(small: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return printed(small, tmp_path_factory.mktemp("printed"))


def text_of(pdf: Path) -> str:
    """What a reader can search for, with one space for every gap, without the places where a line may break."""
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext")
    found = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s+", " ", found.replace("\u200b", ""))


def test_the_pdf_holds_every_method_and_figure_and_what_failed(small: StudyFolder, tmp_path: Path) -> None:
    copy = StudyFolder(Path(shutil.copytree(small.path, tmp_path / "study")))
    broken = next(run for run in copy.runs() if run.identity["method"] == "random")
    (broken.path / "run.json").unlink()
    broken.fail(HOSTILE, broken.identity)
    assert written(copy, tmp_path / "out.pdf").startswith(b"%PDF")
    text = text_of(tmp_path / "out.pdf")
    assert "Comparison of pruning methods" in text
    for method in ("magnitude", "random"):
        assert method in text
    assert "5 of 6 runs done" in text
    assert "Not in any figure. random on lenet-digits, seed 0: failed" in text
    assert "#panic() $x$" in text
    looks = sum(run.front_size for run in summaries(copy))
    assert f"{looks} looks in all" in text
    for item in composed(long_table(copy), facts(copy), copy.settings).items:
        assert item.caption.split(". ")[0].split(" (")[0] in text
        assert f"({item.id})" in text


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    table, study = hand_made()
    name = HOSTILE.replace("\n", " ").replace("$", "")  # matplotlib reads dollars as mathematics
    renamed = tuple(replace(run, method=name) if run.method == "first" else run for run in study.runs)
    known = replace(study, runs=renamed, provenance={name: HOSTILE})
    build(table.replace({"method": {"first": name}}), known, SETTINGS, tmp_path / "out.pdf")
    assert "#panic() $x$ <y> @z \\ [w]" in text_of(tmp_path / "out.pdf")


def test_fonts_are_embedded_and_none_is_of_type_3(once: Path) -> None:
    if shutil.which("pdffonts") is None:
        pytest.skip("needs pdffonts")
    done = subprocess.run(["pdffonts", str(once / "out.pdf")], capture_output=True, text=True, check=True)
    fonts = done.stdout.splitlines()[2:]
    assert fonts
    assert "Type 3" not in done.stdout
    # the last columns are: embedded, subset, unicode, and two of the object's number
    assert all(line.split()[-5] == "yes" for line in fonts)


def test_a_study_gives_the_same_bytes_again(once: Path, small: StudyFolder, tmp_path: Path) -> None:
    again = printed(small, tmp_path)
    one, two = ({path.name: path.read_bytes() for path in folder.rglob("*.*")} for folder in (once, again))
    assert one == two
    assert {"out.pdf", "front-1.pdf", "results-1.tex", "results-1.csv", "references.bib"} <= set(one)


def hashes() -> dict[str, str]:
    """Of all drawings of a study whose methods and boards would come in another order out of a set."""
    fronts = {(m, s): [(0.1 + 0.01 * i * s, 50.0)] for i, m in enumerate("abcde") for s in range(2)}
    comparison = composed(*joined(*(hand_made(fronts, board) for board in "xy")))
    return {name: hashlib.sha256(drawing).hexdigest() for name, drawing in sorted(comparison.drawings.items())}


@pytest.mark.slow
def test_another_process_gives_the_same_bytes() -> None:
    folders = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    script = f"import sys; sys.path[:0] = {folders}; import test_document; print(test_document.hashes())"
    environment = os.environ | {"PYTHONHASHSEED": "1"}  # another one than here
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = hashes()
    assert "ranks" in found
    assert done.stdout == f"{found}\n"


def test_parts_that_are_no_longer_drawn_are_removed_and_others_stay(tmp_path: Path) -> None:
    table, study = hand_made()
    results, progress = (lookup(pf.Report, name) for name in ("results", "progress"))
    write_parts(compose([results, progress], table, study, [SETTINGS], print), tmp_path)
    assert (tmp_path / "progress-1.pdf").exists()
    (tmp_path / "mine.pdf").write_text("of the user")
    write_parts(compose([results], table, study, [SETTINGS], print), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"mine.pdf", "results-1.tex", "results-1.csv", "contents.json"}
    listed = json.loads((tmp_path / "contents.json").read_text())
    assert [entry["file"] for entry in listed] == ["results-1.csv", "results-1.tex"]
    assert listed[0]["caption"].startswith("toy: hypervolume")


def test_a_report_asked_for_twice_has_two_names() -> None:
    reports = [lookup(pf.Report, spec) for spec in ("progress", "progress[over=seconds]")]
    comparison = compose(reports, *hand_made(), [SETTINGS], print)
    assert [item.id for item in comparison.items] == ["progress-1", "progress-1-2"]
    assert len(set(comparison.drawings.values())) == 2


def test_the_date_is_the_studies_or_the_given_one(small: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    known = facts(small), {"environments": SETTINGS["environments"], "begun": "2026-01-02T00:00:00+00:00"}
    assert compose([], None, known[0], [known[1]], print).date == 1767312000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "17")
    assert compose([], None, known[0], [known[1]], print).date == 17
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH must be seconds"):
        compose([], None, known[0], [known[1]], print)


def test_the_pdf_names_its_study_unless_it_is_anonymous(small: StudyFolder, tmp_path: Path) -> None:
    if shutil.which("pdfinfo") is None:
        pytest.skip("needs pdfinfo")
    known = facts(small)
    for anonymous in (False, True):
        comparison = compose([], None, known, [small.settings], print, anonymous)
        typeset(comparison, tmp_path / "out.pdf", "letter")
        told = subprocess.run(["pdfinfo", str(tmp_path / "out.pdf")], capture_output=True, text=True, check=True).stdout
        digest = compose([], None, known, [small.settings], print).digest
        assert len(digest) == 16
        assert (digest in told) == (digest in text_of(tmp_path / "out.pdf")) == (not anonymous)
        assert ("platform Linux" in text_of(tmp_path / "out.pdf")) == (not anonymous)
        assert "612 x 792 pts (letter)" in told


def test_a_template_of_ones_own_reads_the_same_content(small: StudyFolder, tmp_path: Path) -> None:
    comparison = compose([], None, facts(small), [small.settings], print)
    (tmp_path / "mine.typ").write_text('#let content = json("content.json")\nMine: #content.title')
    typeset(comparison, tmp_path / "out.pdf", template=tmp_path / "mine.typ")
    assert "Mine: Comparison of pruning methods" in text_of(tmp_path / "out.pdf")
    (tmp_path / "mine.typ").write_text("#nonsense")
    with pytest.raises(InputError, match=r"template .*mine.typ cannot be typeset: .*nonsense"):
        typeset(comparison, tmp_path / "out.pdf", template=tmp_path / "mine.typ")


def test_a_report_that_fails_is_told_and_the_others_are_drawn(small: StudyFolder) -> None:
    complaints: list[Faulty] = []
    table = long_table(small).drop(columns="seed")
    comparison = compose(bundled(), table, facts(small), [small.settings], complaints.append)
    assert any(str(fault).startswith("report fronts fails: ") for fault in complaints)
    assert "results-1" in {item.id for item in comparison.items}


def test_the_tables_compile_as_latex(small: StudyFolder, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None or subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True).returncode:
        pytest.skip("needs pdflatex with booktabs and siunitx")
    write_parts(composed(long_table(small), facts(small), small.settings), tmp_path / "parts")
    (tmp_path / "parts" / "hostile.tex").write_text(latex(pf.Table("h", HOSTILE, pd.DataFrame({HOSTILE: [HOSTILE]}))))
    names = sorted(path.stem for path in (tmp_path / "parts").glob("*.tex"))
    assert {"results-1", "reductions-1"} <= set(names)
    body = "".join(f"\\input{{parts/{name}}}\\clearpage\n" for name in names)
    (tmp_path / "main.tex").write_text(PREAMBLE + body + r"\end{document}")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in (tmp_path / "main.log").read_text()  # no table is wider than both columns of a paper
    assert "hypervolume of the final fronts" in text_of(tmp_path / "main.pdf")


@pytest.mark.parametrize("culprit", ["typst.compile", "os.fsync"])
def test_what_stops_the_writing_leaves_the_older_file(
    culprit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **settings: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    comparison = compose([lookup(pf.Report, "results")], *hand_made(), [SETTINGS], print)
    output = tmp_path / "out.pdf"
    output.write_bytes(b"%PDF of yesterday")
    monkeypatch.setattr(culprit, full)
    with pytest.raises(OSError, match="No space left"):
        typeset(comparison, output)
    assert output.read_bytes() == b"%PDF of yesterday"
    assert list(tmp_path.iterdir()) == [output]


IDLE = '''
from dataclasses import dataclass
import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Idle(pf.Method):
    """Evaluates nothing."""
    name = "idle"
    def search(self, task):
        pass

@pf.hookimpl
def pruneframe_methods():
    return [Idle]
'''


@pytest.mark.parametrize("others", [[], ["random"]], ids=["alone", "beside another"])
def test_a_run_without_an_evaluation_breaks_no_report(others: list[str], tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text(IDLE)
    study = StudyFolder(tmp_path / "study")
    study.prepare({}, SETTINGS["environments"][0])
    sources = (str(tmp_path / "idle.py"),)
    settings = {"budget": 20.0, "search_images": 100}
    found = plan(
        Registry(sources), ["idle", *others], ["lenet-digits"], [0], [0], settings, "cpu", 1, lambda line: None
    )
    for run in found.runs:
        carry_out(run, study.path, sources)
    assert written(study, tmp_path / "out.pdf").startswith(b"%PDF")


@dataclass(frozen=True, repr=False)
class Spoils(pf.Report):
    """Writes into all that it is told."""

    name = "spoils"
    place = 0

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Iterable[pf.Item]:
        table.loc[:, "method"] = "spoilt"
        del table["error"]
        study.layers.loc[:, "kept"] = -1
        return []


def test_a_report_that_writes_into_what_it_is_told_spoils_nobody_elses(small: StudyFolder) -> None:
    table, known = long_table(small), facts(small)
    before, layers = table.copy(), known.layers.copy()
    complaints: list[Faulty] = []
    found = compose([Spoils(), *bundled()], table, known, [small.settings], complaints.append)
    assert complaints == []
    assert found.drawings.keys() == composed(table, known, small.settings).drawings.keys()
    assert table.equals(before)
    assert known.layers.equals(layers)


class Undrawable(Artist):
    """It can be added to a figure, and fails when that is drawn."""

    def draw(self, renderer: Any) -> None:
        raise KeyError("gone")


@dataclass(frozen=True, repr=False)
class Junk(pf.Report):
    """One of many faults."""

    name = "junk"
    fault: str = ""

    def draw(self, table: pd.DataFrame, study: pf.StudyFacts) -> Any:
        frame = pd.DataFrame({"a": [1]})
        figure = Figure()
        figure.add_artist(Undrawable())
        while self.fault == "never gives anything":
            pass
        if self.fault == "exits":
            raise SystemExit(0)
        return {
            "text": "junk",
            "nothing": None,
            "goes on": repeat(pf.Remark("Again.")),
            "no columns": [pf.Table("a", "What.", pd.DataFrame())],
            "one name twice": [pf.Table("a", "What.", pd.DataFrame([[1, 2]], columns=["x", "x"]))],
            "best of nothing": [pf.Table("a", "What.", frame, best=frozenset({(1, "a")}))],
            "another board": [pf.Table("a", "What.", frame, "nowhere")],
            "cannot be drawn": [pf.Figure("a", "What.", figure)],
        }[self.fault]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("text", "must give Figures, Tables and Remarks, but gave a str"),
        ("nothing", "TypeError: 'NoneType' object is not iterable"),
        ("exits", "SystemExit: 0"),
        ("goes on", "must give at most 1,000 items, but gives more"),
        ("no columns", r"a must have columns, each with a name of its own, but has \[\]"),
        ("one name twice", r"each with a name of its own, but has \['x', 'x'\]"),
        ("best of nothing", "the best of a must be cells of it"),
        ("another board", "a board must be the hash of one of the study's, or empty, but is 'nowhere'"),
        ("cannot be drawn", "KeyError: 'gone'"),
        ("never gives anything", "must end within 0.2 s, but goes on"),
    ],
)
def test_junk_is_told_and_left_out(fault: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.comparison.drawing.PATIENCE", 0.2 if "never" in fault else 60)
    complaints: list[Faulty] = []
    comparison = compose([Junk(fault), lookup(pf.Report, "results")], *hand_made(), [SETTINGS], complaints.append)
    [complaint] = complaints
    assert re.search(rf"^report junk\[fault='?{fault}'?\] .*{words}", str(complaint))
    assert (complaint.kind, complaint.spec) == ("report", repr(Junk(fault)))
    assert [item.id for item in comparison.items] == ["results-1"]


def test_an_empty_run_is_in_no_figure_or_table_and_is_told(tmp_path: Path) -> None:
    fronts = TWO | {("nothing", seed): [(0.5, 100.0)] for seed in (0, 1)}
    table, known = hand_made(fronts)
    emptied = [replace(run, status="empty") if run.method == "nothing" else run for run in known.runs]
    comparison = composed(table, replace(known, runs=tuple(emptied)))
    assert comparison.items
    for item in comparison.items:
        if isinstance(item, pf.Table):
            assert "nothing" not in item.frame.to_csv(), item.id
        else:
            words = [text.get_text() for text in item.figure.findobj(Text)]
            assert "nothing" not in words, item.id
    [absent] = [item for section in comparison.sections for item in section.items if _about(item, "Not in any figure")]
    assert absent.text == "nothing on toy, seed 0: empty. nothing on toy, seed 1: empty."


def _about(item: Any, heading: str) -> bool:
    return getattr(item, "heading", "") == heading
