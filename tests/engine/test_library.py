"""Calls of the kernel: an interrupt is heard."""

from __future__ import annotations

import pytest
import torch
from networks import needs_kernel

from pruneframe.engine.library import in_threads


@needs_kernel
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_is_heard_between_two_calls(threads: int) -> None:
    before, begun = torch.get_num_threads(), []

    def work(thread: int, first: int, last: int) -> None:
        begun.append((first, last))
        raise KeyboardInterrupt

    try:
        torch.set_num_threads(threads)
        with pytest.raises(KeyboardInterrupt):
            in_threads(100, work)
    finally:
        torch.set_num_threads(before)
    assert len(begun) <= threads
