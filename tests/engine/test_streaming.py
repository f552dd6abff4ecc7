"""Images that are streamed give what those in memory give, bit for bit, on every path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import images_of, masks_of, needs_kernel, network_of
from torch import Tensor

from pruneframe.engine import Engine, gpu, plain, shrunk, sparse
from pruneframe.engine.gpu import Gpu
from pruneframe.engine.moments import Moments
from pruneframe.engine.plain import Plain
from pruneframe.engine.sparse import Sparse
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.model.rows import Stream
from pruneframe.model.state import State

N = 300  # more than the kernel lays out at once at least
NETWORKS = [("tiny", "weight"), ("tiny", "filter"), ("small lenet", "weight")]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (sparse, gpu):
        monkeypatch.setattr(path, "PIECE", 1)
    monkeypatch.setattr(plain, "BATCH", 32)
    monkeypatch.setattr(gpu, "IMAGES", 64)


class Watched(Stream):
    """A stream of what lies in memory that notes how many rows were read at a time."""

    def __init__(self, held: Tensor) -> None:
        self.sizes: set[int] = set()
        super().__init__(tuple(held.shape), self._noted)
        self._held = held

    def _noted(self, rows: np.ndarray) -> Tensor:
        self.sizes.add(len(rows))
        return self._held[torch.from_numpy(rows)]


def case(name: str, units: str) -> tuple[Network, Masks, list[State], Tensor, Watched]:
    network = network_of(name, units)
    masks, images = masks_of(network)[1:5], images_of(network, N)
    return network, masks, [network.module.state_dict()] * len(masks), images, Watched(images)


@pytest.mark.parametrize(("name", "units"), NETWORKS)
@pytest.mark.parametrize("shifted", [False, True])
def test_an_engine_answers_alike(name: str, units: str, shifted: bool) -> None:
    network, masks, states, images, stream = case(name, units)
    calibration = images_of(network, 40) if shifted else None
    engine = Engine(network, calibration=calibration)
    streaming = Engine(network, calibration=None if calibration is None else Watched(calibration))
    wanted = list(engine.logits(masks, states, engine.place(images)))
    found = list(streaming.logits(masks, states, streaming.place(stream)))
    assert np.array_equal(np.array(found), np.array(wanted))
    assert max(stream.sizes) < N


@pytest.mark.parametrize(("name", "units"), NETWORKS)
@pytest.mark.parametrize("together", [1, 4])
def test_a_gpus_path_answers_alike(name: str, units: str, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "BUSY", 2**60)
    monkeypatch.setattr(gpu, "TOGETHER", together)
    network, masks, states, images, stream = case(name, units)
    path = Gpu(network, "cpu", images_of(network, 40))
    wanted = list(path.logits(masks, states, images))
    for _ in range(2):  # the second time in the places of the first
        assert np.array_equal(np.array(list(path.logits(masks, states, stream))), np.array(wanted))
    assert stream.sizes == {64, N % 64}


@pytest.mark.parametrize(("name", "units"), NETWORKS)
def test_torchs_paths_answer_alike(name: str, units: str) -> None:
    network, masks, states, images, stream = case(name, units)
    plainly = Plain(network)
    for path in (plainly, shrunk.Shrunk(network, plainly)) if network.units.removable else (plainly,):
        wanted = list(path.logits(masks, states, plainly.place(images)))
        assert np.array_equal(np.array(list(path.logits(masks, states, plainly.place(stream)))), np.array(wanted))
    assert stream.sizes == {32, N % 32}


@needs_kernel
def test_statistics_of_streamed_images_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneframe.engine.batch_norm.BATCH", 100)
    monkeypatch.setattr("pruneframe.engine.batch_norm.NUMBERS", 2**40)
    network, masks, states, images, stream = case("resnet", "weight")
    kernel = Sparse(network)
    wanted, found = Moments(kernel, images)(masks, 1, states[0]), Moments(kernel, stream)(masks, 1, states[0])
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert stream.sizes == {100}


def test_parts_are_fed_alike() -> None:
    network, masks, states, images, stream = case("tiny", "weight")
    engine = Engine(network)
    for start, stop in ((0, 3), (0, len(network.layers))):
        wanted, found = (
            torch.cat(list(engine.outputs(masks[[1]], states[1], engine.place(source), start, stop)))
            for source in (images, stream)
        )
        assert torch.equal(wanted, found)
