"""`pruneframe export`: the file holds the network that was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import QUICK, Cli, files
from safetensors.torch import load_file
from tiny import load, registry

from pruneframe.study.store import RunFolder, StudyFolder


def network_of(folder: RunFolder) -> tuple[torch.nn.Module, Any]:
    """The problem's network, and the images that its run searched on."""
    identity = folder.identity
    settings = {"units": identity["units"], "search_images": identity["search_images"]}
    loaded = load(registry().problem(identity["problem"]).with_settings(**settings))
    return loaded.network.module, loaded


def error_of(module: torch.nn.Module, state: dict[str, torch.Tensor], loaded: Any, split: Any) -> float:
    module.load_state_dict(state, strict=True)
    with torch.inference_mode():
        predicted = module.eval()(loaded.data.tensor(split)).argmax(dim=1).numpy()
    return float((predicted != split.labels).mean())


def test_a_member_is_exported_by_the_hash_of_its_run(cli: Cli, study: Path, here: Path) -> None:
    run = cli("summary", study, "--json").parsed[-1]
    found = cli("export", study, "--run", run["hash"], "--member", "0", "-o", "pruned.safetensors")
    assert found.code == 0
    assert f"member 0 of {run['method']}, seed {run['seed']}" in found.out
    assert cli("export", study, "--run", "0123456789", "--member", "0", "-o", "other.safetensors").code == 4
    found = cli("export", study, "--member", "0", "-o", "other.safetensors")
    assert (found.code, "--problem or --run must be given" in found.error) == (2, True)
    assert files(here) == {here / "pruned.safetensors"}


def test_an_exported_member_is_the_network_that_was_measured(cli: Cli, study: Path, here: Path) -> None:
    folder = next(run for run in StudyFolder(study).runs() if run.identity["method"] == "nsga2")
    front = folder.front()
    names = ("--problem", "lenet-digits", "--method", "nsga2", "--seed", str(folder.identity["seed"]))
    for member in range(len(front["bits"])):
        found = cli("export", study, *names, "--member", str(member), "-o", "pruned.safetensors")
        assert found.code == 0, found.err
        state = load_file(here / "pruned.safetensors")
        module, loaded = network_of(folder)
        dense = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        layout = loaded.network.layout
        keep = layout.split(np.unpackbits(front["bits"][member])[: layout.total].astype(bool))
        assert sum(len(part) for part in keep) == sum(dense[f"{name}.weight"].numel() for name in layout.names)
        for name, kept in zip(layout.names, keep, strict=True):
            pruned, before = (tensors[f"{name}.weight"].flatten().numpy() for tensors in (state, dense))
            assert np.all(pruned[~kept] == 0)
            assert np.array_equal(pruned[kept], before[kept])
            assert np.count_nonzero(pruned) == np.count_nonzero(kept & (before != 0))
        assert error_of(module, state, loaded, loaded.search) == pytest.approx(front["search_error"][member])
        assert error_of(module, state, loaded, loaded.data.test) == pytest.approx(front["test_error"][member])


@pytest.mark.parametrize("batch_norm", ["frozen", "shifted"])
@pytest.mark.usefixtures("undrawn")
def test_exported_filters_are_zero_and_predict_as_measured(batch_norm: str, cli: Cli, here: Path) -> None:
    settings = ("--units", "filter", "--batch-norm", batch_norm, "--budget", "300")
    assert cli("bench", "--methods", "magnitude", *QUICK, *settings).code == 0
    (folder,) = StudyFolder(here / "pruneframe-study").runs()
    front = folder.front()
    member = int(np.argmin(front["params"]))
    problem = ("--problem", "lenet-digits")
    assert cli("export", "pruneframe-study", *problem, "--member", str(member), "-o", "few.safetensors").code == 0
    state = load_file(here / "few.safetensors")
    module, loaded = network_of(folder)
    layout = loaded.network.layout
    keep = layout.split(np.unpackbits(front["bits"][member])[: layout.total].astype(bool))
    assert not all(part.all() for part in keep)
    for name, kept in zip(layout.names, keep, strict=True):
        assert not state[f"{name}.weight"].flatten(1)[torch.from_numpy(~kept)].any()
        assert not state[f"{name}.bias"][torch.from_numpy(~kept)].any()
    assert error_of(module, state, loaded, loaded.search) == pytest.approx(front["search_error"][member])


@pytest.mark.parametrize("drop", [0.5, 2.0, 100.0])
def test_max_drop_takes_the_smallest_member_that_qualifies_on_search(
    drop: float, cli: Cli, study: Path, here: Path
) -> None:
    command = ("export", study, "--problem", "lenet-digits", "--max-drop", str(drop), "-o", "pruned.safetensors")
    found = cli(*command)
    assert found.code == 0, found.err
    allowed = []
    for folder in StudyFolder(study).runs():
        front, dense = folder.front(), folder.result["dense_error"]
        fits = front["search_error"] <= dense + drop / 100 + 1e-9
        allowed += list(front["params"][fits])
    module, loaded = network_of(folder)
    state = load_file(here / "pruned.safetensors")
    assert sum(int(state[name].count_nonzero()) for name, _ in module.named_parameters()) == min(allowed)
    assert error_of(module, state, loaded, loaded.search) <= dense + drop / 100 + 1e-9
    assert f"{100 * (1 - min(allowed) / loaded.network.total_params):.2f} %" in found.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-drop", "1", "--member", "0"], ["--max-drop", "--member"]),
        ([], ["--max-drop", "--member"]),
        (["--member", "0"], ["4 fit", "--method", "--seed"]),
        (["--member", "1000", "--method", "nsga2", "--seed", "0"], ["1000"]),
        (["--member", "-1", "--method", "nsga2", "--seed", "0"], ["-1"]),
        (["--member", "first", "--method", "nsga2", "--seed", "0"], ["first"]),
        (["--max-drop", "little"], ["little"]),
        (["--max-drop", "1", "-o", "pruned.onnx"], ["pruned.onnx", ".safetensors"]),
        (["--max-drop", "1", "-o", "file/pruned.safetensors"], ["file/pruned.safetensors"]),
    ],
)
def test_an_export_that_cannot_be_made(
    arguments: list[str], words: list[str], cli: Cli, study: Path, here: Path
) -> None:
    (here / "file").write_text("in the way")
    output = [] if "-o" in arguments else ["-o", "pruned.safetensors"]
    found = cli("export", study, "--problem", "lenet-digits", *arguments, *output)
    assert found.code == 2
    assert all(word in found.error for word in words)
    assert list(here.iterdir()) == [here / "file"]
