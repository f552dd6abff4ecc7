"""The command line in tests: inside this process or as one of its own, and what a command left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pruneframe.cli import main

QUICK = ("--seeds", "0", "--budget", "20", "--search-images", "100", "--threads", "1")
PATIENCE = 120  # seconds until a test gives up waiting for another process
SLOW = ("torch", "torchvision", "pymoo", "pandas", "matplotlib", "scipy", "sklearn")  # libraries to import

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


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def parsed(self) -> Any:
        """What it printed with --json."""
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


Cli = Callable[..., Outcome]  # the command line in this process
Command = Callable[..., subprocess.CompletedProcess[str]]  # as a process of its own


@contextmanager
def in_this_process(here: Path, capsys: pytest.CaptureFixture[str] | None = None) -> Iterator[Cli]:
    """The command line in a folder, its runs in a thread instead of processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("PRUNEFRAME_DATA", "")  # --data sets it for the process: here only until the test ends
        patch.setattr("pruneframe.study.executor.LocalExecutor", lambda jobs, threads: ThreadPoolExecutor(1))

        def run(*arguments: str | Path) -> Outcome:
            patch.setattr(sys, "argv", ["pruneframe", *map(str, arguments)])
            if capsys is not None:
                capsys.readouterr()
            code = main.run()
            out, err = capsys.readouterr() if capsys is not None else ("", "")
            return Outcome(code, out, err)

        yield run


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    """What a process with --json printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def started(here: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command line as a process in a session of its own, which can be interrupted.

    Who runs these tests in the background of a shell script has them ignore interrupts, and their children inherit it.
    """
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{listen}; from pruneframe.cli.main import main; main()", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=here, text=True, start_new_session=True, **pipes)


def living(session: int) -> list[int]:
    """Processes of a session that have not ended; one that only waits to be collected has."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, member = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(member) == session and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Until something another process does has happened."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.002)


def run_command(*arguments: str, code: int = 0) -> str:
    """A script that runs the command line, which must end with this code, and goes on afterwards."""
    return (
        f"import sys\nfrom pruneframe.cli import main\nsys.argv = {['pruneframe', *arguments]}\n"
        f"assert main.run() == {code}"
    )


def loaded_by(script: str, libraries: Sequence[str] = SLOW) -> set[str]:
    """Which of some libraries a fresh process has imported after a script; what is installed, not what lies here."""
    script += f"\nimport sys; print('loaded', *[name for name in {tuple(libraries)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def files(folder: Path) -> set[Path]:
    """All files below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}
