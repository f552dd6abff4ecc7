"""The command line's contract: what it prints where, its exit codes, and one clear line for everything wrong.

Most tests run it inside this process, with its runs in a thread; those about processes start one.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_resume import living, wait_for

from pruneframe.cli import main, options
from pruneframe.errors import InputError
from pruneframe.registry import Registry
from pruneframe.store import RunFolder, StudyFolder
from pruneframe.testing import TinyNetwork

QUICK = ("--seeds", "0", "--budget", "20", "--search-images", "100", "--threads", "1")


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def parsed(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that says what is wrong; click adds how the command is used."""
        lines = self.err.splitlines()
        errors = [line for line in lines if line.startswith("Error: ")]
        assert len(errors) == 1, self.err
        assert lines[-1] == errors[0], self.err
        assert len(lines) == 1 or lines[0].startswith("Usage: "), self.err
        assert self.out == ""
        return errors[0]


Cli = Callable[..., Outcome]


@contextmanager
def in_this_process(here: Path, capsys: pytest.CaptureFixture[str] | None = None) -> Iterator[Cli]:
    """The command line in a folder, its runs in a thread instead of processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("PRUNEFRAME_DATA", "")  # --data sets it for the process: here only until the test ends
        patch.setattr("pruneframe.study.LocalExecutor", lambda jobs, threads: ThreadPoolExecutor(jobs))

        def run(*arguments: str | Path) -> Outcome:
            patch.setattr(sys, "argv", ["pruneframe", *map(str, arguments)])
            if capsys is not None:
                capsys.readouterr()
            code = main.run()
            out, err = capsys.readouterr() if capsys is not None else ("", "")
            return Outcome(code, out, err)

        yield run


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The empty folder in which commands are given."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def cli(here: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    with in_this_process(here, capsys) as run:
        yield run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study: two methods, two seeds."""
    folder = tmp_path_factory.mktemp("finished")
    with in_this_process(folder) as run:
        found = run("bench", "--methods", "magnitude,nsga2", *QUICK, "--seeds", "0-1")
        assert found.code == 0
    return folder / "pruneframe-study"


def started(here: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command line as a process in a session of its own, which can be interrupted.

    Who runs these tests in the background of a shell script has them ignore interrupts, and their children inherit it.
    """
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{listen}; from pruneframe.cli.main import main; main()", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=here, text=True, start_new_session=True, **pipes)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


# --- help, listings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *main.COMMANDS])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(command: str, flag: str, cli: Cli) -> None:
    found = cli(*filter(None, [command]), flag)
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("Usage: ")
    listed = re.findall(r"^  ([a-z]+)  +\S", found.out, re.MULTILINE)
    assert command or listed == list(main.COMMANDS)


def test_help_never_imports_torch(here: Path) -> None:
    script = (
        "import sys\nfrom pruneframe.cli import main\n"
        "for command in ('', *main.COMMANDS):\n"
        "    sys.argv = ['pruneframe', *filter(None, [command]), '--help']\n"
        "    assert main.run() == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=here, check=True, capture_output=True)


def test_version(cli: Cli) -> None:
    import pruneframe as pf

    assert pf.__version__ in cli("--version").out


def test_list_names_everything_with_its_origin(cli: Cli) -> None:
    rows = cli("list", "--json").parsed
    named = {(row["kind"], row["name"]) for row in rows}
    assert len(named) == len(rows)
    for kind, names in {
        "method": {
            "random",
            "magnitude",
            "nsga2",
            "moead",
            "platypus",
            "hierarchical",
            "emo-dir",
            "weighted-ga",
            "hamp",
            "netadapt",
        },
        "device": {"local-cpu", "local-cuda", "lookup-table", "analytic"},
        "problem": {"lenet-digits", "lenet-mnist", "resnet20-cifar10", "resnet56-cifar10"},
        "encoding": {"mask", "layer-threshold", "layer-ratio", "channel-count", "unit-threshold", "global-cut"},
        "scorer": {
            "magnitude",
            "l2",
            "lamp",
            "fpgm",
            "bn-scale",
            "taylor",
            "snip",
            "fisher",
            "random",
            "reconstruction",
        },
        "variation": {
            *("uniform", "layer-crossover", "bit-flip", "importance-guided", "sbx-pm"),
            *("weighted-flip", "block-shift"),
        },
        "objective": {"error", "distortion", "params", "macs", "size", "latency", "memory"},
    }.items():
        assert {name for found, name in named if found == kind} == names
    assert all(row["summary"] and row["distribution"] == "pruneframe" for row in rows)
    plain = cli("list").out
    assert all(f"  {name} " in plain for _, name in named)


@pytest.mark.parametrize("kind", ["method", "methods"])
def test_list_of_one_kind(kind: str, cli: Cli) -> None:
    rows = cli("list", kind, "--json").parsed
    assert [row["name"] for row in rows] == [
        "emo-dir",
        "hamp",
        "hierarchical",
        "magnitude",
        "moead",
        "netadapt",
        "nsga2",
        "platypus",
        "random",
        "weighted-ga",
    ]
    assert cli("list", kind).out.startswith("methods\n")


def test_info_shows_settings_help_and_provenance(cli: Cli) -> None:
    (found,) = cli("info", "nsga2", "--json").parsed
    settings = {one["name"]: one for one in found["settings"]}
    assert set(settings) == {"encoding", "scorer", "variation", "population"}
    assert all(one["help"] and one["type"] for one in settings.values())
    text = cli("info", "nsga2").out
    assert "Deb, Pratap, Agarwal and Meyarivan" in text
    assert all(one["help"] in text for one in settings.values())


def test_info_shows_all_of_one_name(cli: Cli) -> None:
    assert {one["kind"] for one in cli("info", "random", "--json").parsed} == {"method", "scorer"}


@pytest.mark.parametrize("name", ["lenet-digits", "mask", "taylor", "uniform", "params", "fronts"])
def test_info_knows_every_kind(name: str, cli: Cli) -> None:
    assert name in cli("info", name).out


def test_info_says_of_a_problem_which_engine_there_is(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for processor, words in enumerate(("portable code", "AVX2", "AVX-512")):
        library = SimpleNamespace(pruneframe_processor=lambda processor=processor: processor)
        monkeypatch.setattr("pruneframe.engine.choice.kernel", lambda library=library: library)
        (found,) = cli("info", "lenet-digits", "--json").parsed
        assert found["engine"] == f"sparse kernel ({words}) where it can run the network, else torch"
        assert f"\nengine\n  {found['engine']}\n" in cli("info", "lenet-digits").out
    monkeypatch.setattr("pruneframe.engine.choice.kernel", lambda: None)
    (found,) = cli("info", "lenet-digits", "--json").parsed
    assert found["engine"] == "torch alone: the kernel is not built"
    assert "engine" not in cli("info", "nsga2", "--json").parsed[0]


def test_bench_says_what_the_kernel_cannot_run(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.engine.sparse.kernel", lambda: None)
    found = cli("bench", "--methods", "random", *QUICK)
    note = "note: lenet-digits is evaluated by torch alone: the kernel is not built; that takes longer"
    assert found.code == 0
    assert found.err.splitlines().count(note) == 1


def test_plugins_says_what_each_brings(cli: Cli) -> None:
    found = {one["name"]: one for one in cli("plugins", "--json").parsed}
    assert "method nsga2" in found["nsga2"]["brings"]
    assert not any(one["complaints"] for one in found.values())
    assert "method nsga2" in cli("plugins").out


def test_a_plugin_can_be_left_out(cli: Cli) -> None:
    names = [row["name"] for row in cli("list", "methods", "--json", "-p", "no:nsga2").parsed]
    assert "nsga2" not in names
    assert "moead" in names


# --- bench ------------------------------------------------------------------------------------------------------------


def test_bench_end_to_end_and_again(pruneframe: Any, tmp_path: Path) -> None:
    command = ("bench", "--methods", "random,magnitude", *QUICK)
    done = pruneframe(*command)
    assert done.returncode == 0, done.stderr
    assert "random" in done.stdout
    assert "magnitude" in done.stdout
    pdf = tmp_path / "pruneframe-study" / "comparison.pdf"
    assert done.stdout.splitlines()[-1] == f"comparison: {pdf}"
    assert pdf.read_bytes().startswith(b"%PDF")
    assert done.stderr.count("done, 20/20 units") == 2

    runs = {path: path.stat().st_mtime_ns for path in files(tmp_path / "pruneframe-study" / "runs")}
    again = pruneframe(*command)
    assert again.returncode == 0, again.stderr
    assert again.stderr.splitlines() == ["2 of 2 runs are already there"]
    assert again.stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path / "pruneframe-study" / "runs")} == runs


def test_bench_json_is_a_list_of_runs_and_nothing_else(cli: Cli, here: Path) -> None:
    found = cli("bench", "--methods", "random", *QUICK, "--seeds", "2,0", "--json").parsed
    assert [(run["method"], run["seed"], run["status"]) for run in found] == [
        ("random", 0, "done"),
        ("random", 2, "done"),
    ]
    assert cli("summary", "pruneframe-study", "--json").parsed == found
    assert (here / "pruneframe-study" / "comparison.pdf").exists()


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


def test_lists_are_comma_separated_or_their_option_is_repeated(cli: Cli) -> None:
    several = ("--methods", "random", "--methods", "nsga2,magnitude", "--seeds", "3", "--seeds", "0-1", "--dry-run")
    rows = cli("bench", *several, *QUICK, "--json").parsed
    wanted = [(method, seed) for method in ("random", "nsga2", "magnitude") for seed in (3, 0, 1)]
    assert sorted((row["method"], row["seed"]) for row in rows) == sorted(wanted)
    objectives = ("--objectives", "error", "--objectives", "macs")
    (run,) = cli("bench", "--methods", "random", *QUICK, *objectives, "--json").parsed
    assert run["objectives"] == ["error", "macs"]


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


def test_force_leaves_other_runs_alone(cli: Cli, here: Path) -> None:
    assert cli("bench", "--methods", "random,magnitude", *QUICK).code == 0
    runs = {
        run.identity["method"]: run.journal.stat().st_mtime_ns for run in StudyFolder(here / "pruneframe-study").runs()
    }
    assert cli("bench", "--methods", "random", *QUICK, "--force").code == 0
    for run in StudyFolder(here / "pruneframe-study").runs():
        method = run.identity["method"]
        assert (run.journal.stat().st_mtime_ns == runs[method]) == (method == "magnitude")


def test_a_study_grows_by_what_is_missing(cli: Cli, here: Path) -> None:
    assert cli("bench", "--methods", "random", *QUICK).code == 0
    grown = cli("bench", "--methods", "random,magnitude", *QUICK)
    assert "1 of 2 runs are already there" in grown.err
    assert {run.identity["method"] for run in StudyFolder(here / "pruneframe-study").runs()} == {"random", "magnitude"}


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
    assert not folder.finished


def test_output_may_lie_elsewhere(cli: Cli, here: Path, tmp_path: Path) -> None:
    target = tmp_path / "far" / "away"
    assert str(target / "comparison.pdf") in cli("bench", "--methods", "random", *QUICK, "--output", target).out
    assert len(list(StudyFolder.existing(target).runs())) == 1
    assert list(here.iterdir()) == []


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
    assert found.err.splitlines()[-1] == f"Failed: {failure}"
    assert f"failed: {failure}" in found.out
    assert "random" in found.out
    assert "comparison: " in found.out


REPORT = '''
from dataclasses import dataclass

import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Own(pf.Report):
    """A report of one's own."""
    name = "own-report"
    def draw(self, table, study):
        raise RuntimeError("on purpose")

@pf.hookimpl
def pruneframe_reports():
    return [Own]
'''


def test_a_report_that_fails_is_named_and_everything_else_works(cli: Cli, here: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(REPORT)
    found = cli("bench", "--methods", "random", *QUICK, "-p", plugin)
    assert "Traceback" not in found.err
    assert "own-report" in found.err
    assert "on purpose" in found.err
    assert "random" in found.out
    assert (here / "pruneframe-study" / "comparison.pdf").read_bytes().startswith(b"%PDF")


METHOD = '''
from dataclasses import dataclass

import pruneframe as pf

@dataclass(frozen=True, repr=False)
class Own(pf.Method):
    """A method of one's own."""
    name = "own"
    def search(self, task):
        task.evaluate(task.layout.full())
        BODY

@pf.hookimpl
def pruneframe_methods():
    return [Own]
'''


def test_a_budget_that_the_scores_use_up_is_refused(cli: Cli, here: Path) -> None:
    # 1,000 training images forward and backward are 30 passes over 100 search images
    found = cli("bench", "--methods", "nsga2[scorer=taylor]", *QUICK)
    assert found.code == 2
    assert "budget" in found.error
    assert list(here.iterdir()) == []


# --- a file of options ------------------------------------------------------------------------------------------------


def test_config_holds_any_option_and_the_command_line_goes_first(cli: Cli, here: Path, tmp_path: Path) -> None:
    config = tmp_path / "bench.toml"
    config.write_text(
        'methods = ["random", "nsga2[population=4,scorer=l2]"]\nseeds = "0-1"\nbudget = 20\nsearch-images = 100\n'
        'objectives = ["error", "macs"]\nthreads = 1\noutput = "from-config"\ndry_run = true\njson = true\n'
    )
    rows = cli("bench", "--config", config, "--seeds", "5").parsed
    methods = ["random", "nsga2[scorer=l2,population=4]"]
    assert [(row["method"], row["seed"]) for row in rows] == [(method, 5) for method in methods]
    assert list(here.iterdir()) == []


def test_config_may_name_plugins(cli: Cli, tmp_path: Path) -> None:
    plugin, config = tmp_path / "own.py", tmp_path / "bench.toml"
    plugin.write_text(METHOD.replace("BODY", "pass"))
    config.write_text(f"p = [{str(plugin)!r}]\n")
    rows = cli("bench", "--methods", "own", *QUICK, "--config", config, "--dry-run", "--json").parsed
    assert [row["method"] for row in rows] == ["own"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"metods = 'random'\n", ["metods", "methods"]),
        (b"config = 'other.toml'\n", ["config"]),
        (b"budget = \n", ["TOML"]),
        (b"\xff\xfe\x00", ["TOML"]),
        (b"budget = 'much'\n", ["budget", "much"]),
        (b"budget = true\n", ["budget"]),
        (b"jobs = true\n", ["jobs"]),
        (b"jobs = 0\n", ["jobs", "0"]),
        (b"dry-run = 'perhaps'\n", ["dry-run", "perhaps"]),
        (b"seeds = [0, 'a']\n", ["seeds", "a"]),
        (b"[methods]\na = 1\n", ["name[setting=value,...]"]),
        (None, ["bench.toml"]),
    ],
)
def test_a_config_that_cannot_be_used(
    content: bytes | None, words: list[str], cli: Cli, here: Path, tmp_path: Path
) -> None:
    config = tmp_path / "bench.toml"
    if content is not None:
        config.write_bytes(content)
    named = [] if content and b"methods" in content else ["--methods", "random"]
    found = cli("bench", *named, "--search-images", "100", "--threads", "1", "--config", config)
    assert found.code == 2
    assert all(word in found.error for word in words), found.error
    assert list(here.iterdir()) == []


# --- seeds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", [0]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("1,5,9", [1, 5, 9]),
        ("3-3", [3]),
        ("7, 0-2", [7, 0, 1, 2]),
        ("2,0-3,2", [2, 0, 1, 3]),
    ],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert options.seeds([text]) == seeds


@pytest.mark.parametrize("text", ["", " ", "a", "1-", "-1", "1--2", "3-1", "1,,2", "1,", "0.5", "1e3", "0x1", "1-2-3"])
def test_malformed_seeds(text: str) -> None:
    with pytest.raises(InputError, match="seeds"):
        options.seeds([text])


# --- summary, report, export ------------------------------------------------------------------------------------------


def test_summary_prints_a_line_per_method(cli: Cli, study: Path) -> None:
    found = cli("summary", study)
    assert (found.code, found.err) == (0, "")
    for method in ("magnitude", "nsga2"):
        (line,) = [line for line in found.out.splitlines() if method in line]
        assert re.search(r"\b2\b", line)


def test_summary_json_has_an_object_per_run(cli: Cli, study: Path) -> None:
    found = cli("summary", study, "--json").parsed
    assert [(run["method"], run["seed"]) for run in found] == [(m, s) for m in ("magnitude", "nsga2") for s in (0, 1)]


def test_report_is_written_where_it_is_wanted(cli: Cli, study: Path, here: Path) -> None:
    found = cli("report", study, "-o", "paper/figures.pdf")
    assert (found.code, found.out) == (0, "paper/figures.pdf\npaper/figures-parts\n")
    assert (here / "paper" / "figures.pdf").read_bytes().startswith(b"%PDF")
    names = {path.name for path in (here / "paper" / "figures-parts").iterdir()}
    assert {"front-1.pdf", "results-1.tex", "results-1.csv"} <= names
    (study / "comparison.pdf").unlink()
    assert cli("report", study, "--json").parsed == [str(study / "comparison.pdf"), str(study / "comparison-parts")]
    assert (study / "comparison.pdf").exists()


def test_bench_fine_tunes_what_is_finished_and_reports_both(cli: Cli, study: Path, here: Path) -> None:
    again = ["--methods", "magnitude,nsga2", "--seeds", "0-1", *QUICK, "--output", study]
    found = cli("bench", *again, "--finetune", "1")
    assert found.code == 0, found.err
    assert "already there" not in found.err
    assert cli("report", study, "-o", "out.pdf").code == 0
    assert "1 epoch of" in (here / "out-parts" / "finetuned-table-1.tex").read_text()
    assert "4 of 4 runs are already there" in cli("bench", *again, "--finetune", "1").err
    assert cli("bench", *again, "--finetune", "0").code == 2


def test_report_draws_what_is_asked_for(cli: Cli, study: Path, here: Path) -> None:
    chosen = ["--reports", "results,progress[over=seconds]", "--control", "nsga2", "--highlight", "magnitude", "--html"]
    found = cli("report", study, study, "-o", "out.pdf", *chosen, "--format", "letter", "--anonymous")
    assert found.code == 0
    assert {path.stem for path in (here / "out-parts").iterdir()} <= {
        "results-1",
        "progress-1",
        "references",
        "contents",
    }
    assert "The control is nsga2" in (here / "out-parts" / "results-1.tex").read_text()
    page = (here / "out.html").read_text()
    assert "seconds of answering" in page
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


def network_of(folder: RunFolder) -> tuple[torch.nn.Module, Any]:
    """The problem's network, and the images that its run searched on."""
    identity = folder.identity
    settings = {"units": identity["units"], "search_images": identity["search_images"]}
    loaded = Registry().problem(identity["problem"]).with_settings(**settings).load()
    return loaded.network.module, loaded


def error_of(module: torch.nn.Module, state: dict[str, torch.Tensor], loaded: Any, split: Any) -> float:
    module.load_state_dict(state, strict=True)
    with torch.inference_mode():
        predicted = module.eval()(loaded.data.tensor(split)).argmax(dim=1).numpy()
    return float((predicted != split.labels).mean())


def test_a_member_is_exported_by_the_hash_of_its_run(cli: Cli, study: Path, here: Path) -> None:
    run = cli("summary", study, "--json").parsed[-1]
    found = cli("export", study, "--run", run["hash"], "--member", "0", "-o", "pruned.safetensors")
    assert found.code == 0
    assert f"member 0 of {run['method']}, seed {run['seed']}" in found.out
    assert cli("export", study, "--run", "0123456789", "--member", "0", "-o", "other.safetensors").code == 4
    found = cli("export", study, "--member", "0", "-o", "other.safetensors")
    assert (found.code, "--problem or --run must be given" in found.error) == (2, True)
    assert files(here) == {here / "pruned.safetensors"}


def test_an_exported_member_is_the_network_that_was_measured(cli: Cli, study: Path, here: Path) -> None:
    folder = next(run for run in StudyFolder(study).runs() if run.identity["method"] == "nsga2")
    front = folder.front()
    names = ("--problem", "lenet-digits", "--method", "nsga2", "--seed", str(folder.identity["seed"]))
    for member in range(len(front["bits"])):
        found = cli("export", study, *names, "--member", str(member), "-o", "pruned.safetensors")
        assert found.code == 0, found.err
        state = load_file(here / "pruned.safetensors")
        module, loaded = network_of(folder)
        dense = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        layout = loaded.network.layout
        keep = layout.split(np.unpackbits(front["bits"][member])[: layout.total].astype(bool))
        assert sum(len(part) for part in keep) == sum(dense[f"{name}.weight"].numel() for name in layout.names)
        for name, kept in zip(layout.names, keep, strict=True):
            pruned, before = (tensors[f"{name}.weight"].flatten().numpy() for tensors in (state, dense))
            assert np.all(pruned[~kept] == 0)
            assert np.array_equal(pruned[kept], before[kept])
            assert np.count_nonzero(pruned) == np.count_nonzero(kept & (before != 0))
        assert error_of(module, state, loaded, loaded.search) == pytest.approx(front["search_error"][member])
        assert error_of(module, state, loaded, loaded.data.test) == pytest.approx(front["test_error"][member])


@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
def test_exported_filters_are_zero_and_predict_as_measured(batch_norm: str, cli: Cli, here: Path) -> None:
    settings = ("--units", "filter", "--batch-norm", batch_norm, "--budget", "300")
    assert cli("bench", "--methods", "magnitude", *QUICK, *settings).code == 0
    (folder,) = StudyFolder(here / "pruneframe-study").runs()
    front = folder.front()
    member = int(np.argmin(front["params"]))
    problem = ("--problem", "lenet-digits")
    assert cli("export", "pruneframe-study", *problem, "--member", str(member), "-o", "few.safetensors").code == 0
    state = load_file(here / "few.safetensors")
    module, loaded = network_of(folder)
    layout = loaded.network.layout
    keep = layout.split(np.unpackbits(front["bits"][member])[: layout.total].astype(bool))
    assert not all(part.all() for part in keep)
    for name, kept in zip(layout.names, keep, strict=True):
        assert not state[f"{name}.weight"].flatten(1)[torch.from_numpy(~kept)].any()
        assert not state[f"{name}.bias"][torch.from_numpy(~kept)].any()
    assert error_of(module, state, loaded, loaded.search) == pytest.approx(front["search_error"][member])


@pytest.mark.parametrize("drop", [0.5, 2.0, 100.0])
def test_max_drop_takes_the_smallest_member_that_qualifies_on_search(
    drop: float, cli: Cli, study: Path, here: Path
) -> None:
    command = ("export", study, "--problem", "lenet-digits", "--max-drop", str(drop), "-o", "pruned.safetensors")
    found = cli(*command)
    assert found.code == 0, found.err
    allowed = []
    for folder in StudyFolder(study).runs():
        front, dense = folder.front(), folder.result["dense_error"]
        fits = front["search_error"] <= dense + drop / 100 + 1e-9
        allowed += list(front["params"][fits])
    module, loaded = network_of(folder)
    state = load_file(here / "pruned.safetensors")
    assert sum(int(state[name].count_nonzero()) for name, _ in module.named_parameters()) == min(allowed)
    assert error_of(module, state, loaded, loaded.search) <= dense + drop / 100 + 1e-9
    assert f"{100 * (1 - min(allowed) / loaded.network.total_params):.2f} %" in found.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-drop", "1", "--member", "0"], ["--max-drop", "--member"]),
        ([], ["--max-drop", "--member"]),
        (["--member", "0"], ["4 fit", "--method", "--seed"]),
        (["--member", "1000", "--method", "nsga2", "--seed", "0"], ["1000"]),
        (["--member", "-1", "--method", "nsga2", "--seed", "0"], ["-1"]),
        (["--member", "first", "--method", "nsga2", "--seed", "0"], ["first"]),
        (["--max-drop", "little"], ["little"]),
        (["--max-drop", "1", "-o", "pruned.onnx"], ["pruned.onnx", ".safetensors"]),
        (["--max-drop", "1", "-o", "file/pruned.safetensors"], ["file/pruned.safetensors"]),
    ],
)
def test_an_export_that_cannot_be_made(
    arguments: list[str], words: list[str], cli: Cli, study: Path, here: Path
) -> None:
    (here / "file").write_text("in the way")
    output = [] if "-o" in arguments else ["-o", "pruned.safetensors"]
    found = cli("export", study, "--problem", "lenet-digits", *arguments, *output)
    assert found.code == 2
    assert all(word in found.error for word in words)
    assert list(here.iterdir()) == [here / "file"]


# --- data, train ------------------------------------------------------------------------------------------------------


def test_data_prints_the_splits(cli: Cli) -> None:
    found = cli("data", "lenet-digits")
    assert found.code == 0
    assert [line.split()[:2] for line in found.out.splitlines()] == [
        ["train", "1077"],
        ["search", "360"],
        ["test", "360"],
    ]


def test_train_trains_once_unless_forced(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(cache))
    found = cli("train", "lenet-digits")
    assert found.code == 0
    assert "epoch" in found.err
    accuracies = dict(re.findall(r"^(\w+) +accuracy ([\d.]+) %", found.out, re.MULTILINE))
    assert set(accuracies) == {"search", "test"}
    assert float(accuracies["test"]) >= 97
    (weights,) = files(cache)
    before, content = weights.stat().st_mtime_ns, weights.read_bytes()
    assert "epoch" not in cli("train", "lenet-digits").err
    assert weights.stat().st_mtime_ns == before
    again = cli("train", "lenet-digits", "--force")
    assert "epoch" in again.err
    assert weights.stat().st_mtime_ns > before
    assert weights.read_bytes() == content


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["bench", "--methods", ","],
        ["bench", "--methods", "random", "--problems", ""],
        ["export", "STUDY", "--problem", "lenet-mnist", "--max-drop", "1", "-o", "x.safetensors"],
        ["export", "STUDY", "--problem", "lenet-digits", "--seed", "9", "--max-drop", "1", "-o", "x.safetensors"],
        ["export", "STUDY", "--problem", "lenet-digits", "--method", "random", "--member", "0", "-o", "x.safetensors"],
        ["export", "STUDY", "--problem", "lenet-digits", "--max-drop", "-50", "-o", "x.safetensors"],
        ["report", "EMPTY"],
    ],
)
def test_nothing_selected_is_4(arguments: list[str], cli: Cli, study: Path, here: Path, tmp_path: Path) -> None:
    StudyFolder(tmp_path / "empty").prepare({}, {"pruneframe": "0"})
    found = cli(*(str({"STUDY": study, "EMPTY": tmp_path / "empty"}.get(word, word)) for word in arguments))
    assert found.code == 4
    assert found.error
    assert list(here.iterdir()) == []


def test_a_fault_of_the_program_is_3_and_says_so(cli: Cli, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(study: StudyFolder) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("pruneframe.readout.summaries", broken)
    found = cli("summary", study, "--json")
    assert found.code == 3
    assert "ZeroDivisionError: on purpose" in found.err
    assert found.err.splitlines()[-1] == "Error: this is a fault of pruneframe; please report the lines above"


def importing(member: int) -> bool:
    """Whether a worker is beyond its first lines: it has loaded a library."""
    try:
        return "numpy" in Path(f"/proc/{member}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("alone", [False, True], ids=["the whole group, as a terminal does", "the parent alone"])
@pytest.mark.parametrize("early", [False, True], ids=["while it searches", "while its worker starts"])
def test_an_interrupt_is_130_and_ends_everything(early: bool, alone: bool, here: Path) -> None:
    process = started(here, "bench", "--methods", "random,nsga2", *QUICK, "--budget", "1e7")

    def under_way() -> bool:
        assert process.poll() is None, process.communicate()
        if early:
            return any(importing(member) for member in living(process.pid) if member != process.pid)
        return any(path.stat().st_size > 10_000 for path in here.glob("*/runs/*/*/*/journal.jsonl"))

    try:
        wait_for(under_way, "workers")
        (os.kill if alone else os.killpg)(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
        wait_for(lambda: not living(process.pid), "the workers' end")
    finally:
        for member in living(process.pid):
            os.kill(member, signal.SIGKILL)
        process.communicate()
    assert process.returncode == 130
    assert "interrupted; the same command goes on from here" in err
    assert "Traceback" not in err


def test_a_reader_that_leaves_is_no_error(here: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", "from pruneframe.cli.main import main; main()", "list"]
    done = subprocess.run(command, cwd=here, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


# --- bad input: one line, exit code 2, nothing written ----------------------------------------------------------------


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
        (["--seeds", "1-"], ["'1-'", "0-4"]),
        (["--seeds", "a"], ["'a'", "0-4"]),
        (["--seeds", ""], ["''", "0-4"]),
        (["--seeds", "4-0"], ["'4-0'"]),
        (["--seeds", "-1"], ["-1"]),
        (["--units", "kernel"], ["--units", "'kernel'", "filter"]),
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
        (["--threads", "0"], ["--threads", "0"]),
        (["--problems", "resnet20-cifar10", "--data", "nowhere"], ["nowhere", "--data"]),
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench"], ["--methods"]),
        (["list", "metods"], ["'metods'", "'methods'"]),
        (["info", "nsga3"], ["'nsga3'", "'nsga2'"]),
        (["info"], ["NAME"]),
        (["data", "lenet-digit"], ["'lenet-digits'"]),
        (["train", "lenet-digit"], ["'lenet-digits'"]),
        (["benhc"], ["benhc"]),
    ],
)
def test_bad_input_to_other_commands(arguments: list[str], words: list[str], cli: Cli, here: Path) -> None:
    found = cli(*arguments)
    assert found.code == 2
    assert all(word in found.error for word in words), found.error
    assert list(here.iterdir()) == []


NO_STUDIES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a file": lambda path: path.write_text("a file"),
    "an empty folder": lambda path: path.mkdir(),
    "another folder": lambda path: (path.mkdir(), (path / "notes.txt").write_text("mine")),
    "another format": lambda path: (path.mkdir(), (path / "study.json").write_text('{"format": 999}')),
    "a broken study.json": lambda path: (path.mkdir(), (path / "study.json").write_text('{"format": 1')),
    "a list": lambda path: (path.mkdir(), (path / "study.json").write_text("[1]")),
}


@pytest.mark.parametrize("what", NO_STUDIES)
@pytest.mark.parametrize("command", ["summary", "report", "export"])
def test_what_is_no_study_is_refused(command: str, what: str, cli: Cli, here: Path, tmp_path: Path) -> None:
    NO_STUDIES[what](tmp_path / "thing")
    before = files(tmp_path)
    more = ["--problem", "lenet-digits", "--max-drop", "1", "-o", "x.safetensors"] if command == "export" else []
    found = cli(command, tmp_path / "thing", *more)
    assert found.code == 2
    assert str(tmp_path / "thing") in found.error
    assert files(tmp_path) == before


@pytest.mark.parametrize("what", ["a file", "another folder", "another format", "a list"])
def test_bench_writes_into_nothing_that_is_no_study(what: str, cli: Cli, tmp_path: Path) -> None:
    NO_STUDIES[what](tmp_path / "thing")
    before = {path: path.read_bytes() for path in files(tmp_path)}
    found = cli("bench", "--methods", "random", *QUICK, "--output", tmp_path / "thing")
    assert found.code == 2
    assert str(tmp_path / "thing") in found.error
    assert {path: path.read_bytes() for path in files(tmp_path)} == before


@pytest.mark.parametrize("command", ["bench", "report", "export"])
def test_no_permission_to_write(command: str, cli: Cli, study: Path, here: Path) -> None:
    # Root may write everywhere but below a file.
    (here / "file").write_text("in the way")
    arguments = {
        "bench": ["--methods", "random", *QUICK, "--output", "file/study"],
        "report": [str(study), "-o", "file/out.pdf"],
        "export": [str(study), "--problem", "lenet-digits", "--max-drop", "1", "-o", "file/out.safetensors"],
    }
    found = cli(command, *arguments[command])
    assert found.code == 2
    assert "file/" in found.error
    assert "-o" in found.error
    assert files(here) == {here / "file"}


def test_a_cache_that_cannot_be_written(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "file" / "cache"))
    found = cli("bench", "--methods", "random", *QUICK)
    assert found.code == 2
    # Training may have told its progress before it found out.
    assert next(line for line in found.err.splitlines() if not line.startswith("training ")).startswith("Error: ")
    assert str(tmp_path / "file" / "cache") in found.err.splitlines()[-1]
    assert list(here.iterdir()) == []


OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("problem", "what"), [("resnet20-cifar10", "cifar10.npz"), ("lenet-mnist", "MNIST/raw/*-ubyte.gz")]
)
def test_data_that_cannot_be_fetched_says_what_to_put_where(
    problem: str, what: str, pruneframe: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    done = pruneframe(
        "bench", "--methods", "random", "--problems", problem, env=OFFLINE | {"PRUNEFRAME_CACHE": str(cache)}
    )
    assert done.returncode == 2
    error = Outcome(done.returncode, done.stdout, done.stderr).error
    assert all(word in error for word in (what, str(cache), "--data", "PRUNEFRAME_DATA"))
    assert list(tmp_path.iterdir()) == []
    assert files(cache) == set()


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def flipped(raw: bytes) -> bytes:
    """Some bytes in the middle are damaged; the list of contents at the end is whole."""
    middle = len(raw) // 2
    return raw[:middle] + bytes(byte ^ 0xFF for byte in raw[middle : middle + 20]) + raw[middle + 20 :]


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


SMALL = {
    "x_train": np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
    "y_train": np.arange(20) % 10,
    "x_test": np.zeros((20, 32, 32, 3), dtype=np.uint8),
    "y_test": np.arange(20) % 10,
}
DAMAGED = {
    "empty": b"",
    "text": b"no zip at all",
    "truncated": npz(**SMALL)[:30_000],
    "flipped": flipped(npz(**SMALL)),
    "flipped, compressed": flipped(npz(compressed=True, **SMALL)),
    "too few": npz(**SMALL),
    "an array missing": npz(**{name: array for name, array in SMALL.items() if name != "y_test"}),
    "pickled": npz(**SMALL | {"x_train": np.array([{"a": 1}, None], dtype=object)}),
    "of text": npz(**SMALL | {"y_train": np.array(["cat", "dog"])}),
    "one number": npz(**SMALL | {"x_train": np.array(3)}),
    "one array": np.lib.format.magic(1, 0) + b"broken",
    "other files": zipped(x_train=b"1", y_train=b"2", x_test=b"3", y_test=b"4"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_corrupt_or_wrong_npz(damage: str, cli: Cli, here: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "cifar10.npz").write_bytes(DAMAGED[damage])
    found = cli("bench", "--methods", "random", "--problems", "resnet20-cifar10", "--data", data)
    assert found.code == 2
    assert str(data / "cifar10.npz") in found.error
    assert list(here.iterdir()) == []
    assert files(data) == {data / "cifar10.npz"}


OWN_PROBLEM = """
import numpy as np
import pruneframe as pf
from pruneframe.testing import TinyNetwork, tiny_problem

@pf.hookimpl
def pruneframe_problems():
    weights = pf.Published("https://example.invalid/{name}")
    return [pf.Problem("own", TinyNetwork, tiny_problem().data, weights=weights)]
"""


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def checkpoint(path: Path, content: Any) -> None:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)


def changed(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = dict(TinyNetwork().state_dict()) | changes
    return {name: tensor for name, tensor in state.items() if tensor is not None}


CHECKPOINTS: dict[str, tuple[str, Callable[[Path], object], list[str]]] = {
    "wrong hash": ("tiny-00000000.th", lambda path: checkpoint(path, changed()), ["00000000", "SHA-256"]),
    "a key missing": ("tiny.th", lambda path: checkpoint(path, changed(**{"stem.weight": None})), ["stem.weight"]),
    "a key too many": ("tiny.th", lambda path: checkpoint(path, changed(extra=torch.ones(2))), ["extra"]),
    "other shapes": ("tiny.th", lambda path: checkpoint(path, changed(**{"bn0.bias": torch.ones(9)})), ["bn0.bias"]),
    "another network": ("tiny.safetensors", lambda path: checkpoint(path, {"a": torch.ones(2)}), ["lacks"]),
    "code to unpickle": ("tiny.th", lambda path: torch.save({"a": Runs(path.parent / "ran")}, path), ["unpickling"]),
    "damaged": ("tiny.th", lambda path: path.write_bytes(b"damaged"), ["damaged"]),
    "empty": ("tiny.th", lambda path: path.write_bytes(b""), ["damaged"]),
    "damaged safetensors": ("tiny.safetensors", lambda path: path.write_bytes(b"damaged"), ["tiny.safetensors"]),
    "a list": ("tiny.th", lambda path: checkpoint(path, [torch.ones(2)]), ["state dict"]),
    "numbers": ("tiny.th", lambda path: checkpoint(path, {"state_dict": {"stem.weight": 3}}), ["state dict"]),
    "numbered": ("tiny.th", lambda path: checkpoint(path, {0: torch.ones(2)}), ["state dict"]),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_weights_that_do_not_fit(case: str, cli: Cli, here: Path, tmp_path: Path) -> None:
    name, write, words = CHECKPOINTS[case]
    weights, plugin = tmp_path / "data" / "weights", tmp_path / "own.py"
    weights.mkdir(parents=True)
    write(weights / name)
    plugin.write_text(OWN_PROBLEM.format(name=name))
    command = ("bench", "--methods", "random", "--problems", "own", "--seeds", "0", "--budget", "5", "-p", plugin)
    found = cli(*command, "--data", tmp_path / "data")
    assert found.code == 2
    assert all(word in found.error for word in [str(weights / name), *words]), found.error
    assert list(here.iterdir()) == []
    assert list(weights.iterdir()) == [weights / name]


def test_weights_that_fit_are_used(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data" / "weights").mkdir(parents=True)
    checkpoint(tmp_path / "data" / "weights" / "tiny.th", {"state_dict": changed()})
    plugin = tmp_path / "own.py"
    plugin.write_text(OWN_PROBLEM.format(name="tiny.th"))
    command = ("bench", "--methods", "random", "--problems", "own", "--seeds", "0", "--budget", "5", "-p", plugin)
    assert cli(*command, "--data", tmp_path / "data").code == 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def broken(:\n", ["SyntaxError"]),
        ("raise RuntimeError('on purpose')\n", ["RuntimeError", "on purpose"]),
        ("raise RuntimeError('two\\nlines')\n", ["two", "lines"]),
        ("import sys\nsys.exit(0)\n", ["SystemExit"]),
        ("import no_such_module\n", ["no_such_module"]),
        ("import pruneframe as pf\n@pf.hookimpl\ndef pruneframe_method():\n    return []\n", ["pruneframe_methods"]),
        ("def pruneframe_methods():\n    return []\n", ["hookimpl"]),
        ("import pruneframe as pf\n@pf.hookimpl\ndef pruneframe_methods():\n    return [int]\n", ["Method"]),
        ("import pruneframe as pf\n@pf.hookimpl\ndef pruneframe_methods():\n    return 1 / 0\n", ["ZeroDivisionError"]),
        (METHOD.replace("BODY", "pass").replace('"own"', '"random"'), ["'random'", "already"]),
    ],
)
def test_a_bad_plugin_file(source: str, words: list[str], cli: Cli, here: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(source)
    found = cli("bench", "--methods", "random", *QUICK, "-p", plugin)
    assert found.code == 2
    assert all(word in found.error for word in [str(plugin), *words]), found.error
    assert list(here.iterdir()) == []


def test_references_are_whole_and_each_stands_once(cli: Cli, study: Path, here: Path) -> None:
    assert cli("report", study, "-o", "out.pdf", "--reports", "results").code == 0
    text = (here / "out-parts" / "references.bib").read_text()
    keys = re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE)
    assert {"deb2002nsga2", "blank2020pymoo", "han2015learning", "alpaydin1998optical"} == set(keys)
    assert len(keys) == len(set(keys)) == text.count("\n}\n")
    assert text.count("{") == text.count("}")
