"""Problems: what cannot be used is refused, what is loaded fits together, and what identifies it."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import load, lookup
from torch import nn

from pruneframe import Data, InputError, Problem, Published, Recipe, Split, Splits, Trained
from pruneframe.model.state import digest
from pruneframe.problem import BATCH_NORM_IMAGES, LoadedProblem
from pruneframe.search.prices import Prices
from pruneframe.target import Meter, Target
from pruneframe.testing import TinyNetwork, make_task, tiny_problem


def data_of(problem: Problem) -> Data:
    assert isinstance(problem.data, Data)
    return problem.data


def price_of(loaded: LoadedProblem) -> float:
    """Of one evaluation, in passes."""
    return Prices.of(loaded, None).evaluation


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_norm": "thawed"}, "batch_norm must be frozen or shifted, but got 'thawed'"),
        ({"objectives": ()}, "objectives must be distinct, at least one"),
        ({"objectives": ("error", "error")}, "objectives must be distinct, at least one"),
        ({"budget": 0}, "budget > 0 must hold, but got 0"),
        ({"budget": -3.0}, "budget > 0 must hold"),
        ({"budget": float("nan")}, "budget > 0 must hold"),
        ({"budget": float("inf")}, "budget > 0 must hold"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_the_rule(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(tiny_problem(), **settings)
    with pytest.raises(InputError, match=message):
        tiny_problem().with_settings(**settings)


@pytest.mark.parametrize("wanted", [0, -1, 41])
def test_search_images_must_be_there(wanted: int) -> None:
    with pytest.raises(InputError, match=f"search_images must be from 1 to 40 for 'tiny', but got {wanted}"):
        load(tiny_problem().with_settings(search_images=wanted))


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ("channel", "no unit is named 'channel'; there are: block, filter, head, neuron, weight"),
        ("filters", "no unit is named 'filters'; did you mean 'filter'?"),
        ("filter[size=2]", "no setting of 'filter' is named 'size'"),
    ],
)
def test_units_that_nobody_brings_are_refused(units: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load(tiny_problem(units))


def test_a_problem_without_physical_objectives_has_no_meter() -> None:
    assert tiny_problem("weight", target="no-such").meter(lookup) is None


@pytest.mark.parametrize(
    ("objectives", "timed"), [(("error", "latency"), True), (("memory",), False), (("memory", "latency"), True)]
)
def test_physical_objectives_are_measured_on_the_target(objectives: tuple[str, ...], timed: bool) -> None:
    problem = tiny_problem("filter", objectives=objectives, target="analytic[speed=2e9]")
    assert problem.meter(lookup) == Meter(lookup(Target, "analytic[speed=2e9]"), timed)


def test_physical_objectives_want_units_that_can_be_taken_out() -> None:
    problem = tiny_problem("weight", objectives=("error", "memory"))
    with pytest.raises(InputError, match=r"must be pruned for the objective 'memory', but got weight"):
        problem.meter(lookup)


def test_with_settings_changes_what_is_given_and_nothing_else() -> None:
    problem = tiny_problem()
    changed = problem.with_settings(units="filter", budget=7.0, search_images=None)
    assert (changed.units, changed.budget, changed.search_images) == ("filter", 7.0, None)
    unchanged = [f.name for f in dataclasses.fields(Problem) if f.name not in ("units", "budget")]
    assert all(getattr(changed, name) is getattr(problem, name) for name in unchanged)
    assert (problem.units, problem.budget) == ("weight", 300.0)
    assert problem.with_settings() == problem


def test_network_and_data_may_be_made_on_loading() -> None:
    ready = tiny_problem()
    made: list[str] = []

    def network() -> nn.Module:
        made.append("network")
        return copy.deepcopy(ready.network)

    def data() -> Data:
        made.append("data")
        return data_of(ready)

    lazy = Problem("tiny", network, data)
    assert not made
    assert load(lazy).fingerprint == load(ready).fingerprint
    assert sorted(made) == ["data", "network"]


def test_weights_are_filled_in_with_the_data_at_hand() -> None:
    class Recorded:
        vary = True

        def load(
            self,
            module: nn.Module,
            data: Callable[[], Data],
            report: Callable[[str], None],
            instance: int,
            problem: str,
        ) -> None:
            assert problem == "tiny"
            assert isinstance(data(), Data)
            report(f"filling instance {instance}")
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.fill_(0.5)

    lines: list[str] = []
    problem = Problem("tiny", TinyNetwork, data_of(tiny_problem()), weights=Recorded(), instance=3)
    loaded = problem.load(lookup, lines.append)
    assert lines == ["filling instance 3"]
    assert all((parameter == 0.5).all() for parameter in loaded.network.module.parameters())


def split_by(instance: int) -> Data:
    """The tiny problem's, search and test drawn by the instance."""
    data = data_of(tiny_problem())
    pair = data.search, data.test
    unseen = Split(np.concatenate([one.images for one in pair]), np.concatenate([one.labels for one in pair]))
    search, test = unseen.stratified(40, instance)
    return Data(data.train, search, test)


def test_what_instances_differ_in_follows_from_weights_and_data() -> None:
    fixed, trained = data_of(tiny_problem()), Trained(Recipe(epochs=1, learning_rate=0.1, batch=20))
    published, splits = Published("https://example.org/a.pth"), Splits(split_by)
    for data, weights, varies, told in (
        (fixed, None, (), "one"),
        (fixed, published, (), "one"),
        (splits, published, ("split",), "any number, other split"),
        (fixed, trained, ("training",), "any number, other training"),
        (splits, trained, ("training", "split"), "any number, other training and split"),
    ):
        problem = Problem("tiny", TinyNetwork, data, weights=weights)
        assert (problem.varies, problem.instances) == (varies, told)
        if varies:
            assert problem.with_settings(instance=4).called == "tiny, instance 4"
        else:
            with pytest.raises(InputError, match=r"instance must be 0 for 'tiny'.* but got 4"):
                problem.with_settings(instance=4)


def test_an_instance_has_the_split_that_is_drawn_by_it() -> None:
    problem = dataclasses.replace(tiny_problem(), data=Splits(split_by))
    first, again, other = (load(problem.with_settings(instance=number)) for number in (1, 1, 2))
    assert first.data.search.digest == again.data.search.digest == split_by(1).search.digest
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.network.digest == other.network.digest


def test_instances_of_a_given_module_are_networks_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path))
    weights = Trained(Recipe(epochs=1, learning_rate=0.1, batch=20))
    problem = Problem("tiny", TinyNetwork(), data_of(tiny_problem()), weights=weights)
    first, second = (load(problem.with_settings(instance=number)) for number in (0, 1))
    assert first.network.digest != second.network.digest
    assert first.fingerprint == load(problem).fingerprint


def test_instances_draw_other_random_numbers() -> None:
    problem = dataclasses.replace(tiny_problem(), data=Splits(split_by))
    drawn = [make_task(problem.with_settings(instance=n)).rng.random() for n in (0, 1, 1, 2)]
    assert drawn[0] == make_task(tiny_problem()).rng.random()
    assert drawn[1] == drawn[2]
    assert len(set(drawn)) == 3


def test_a_network_that_does_not_fit_its_images_is_refused() -> None:
    with pytest.raises(InputError, match=r"must run on one image of shape \(2, 6, 6\)"):
        load(Problem("odd", nn.Sequential(nn.Flatten(), nn.Linear(5, 3)), data_of(tiny_problem())))


def test_labels_that_the_network_has_no_output_for_are_refused() -> None:
    data = data_of(tiny_problem())
    labels = data.train.labels.copy()
    labels[0] = 3  # the network has outputs 0, 1 and 2
    with pytest.raises(InputError, match="3"):
        load(Problem("odd", TinyNetwork(), Data(Split(data.train.images, labels), data.search, data.test)))


@pytest.mark.parametrize("wanted", [None, 40, 20, 1])
def test_the_search_set_is_a_fixed_stratified_choice(wanted: int | None) -> None:
    problem = tiny_problem(search_images=wanted)
    loaded, again = load(problem), load(problem)
    assert len(loaded.search) == (wanted or 40)
    assert loaded.search.digest == again.search.digest
    whole = data_of(problem).search
    assert loaded.search.digest == whole.stratified(wanted or 40)[0].digest
    rows = {image.tobytes() for image in whole.images}
    assert all(image.tobytes() in rows for image in loaded.search.images)


def test_one_evaluation_costs_one_pass_over_the_search_set() -> None:
    loaded = load(tiny_problem(batch_norm="frozen"))
    assert price_of(loaded) == 1
    assert loaded.batch_norm_images is None


@pytest.mark.parametrize(("search", "price"), [(None, 1 + 60 / 40), (20, 1 + 60 / 20)])
def test_shifting_batch_norm_costs_a_pass_over_its_images(search: int | None, price: float) -> None:
    loaded = load(tiny_problem(batch_norm="shifted", search_images=search))
    assert loaded.batch_norm_images is not None
    assert len(loaded.batch_norm_images) == 60
    assert price_of(loaded) == pytest.approx(price)


def test_shifting_looks_at_a_limited_number_of_training_images() -> None:
    data = data_of(tiny_problem())
    images = np.random.default_rng(0).normal(size=(BATCH_NORM_IMAGES + 500, 2, 6, 6)).astype(np.float32)
    train = Split(images, np.arange(len(images)) % 3)
    loaded = load(Problem("many", TinyNetwork(), Data(train, data.search, data.test), batch_norm="shifted"))
    chosen = loaded.batch_norm_images
    assert chosen is not None
    assert 1000 <= len(chosen) == BATCH_NORM_IMAGES <= 2000
    assert price_of(loaded) == 1 + BATCH_NORM_IMAGES / 40
    assert chosen.digest == train.stratified(BATCH_NORM_IMAGES)[0].digest


def test_a_network_without_batch_norm_is_not_charged_for_shifting_it() -> None:
    plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    loaded = load(Problem("plain", plain, data_of(tiny_problem()), batch_norm="shifted"))
    assert loaded.batch_norm_images is None
    assert price_of(loaded) == 1


def test_training_images_are_a_fixed_stratified_choice() -> None:
    loaded = load(tiny_problem())
    chosen = loaded.training_images(30)
    assert chosen.digest == loaded.training_images(30).digest == loaded.data.train.stratified(30)[0].digest
    assert len(loaded.training_images(10_000)) == len(loaded.data.train)


def fingerprint(**changes: Any) -> str:
    return load(dataclasses.replace(tiny_problem(), **changes)).fingerprint


def changed_split(split: Split, images: bool) -> Split:
    if images:
        other = split.images.copy()
        other[0] += 1
        return Split(other, split.labels)
    labels = split.labels.copy()
    labels[0] = (labels[0] + 1) % 3
    return Split(split.images, labels)


def test_the_fingerprint_is_that_of_weights_and_images() -> None:
    base = fingerprint()
    assert len(base) == 16
    assert fingerprint() == base
    assert fingerprint(name="other", budget=5.0, units="filter", batch_norm="shifted", objectives=("error",)) == base


@pytest.mark.parametrize("images", [True, False], ids=["images", "labels"])
@pytest.mark.parametrize("part", ["train", "search", "test"])
def test_the_fingerprint_follows_every_split(part: str, images: bool) -> None:
    data = data_of(tiny_problem())
    other = dataclasses.replace(data, **{part: changed_split(getattr(data, part), images)})
    assert fingerprint(data=other) != fingerprint()


@pytest.mark.parametrize("name", ["conv1.weight", "bn1.running_var", "linear.bias"])
def test_the_fingerprint_follows_weights_and_statistics(name: str) -> None:
    problem = tiny_problem()
    before = load(problem).fingerprint
    assert isinstance(problem.network, nn.Module)
    problem.network.state_dict()[name].flatten()[0] += 1e-3
    assert load(problem).fingerprint != before


def test_the_fingerprint_follows_the_choice_of_search_images() -> None:
    assert fingerprint(search_images=20) != fingerprint()
    assert fingerprint(search_images=40) == fingerprint()  # all of them, whichever way it is said


@pytest.mark.parametrize("field", ["mean", "std"])
def test_the_fingerprint_follows_how_images_are_standardised(field: str) -> None:
    """The network sees other images: its error differs, and so must the identity of a run."""
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (9, 6, 6, 2), dtype=np.uint8), np.arange(9) % 3)
    data = Data(split, split, split, mean=(0.5,), std=(0.25,))
    assert fingerprint(data=data) != fingerprint(data=dataclasses.replace(data, **{field: (0.4,)}))


def test_loading_twice_gives_equal_problems() -> None:
    problem = tiny_problem("filter")
    first, second = load(problem), load(problem)
    assert first.fingerprint == second.fingerprint
    assert first.network.layout == second.network.layout
    assert digest(first.network.module.state_dict()) == digest(second.network.module.state_dict())
