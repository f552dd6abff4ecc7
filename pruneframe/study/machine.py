"""The machine that computes: its versions and hardware, torch's settings, and who may measure on it."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from ..engine import kernel, may_take, multiplier
from ..errors import Overstepped
from ..patience import lasting
from ..target import Meter, processor_name

LOCK = Path("/tmp" if os.name == "posix" else tempfile.gettempdir()) / "pruneframe-measuring.lock"  # of the machine

LAST = -1000  # of what a worker process does at its end: behind its queues, which have priorities of their own

version = cache(metadata.version)  # which reads a file each time
LIBRARIES = ("numpy", "pymoo", "platypus-opt", "scipy", "torch")


def versions() -> dict[str, str]:
    """What must be the same where runs of one study are computed, beside the hardware."""
    return {
        "pruneframe": version("pruneframe"),
        "python": platform.python_version(),
        "kernel": "sparse" if kernel() else "none",
        **{name: version(name) for name in LIBRARIES},
    }


def environment(device: str = "cpu") -> dict[str, Any]:
    """Versions and hardware with which answers are computed; a journal is replayed only under the same."""
    gpu = {} if torch.device(device).type == "cpu" else {"gpu": torch.cuda.get_device_name(device)}
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "machine": processor_name(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        **gpu,
        "bfloat16": multiplier(device) or "emulated",
        **versions(),
    }


@contextlib.contextmanager
def measuring(meter: Meter | None) -> Iterator[None]:
    """No other run on this machine measures meanwhile; it would be in the way."""
    if meter is None or not meter.measured:
        yield
        return
    with FileLock(LOCK, mode=0o666):
        yield


def say_if_busy(say: Callable[[str], None]) -> None:
    """For who wants to measure: tell whether another run on this machine does, and must end first."""
    try:
        FileLock(LOCK, mode=0o666).acquire(timeout=0).lock.release()
    except Timeout:
        say(f"something else measures on this machine, and holds {LOCK}; waiting until it has ended")


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def prepare_torch(threads: int) -> None:
    """How this process computes what is reported or timed: with so many threads, repeatably, in float32 proper."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@contextlib.contextmanager
def prepared(threads: int) -> Iterator[None]:
    """The block computes so; whoever else works in this process finds torch's settings as they were."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = {name: get() for name, (get, _) in SETTINGS.items()}
    gpu = cudnn.deterministic, cudnn.allow_tf32, cuda.allow_tf32
    try:
        prepare_torch(threads)
        yield
    finally:
        cudnn.deterministic, cudnn.allow_tf32, cuda.allow_tf32 = gpu
        for name, (_, put) in SETTINGS.items():
            put(before[name])


@contextlib.contextmanager
def same_settings() -> Iterator[None]:
    """The block must leave what all of this process share as it is: raises Overstepped, and restores it.

    It must leave no thread running that the process would wait for, either. What libraries change when they are first
    imported, filters of warnings and variables of the environment, is restored and not blamed on anybody.
    """
    before = {name: get() for name, (get, _) in SETTINGS.items()}
    threads, variables = lasting(), dict(os.environ)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        found = [name for name, (get, _) in SETTINGS.items() if get() != before[name]]
        for name in found:
            SETTINGS[name][1](before[name])
        if dict(os.environ) != variables:
            os.environ.clear()
            os.environ.update(variables)
    if found:
        raise Overstepped(f"a run must leave {found[0]} as it is, but changed it; restore what you set")
    if left := [thread.name for thread in lasting() if thread not in threads]:
        raise Overstepped(f"a run must leave no thread running, but left {left[0]!r}; join it")


def _folder() -> str:
    """The working folder; empty where somebody has removed it."""
    with contextlib.suppress(OSError):
        return str(Path.cwd())
    return ""


def _to_folder(folder: str) -> None:
    with contextlib.suppress(OSError):
        os.chdir(folder)


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's recording of gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's choice of algorithms": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    "torch's precision of matrix products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "NumPy's handling of errors": (np.geterr, lambda handling: np.seterr(**handling)),
    "the working folder": (_folder, _to_folder),
}


def prepare_worker(threads: int, share: int, parent: int) -> None:
    """Set up a worker process: torch's threads, its share of the cores, and its end when its parent dies.

    When it has nothing more to do it ends, whatever threads a plugin has left running.
    """
    torch.set_num_threads(threads)
    may_take(share)
    Finalize(None, os._exit, args=(0,), exitpriority=LAST)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """A killed study must not leave workers that go on writing to its folder."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(137)
