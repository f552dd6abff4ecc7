"""Work on a GPU recorded as CUDA graphs, which are launched whole."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch

WARM_UP = 2  # runs before a capture, in which libraries choose their algorithms and reserve memory
Work = Callable[[], object]


class Capture:
    """Makes graphs of work that writes into tensors which were there before, one after the other on one device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.failure = ""  # why work is not captured

    def __call__(self, work: Work) -> Work:
        """The same work as a graph; as it is, with the reason in `failure`, where it does what cannot be captured."""
        if self.device.type == "cpu" or self.failure:
            return work
        gc.collect()  # an earlier run's graphs; torch waits for the device when they go, which breaks a capture
        stream, pool = self._place
        with torch.cuda.device(self.device):
            current, graph = torch.cuda.current_stream(), torch.cuda.CUDAGraph()
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    work()
                try:
                    with torch.cuda.graph(graph, pool=pool, stream=stream):
                        work()
                except RuntimeError as error:
                    self.failure = str(error).partition("\n")[0] or type(error).__name__
            current.wait_stream(stream)
        return work if self.failure else graph.replay

    @cached_property
    def _place(self) -> tuple[torch.cuda.Stream, Any]:
        """The stream and the memory of all graphs: none leaves anything there that the next one must not overwrite."""
        return torch.cuda.Stream(self.device), torch.cuda.graph_pool_handle()
