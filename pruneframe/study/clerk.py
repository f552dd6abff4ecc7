"""A clerk: the process beside a worker of a cluster that carries out what that is told, one call after the other.

A run needs torch's threads and the main thread of its process, and may take the process down; a worker has its
connections to keep. Calls go to the clerk and results come back as lines of JSON. Nothing here takes torch along: that
is in the clerk alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

IDLE = 60.0  # seconds after which a clerk that has nothing to do leaves, with all that it has loaded
GLANCE = 0.5  # seconds between two looks whether a call is still wanted
GONE = ("closing", "closed", "failed")  # of a worker
SERVE = "from pruneframe.study.clerk import serve; serve()"

_own = threading.local()  # each thread of a worker has one clerk, which keeps what it has loaded


class ClerkDied(Exception):
    """The clerk's process has ended before its answer, as where memory runs out."""


class Unwanted(Exception):
    """Nobody waits for the answer any more."""


class Clerk:
    """A process with so many threads for torch, and these variables in its environment."""

    def __init__(self, threads: int, variables: dict[str, str]) -> None:
        self.terms = threads, variables
        command = [sys.executable, "-P", "-c", SERVE, str(threads), str(os.getpid())]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | variables,
            process_group=0,  # a terminal's interrupt is for others
        )

    @property
    def living(self) -> bool:
        """Whether it can be told something."""
        return self._process.poll() is None

    def call(self, errand: dict[str, Any], wanted: Callable[[], bool]) -> dict[str, Any]:
        """The answer to an errand; raises ClerkDied, or Unwanted where it was broken off, and then it has ended."""
        told, answers = self._process.stdin, self._process.stdout
        assert told is not None
        assert answers is not None
        try:
            told.write(json.dumps(errand).encode() + b"\n")
            told.flush()
            while not select.select([answers], [], [], GLANCE)[0]:
                if not wanted():
                    raise Unwanted
            line = answers.readline()
        except BrokenPipeError:
            line = b""
        except BaseException:
            self.end()
            raise
        if not line.endswith(b"\n"):
            self.end()
            raise ClerkDied(f"a clerk on {socket.gethostname()} ended with {self._process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Kill it, with whatever it has started: journals know how to go on."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was never read by anyone
                pipe.close()  # type: ignore[union-attr]


def by_clerk(errand: dict[str, Any], threads: int, variables: dict[str, str]) -> dict[str, Any]:
    """What a worker's thread does with a call: hands it to its clerk, and ends that where nobody waits any more."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return worker.status.name not in GONE and task is not None and task.state != "cancelled"

    clerk: Clerk | None = getattr(_own, "clerk", None)
    if clerk is None or not clerk.living or clerk.terms != (threads, variables):
        if clerk is not None:
            clerk.end()
        clerk = _own.clerk = Clerk(threads, variables)
    return clerk.call(errand, wanted)


def serve() -> None:
    """What the process does, until its worker has gone or has had nothing to do for a while."""
    from .machine import prepare_worker

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    threads, parent = map(int, sys.argv[1:3])
    prepare_worker(threads, threads, parent)
    while select.select([sys.stdin], [], [], IDLE)[0] and (line := sys.stdin.readline()):
        answer = json.dumps(_answer(json.loads(line)))
        try:
            print(answer, file=answers, flush=True)
        except BrokenPipeError:  # the worker has just gone
            os._exit(0)


def _answer(errand: dict[str, Any]) -> dict[str, Any]:
    """What the function that an errand names returns, or why it may not be called here."""
    from .machine import versions

    host, here = socket.gethostname(), versions()
    if not Path(errand["study"], "study.json").exists():
        reason = f"worker {host} must see the study at {errand['study']}, but does not; it must lie where all can write"
        return {"status": "failed", "reason": reason}
    for name, version in errand["versions"].items():
        if here.get(name) != version:
            found = here.get(name, "none")
            reason = f"worker {host} must have {name} {version}, as the command has, but has {found}; install the same"
            return {"status": "failed", "reason": reason}
    module, _, name = errand["call"].partition(":")
    answer: dict[str, Any] = getattr(import_module(module), name)(*errand["arguments"])
    return answer
