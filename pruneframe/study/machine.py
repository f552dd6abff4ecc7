"""The machine that computes: its versions and hardware, torch's settings, and who may measure on it."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ..engine import kernel, may_take, multiplier
from ..errors import Overstepped
from ..target import Meter, processor_name

LOCK = Path("/tmp" if os.name == "posix" else tempfile.gettempdir()) / "pruneframe-measuring.lock"  # of the machine

version = cache(metadata.version)  # which reads a file each time
LIBRARIES = ("numpy", "pymoo", "platypus-opt", "scipy", "torch")


def environment(device: str = "cpu") -> dict[str, Any]:
    """Versions and hardware with which answers are computed; a journal is replayed only under the same."""
    gpu = {} if torch.device(device).type == "cpu" else {"gpu": torch.cuda.get_device_name(device)}
    return {
        "pruneframe": version("pruneframe"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "machine": processor_name(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        **gpu,
        "bfloat16": multiplier(device) or "emulated",
        "kernel": "sparse" if kernel() else "none",
        **{name: version(name) for name in LIBRARIES},
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
def same_settings() -> Iterator[None]:
    """The block must leave torch's settings of this process as they are: raises Overstepped, and restores them."""
    before = {name: get() for name, (get, _) in SETTINGS.items()}
    try:
        yield
    finally:
        found = [name for name, (get, _) in SETTINGS.items() if get() != before[name]]
        for name in found:
            SETTINGS[name][1](before[name])
    if found:
        raise Overstepped(f"a run must leave torch's {found[0]} as it is, but changed it; restore what you set")


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, torch.set_default_device),
    "recording of gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "choice of algorithms": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    "precision of matrix products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
}


def prepare_worker(threads: int, share: int, parent: int) -> None:
    """Set up a worker process: torch's threads, its share of the cores, and its end when its parent dies."""
    torch.set_num_threads(threads)
    may_take(share)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """A killed study must not leave workers that go on writing to its folder."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(137)
