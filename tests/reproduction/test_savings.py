"""What final fronts save, and the member that stands beside a paper's figure: counted again from the masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from studies import study_of
from tiny import lookup, registry

import pruneframe as pf
from pruneframe.mask import Masks
from pruneframe.model.network import Network
from pruneframe.reproduction.savings import chosen, saved
from pruneframe.study.folder import RunFolder
from pruneframe.study.paired import loss_bounds
from pruneframe.study.store import StudyFolder


@pytest.fixture(scope="module")
def network() -> Network:
    return registry().problem("lenet-digits").load(lookup).network


@pytest.fixture(scope="module")
def run(small: StudyFolder) -> RunFolder:
    return next(folder for folder in small.runs() if folder.identity["method"] == "magnitude")


def finding(saving: str = "parameters", loss: float = 1.0) -> pf.Finding:
    return pf.Finding("much", "abstract", ("magnitude",), saving, loss=loss)


def test_savings_are_counted_from_the_masks(run: RunFolder, network: Network) -> None:
    front = run.front()
    kept = Masks(front["bits"], network.layout).layer_counts()
    positions = np.array([layer.positions for layer in network.layers])
    dense = np.array([layer.weights for layer in network.layers])
    convolutions = np.array([layer.convolutional for layer in network.layers])
    with np.errstate(divide="ignore"):
        assert saved(run, network, "parameters") == pytest.approx((dense - kept).sum(axis=1) / network.total_params)
        assert saved(run, network, "multiply-adds") == pytest.approx(
            (dense * positions).sum() / (kept * positions).sum(axis=1)
        )
        own = (kept * positions)[:, convolutions].sum(axis=1)
        assert saved(run, network, "convolutions") == pytest.approx((dense * positions)[convolutions].sum() / own)
    assert saved(run, network, "params") == pytest.approx(network.total_params / front["params"])


def test_nothing_left_is_infinitely_many_times_less(run: RunFolder, network: Network) -> None:
    empty = Masks(np.zeros_like(run.front()["bits"]), network.layout)
    assert empty.counts().max() == 0
    values = saved(_Emptied(run.path), network, "convolutions")
    assert np.isinf(values).all()


class _Emptied(RunFolder):
    """The same run, had it removed everything."""

    def front(self, names=None):  # type: ignore[no-untyped-def]
        found = super().front(names)
        return found | {"bits": np.zeros_like(found["bits"])}


@pytest.mark.parametrize("saving", ["parameters", "convolutions"])
@pytest.mark.parametrize("loss", [0.5, 2.0, 20.0])
def test_the_member_is_sure_by_search_images_and_told_on_test_images(
    run: RunFolder, network: Network, saving: str, loss: float
) -> None:
    found = chosen(run, network, finding(saving, loss))
    front, values = run.front(), saved(run, network, saving)
    bounds = loss_bounds(front["search_lost"], front["search_gained"], 100)
    sure = bounds <= loss / 100
    if not sure.any():
        assert found is None
        return
    assert found is not None
    assert found.saved == values[sure].max()
    (most,) = np.nonzero(sure & (values == found.saved))
    row = most[np.argmin(bounds[most])]
    assert found.search_loss == pytest.approx(100 * (front["search_error"][row] - run.result["dense_error"]))
    assert found.test_loss == pytest.approx(100 * (front["test_error"][row] - run.result["dense_test_error"]))
    assert found.interval[0] <= found.test_loss <= found.interval[1]


def test_a_sure_member_agrees_with_the_indicator_of_that_name(tmp_path: Path, network: Network) -> None:
    study = study_of(tmp_path / "study", ["magnitude"], seeds=[0])
    (run,) = study.runs()
    for drop in (0.5, 1.0, 2.0):
        found, told = chosen(run, network, finding(loss=drop)), run.result
        assert (None if found is None else found.saved) == told[f"sure_reduction_at_{drop:g}"]
        assert (None if found is None else found.test_loss) == told[f"sure_test_drop_at_{drop:g}"]
