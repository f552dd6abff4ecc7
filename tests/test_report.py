"""The comparison: figures and tables drawn from studies, and the PDF that holds them."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import pruneframe as pf
from pruneframe.document import build
from pruneframe.front import hypervolume
from pruneframe.readout import facts, long_table, summaries
from pruneframe.registry import Registry
from pruneframe.report import normalised
from pruneframe.run import carry_out
from pruneframe.store import StudyFolder
from pruneframe.study import plan
from pruneframe_reports.fronts import Fronts
from pruneframe_reports.progress import Progress
from pruneframe_reports.results import operating_point, results, spread
from pruneframe_reports.style import looks

SETTINGS: dict[str, Any] = {"commands": [], "environments": [{"pruneframe": "0", "platform": "a_b #c *d*"}]}
HOSTILE = 'a_b*c* #panic() $x$ <y> @z \\ [w] `raw` // "quoted" é ü\nsecond line'


@pytest.fixture(autouse=True)
def figures_closed() -> Iterator[None]:
    yield
    plt.close("all")


def study_of(
    folder: Path,
    methods: Sequence[str],
    seeds: Sequence[int] = (0,),
    **settings: Any,
) -> StudyFolder:
    study = StudyFolder(folder)
    study.prepare({}, SETTINGS["environments"][0])
    settings = {"budget": 20.0, "search_images": 100} | settings
    planned = plan(Registry(), methods, ["lenet-digits"], seeds, settings, "cpu", 1, lambda line: None)
    for run in planned.runs:
        assert carry_out(run, folder, ())["status"] == "done"
    return study


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return study_of(tmp_path_factory.mktemp("small"), ["magnitude", "random"], seeds=[0, 1, 2])


def bundled() -> list[pf.Report]:
    registry = Registry()
    return [cast(pf.Report, registry.component("report", name)) for name in registry.names("report")]


def drawn(study: StudyFolder) -> dict[str, pf.Figure | pf.Table]:
    known, table = facts(study), long_table(study)
    items = [item for report in bundled() for item in report.draw(table, known)]
    assert len({item.id for item in items}) == len(items)
    return {item.id: item for item in items}


def written(study: StudyFolder, output: Path) -> bytes:
    build(bundled(), long_table(study), facts(study), study.settings, output, print)
    return output.read_bytes()


def text_of(pdf: Path) -> str:
    """What a reader can search for, with one space for every gap."""
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext")
    found = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s+", " ", found)


def hand_made() -> tuple[pd.DataFrame, pf.StudyFacts]:
    """Two methods, two seeds, a few points each; every figure in it is known."""
    board = pf.Board("toy", "toy", ("error", "params"), (0.5, 100.0), (0.05, 100.0), (0.1, 100.0), 10.0)
    points = {
        ("first", 0): [(0.10, 80.0), (0.20, 40.0)],
        ("first", 1): [(0.10, 60.0), (0.30, 20.0)],
        ("second", 0): [(0.15, 90.0)],
        ("second", 1): [(0.60, 10.0)],
    }
    rows = []
    for (method, seed), found in points.items():
        for number, (error, params) in enumerate(found):
            values = {
                "error": error,
                "params": params,
                "error_normalised": error / 0.5,
                "params_normalised": params / 100,
            }
            head = {"board": "toy", "problem": "toy", "method": method, "seed": seed, "number": number}
            spent = {"units_spent": 3.0 * (number + 1), "seconds": 1.0}
            rows.append(head | spent | values | {"kind": "evaluation", "split": "search"})
            rows += [head | values | {"kind": "member", "split": split} for split in ("search", "test")]
    runs = tuple(
        {
            "problem": "toy",
            "method": method,
            "seed": seed,
            "status": "done",
            "board": "toy",
            "front_size": len(found),
            "hypervolume": hypervolume(np.array(found) / [0.5, 100.0]),
            "hypervolume_search": 0.5,
            **{f"reduction_at_{x}": (0.4 if method == "first" else None) for x in ("0.5", "1", "2")},
            **{f"test_drop_at_{x}": (-0.25 if method == "first" else None) for x in ("0.5", "1", "2")},
        }
        for (method, seed), found in points.items()
    )
    return pd.DataFrame(rows), pf.StudyFacts((board,), runs, {"first": "published", "second": ""})


def lines_of(figure: pf.Figure | pf.Table) -> dict[str, np.ndarray]:
    """The curves of a figure's first axes by their labels, as float64[points, 2]."""
    assert isinstance(figure, pf.Figure)
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in figure.figure.axes[0].get_lines()}


def test_every_bundled_report_draws_a_small_study(small: StudyFolder) -> None:
    items = drawn(small)
    assert set(items) == {"front-1", "progress-1", "results-1"}
    for item in items.values():
        assert re.fullmatch(r"[A-Za-z0-9-]+", item.id)
        assert item.caption.startswith("lenet-digits: ")


def test_fronts_show_test_values_and_the_unpruned_network() -> None:
    table, study = hand_made()
    (item,) = Fronts().draw(table.assign(error=table["error"].where(table["split"] == "test", 99.0)), study)
    assert isinstance(item, pf.Figure)
    (axes,) = item.figure.axes
    scattered = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections])
    expected = {(0.8, 10), (0.4, 20), (0.6, 10), (0.2, 30), (0.9, 15), (0.1, 60)}  # share of parameters, error in %
    assert {tuple(np.round(point, 9)) for point in scattered} == expected
    stars = [line for line in axes.get_lines() if line.get_marker() == "*"]
    assert [tuple(np.asarray(star.get_xydata())[0]) for star in stars] == [(1.0, 10.0)]
    assert axes.get_ylabel() == "test error (%)"


def test_the_surface_of_one_run_is_its_front() -> None:
    table, study = hand_made()
    (item,) = Fronts().draw(table[table.seed == 0], study)
    lines = lines_of(item)
    np.testing.assert_allclose(lines["first"], [(0.4, 20.0), (0.8, 10.0)])
    np.testing.assert_allclose(lines["second"], [(0.9, 15.0)])


def test_progress_shows_what_was_reached_for_what_was_spent() -> None:
    table, study = hand_made()
    (item,) = Progress().draw(table[table.method == "first"], study)
    curve = lines_of(item)["first"]
    assert (curve[0, 0], curve[-1, 0]) == (0, 10)
    volumes = [[hypervolume(np.array(points[:k]) / [0.5, 100]) for points in FIRST] for k in (1, 2)]
    before, between, after = (curve[np.searchsorted(curve[:, 0], units), 1] for units in (1.0, 4.0, 8.0))
    assert before == 0
    assert between == pytest.approx(np.median(volumes[0]))
    assert after == pytest.approx(np.median(volumes[1]))
    assert np.all(np.diff(curve[:, 1]) >= 0)


FIRST = ([(0.10, 80.0), (0.20, 40.0)], [(0.10, 60.0), (0.30, 20.0)])


def test_progress_ends_at_the_search_hypervolume_of_the_summary(small: StudyFolder) -> None:
    lines = lines_of(drawn(small)["progress-1"])
    for method, curve in lines.items():
        volumes = [run["hypervolume_search"] for run in summaries(small) if run["method"] == method]
        assert curve[-1, 1] == pytest.approx(np.median(volumes))


def test_the_table_has_one_row_per_method_best_first(small: StudyFolder) -> None:
    item = drawn(small)["results-1"]
    assert isinstance(item, pf.Table)
    medians = {
        method: np.median([run["hypervolume"] for run in summaries(small) if run["method"] == method])
        for method in ("magnitude", "random")
    }
    assert list(item.frame["method"]) == sorted(medians, key=lambda method: -medians[method])
    assert list(item.frame["runs"]) == [3, 3]
    shown = [float(text.split()[0]) for text in item.frame["HV"]]
    assert shown == pytest.approx(sorted(medians.values(), reverse=True), abs=1e-4)


def test_the_table_says_none_where_no_run_qualifies() -> None:
    _, study = hand_made()
    frame = results(study.runs).set_index("method")
    assert list(frame.loc["first", ["removed at 0.5", "removed at 1", "removed at 2"]]) == ["40.0 % (-0.25)"] * 3
    assert list(frame.loc["second", ["removed at 0.5", "removed at 1", "removed at 2"]]) == ["none"] * 3


def test_spread_and_operating_points_are_medians() -> None:
    assert spread([0.25]) == "0.2500"
    assert spread([0.1, 0.2, 0.3, 0.4, 0.5]) == "0.3000 [0.2000, 0.4000]"
    runs = [{"reduction_at_1": r, "test_drop_at_1": d} for r, d in ((0.5, 1.0), (0.7, -3.0), (0.6, 2.0), (None, None))]
    assert operating_point(runs, 1.0) == "60.0 % (+1.00)"


def test_normalised_takes_the_objectives_in_the_boards_order() -> None:
    table, study = hand_made()
    (board,) = study.boards
    swapped = replace(board, objectives=board.objectives[::-1])
    assert np.array_equal(normalised(table, swapped), normalised(table, board)[:, ::-1])


@pytest.mark.parametrize(
    ("methods", "settings", "figures"),
    [
        (["random"], {}, {"front-1", "progress-1", "results-1"}),
        (
            ["magnitude", "nsga2"],
            {"objectives": ("error", "params", "macs")},
            {"front-1", "parallel-1", "progress-1", "results-1"},
        ),
        (["magnitude", "nsga2"], {"objectives": ("distortion", "size")}, {"front-1", "progress-1", "results-1"}),
        (["random"], {"objectives": ("error",)}, {"progress-1", "results-1"}),
        (["random"], {"units": "filter", "budget": 2.0}, {"front-1", "progress-1", "results-1"}),
    ],
    ids=["one method, one seed", "three objectives", "no error", "one objective", "two evaluations"],
)
def test_comparisons_of_odd_studies_are_built(
    methods: list[str], settings: dict[str, Any], figures: set[str], tmp_path: Path
) -> None:
    study = study_of(tmp_path / "study", methods, **settings)
    assert set(drawn(study)) == figures
    assert written(study, tmp_path / "out.pdf").startswith(b"%PDF")


def test_the_pdf_holds_every_method_and_figure_and_what_failed(small: StudyFolder, tmp_path: Path) -> None:
    copy = StudyFolder(Path(shutil.copytree(small.path, tmp_path / "study")))
    broken = next(run for run in copy.runs() if run.identity["method"] == "random")
    (broken.path / "run.json").unlink()
    broken.fail(HOSTILE)
    assert written(copy, tmp_path / "out.pdf").startswith(b"%PDF")
    text = text_of(tmp_path / "out.pdf")
    assert "Comparison of pruning methods" in text
    for method in ("magnitude", "random"):
        assert method in text
    assert "5 of 6 runs done" in text
    assert "Not in any figure: random on lenet-digits, seed 0: failed" in text
    assert "#panic() $x$" in text
    looks = sum(run["front_size"] or 0 for run in summaries(copy))
    assert f"{looks} looks in all" in text
    for caption in (item.caption for item in drawn(copy).values()):
        assert caption.split(".")[0] in text


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    table, study = hand_made()
    name = HOSTILE.replace("\n", " ").replace("$", "")  # matplotlib reads dollars as mathematics
    renamed = tuple(run | {"method": name} if run["method"] == "first" else run for run in study.runs)
    known = replace(study, runs=renamed, provenance={name: HOSTILE})
    build(bundled(), table.replace({"method": {"first": name}}), known, SETTINGS, tmp_path / "out.pdf", print)
    assert "#panic() $x$ <y> @z \\ [w]" in text_of(tmp_path / "out.pdf")


def test_fonts_are_embedded_and_none_is_of_type_3(small: StudyFolder, tmp_path: Path) -> None:
    if shutil.which("pdffonts") is None:
        pytest.skip("needs pdffonts")
    written(small, tmp_path / "out.pdf")
    done = subprocess.run(["pdffonts", str(tmp_path / "out.pdf")], capture_output=True, text=True, check=True)
    fonts = done.stdout.splitlines()[2:]
    assert fonts
    assert "Type 3" not in done.stdout
    # the last columns are: embedded, subset, unicode, and two of the object's number
    assert all(line.split()[-5] == "yes" for line in fonts)


def test_a_study_gives_the_same_pdf_again(small: StudyFolder, tmp_path: Path) -> None:
    one, two = (text_of_written(small, tmp_path / name) for name in ("one.pdf", "two.pdf"))
    assert one == two


def text_of_written(study: StudyFolder, output: Path) -> str:
    written(study, output)
    return text_of(output)


@pytest.mark.parametrize("culprit", ["typst.compile", "os.fsync"])
def test_what_stops_the_writing_leaves_the_older_file(
    culprit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **settings: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    table, study = hand_made()
    output = tmp_path / "out.pdf"
    output.write_bytes(b"%PDF of yesterday")
    monkeypatch.setattr(culprit, full)
    with pytest.raises(OSError, match="No space left"):
        build(bundled(), table, study, SETTINGS, output, print)
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
    found = plan(Registry(sources), ["idle", *others], ["lenet-digits"], [0], settings, "cpu", 1, lambda line: None)
    for run in found.runs:
        carry_out(run, study.path, sources)
    assert written(study, tmp_path / "out.pdf").startswith(b"%PDF")


def test_more_methods_than_colours_are_still_told_apart() -> None:
    found = looks([f"method-{i}" for i in range(20)])
    assert len({(look["color"], look["marker"]) for look in found.values()}) == 20
