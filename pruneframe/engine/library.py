"""The compiled kernel, and how it is called."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .plan import SLOTS
from .prefix import ORDER

Floats = NDArray[np.float32]
ALIGNMENT = 64  # bytes; the kernel's vectors
# Multiply-adds per image from which two threads gain most of what two cores can: benchmarks/scaling.py prints how much.
LARGE = 10_000_000
PROCESSORS = ("portable code", "AVX2", "AVX-512")  # what the kernel's `pruneframe_processor` answers

_cores = 1  # that the kernel may take for a large network


class Call(ctypes.Structure):
    """Mirrors Network in kernel.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("steps", "orders", "tail")),
        *((name, ctypes.c_int64) for name in ("order_count", "tail_count", "candidates")),
        *((name, ctypes.c_void_p) for name in ("starts", "offsets", "weights", "biases", "packed", "spans", "images")),
        *(
            (name, ctypes.c_int64)
            for name in ("image_group", "level", "partial", "wide_size", "result", "classes", "groups")
        ),
        ("logits", ctypes.c_void_p),
    ]


class Order(ctypes.Structure):
    """Mirrors Order in kernel.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in ORDER]


class Stage(ctypes.Structure):
    """Mirrors Stage in kernel.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("finish", "scales", "shifts")),
        ("next", Order),
        *((name, ctypes.c_void_p) for name in ("images", "arenas", "wide", "means", "squares")),
    ]


class Kept(ctypes.Structure):
    """Mirrors Kept in kernel.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("kept", "weights", "scales", "offsets", "origins")),
        *((name, ctypes.c_int64) for name in ("outputs", "inputs", "run")),
        *((name, ctypes.c_void_p) for name in ("starts", "listed", "values")),
    ]


class Packed(ctypes.Structure):
    """Mirrors Packed in kernel.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("kept", "weights", "scales")),
        *((name, ctypes.c_int64) for name in ("outputs", "inputs", "rows", "columns")),
        ("words", ctypes.c_void_p),
    ]


@cache
def kernel() -> ctypes.CDLL | None:
    """The compiled kernel, or None where it could not be built when pruneframe was installed."""
    found = importlib.util.find_spec("pruneframe.engine._kernel")
    if found is None or found.origin is None:
        return None
    library = ctypes.CDLL(found.origin)
    library.pruneframe_run.restype = library.pruneframe_stage.restype = None
    library.pruneframe_tape.restype = library.pruneframe_train.restype = None
    library.pruneframe_list.restype = library.pruneframe_processor.restype = ctypes.c_int64
    library.pruneframe_pack.restype = library.pruneframe_room.restype = library.pruneframe_bfloat16.restype = (
        ctypes.c_int64
    )
    return library


def available() -> str:
    """The paths that this machine's processor has; which of them a network takes is known when it is loaded."""
    library = kernel()
    if library is None:
        return "torch alone: the kernel is not built"
    return f"sparse kernel ({PROCESSORS[library.pruneframe_processor()]}) where it can run the network, else torch"


def may_take(cores: int) -> None:
    """Say how many cores the kernel may take in this process for a large network; torch goes by its own number."""
    global _cores  # as torch's number of threads, it is the process's
    _cores = cores


def threads_for(macs: int) -> int:
    """With how many threads the kernel computes a network of so many multiply-adds per image.

    With as many as torch; a large one also with all that the process may take. The answers are the same to the bit.
    """
    import torch  # here, since who only asks what there is does not need it

    return max(torch.get_num_threads(), _cores if macs >= LARGE else 1)


def in_threads(groups: int, work: Callable[[int, int, int], None], threads: int) -> None:
    """Calls work(thread, first, last) for all groups, at most SLOTS at a time, in so many threads.

    Between two calls an interrupt is heard, and then nothing more is begun. Who has nothing to do sleeps.
    """
    threads = min(threads, groups)
    left, interrupted = iter(pieces(groups, threads)), Event()

    def part(thread: int) -> None:
        for first, last in left:
            if interrupted.is_set():
                return
            work(thread, first, last)

    if threads == 1:
        part(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            list(pool.map(part, range(threads)))
        except BaseException:
            interrupted.set()
            raise


def pieces(groups: int, threads: int) -> list[tuple[int, int]]:
    """All groups in pieces (first, last), of which each thread takes the next one when it is ready.

    For several threads the last pieces are small, so that nobody waits long for one whose core is busy otherwise:
    Polychronopoulos and Kuck, "Guided self-scheduling", IEEE Trans. Computers C-36(12), 1987.
    """
    found, first = [], 0
    while first < groups:
        size = SLOTS if threads == 1 else min(SLOTS, -(-(groups - first) // (2 * threads)))
        found.append((first, min(first + size, groups)))
        first += size
    return found


def aligned(shape: tuple[int, ...]) -> Floats:
    """Zeros that begin where a vector may."""
    size = int(np.prod(shape))
    memory = np.zeros(size * 4 + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size * 4].view(np.float32).reshape(shape)


def address(array: Any) -> int | None:
    """Where an array begins."""
    return None if array is None else array.ctypes.data
