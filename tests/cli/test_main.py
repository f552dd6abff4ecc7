"""The command as a whole: help, its version, exit codes, and one clear line for what cannot be used."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command import PATIENCE, QUICK, Cli, files, living, loaded_by, run_command, started, wait_for

import pruneframe as pf
from pruneframe.cli import main
from pruneframe.files import write_document
from pruneframe.study.store import StudyFolder

LARGE = ("torch", "pymoo", "matplotlib", "sklearn")  # libraries that reading and refusing can do without


@pytest.mark.parametrize("command", ["", *main.COMMANDS])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(command: str, flag: str, cli: Cli) -> None:
    found = cli(*filter(None, [command]), flag)
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("Usage: ")
    listed = re.findall(r"^  ([a-z]+)  +\S", found.out, re.MULTILINE)
    assert command or listed == list(main.COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list"], 0),
        (["info", "filter"], 0),
        (["info", "nsga2"], 0),
        (["summary", "STUDY"], 0),
        (["summary", "STUDY", "--json"], 0),
        (["bench", "--methods", "nsga3"], 2),
        (["bench", "--methods", "nsga2[scorer=magnitud]"], 2),
    ],
)
def test_what_only_tells_loads_no_large_library(arguments: list[str], code: int, study: Path) -> None:
    script = run_command(*(str(study) if word == "STUDY" else word for word in arguments), code=code)
    assert loaded_by(script, LARGE) == set()


def test_a_library_that_is_loaded_would_be_noticed() -> None:
    assert loaded_by(run_command("plugins") + "\nimport matplotlib", LARGE) == {"matplotlib"}


def test_version(cli: Cli) -> None:
    assert pf.__version__ in cli("--version").out


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
    "another format": lambda path: (path.mkdir(), write_document(path / "study.json", {"format": 999})),
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

    monkeypatch.setattr("pruneframe.study.facts.summaries", broken)
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
@pytest.mark.parametrize(
    ("early", "alone"),
    [
        pytest.param(False, False, id="while it searches, the whole group, as a terminal does"),
        pytest.param(True, True, id="while its worker starts, the parent alone"),
        pytest.param(False, True, id="while it searches, the parent alone", marks=pytest.mark.slow),
        pytest.param(True, False, id="while its worker starts, the whole group", marks=pytest.mark.slow),
    ],
)
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
        _, err = process.communicate(timeout=PATIENCE)
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


def test_a_thread_that_is_left_running_does_not_keep_the_process() -> None:
    script = (
        "import threading, time; threading.Thread(target=time.sleep, args=(1e6,)).start(); "
        "from pruneframe.cli import main; print('told'); main._leave(7)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "told\n", "")
