"""Commands on studies that were harmed, on machines that have no room left, and twice at once."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import PATIENCE, QUICK, Cli, living, started, wait_for

from pruneframe.errors import LONGEST
from pruneframe.study.store import StudyFolder

BENCH = ("bench", "--methods", "magnitude,nsga2", *QUICK, "--seeds", "0-1")


def harmed(study: Path, name: str) -> Path:
    """Damage one file of the first run."""
    folder = next(iter(StudyFolder(study).runs())).path
    (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize("name", ["front.npz", "run.json", "identity.json", "evaluations.parquet"])
def test_a_damaged_run_is_named_and_the_others_are_told(name: str, cli: Cli, own_study: Path) -> None:
    folder = harmed(own_study, name)
    for command in (("summary", own_study, "--json"), ("report", own_study, "--reports", "results")):
        found = cli(*command)
        assert found.code == 1, found.err
        (line,) = found.err.splitlines()
        assert line.startswith(f"Damaged: {folder / name}")
    assert len(json.loads(cli("summary", own_study, "--json").out)) == 3
    export = cli("export", own_study, "--problem", "lenet-digits", "--max-drop", "5", "-o", "x.safetensors")
    assert (export.code, f"Damaged: {folder / name}" in export.err) == (0, True)


def test_bench_mends_what_is_damaged(cli: Cli, own_study: Path, undrawn: None) -> None:
    before = json.loads(cli("summary", own_study, "--json").out)
    folder = harmed(own_study, "front.npz")
    found = cli(*BENCH, "--output", own_study, "--json")
    assert f"Damaged: {folder / 'front.npz'}" in found.err
    timed = ("seconds", "environment", "seconds_by_kind", "own_seconds", "processor_seconds", "seconds_in_all")
    for run, then in zip(found.parsed, before, strict=True):
        assert {n: v for n, v in run.items() if n not in timed} == {n: v for n, v in then.items() if n not in timed}
    assert cli("summary", own_study).err == ""


def test_a_link_in_place_of_a_run_is_forced_away_and_what_it_points_to_stays(
    cli: Cli, own_study: Path, tmp_path: Path, undrawn: None
) -> None:
    folder = next(iter(StudyFolder(own_study).runs())).path
    folder.rename(tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside")
    before = {path: path.read_bytes() for path in (tmp_path / "outside").rglob("*") if path.is_file()}
    assert cli(*BENCH, "--output", own_study).code == 1
    assert cli(*BENCH, "--output", own_study, "--force").code == 0
    assert not folder.is_symlink()
    assert {path: path.read_bytes() for path in (tmp_path / "outside").rglob("*") if path.is_file()} == before


def test_parts_behind_a_link_are_neither_written_nor_removed(cli: Cli, own_study: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.pdf").write_bytes(b"mine")
    (outside / "contents.json").write_text('[{"file": "mine.pdf"}]')
    (own_study / "comparison-parts").symlink_to(outside)
    assert "comparison-parts must be a folder of its own" in cli("report", own_study).error
    assert (outside / "mine.pdf").read_bytes() == b"mine"


def test_a_full_disk_costs_the_comparison_and_nothing_else(
    cli: Cli, own_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, write: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("pruneframe.comparison.document.write_whole", full)
    found = cli(*BENCH, "--output", own_study)
    assert found.code == 1
    assert "hypervolume" in found.out
    assert "there is no comparison" in found.err.splitlines()[-1]
    assert "No space left on device" in found.err


def test_a_file_that_ends_too_early_is_no_interrupt(cli: Cli, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*studies: object) -> None:
        raise EOFError("No data left in file")

    monkeypatch.setattr("pruneframe.study.facts.summaries", ended)
    found = cli("summary", study, "--json")
    assert found.code == 2
    assert found.error == "Error: a file ends too early (No data left in file)"


CONFIGS = {
    "deep": "methods = " + "[" * 50_000,
    "NUL": 'methods = ["random"]\noutput = "a\\u0000b"',
    "long key": ".".join("a" * 50_000) + " = 1",
}


@pytest.mark.parametrize("what", CONFIGS)
def test_hostile_options_are_refused_in_one_line(what: str, cli: Cli, here: Path) -> None:
    (here / "options.toml").write_text(CONFIGS[what])
    found = cli("bench", "--methods", "random", "--config", "options.toml")
    assert found.code == 2
    assert "options.toml must be a TOML file of options, but cannot be read" in found.error


@pytest.mark.parametrize(
    "typed", ["\x1b]0;title\x07", "a\nb", "\u202ebackwards", "\udcff", "x" * 100_000, "x/" * 3_000]
)
@pytest.mark.parametrize("option", ["--methods", "--problems", "--search-images", "--config", "-p"])
def test_what_is_typed_is_told_in_one_line_that_no_terminal_obeys(
    option: str, typed: str, cli: Cli, here: Path
) -> None:
    found = cli("bench", "--methods", "random", option, typed, "--dry-run")
    assert found.code in (2, 4)
    assert found.error.isprintable()
    assert len(found.error) <= 2 * LONGEST
    assert not list(here.iterdir())


def test_a_link_that_leads_round_in_a_circle_is_refused(cli: Cli, here: Path) -> None:
    (here / "round").symlink_to("round")
    for option in ("--output", "-p", "--config", "--settings", "--data"):
        found = cli("bench", "--methods", "random", option, "round")
        assert (found.code, "round" in found.error) == (2, True)
    for command in ("report", "summary", "verify"):
        assert cli(command, "round").code == 2


def test_a_pipe_is_not_waited_for(cli: Cli, here: Path) -> None:
    os.mkfifo(here / "pipe.toml")
    for arguments in (["--config"], ["--settings"], ["-p"], ["--problem-file"]):
        assert cli("bench", "--methods", "random", *arguments, "pipe.toml").code == 2


def test_a_limit_that_is_too_low_for_torch_is_told_before_it_is_met(here: Path) -> None:
    script = "from pruneframe.cli.main import main; main()"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run(
        [sys.executable, "-c", script, "bench", "--methods", "random"],
        cwd=here,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: a process must be allowed 4,096 MiB of addresses")
    assert done.stderr.count("\n") == 1


def test_where_no_file_may_grow_runs_fail_by_name_and_go_on_when_there_is_room(here: Path) -> None:
    """As on a full disk: the table and what failed are told, and nothing is lost but the answer under way."""
    script = "from pruneframe.cli.main import main; main()"
    small = ("--units", "filter", *QUICK, "--json")  # whose scores fit
    command = [sys.executable, "-c", script, "bench", "--methods", "random", *small]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    full = subprocess.run(command, cwd=here, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert full.returncode == 1, full.stderr
    (run,) = json.loads(full.stdout)
    assert run["status"] == "failed"
    assert run["evaluations"] > 0
    assert "Failed: random on lenet-digits, seed 0" in full.stderr
    assert "Traceback" not in full.stderr
    (folder,) = StudyFolder(here / "pruneframe-study").runs()
    before = folder.answers()
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert folder.answers()[: len(before)] == before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_two_equal_commands_at_once_end_with_the_same_study(here: Path) -> None:
    arguments = ("bench", "--methods", "random,magnitude", *QUICK, "--json")
    processes = [started(here, *arguments) for _ in range(2)]
    told = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    first, second = (json.loads(out) for out, _ in told)
    assert first == second
    assert all(run["status"] == "done" for run in first)
    assert not list(here.rglob(".unfinished-*"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_second_interrupt_ends_at_once_and_without_a_traceback(here: Path) -> None:
    process = started(here, "bench", "--methods", "random", *QUICK, "--budget", "1e7")

    def under_way() -> bool:
        assert process.poll() is None, process.communicate()
        return any(path.stat().st_size > 10_000 for path in here.glob("*/runs/*/*/*/journal.jsonl"))

    try:
        wait_for(under_way, "workers")
        for _ in range(20):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        wait_for(lambda: not living(process.pid), "the workers' end")
    finally:
        for member in living(process.pid):
            os.kill(member, signal.SIGKILL)
        process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_force_waits_for_nobody(cli: Cli, own_study: Path, undrawn: None) -> None:
    folder = next(iter(StudyFolder(own_study).runs()))
    with folder.held():
        assert "is being computed by another process" in cli(*BENCH, "--output", own_study, "--force").error
    assert folder.finished
