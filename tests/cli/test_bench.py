"""`pruneframe bench`: what it runs and leaves, and what it refuses before anything is written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from command import METHOD, QUICK, Cli, Command, files, in_this_process
from precisions import multiplies
from runs import carried_out, run_of

from pruneframe.study.machine import environment
from pruneframe.study.store import StudyFolder


def test_bench_end_to_end_and_again(pruneframe: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("bench", "--methods", "random,magnitude", *QUICK)
    done = pruneframe(*command)
    assert done.returncode == 0, done.stderr
    assert "random" in done.stdout
    assert "magnitude" in done.stdout
    pdf = tmp_path / "pruneframe-study" / "comparison.pdf"
    assert done.stdout.splitlines()[-1] == f"comparison: {pdf}"
    assert pdf.read_bytes().startswith(b"%PDF")
    assert done.stderr.count("done, 20/20 passes") == 2

    runs = {path: path.stat().st_mtime_ns for path in files(tmp_path / "pruneframe-study" / "runs")}
    printed = pdf.read_bytes()
    with in_this_process(tmp_path, capsys) as run:
        again = run(*command)
    assert again.code == 0, again.err
    assert again.err.splitlines() == ["2 of 2 runs are already there"]
    assert again.out == done.stdout
    assert pdf.read_bytes() == printed, "the same study, the same file, also by another process"
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path / "pruneframe-study" / "runs")} == runs


@pytest.mark.usefixtures("undrawn")
def test_bench_says_what_the_kernel_cannot_run(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.engine.sparse.kernel", lambda: None)
    found = cli("bench", "--methods", "random", *QUICK)
    note = "note: lenet-digits is evaluated by torch alone: the kernel is not built; that takes longer"
    assert found.code == 0
    assert found.err.splitlines().count(note) == 1


SMALL = ("--units", "filter", "--seeds", "0", "--budget", "20", "--search-images", "20", "--threads", "1")
UNEVEN = """
import torch
from torch import nn

import pruneframe as pf
from pruneframe.testing import tiny_problem

class Uneven(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.last = nn.Linear(3 * 36, 10)

    def forward(self, images):
        return self.last(torch.relu(self.second(torch.relu(self.first(images)))).view(-1, 3 * 36))

@pf.hookimpl
def pruneframe_problems():
    return [pf.Problem("uneven", Uneven, tiny_problem().data)]
"""


def test_bench_and_info_say_what_cannot_be_pruned(cli: Cli, here: Path) -> None:
    (here / "uneven.py").write_text(UNEVEN)
    note = "the filters of second stay: the network must run without its units"
    found = cli("bench", "-p", "uneven.py", "--problems", "uneven", "--methods", "random", *SMALL)
    assert found.code == 0, found.err
    assert sum(line.startswith(f"note: uneven: {note}") for line in found.err.splitlines()) == 1
    (told,) = cli("info", "uneven", "-p", "uneven.py", "--units", "filter", "--json").parsed
    (units,) = told["units"]
    assert units["units"] == 4
    assert units["notes"][0].startswith(note)
    assert f"\n    {note}" in cli("info", "uneven", "-p", "uneven.py", "--units", "filter").out


def test_bench_json_is_a_list_of_runs_and_nothing_else(cli: Cli, here: Path) -> None:
    found = cli("bench", "--methods", "random", *QUICK, "--seeds", "2,0", "--json").parsed
    assert [(run["method"], run["seed"], run["status"]) for run in found] == [
        ("random", 0, "done"),
        ("random", 2, "done"),
    ]
    assert cli("summary", "pruneframe-study", "--json").parsed == found
    assert (here / "pruneframe-study" / "comparison.pdf").exists()


@pytest.mark.usefixtures("undrawn")
def test_every_setting_reaches_the_runs(cli: Cli) -> None:
    settings = ("--units", "filter", "--objectives", "error,macs", "--search-images", "360", "--budget", "12.5")
    settings += ("--batch-norm", "shifted")
    (run,) = cli("bench", "--methods", "random", "--seeds", "7", "--threads", "1", *settings, "--json").parsed
    wanted = {"units": "filter", "batch_norm": "shifted", "objectives": ["error", "macs"]}
    wanted |= {"search_images": 360, "budget": 12.5, "seed": 7}
    assert {name: run[name] for name in wanted} == wanted


def test_commas_inside_brackets_belong_to_the_component(cli: Cli) -> None:
    rows = cli("bench", "--methods", "nsga2[population=4,scorer=l2], random", *QUICK, "--dry-run", "--json").parsed
    assert [row["method"] for row in rows] == ["nsga2[scorer=l2,population=4]", "random"]


@pytest.mark.usefixtures("undrawn")
def test_lists_are_comma_separated_or_their_option_is_repeated(cli: Cli) -> None:
    several = ("--methods", "random", "--methods", "nsga2,magnitude", "--seeds", "3", "--seeds", "0-1", "--dry-run")
    rows = cli("bench", *several, *QUICK, "--json").parsed
    wanted = [(method, seed) for method in ("random", "nsga2", "magnitude") for seed in (3, 0, 1)]
    assert sorted((row["method"], row["seed"]) for row in rows) == sorted(wanted)
    objectives = ("--objectives", "error", "--objectives", "macs")
    (run,) = cli("bench", "--methods", "random", *QUICK, *objectives, "--json").parsed
    assert run["objectives"] == ["error", "macs"]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.usefixtures("undrawn")
def test_a_control_is_named_before_the_first_run_is_finished(cli: Cli, here: Path) -> None:
    command = ("bench", "--methods", "random,magnitude", *QUICK)
    first = cli(*command, "--control", "random")
    assert first.code == 0
    study = here / "pruneframe-study"
    assert StudyFolder(study).settings["control"] == "random"
    beforehand = "against the control, random, named before the first run."
    assert beforehand in " ".join(first.out.split())
    assert beforehand in " ".join(cli(*command).out.split()), "the study remembers it"
    assert cli(*command, "--control", "random").code == 0
    changed = cli(*command, "--control", "magnitude")
    assert changed.code == 2
    assert "has finished runs and the control random; name another --output" in changed.error
    late = cli("summary", study, "--control", "magnitude")
    assert "against the control, magnitude, named after the runs." in " ".join(late.out.split())
    assert cli("bench", "--methods", "random", *QUICK, "--output", "other").code == 0
    refused = cli("bench", "--methods", "random", *QUICK, "--output", "other", "--control", "random")
    assert "has finished runs and no control" in refused.error


def test_force_does_runs_again(cli: Cli, here: Path) -> None:
    command = ("bench", "--methods", "random", *QUICK)
    assert cli(*command).code == 0
    (folder,) = StudyFolder(here / "pruneframe-study").runs()
    before, written = folder.front(), folder.journal.stat().st_mtime_ns
    again = cli(*command, "--force")
    assert again.code == 0
    assert "already there" not in again.err
    assert folder.journal.stat().st_mtime_ns > written
    assert all(np.array_equal(before[name], array) for name, array in folder.front().items())


@pytest.mark.usefixtures("undrawn")
def test_force_leaves_other_runs_alone(cli: Cli, here: Path) -> None:
    assert cli("bench", "--methods", "random,magnitude", *QUICK).code == 0
    runs = {
        run.identity["method"]: run.journal.stat().st_mtime_ns for run in StudyFolder(here / "pruneframe-study").runs()
    }
    assert cli("bench", "--methods", "random", *QUICK, "--force").code == 0
    for run in StudyFolder(here / "pruneframe-study").runs():
        method = run.identity["method"]
        assert (run.journal.stat().st_mtime_ns == runs[method]) == (method == "magnitude")


@pytest.mark.usefixtures("undrawn")
def test_a_study_grows_by_what_is_missing(cli: Cli, here: Path) -> None:
    assert cli("bench", "--methods", "random", *QUICK).code == 0
    grown = cli("bench", "--methods", "random,magnitude", *QUICK)
    assert "1 of 2 runs are already there" in grown.err
    assert {run.identity["method"] for run in StudyFolder(here / "pruneframe-study").runs()} == {"random", "magnitude"}


@pytest.mark.usefixtures("undrawn")
def test_dry_run_tells_what_is_there_and_writes_nothing(cli: Cli, here: Path) -> None:
    command = ("bench", "--methods", "random", *QUICK, "--seeds", "0-1")
    found = cli(*command, "--dry-run")
    assert found.code == 0
    assert [line.split()[0] for line in found.out.splitlines()[:2]] == ["missing", "missing"]
    assert found.out.splitlines()[2].startswith("2 runs, about ")
    assert list(here.iterdir()) == []
    assert cli("bench", "--methods", "random", *QUICK).code == 0
    rows = cli(*command, "--dry-run", "--json").parsed
    assert [(row["seed"], row["there"]) for row in rows] == [(0, "done"), (1, "missing")]
    assert rows[0]["estimated_seconds"] == 0 < rows[1]["estimated_seconds"]
    (folder,) = StudyFolder(here / "pruneframe-study").runs()
    (folder.path / "run.json").unlink()
    rows = cli(*command, "--dry-run", "--json").parsed
    assert [row["there"] for row in rows] == ["begun", "missing"]
    assert rows[0]["estimated_seconds"] == 0 < rows[1]["estimated_seconds"], "all its passes are in its journal"
    assert not folder.finished


def test_output_may_lie_elsewhere(cli: Cli, here: Path, tmp_path: Path) -> None:
    target = tmp_path / "far" / "away"
    assert str(target / "comparison.pdf") in cli("bench", "--methods", "random", *QUICK, "--output", target).out
    assert len(list(StudyFolder.existing(target).runs())) == 1
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("undrawn")
def test_progress_is_shown_live_on_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes standard error for a terminal then
    found = cli("bench", "--methods", "random", *QUICK)
    assert found.code == 0
    assert "1 of 1 runs ended" in found.err


def test_a_failed_run_is_named_and_the_others_are_reported(cli: Cli, tmp_path: Path) -> None:
    plugin = tmp_path / "breaks.py"
    plugin.write_text(METHOD.replace("BODY", "raise RuntimeError('on purpose')"))
    found = cli("bench", "--methods", "own,random", *QUICK, "-p", plugin)
    assert found.code == 1
    failure = "own on lenet-digits, seed 0: RuntimeError: on purpose"
    assert found.err.splitlines()[-1].startswith(f"Failed: {failure} (plugin 'breaks' of ")
    assert f"failed: {failure}" in found.out
    assert "random" in found.out
    assert "comparison: " in found.out


NOTHING = "emo-dir[cuts=none]"  # with 3 passes it reaches nothing
REPORT = '''
from dataclasses import dataclass

import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Own(pf.Report):
    """A report of one's own."""
    name = "own-report"
    def draw(self, table, study):
        BODY

@pf.hookimpl
def pruneframe_reports():
    return [Own]
'''


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise RuntimeError('on purpose')", "RuntimeError: on purpose"),
        ("yield 'junk'", "must give Figures, Tables and Remarks, but gave a str"),
        ("yield pf.Table('a b', 'c', table)", "an id must be letters, digits and dashes, but is 'a b'"),
        ("yield pf.Table('a', 'c', [1, 2])", "must hold a pandas DataFrame, but holds a list"),
        ("yield pf.Remark(3)", "a text must be text, but is a int"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_a_report_that_fails_is_named_and_everything_else_works(
    body: str, told: str, cli: Cli, here: Path, tmp_path: Path
) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(REPORT.replace("BODY", body))
    found = cli("bench", "--methods", "random", *QUICK, "-p", plugin)
    assert found.code == 1
    assert "Traceback" not in found.err
    assert "report own-report fails: " in found.err
    assert told in found.err
    assert "random" in found.out
    assert (here / "pruneframe-study" / "comparison.pdf").read_bytes().startswith(b"%PDF")


def test_bench_fine_tunes_what_is_finished_and_reports_both(cli: Cli, own_study: Path) -> None:
    again = ["--methods", "magnitude,nsga2", *QUICK, "--output", own_study]
    found = cli("bench", *again, "--finetune", "1")
    assert found.code == 0, found.err
    assert "already there" not in found.err
    assert "1 epoch of" in (own_study / "comparison-parts" / "finetuned-table-1.tex").read_text()
    assert "2 of 2 runs are already there" in cli("bench", *again, "--finetune", "1").err
    assert cli("bench", *again, "--finetune", "0").code == 2


def test_a_budget_that_the_scores_use_up_is_refused(cli: Cli, here: Path) -> None:
    # 1,000 training images forward and backward are 30 passes over 100 search images
    found = cli("bench", "--methods", "nsga2[scorer=taylor]", *QUICK)
    assert found.code == 2
    assert "budget" in found.error
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "randm"], ["'randm'", "'random'"]),
        (["--methods", "random,magnitud"], ["'magnitud'", "'magnitude'"]),
        (["--problems", "lenet-digit"], ["'lenet-digit'", "'lenet-digits'"]),
        (["--methods", "nsga2[populaton=4]"], ["'populaton'", "'population'", "variation"]),
        (["--methods", "nsga2[population=many]"], ["nsga2[population=...]", "int", "'many'"]),
        (["--methods", "nsga2[population=4.5]"], ["nsga2[population=...]", "int", "'4.5'"]),
        (["--methods", "nsga2[population=-4]"], ["population", "-4"]),
        (["--methods", "nsga2[encoding=mask[noise=loud]]"], ["noise", "float", "'loud'"]),
        (["--methods", "nsga2[scorer=taylr]"], ["'taylr'", "'taylor'"]),
        (["--methods", "nsga2[population=4"], ["nsga2[population=4"]),
        (["--methods", "nsga2[population=4,population=5]"], ["population", "twice"]),
        (["--methods", "platypus[algorithm=GDE3,encoding=mask]"], ["GDE3", "encoding=layer-threshold"]),
        (["--budget", "0"], ["budget", "0"]),
        (["--budget", "-5"], ["budget", "-5"]),
        (["--budget", "1.5"], ["budget", "1.5", "2"]),
        (["--budget", "nan"], ["budget", "nan"]),
        (["--budget", "inf"], ["budget", "inf"]),
        (["--budget", "much"], ["--budget", "much"]),
        (["--budget", "1e308"], ["budget <= 1,000,000,000", "1e+308"]),
        (["--seeds", "0-99999999"], ["100,000 numbers at most", "0-99999999"]),
        (["--seeds", "9" * 5000], ["18 digits"]),
        (["--seeds", "0-9999", "--instances", "0-99"], ["100,000 runs", "1,000,000"]),
        (["--methods", "nsga2[population=1000000000]"], ["population <= 10,000,000", "1000000000"]),
        (["--methods", "nsga2[population=10000000]"], ["a population must take at most", "10,000,000 genomes"]),
        (["--methods", "hamp[population=10000000]", "--units", "filter"], ["a population must take at most"]),
        (["--methods", "weighted-ga[population=9000000]"], ["a population must take at most"]),
        (["--methods", "nsga2[scorer=" * 3000], ["brackets may be 50 deep"]),
        (["--timeout", "1e308"], ["--timeout"]),
        (["--threads", "1000000000"], ["--threads"]),
        (["-p", "/etc/passwd"], ["-p takes a Python file", "/etc/passwd"]),
        (["-p", "a\0b.py"], ["NUL"]),
        (["--output", "a\0b"], ["NUL"]),
        (["--seeds", "1-"], ["'1-'", "0-4"]),
        (["--seeds", "a"], ["'a'", "0-4"]),
        (["--seeds", ""], ["''", "0-4"]),
        (["--seeds", "4-0"], ["'4-0'"]),
        (["--seeds", "-1"], ["-1"]),
        (["--units", "kernel"], ["unit", "'kernel'", "filter"]),
        (["--units", ""], ["name[setting=value,...]", "''"]),
        (["--target", ""], ["name[setting=value,...]", "''"]),
        (["--target", "local-cpi"], ["'local-cpi'", "'local-cpu'"]),
        (["--target", "lookup-table"], ["table must name a file"]),
        (["--batch-norm", "moved"], ["--batch-norm", "'moved'", "shifted"]),
        (["--search-images", "0"], ["search", "0"]),
        (["--search-images", "-3"], ["search", "-3"]),
        (["--search-images", "9999"], ["search", "360", "9999"]),
        (["--objectives", "error,parms"], ["'parms'", "'params'"]),
        (["--objectives", "error,error"], ["distinct"]),
        (["--objectives", ""], ["objectives"]),
        (["--device", "gpu"], ["--device", "'gpu'"]),
        (["--device", "cuda"], ["--device", "'cuda'", "cuda:N"]),
        (["--device", "cpu:0"], ["--device", "'cpu:0'"]),
        (["--device", "cuda:99"], ["cuda:99", f"torch sees {torch.cuda.device_count()} GPUs", "use cpu"]),
        (["--jobs", "0"], ["--jobs", "0"]),
        (["--jobs", "2", "--units", "filter", "--objectives", "error,latency"], ["--jobs must be 1"]),
        (["--target", "nonsense"], ["'nonsense'"]),
        (["--target", ""], ["a component is written name"]),
        (["--threads", "0"], ["--threads", "0"]),
        (["--problems", "resnet20-cifar10", "--data", "nowhere"], ["nowhere", "--data"]),
        (["--data", "nowhere"], ["nowhere", "--data"]),
        (["--target", "local-cpu"], ["--target is used by nothing", "error, params", "--objectives error,latency"]),
        (["-p", "nowhere.py"], ["nowhere.py"]),
        (["-p", "."], ["-p"]),
        (["-p", "no:nowhere"], ["'nowhere'"]),
        (["--colour"], ["--colour"]),
        (["surplus"], ["surplus"]),
    ],
)
def test_bad_input_to_bench(arguments: list[str], words: list[str], cli: Cli, here: Path) -> None:
    named = [] if "--methods" in arguments else ["--methods", "random"]
    found = cli("bench", *QUICK, *named, *arguments)
    assert found.code == 2
    assert all(word in found.error for word in words), found.error
    assert list(here.iterdir()) == []


def test_a_cache_that_cannot_be_written(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "file" / "cache"))
    found = cli("bench", "--methods", "random", *QUICK, "--instances", "10")  # whose weights are not shipped
    assert found.code == 2
    # Training may have told its progress before it found out.
    assert next(line for line in found.err.splitlines() if not line.startswith("training ")).startswith("Error: ")
    assert str(tmp_path / "file" / "cache") in found.err.splitlines()[-1]
    assert list(here.iterdir()) == []


def test_an_estimate_is_of_runs_side_by_side(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.study.plan.seconds_per_pass", lambda *asked: 0.5)
    asked = ("bench", "--methods", "random,magnitude", *QUICK, "--seeds", "0-4", "--dry-run", "--budget", "1000")
    seconds = [
        float(re.search(r"about (\d+) s", cli(*asked, "--jobs", jobs).out)[1])  # type: ignore[index]
        for jobs in ("1", "5", "50")
    ]
    assert seconds == [10 * 500, 2 * 500, 500]


def test_threads_are_one_whatever_the_jobs(cli: Cli, here: Path, undrawn: None) -> None:
    asked = ("bench", "--methods", "random", "--seeds", "0", "--budget", "20", "--search-images", "100", "--json")
    (alone,) = cli(*asked).parsed
    again = cli(*asked, "--seeds", "0-2", "--jobs", "2").parsed
    assert alone["hash"] in {run["hash"] for run in again}
    assert {run.identity["threads"] for run in StudyFolder(here / "pruneframe-study").runs()} == {1}


def test_threads_of_a_worker_that_wait_sleep(pruneframe: Command, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        METHOD.replace("BODY", "import os; assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'")
    )
    done = pruneframe("bench", "-p", "own.py", "--methods", "own", *QUICK)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("undrawn")
def test_bench_searches_in_bfloat16_and_says_so(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    multiplies(monkeypatch)
    (here / "settings.toml").write_text('precision = "bfloat16"\n')
    found = cli("bench", "--methods", "magnitude", *QUICK, "--config", "settings.toml", "--json")
    assert [run["precision"] for run in found.parsed] == ["bfloat16"]
    assert sum(line.startswith("note: lenet-digits is evaluated by ") for line in found.err.splitlines()) == 1
    study = StudyFolder(here / "pruneframe-study")
    assert study.settings["commands"][0]["precision"] == "bfloat16"
    (folder,) = study.runs()
    assert folder.identity["precision"] == "bfloat16"
    assert "bfloat16" in folder.result["engine"]


def test_bench_refuses_a_precision_that_would_be_emulated(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplies(monkeypatch, "")
    found = cli("bench", "--methods", "magnitude", *QUICK, "--precision", "bfloat16")
    assert found.code == 2
    assert "would emulate bfloat16" in found.error
    assert not files(here)


def test_instances_are_runs_of_one_board_and_have_a_column(cli: Cli, here: Path) -> None:
    quick = ("--budget", "12", "--search-images", "100", "--seeds", "0", "--threads", "1")
    runs = cli("bench", "--methods", "random,magnitude", "--instances", "0,2-3", *quick, "--json").parsed
    assert sorted((run["method"], run["instance"]) for run in runs) == [
        (method, instance) for method in ("magnitude", "random") for instance in (0, 2, 3)
    ]
    assert len({run["board"] for run in runs}) == 1
    assert len({run["dense_test_error"] for run in runs} | {run["hypervolume"] for run in runs}) > 3
    told = cli("summary", "pruneframe-study").out
    assert "lenet-digits, instances 0,2-3" in told
    first = cli("bench", "--methods", "random,magnitude", *quick)
    assert "2 of 2 runs are already there" in first.err
    assert "instance 3" in cli("report", "pruneframe-study", "--trace", "front-1").out
    distances = pd.read_csv(here / "pruneframe-study" / "comparison-parts" / "distances-1.csv")
    assert sorted(distances.instance.unique()) == [0, 2, 3]


def test_a_budget_that_leaves_parts_without_members_is_refused(cli: Cli, here: Path) -> None:
    found = cli("bench", "--methods", "emo-dir,nsga2", *QUICK, "--budget", "3")
    assert (found.code, list(here.iterdir())) == (2, [])
    assert "must hold for 'emo-dir', which spends at least as much before its first pruned network" in found.error


def test_a_budget_that_is_too_small_is_told_and_nothing_is_ranked(cli: Cli) -> None:
    found = cli("bench", "--methods", f"{NOTHING},nsga2", *QUICK, "--budget", "3")
    assert found.code == 0
    [table, rest] = found.out.split("empty: ")
    assert "nsga2" in table
    assert "emo-dir" not in table
    assert rest.startswith(f"{NOTHING} on lenet-digits, seed 0: no member is better than guessing")
    assert "0.0000" not in found.out + found.err
    assert "emo-dir" not in (Path("pruneframe-study") / "comparison-parts" / "results-1.csv").read_text()


def test_a_study_in_which_nothing_was_reached_has_no_comparison(cli: Cli) -> None:
    assert "nothing reached" in cli("bench", "--methods", NOTHING, *QUICK, "--budget", "3").err
    found = cli("report", "pruneframe-study")
    assert (found.code, "has no run that reached anything" in found.error) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "seeds", "told"),
    [
        (["random,nsga2"], 5, "1 comparison of 2 methods needs 4 seeds for a claim, and 5 are asked for"),
        (
            ["random,nsga2,moead,magnitude"],
            7,
            "6 comparisons of 4 methods need 7 seeds for a claim, and 7 are asked for",
        ),
        (["random"], 5, ""),
        (
            ["random,nsga2", "--seeds", "0-2"],
            3,
            "3 seeds can claim nothing: 1 comparison of 2 methods needs 4, as by --",
        ),
        (
            ["random,nsga2", "--instances", "0-1"],
            3,
            "2 instances can claim nothing: 1 comparison of 2 methods needs 6, as",
        ),
    ],
)
def test_what_can_be_claimed_is_said_beforehand(arguments: list[str], seeds: int, told: str, cli: Cli) -> None:
    found = cli("bench", "--budget", "10", "--search-images", "100", "--dry-run", "--json", "--methods", *arguments)
    assert {run["seed"] for run in found.parsed} == set(range(seeds))
    assert [line[: len(told)] for line in found.err.splitlines()] == ([told] if told else [])


def test_a_study_of_another_machine_asks_for_force_or_a_new_folder_unless_all_is_done(
    cli: Cli, here: Path, undrawn: None
) -> None:
    study = StudyFolder(here / "study")
    study.prepare({}, environment() | {"torch": "1.0", "machine": "abacus"})
    carried_out(run_of("random"), study.path)
    bench = ("bench", "--methods", "random", *QUICK, "--output", study.path)
    more = (*bench, "--seeds", "0-1")
    refused = cli(*more)
    assert refused.code == 2
    assert "must go on where it was computed, under machine abacus, torch 1.0, but here" in refused.err
    assert cli(*bench).code == 0  # nothing is computed
    assert cli(*more, "--force").code == 0
    assert len([*study.runs()]) == 2


def test_a_run_that_failed_is_tried_again_by_the_next_command(cli: Cli, here: Path, undrawn: None) -> None:
    plugin = here / "own.py"
    body = "import os; assert os.path.exists(__file__ + '.go')"
    plugin.write_text(METHOD.replace("BODY", body))
    bench = ("bench", "--methods", "own", "-p", plugin, *QUICK, "--retries", "2")
    failed = cli(*bench)
    assert (failed.code, "(tried 3 times)" in failed.err) == (1, True)
    (here / "own.py.go").touch()
    assert cli(*bench).code == 0


def test_what_excludes_a_cluster_is_refused(cli: Cli) -> None:
    assert "--jobs and --dask exclude" in cli("bench", "--methods", "random", "--dask", "local:2", "--jobs", "2").error
    assert "must name 1 to 9999 workers" in cli("bench", "--methods", "random", "--dask", "local:0").error
