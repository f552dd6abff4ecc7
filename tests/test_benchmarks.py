"""The benchmark scripts that look at a method's own work, at tiny sizes: what they subtract, and what they print."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import binom, wilcoxon
from tiny import load

from pruneframe.cli.bench import command
from pruneframe.configuration.space import Space
from pruneframe.mask import Masks
from pruneframe.method import Method
from pruneframe.registry import Registry
from pruneframe.report import Report
from pruneframe.spec import numbers
from pruneframe.study.facts import facts, summaries
from pruneframe.study.plan import plan
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out
from pruneframe_plugins.hierarchical import SOURCES

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = ("--depth", "8", "--population", "4", "--generations", "1")


def printed(script: str, *arguments: str) -> list[dict[str, Any]]:
    """The rows that a script prints with --json."""
    command = [sys.executable, str(BENCHMARKS / script), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def overhead(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import overhead

    return overhead


@pytest.fixture
def profile_bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import profile_bench

    return profile_bench


@pytest.fixture
def hands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that both scripts read, in seconds, for a test to move on."""
    now = [0.0]
    for name in ("overhead", "profile_bench"):
        clock = SimpleNamespace(perf_counter=lambda: now[0])
        monkeypatch.setattr(request.getfixturevalue(name), "time", clock)
    return now


def test_overhead_prints_figures_or_the_reason_why_there_are_none():
    good, bad = printed("overhead.py", "--methods", "pymoo-stock,nope", *TINY)
    assert good["method"] == "pymoo-stock"
    assert good["seconds_per_generation"] > 0
    assert good["base_mb"] > 0
    assert bad.keys() == {"method", "error"}
    assert "no method is named 'nope'" in bad["error"]


def test_overhead_survives_a_process_that_does_not(
    overhead: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho a warning >&2\nkill -9 $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(overhead, "sys", SimpleNamespace(executable=str(python)))
    row = overhead.in_own_process("nsga2", TINY)
    assert row == {"method": "nsga2", "error": "it was killed by signal 9 (out of memory?)"}


@pytest.mark.parametrize(("hard", "wanted"), [(1000, 1000), (resource.RLIM_INFINITY, None)])
def test_memory_is_limited_to_what_there_is(
    overhead: ModuleType, monkeypatch: pytest.MonkeyPatch, hard: int, wanted: int | None
):
    limits = []
    monkeypatch.setattr(overhead.resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, hard))
    monkeypatch.setattr(overhead.resource, "setrlimit", lambda kind, limit: limits.append(limit))
    overhead.limit_memory()
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert limits == [(wanted or machine, hard)]


def test_overhead_measures_every_method_and_both_libraries(overhead: ModuleType, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(overhead, "limit_memory", lambda: None)
    monkeypatch.setattr(overhead, "in_own_process", lambda spec, *sizes: {"method": spec, "error": "not tried"})
    rows = CliRunner().invoke(overhead.main).output.splitlines()
    raw = ["nsga2[preset=textbook]", "moead[preset=textbook]"]
    assert [row.split()[0] for row in rows] == [*Registry().names("method"), *raw, "pymoo-stock", "platypus-stock"]


@pytest.mark.parametrize("spec", ["nsga2", "random", "platypus[encoding=mask,population=8]"])
def test_a_method_is_timed_for_as_many_generations_as_asked(overhead: ModuleType, spec: str):
    output = CliRunner().invoke(overhead.main, ["--here", "--methods", spec, *TINY[:4], "--generations", "2"]).output
    row = json.loads(output)
    assert (row["method"], row["generations"], row["population"]) == (spec, 2, 4)
    assert row["bits"] == 74_800
    assert row["peak_mb"] >= 0


def test_a_method_that_ends_too_early_is_an_error(overhead: ModuleType):
    with pytest.raises(overhead.click.ClickException, match="before a second generation of 4"):
        overhead.Clock(population=4, generations=1).row("early", 10, 0.0)


def test_the_stock_library_is_timed_by_the_same_clock(overhead: ModuleType):
    import platypus_stock

    row = json.loads(CliRunner().invoke(platypus_stock.main, TINY).output)
    assert (row["method"], row["generations"], row["bits"]) == ("platypus-stock", 1, 74_800)


def test_what_evaluations_take_is_subtracted(overhead: ModuleType, hands: list[float]):
    clock = overhead.Clock(population=2, generations=1)
    for own, asked in ((1, 10), (2, 20), (3, 30), (4, 40)):
        hands[0] += own + asked
        clock.passed(asked)
        hands[0] += 100
        clock.passed(100, evaluation=False)
    assert clock.enough
    assert clock.row("any", 1, 0.0)["seconds_per_generation"] == 3 + 4


def test_a_population_is_set_where_there_is_one_and_none_is_given(overhead: ModuleType):
    registry = Registry()
    methods = [overhead.with_population(registry, spec, 100) for spec in ("nsga2", "nsga2[population=8]", "magnitude")]
    assert [repr(method) for method in methods] == ["nsga2[population=100]", "nsga2[population=8]", "magnitude"]


def test_free_answers_hang_on_the_mask_alone(overhead: ModuleType):
    full, half = np.full(8, 0xFF, dtype=np.uint8), np.full(8, 0x0F, dtype=np.uint8)
    assert overhead.answer(full) == (0.0, 64.0)
    assert overhead.answer(half) == overhead.answer(half.copy())
    assert overhead.answer(half)[0] > 0
    assert overhead.answer(half) != overhead.answer(half[::-1] << 4)


def test_the_parts_of_a_bench_add_up_to_its_wall_time():
    *parts, memory = printed("profile_bench.py", "--problem", "lenet-digits", "--budget", "20")
    shares = {row["part"]: row["share"] for row in parts}
    assert sum(shares.values()) == pytest.approx(1)
    assert all(
        shares[part] > 0 for part in ("loading", "evaluator", "scores and training", "journal", "evaluator, final")
    )
    assert all(shares[part] > 0 for part in ("results", "report", "method", "rest"))
    assert memory["part"] == "peak memory"
    assert memory["mb"] > 0


def test_time_within_a_part_is_that_parts_alone(profile_bench: ModuleType, hands: list[float]):
    def wait(seconds: float, result: Any = None) -> Any:
        hands[0] += seconds
        return result

    stopwatch = profile_bench.Stopwatch()
    evaluate = stopwatch.around("evaluator", lambda: wait(1))
    members = stopwatch.around("evaluator, final", lambda: wait(10, evaluate()))
    answers = stopwatch.around("journal", lambda: (wait(100, i) for i in range(2)))
    search = stopwatch.around("method", lambda: [wait(1000, evaluate()), *(wait(1000, i) for i in answers())])
    search()
    members()
    wait(10_000)
    stopwatch.switch("rest")
    spent = {part: seconds for part, seconds in stopwatch.seconds.items() if seconds}
    assert spent == {"evaluator": 1, "evaluator, final": 11, "journal": 200, "method": 3000, "rest": 10_000}


def test_what_was_replaced_is_put_back(profile_bench: ModuleType):
    owner = profile_bench.LoadedProblem
    before = vars(owner)["fingerprint"]
    with suppress(KeyError), profile_bench.replaced(owner, "fingerprint", lambda old: "replaced"):
        assert owner.fingerprint == "replaced"
        raise KeyError
    assert vars(owner)["fingerprint"] is before


def test_one_shot_prints_a_row_for_every_scorer_and_share() -> None:
    settings = ("--problem", "lenet-digits", "--scorers", "magnitude,reconstruction", "--removed", "0.5,0.8")
    rows = printed("one_shot.py", *settings)
    assert [(row["scorer"], row["removed"]) for row in rows] == [
        (scorer, share) for scorer in ("magnitude", "reconstruction") for share in (0.0, 0.5, 0.8)
    ]
    assert all(row["distortion"] == 0 for row in rows if row["removed"] == 0)
    assert rows[5]["distortion"] < rows[2]["distortion"]  # at 80 %, the reason why the score exists


def studied(folder: Path, methods: list[str], budget: float, seeds: int, **changes: Any) -> StudyFolder:
    """A small study on digits, carried out."""
    study = StudyFolder(folder)
    study.prepare({}, {})
    settings = {"budget": budget, "search_images": 60} | changes
    planned = plan(Registry(), methods, ["lenet-digits"], [0], range(seeds), settings, "cpu", 1, lambda line: None)
    for run in planned.runs:
        carry_out(run, folder, ())
    return study


def test_significance_compares_one_method_of_a_study_with_the_others(tmp_path: Path) -> None:
    study = studied(tmp_path, ["random", "magnitude"], 10.0, 6)
    (row,) = printed("significance.py", str(tmp_path), "--method", "random")
    assert (row["other"], row["over"]) == ("magnitude", "6 seeds")
    lost = {run.method: run.hypervolume for run in summaries(study)}["magnitude"]
    own = [run.hypervolume for run in summaries(study) if run.method == "random"]
    assert row["p"] == pytest.approx(wilcoxon(np.subtract(own, lost)).pvalue)
    assert row["a12"] == np.mean(np.array(own) > lost)


@pytest.fixture
def false_claims(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import false_claims

    return false_claims


@pytest.mark.parametrize("names", [2, 5])
@pytest.mark.parametrize("design", [(10, 2), (1, 5)])
def test_one_method_under_two_names_is_seldom_told_apart(
    names: int, design: tuple[int, int], false_claims: ModuleType
) -> None:
    """Of 200 studies at most 5 % and what chance adds to that, with a control named beforehand and without one."""
    studies, rng = 200, np.random.default_rng(names)
    limit = binom.ppf(0.999, studies, 0.05) / studies
    for same in (False, True):
        found = dict(false_claims.shares(false_claims.made_up(rng), names, design, same, studies, rng))
        assert max(found["none"], found["beforehand"]) <= limit


def test_a_control_that_is_chosen_by_its_results_claims_too_much(false_claims: ModuleType) -> None:
    rng = np.random.default_rng(0)
    found = dict(false_claims.shares(false_claims.made_up(rng), 8, (1, 8), True, 200, rng))
    assert found["afterwards"] > binom.ppf(0.95, 200, 0.05) / 200
    assert found["beforehand"] < found["afterwards"]


def test_false_claims_are_counted_on_finished_runs(tmp_path: Path) -> None:
    studied(tmp_path, ["random", "magnitude"], 5.0, 3)
    rows = printed("false_claims.py", str(tmp_path), "--studies", "20", "--methods", "2,3", "--designs", "1x4")
    assert [(row["methods"], row["one method"]) for row in rows[::3]] == [
        (2, "two of them"),
        (3, "two of them"),
        (3, "all"),
    ]
    assert {row["control"] for row in rows} == {"none", "beforehand", "afterwards"}
    assert all(row["from"] <= row["false claims"] <= row["to"] for row in rows)


def test_significance_tells_budgets_apart_and_draws_all_runs(tmp_path: Path) -> None:
    small = studied(tmp_path / "small", ["random"], 5.0, 2)
    large = studied(tmp_path / "large", ["random"], 10.0, 2)
    figure = tmp_path / "runs.png"
    studies = str(small.path), str(large.path)
    (row,) = printed("significance.py", *studies, "--method", "random at 5", "--figure", str(figure))
    assert row["other"] == "random at 10"
    assert row["other_median"] == np.median([run.hypervolume for run in summaries(large)])
    assert not row["significant"]  # two seeds allow no claim
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_every_chapter_of_the_results_is_a_command_and_the_ablation_leaves_out_each_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import chapters

    assert chapters.PIECES == SOURCES
    for chapter in chapters.CHAPTERS:
        parsed = command.make_context("bench", chapter.command(tmp_path)[1:]).params
        assert parsed["control"] == chapter.methods[0]
        assert [Registry().component(Method, name).name for name in chapter.methods]
        assert [Registry().component(Report, name).name for name in chapter.reports] == [*chapter.reports]


def test_a_chapter_is_printed_once_and_the_book_from_what_stands_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import pages
    import results

    study = studied(tmp_path / "first", ["magnitude", "random"], 10.0, 6)
    methods = ("magnitude", "random")
    chapters = [
        results.Chapter(name, name, methods, (), pages.TYPESET.split(",")[:1], "weights", shown=("random",))
        for name in "ab"
    ]
    row = {"board": "b", "instance": 0, "method": "random", "other": "magnitude", "beat": 1, "noise": 0.125}
    pages.race_of(study.path).write_text(json.dumps(row) + "\n")
    pages.write(chapters[0], study, "0e78381", tmp_path / "book")
    assert "| 0 | random | magnitude | 1 | 12.5% |" in (tmp_path / "book" / "a.md").read_text()
    for ending in ("md", "csv"):
        shutil.copy(tmp_path / "book" / f"a.{ending}", tmp_path / "book" / f"b.{ending}")
    (told,) = [
        row["a"] for row in results.glance(chapters, tmp_path / "book").to_dict("records") if row["method"] == "random"
    ]
    values = {run.method: [] for run in summaries(study)}
    for run in summaries(study):
        values[run.method].append(run.hypervolume)
    ahead = np.median(values["random"]) > np.median(values["magnitude"])
    assert told == f"{np.median(values['random']):.4f} {'better' if ahead else 'worse'}"
    assert (tmp_path / "book" / "a.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "book" / "a.png").read_bytes()[1:4] == b"PNG"
    page = (tmp_path / "book" / "a.md").read_text()
    assert "![Final fronts](a.png)" in page
    assert "Behind a name: what is claimed beside `magnitude` at equal compute, by Holm over 1 comparisons" in page
    (picture,) = pages._picture(chapters[0], study, facts(study))
    claim = told.split()[1]
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()] == [f"random: {claim}"]

    monkeypatch.setattr(results, "CHAPTERS", [*chapters, results.Chapter("c", "c", methods, (), part="weights")])
    shutil.rmtree(study.path)
    book = "\n".join(results._book(tmp_path / "book"))
    first = "At equal compute `magnitude` is better than all methods beside it, where enough was run for a claim"
    standing = f"{first}{', but for these: worse than `random` (a, b)' if ahead else ''}. At equal seconds, where a "
    assert book.split("\n")[2] == f"{standing}chapter tells of them, so it is."
    assert "Not run yet: c." in book
    assert f"| random | {told} | {told} |" in book
    assert "| 12 of " in book
    assert "| 0e78381 |" in book, "which is no number"


def test_a_page_is_read_for_what_is_claimed_at_equal_seconds(tmp_path: Path) -> None:
    import pages
    import results

    names = ["method", "against", "verdict", "at equal compute"]
    claims = [("x[a=1,b=2]", "worse", "better"), ("y", "no difference shown", "better"), ("z", "better", "better")]
    frame = pd.DataFrame([("m", *claim) for claim in claims], columns=names)
    other = pd.DataFrame([("m", "w", "worse")], columns=names[:3])
    lines = ["tests", "", *pages.markdown(other), "", "seconds", "", *pages.markdown(frame), "", "| no | more |", ""]
    (tmp_path / "a.md").write_text("\n".join(lines))
    told = pages.at_equal_seconds(tmp_path / "a.md")
    assert told == [("x[a=1,b=2]", "better"), ("y", "no difference shown"), ("z", "worse")]
    chapter = results.Chapter("a", "a", ("m",), ())
    but = results._but([(chapter, *one) for one in told])
    assert but == ", but for these: worse than `x[a=1,b=2]` (a), and no difference is shown from `y` (a)"
    (tmp_path / "a.md").write_text("\n".join(lines[:6]))
    assert pages.at_equal_seconds(tmp_path / "a.md") == []


def test_orders_of_scores_leave_something_of_a_true_front_to_be_found() -> None:
    magnitude, taylor = printed("orders.py", "tiny-attention", "--scorers", "magnitude,taylor")
    assert magnitude["masks"] == taylor["masks"] == 3 * 5 * 3 * 5  # heads and hidden units of two blocks
    assert 0.5 < magnitude["share"] < taylor["share"] < 1


def test_runs_of_another_kind_are_not_compared_and_none_counts_twice(tmp_path: Path) -> None:
    study, other = (studied(tmp_path / name, ["random", "magnitude"], 5.0, 2) for name in ("a", "b"))
    (row,) = printed("significance.py", str(study.path), str(other.path), "--method", "random")
    assert row["over"] == "2 seeds"  # both hold the same runs
    filters = studied(tmp_path / "filters", ["random"], 5.0, 1, units="filter")
    command = [sys.executable, str(BENCHMARKS / "significance.py"), str(study.path), str(filters.path)]
    refused = subprocess.run([*command, "--method", "random"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "must have the same units" in refused.stderr
    rows = printed("reductions.py", str(study.path), str(other.path), "--loss", "90")
    assert len(rows) == 2 * 2 * 3


def test_reductions_are_those_of_members_chosen_on_the_search_images(tmp_path: Path) -> None:
    study = studied(tmp_path, ["magnitude"], 60.0, 1)
    rows = printed("reductions.py", str(tmp_path), "--loss", "0.5,2")
    [summary] = summaries(study)
    for loss in (0.5, 2.0):
        own = {row["saving"]: row for row in rows if row["points"] == f"{loss:g}"}
        assert own["parameters removed"]["value"] == pytest.approx(100 * summary.point(loss).reduction)
        assert own["parameters removed"]["test_drop"] == pytest.approx(summary.point(loss).test_drop)
        assert own["fewer in convolutions"]["value"] >= 1
    [run] = study.runs()
    network = load(Registry().problem("lenet-digits")).network
    front = run.front()
    macs = network.macs(Masks(front["bits"], network.layout))
    allowed = front["search_error"] <= run.result["dense_error"] + 0.02
    best = {row["saving"]: row["value"] for row in rows if row["points"] == "2"}["fewer multiply-adds"]
    assert best == pytest.approx(network.total_macs / macs[allowed].min())


def test_of_one_weighting_the_fittest_member_is_told_too(tmp_path: Path) -> None:
    study = studied(tmp_path, ["weighted-ga[preset=sparsity,error=0,computation=0,size=1]"], 40.0, 1)
    rows = [row for row in printed("reductions.py", str(tmp_path), "--loss", "0") if row["points"] == "fittest"]
    [run] = study.runs()
    front, network = run.front(), load(Registry().problem("lenet-digits")).network
    params = network.params(Masks(front["bits"], network.layout))
    smallest = int(params.argmin())
    [own] = [row for row in rows if row["saving"] == "parameters removed"]
    assert own["value"] == pytest.approx(100 * (1 - params[smallest] / network.total_params))
    drop = 100 * (front["search_error"][smallest] - run.result["dense_error"])
    assert own["search_drop"] == pytest.approx(drop)
    assert len(rows) == 3


def test_a_rematch_counts_who_beats_whom_in_every_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import rematch

    values = np.array([[0.1, 0.5, 3.0], [0.3, 0.9, 5.0], [0.2, 0.6, 4.0], [0.1, 0.6, 4.0]])
    low = np.array([1.0, 3.0, 1.4, 2.0])
    field = rematch.Field(np.array(["a", "a", "b", "b"]), values, low, low + 0.5, 0.0)
    row = rematch.beaten(field, "a", "b")  # only the third is beaten by the first: the fourth is as accurate
    assert (row["beat"], row["beaten"], row["surely"]) == (1, 1, 0)  # and the intervals overlap: 1.5 > 1.4
    assert rematch.beaten(field, "b", "a")["beaten"] == 1  # the second, by both
    assert rematch.beaten(field, "b", "a") | {"noise": 0.0} == {
        "method": "b", "other": "a", "members": 2, "beat": 2, "others": 2, "beaten": 1, "surely": 1, "noise": 0.0
    }  # fmt: skip


def test_a_rematch_times_all_fronts_in_one_series(tmp_path: Path) -> None:
    physical = {"units": "filter", "objectives": ("error", "latency", "memory")}
    target = "local-cpu[repeats=3,warmup=1]"
    study = studied(tmp_path / "timed", ["netadapt", "nsga2"], 60.0, 1, target=target, **physical)
    rows = printed("rematch.py", str(study.path))
    assert [(row["method"], row["other"]) for row in rows] == [("netadapt", "nsga2"), ("nsga2", "netadapt")]
    sizes = {run.method: run.front_size for run in summaries(study)}
    assert all(row["members"] == sizes[row["method"]] for row in rows)
    assert all(row["surely"] <= row["beaten"] <= row["others"] for row in rows)
    assert len({row["noise"] for row in rows}) == 1
    estimated = studied(tmp_path / "estimated", ["nsga2"], 20.0, 1, target="analytic", **physical)
    command = [sys.executable, str(BENCHMARKS / "rematch.py"), str(estimated.path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "'analytic' times nothing" in refused.stderr


@pytest.mark.parametrize("work", ["training", "tuning", "scoring"])
def test_a_row_of_learning_says_what_was_compared(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import learning

    row = learning.learned("digits", work, "float32", 1)
    assert {key: row[key] for key in ("network", "work", "precision")} == {
        "network": "digits",
        "work": work,
        "precision": "float32",
    }
    assert row["ratio_q1"] <= row["ratio"] <= row["ratio_q3"]
    assert min(row["ratio"], row["per_pass"], row["milliseconds"]) > 0


@pytest.fixture
def tuning(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import tuning

    return tuning


def asked_for(words: Sequence[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_no_comparison_uses_what_defaults_are_tuned_or_checked_on(tuning: ModuleType) -> None:
    import chapters

    used = [chapter.arguments for chapter in chapters.CHAPTERS if "lenet-digits" in chapter.arguments]
    places = [asked_for(words, "--instances") for words in (tuning.TUNED_ON, tuning.CHECKED_ON, *used)]
    tuned, checked, *compared = ({*numbers([place], "instances")} for place in places)
    assert compared
    assert not tuned & checked
    assert not (tuned | checked) & set.union(*compared)


def test_every_method_that_searches_by_settings_is_tuned_from_specs_that_there_are(tuning: ModuleType) -> None:
    found = Registry()
    specs = [pair for chapter in tuning.CHAPTERS for pair in chapter.methods]
    for asked, before in specs:
        assert found.component(Method, asked).name == found.component(Method, before).name
        assert Space.of(found, asked).knobs
    others = {"magnitude", "platypus", "random"}  # a sweep, an adapter, and nothing to set
    bundled = {
        name for name in found.names("method") if found.described("method", name)[1].distribution == "pruneframe"
    }
    assert {asked.partition("[")[0] for asked, _ in specs} == bundled - others


def test_the_last_section_of_a_document_is_printed_again(tuning: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n## One\n\nstays\n\n## Two\n\ngoes\n")
    for _ in range(2):
        done = CliRunner().invoke(tuning.main, [str(tmp_path / "studies"), "--output", str(page)])
        assert done.exit_code == 0, done.output
        head, _, rest = page.read_text().partition("\n## Two\n")
        assert head == "# Title\n\n## One\n\nstays\n"
        assert "goes" not in rest
        assert rest.count("not run yet") == len(tuning.CHAPTERS)


def test_half_width_times_every_target_in_turns() -> None:
    command = [sys.executable, str(BENCHMARKS / "half_width.py"), "--targets", "onnxruntime[repeats=2,warmup=0]"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lenet-digits on onnxruntime[repeats=2,warmup=0]: ")
    assert done.stdout.strip().endswith("times as fast")


@pytest.mark.slow
def test_following_a_run_of_10000_evaluations_takes_little_more_than_one_of_1000() -> None:
    rows = printed("parent.py", "--evaluations", "10000")
    assert max(row["evaluations"] for row in rows) >= 9000
    assert max(row["grown"] for row in rows) < 10  # megabytes
