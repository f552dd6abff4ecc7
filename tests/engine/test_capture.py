"""CUDA graphs: captured after warming up, or not at all, with the reason."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from networks import network_of

from pruneframe.engine.capture import WARM_UP, Capture
from pruneframe.engine.gpu import Gpu

DEVICE = "cuda:0"


class Graph:
    """Stands in for torch's, which needs a GPU."""

    def replay(self) -> None:
        pass


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """Torch captures everything; the list holds the graphs."""
    found: list[Graph] = []
    stream = SimpleNamespace(wait_stream=lambda other: None)
    replaced = {
        "device": lambda device: nullcontext(),
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda: stream,
        "Stream": lambda device: stream,
        "graph_pool_handle": lambda: (0, 1),
        "CUDAGraph": Graph,
        "graph": lambda graph, pool, stream: (found.append(graph), nullcontext())[1],
    }
    for name, value in replaced.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return found


def test_work_is_captured_after_it_has_warmed_up(captures: list[Graph]) -> None:
    capture, runs = Capture(torch.device(DEVICE)), []
    replay = capture(lambda: runs.append(len(captures)))
    assert runs == [0] * WARM_UP + [1]
    assert replay == captures[0].replay
    assert capture.failure == ""


def test_what_cannot_be_captured_runs_as_it_is_and_says_why(captures: list[Graph]) -> None:
    gpu = Gpu(network_of("tiny"), "cpu")
    gpu._capture.device = torch.device(DEVICE)

    def run() -> None:
        if captures:
            raise RuntimeError("operation not permitted\nwhen the stream is capturing")

    assert gpu._capture(run) is run
    assert gpu.notice.endswith("; no CUDA graph: operation not permitted")
    assert gpu._capture(run) is run
    assert len(captures) == 1
