"""Weights from the web or trained here: loaded, refused, fetched once, trained once."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from kinds import KINDS, problem_of
from safetensors.torch import save_file
from torch import Tensor, nn

from pruneframe import Data, InputError, Problem, Published, Recipe, Split, Trained
from pruneframe.model.state import digest
from pruneframe.model.trained import Pupil
from pruneframe.model.training import train
from pruneframe.model.weights import fill
from pruneframe.testing import TinyNetwork, tiny_problem


def no_data() -> NoReturn:
    raise AssertionError("published weights need no images")


def silent(line: str) -> None:
    pass


def seeded(seed: int) -> TinyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TinyNetwork()


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights folder of PRUNEFRAME_DATA; the cache is empty."""
    folder = tmp_path / "named/weights"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PRUNEFRAME_DATA", str(folder.parent))
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights folder of an empty cache."""
    monkeypatch.setenv("PRUNEFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/weights"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object, **settings: object) -> NoReturn:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "urlopen", unreachable)


def keep_with_hash(content: object, folder: Path, save: Callable[[Any, Path], None] = torch.save) -> str:
    """Write a file whose name carries the beginning of its SHA-256, torch.hub's rule; returns the name."""
    draft = folder / "draft"
    save(content, draft)
    name = f"tiny-{hashlib.sha256(draft.read_bytes()).hexdigest()[:8]}.pth"
    draft.rename(folder / name)
    return name


def published(name: str, prefix: str = "") -> Published:
    return Published(f"https://example.org/models/{name}", prefix)


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "in-state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_local_file_is_loaded(prefix: str, wrapped: bool, named: Path, no_network: None) -> None:
    source, module = seeded(1), seeded(2)
    state: dict[str, Any] = {prefix + key: tensor for key, tensor in source.state_dict().items()}
    name = keep_with_hash({"state_dict": state, "best_prec1": 91.7} if wrapped else state, named)
    published(name, prefix).load(module, no_data, silent)
    assert digest(module.state_dict()) == digest(source.state_dict())


def test_names_may_differ_in_parts(named: Path, no_network: None) -> None:
    source, module = seeded(1), seeded(2)
    state = {key.replace("linear.", "fc.").replace("bn", "norm"): t for key, t in source.state_dict().items()}
    name = keep_with_hash(state, named)
    renames = (("fc.", "linear."), ("norm", "bn"))
    Published(f"https://example.org/models/{name}", renames=renames).load(module, no_data, silent)
    assert digest(module.state_dict()) == digest(source.state_dict())
    with pytest.raises(InputError, match=r"must fit TinyNetwork, but it lacks 2 tensors, such as 'linear\.bias'"):
        Published(f"https://example.org/models/{name}", renames=renames[1:]).load(module, no_data, silent)


def test_files_without_batch_counters_are_loaded(named: Path, no_network: None) -> None:
    """torch before 0.4.1 wrote none, and ResNet-56's published file is as old."""
    source, module = seeded(1), seeded(2)
    state = {key: tensor for key, tensor in source.state_dict().items() if "num_batches" not in key}
    published(keep_with_hash(state, named)).load(module, no_data, silent)
    assert digest(module.state_dict()) == digest(source.state_dict())


def test_safetensors_are_loaded(named: Path, no_network: None) -> None:
    source, module = seeded(1), seeded(2)
    save_file(source.state_dict(), named / "tiny.safetensors")
    published("tiny.safetensors").load(module, no_data, silent)
    assert digest(module.state_dict()) == digest(source.state_dict())


class Shell:
    """What a hostile checkpoint holds."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return eval, ("__import__('pathlib').Path('/tmp/pruneframe-was-here').touch()",)


def pickled(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def changed(key: str, tensor: Tensor | None) -> dict[str, Tensor]:
    state = dict(TinyNetwork().state_dict())
    if tensor is None:
        del state[key]
    else:
        state[key] = tensor
    return state


def one_line(error: InputError) -> str:
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (lambda: changed("conv1.weight", None), "lacks 1 tensors, such as 'conv1.weight'"),
        (lambda: changed("more.weight", torch.ones(1)), "has no use for 1 tensors, such as 'more.weight'"),
        (lambda: changed("conv1.weight", torch.ones(7, 5, 1, 1)), "has other shapes for 1 tensors"),
        (lambda: {"module." + k: v for k, v in TinyNetwork().state_dict().items()}, "lacks"),
        (lambda: {0: torch.ones(1)}, "must"),
        (lambda: changed("conv1.weight", None) | {"conv1.weight": [1, 2]}, "must hold a state dict"),
        (lambda: [torch.ones(1)], "must hold a state dict (names to tensors), but holds a list"),
        (lambda: torch.ones(1), "must hold a state dict (names to tensors), but holds a Tensor"),
        (lambda: {"state_dict": OrderedDict()}, "lacks"),
    ],
    ids=["lacking", "surplus", "shape", "prefix", "numbers", "lists", "list", "tensor", "empty"],
)
def test_files_that_do_not_fit_are_refused(
    content: Callable[[], object], complaint: str, named: Path, no_network: None
) -> None:
    name, module = keep_with_hash(content(), named), seeded(2)
    before = digest(module.state_dict())
    with pytest.raises(InputError) as caught:
        published(name).load(module, no_data, silent)
    message = one_line(caught.value)
    assert complaint in message
    assert str(named / name) in message
    assert digest(module.state_dict()) == before


@pytest.mark.parametrize(
    ("content", "save"),
    [
        ({"conv1.weight": Shell()}, torch.save),
        ({"conv1.weight": Shell()}, pickled),
        (TinyNetwork(), torch.save),
        (b"", lambda content, path: path.write_bytes(content)),
        (b"not a checkpoint", lambda content, path: path.write_bytes(content)),
    ],
    ids=["code", "old-pickle", "whole-module", "empty", "text"],
)
def test_files_that_need_code_are_refused_and_run_none(
    content: object, save: Callable[[Any, Path], None], named: Path, no_network: None
) -> None:
    witness = Path("/tmp/pruneframe-was-here")
    witness.unlink(missing_ok=True)
    name = keep_with_hash(content, named, save)
    with pytest.raises(InputError, match="refused") as caught:
        published(name).load(seeded(1), no_data, silent)
    assert str(named / name) in one_line(caught.value)
    assert not witness.exists()


def test_damaged_safetensors_are_refused(named: Path, no_network: None) -> None:
    save_file(TinyNetwork().state_dict(), named / "tiny.safetensors")
    (named / "tiny.safetensors").write_bytes((named / "tiny.safetensors").read_bytes()[:-50])
    with pytest.raises(InputError) as caught:
        published("tiny.safetensors").load(seeded(1), no_data, silent)
    assert str(named / "tiny.safetensors") in one_line(caught.value)


@pytest.mark.parametrize("digits", [8, 64])
def test_a_file_that_is_not_the_published_one_is_refused(digits: int, named: Path, no_network: None) -> None:
    name = f"tiny-{'0' * digits}.pth"
    torch.save(TinyNetwork().state_dict(), named / name)
    with pytest.raises(InputError, match=f"SHA-256 that begins with {'0' * digits}") as caught:
        published(name).load(seeded(1), no_data, silent)
    assert str(named / name) in one_line(caught.value)
    assert "https://example.org/models/" in str(caught.value)


def test_without_a_network_the_error_says_what_to_put_where(cache: Path, no_network: None) -> None:
    with pytest.raises(InputError) as caught:
        published("tiny-01234567.pth").load(seeded(1), no_data, silent)
    message = one_line(caught.value)
    for part in ("weights/tiny-01234567.pth", str(cache.parent), "PRUNEFRAME_DATA", "no route to host"):
        assert part in message


def test_weights_are_downloaded_once_into_the_cache(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = seeded(1)
    name = keep_with_hash(source.state_dict(), tmp_path)
    url = (tmp_path / name).as_uri()
    lines: list[str] = []
    for _ in range(2):
        module = seeded(2)
        Published(url).load(module, no_data, lines.append)
        assert digest(module.state_dict()) == digest(source.state_dict())
        (tmp_path / name).unlink(missing_ok=True)
    assert lines == [f"downloading {url}"]
    assert [path.name for path in cache.iterdir()] == [name]
    assert capsys.readouterr().out == ""  # what commands print as JSON must stay JSON


def test_a_download_with_another_hash_is_refused_and_not_kept(cache: Path, tmp_path: Path) -> None:
    torch.save(seeded(1).state_dict(), tmp_path / "tiny-01234567.pth")
    with pytest.raises(InputError) as caught:
        Published((tmp_path / "tiny-01234567.pth").as_uri()).load(seeded(1), no_data, silent)
    assert "tiny-01234567.pth" in one_line(caught.value)
    assert not list(cache.iterdir())


@pytest.mark.parametrize(
    ("content", "save"),
    [({"conv1.weight": Shell()}, torch.save), (b"text", lambda content, path: path.write_bytes(content))],
    ids=["code", "text"],
)
def test_a_download_that_needs_code_is_refused_as_a_local_file_is(
    content: object, save: Callable[[Any, Path], None], cache: Path, tmp_path: Path
) -> None:
    """The published file itself may be hostile or no checkpoint: its hash says only that it is the published one."""
    name = keep_with_hash(content, tmp_path, save)
    with pytest.raises(InputError) as caught:
        Published((tmp_path / name).as_uri()).load(seeded(1), no_data, silent)
    assert name in one_line(caught.value)


class Versioned(nn.Linear):
    """Keeps the version of what it reads."""

    _version = 3

    def _load_from_state_dict(self, state: Any, prefix: str, local: dict[str, Any], *rest: Any) -> None:
        self.read = local.get("version")
        super()._load_from_state_dict(state, prefix, local, *rest)  # type: ignore[no-untyped-call]


def test_filling_says_versions() -> None:
    module = Versioned(2, 2)
    written = module.state_dict()
    fill(module, written, "", "here")
    assert module.read == 3
    fill(module, {f"x.{name}": tensor for name, tensor in written.items()}, "x.", "here")
    assert module.read == 3, "a plain dict says none, and is read as the module writes"
    written._metadata[""]["version"] = 2  # type: ignore[attr-defined]
    fill(module, written, "", "here")
    assert module.read == 2, "what an older file says"


def test_filling_takes_the_values_and_keeps_the_type() -> None:
    module = nn.Linear(2, 2)
    fill(module, {"x.weight": torch.ones(2, 2).double(), "x.bias": torch.zeros(2).half()}, "x.", "here")
    assert module.weight.dtype == module.bias.dtype == torch.float32
    assert module.weight.sum() == 4


RECIPE = Recipe(epochs=2, learning_rate=0.05, batch=16)


def tiny_data(seed: int = 0) -> Data:
    data = tiny_problem().data
    assert isinstance(data, Data)
    images = data.train.images + np.float32(seed)
    return Data(Split(images, data.train.labels), data.search, data.test)


def trained(recipe: Recipe = RECIPE, seed: int = 0, data_seed: int = 0, start: int = 1) -> tuple[str, list[str]]:
    """Digest of the weights of instance `seed`, and the lines reported; no lines: they came from the cache."""
    lines: list[str] = []
    module = seeded(start)
    Trained(recipe).load(module, lambda: tiny_data(data_seed), lines.append, seed)
    return digest(module.state_dict()), lines


def test_weights_are_trained_once_and_then_read(cache: Path) -> None:
    first, lines = trained()
    assert [line.partition(",")[0] for line in lines] == [
        "training TinyNetwork: epoch 1/2",
        "training TinyNetwork: epoch 2/2",
    ]
    again, none = trained(start=2)  # whatever the module held before
    assert again == first
    assert none == []
    assert len(list(cache.iterdir())) == 1


def test_training_starts_from_the_seed_and_not_from_what_the_module_holds(cache: Path) -> None:
    first, _ = trained(start=1)
    for path in cache.iterdir():
        path.unlink()
    torch.manual_seed(99)
    again, lines = trained(start=2)
    assert lines
    assert again == first


def test_training_sees_the_train_split_alone(cache: Path) -> None:
    first, _ = trained()
    next(cache.iterdir()).unlink()
    module, data = seeded(1), tiny_data()
    other = Split(data.search.images * 0, data.search.labels)
    Trained(RECIPE).load(module, lambda: Data(data.train, other, other), silent)
    assert digest(module.state_dict()) == first


def test_training_is_that_of_the_recipe(cache: Path) -> None:
    module, data = seeded(1), tiny_data()
    Trained(RECIPE).load(module, lambda: data, silent, instance=5)
    expected = TinyNetwork()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        for part in expected.modules():
            if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                part.reset_parameters()
    train(expected, data.tensor(data.train), torch.from_numpy(data.train.labels), RECIPE, 5)
    assert digest(module.state_dict()) == digest(expected.state_dict())


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": replace(RECIPE, epochs=1)},
        {"recipe": replace(RECIPE, learning_rate=0.01)},
        {"recipe": replace(RECIPE, weight_decay=0.0)},
        {"seed": 1},
        {"data_seed": 1},
    ],
    ids=["epochs", "learning-rate", "weight-decay", "seed", "data"],
)
def test_another_recipe_seed_or_data_set_is_another_file(change: dict[str, Any], cache: Path) -> None:
    first, _ = trained()
    other, lines = trained(**change)
    assert lines, "it must be trained, not read from the first one's file"
    assert other != first
    assert len(list(cache.iterdir())) == 2


def test_another_network_is_another_file(cache: Path) -> None:
    trained()
    lines: list[str] = []
    wider = TinyNetwork()
    wider.conv1, wider.bn1, wider.conv2 = (
        nn.Conv2d(5, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 5, 3, padding=1),
    )
    Trained(RECIPE).load(wider, tiny_data, lines.append)
    assert lines
    assert len(list(cache.iterdir())) == 2


def test_forgotten_weights_are_trained_again(cache: Path) -> None:
    first, _ = trained()
    Trained(RECIPE).forget(Pupil(TinyNetwork(), tiny_data()))
    assert not list(cache.iterdir())
    Trained(RECIPE).forget(Pupil(TinyNetwork(), tiny_data()))  # nothing there: nothing happens
    again, lines = trained()
    assert lines
    assert again == first


def test_damaged_trained_weights_are_not_used(cache: Path) -> None:
    """Either they are trained again, or the error says which file is to go."""
    first, _ = trained()
    (path,) = cache.iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    try:
        again, _ = trained()
    except InputError as error:
        again = first
        message = one_line(error)
    else:
        message = str(path)
    assert again == first
    assert str(path) in message


def test_torchs_own_generator_is_left_alone(cache: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    module = TinyNetwork()
    torch.manual_seed(3)
    Trained(RECIPE).load(module, tiny_data, silent)
    assert torch.equal(torch.rand(3), expected)


def test_layers_of_every_kind_begin_as_they_are_drawn_by_the_seed(cache: Path) -> None:
    for kind in KINDS:
        data = data_of(problem_of(kind))
        found = []
        for _ in range(2):
            module = KINDS[kind][0]()
            Trained(replace(RECIPE, epochs=1)).forget(Pupil(module, data))
            Trained(replace(RECIPE, epochs=1)).load(module, lambda data=data: data, silent)
            found.append(digest(module.state_dict()))
        assert found[0] == found[1]


def data_of(problem: Problem) -> Data:
    assert isinstance(problem.data, Data)
    return problem.data
