"""`pruneframe export`: the file holds the network that was measured."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import QUICK, Cli, files, in_this_process
from safetensors.torch import load_file
from tiny import load, registry

from pruneframe.deploy import formats
from pruneframe.study.folder import RunFolder
from pruneframe.study.store import StudyFolder


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


@pytest.mark.usefixtures("read_here")
def test_a_member_is_exported_by_the_hash_of_its_run(cli: Cli, study: Path, here: Path) -> None:
    run = cli("summary", study, "--json").parsed[-1]
    found = cli("export", study, "--run", run["hash"], "--member", "0", "-o", "pruned.safetensors")
    assert found.code == 0
    assert f"member 0 of {run['method']}, seed {run['seed']}" in found.out
    assert cli("export", study, "--run", "0123456789", "--member", "0", "-o", "other.safetensors").code == 4
    found = cli("export", study, "--member", "0", "-o", "other.safetensors")
    assert (found.code, "--problem or --run must be given" in found.error) == (2, True)
    assert files(here) == {here / "pruned.safetensors", here / "pruned.md"}
    assert run["hash"] in (here / "pruned.md").read_text()


def test_an_exported_member_is_the_network_that_was_measured(cli: Cli, study: Path, here: Path) -> None:
    folder = next(run for run in StudyFolder(study).runs() if run.identity["method"] == "nsga2")
    front = folder.front()
    found = cli("export", study, "--run", folder.identity["hash"], "--all-front", "-o", "front", "--json")
    written = found.parsed
    assert written == json.loads((here / "front" / "index.json").read_text())
    assert [one["member"] for one in written] == list(range(len(front["bits"])))
    for member, one in enumerate(written):
        path = here / "front" / one["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one["sha256"]
        assert one["pruned"]["bytes"] == path.stat().st_size
        assert (one["pruned"]["params"], one["images"]) == (front["params"][member], 100)
        state = load_file(path)
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
@pytest.mark.usefixtures("undrawn", "read_here")
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
@pytest.mark.usefixtures("read_here")
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
        (["--max-drop", "1", "-o", "pruned.bin"], ["pruned.bin", ".safetensors", ".pt2", ".onnx"]),
        (["--max-drop", "1", "--format", "onnx"], ["--format", "--all-front"]),
        (["--all-front", "-o", "new"], ["4 fit", "--method", "--seed"]),
        (["--all-front", "--method", "nsga2", "--seed", "0", "-o", "file"], ["new folder", "file"]),
        (["--all-front", "--member", "1"], ["--all-front", "--member"]),
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


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of filters."""
    with in_this_process(tmp_path_factory.mktemp("filters")) as cli:
        settings = ("--units", "filter", "--budget", "60", "--output", "study")
        assert cli("bench", "--methods", "nsga2", *QUICK, *settings).code == 0
        return Path.cwd() / "study"


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_filters_are_taken_out_of_a_network_that_other_programs_load(
    suffix: str, filters: Path, cli: Cli, here: Path
) -> None:
    found = cli("export", filters, "--problem", "lenet-digits", "--max-drop", "10", "-o", f"few.{suffix}")
    assert found.code == 0, found.err
    assert "holds the network without what is pruned" in found.out
    assert "the same classes on all 100 search images" in found.out
    assert "-o few.safetensors" in found.out
    [folder] = StudyFolder(filters).runs()
    front, (_, loaded) = folder.front(), network_of(folder)
    member = int(found.out.split("member ")[1].split(" ")[0])
    predict = formats.of(f".{suffix}").open(here / f"few.{suffix}", lambda: pytest.fail("it needs no other network"))
    with torch.inference_mode():
        classes = predict(loaded.data.tensor(loaded.search)).argmax(dim=1).numpy()
    assert (classes != loaded.search.labels).mean() == pytest.approx(front["search_error"][member])
    dense = formats.of(f".{suffix}").write(loaded.network.module, loaded.network.inputs)
    assert (here / f"few.{suffix}").stat().st_size < len(dense)
    assert files(here) == {here / f"few.{suffix}", here / "few.md"}


@pytest.mark.usefixtures("read_here")
def test_weights_leave_a_network_of_the_same_shapes(cli: Cli, study: Path, here: Path) -> None:
    found = cli("export", study, "--problem", "lenet-digits", "--max-drop", "10", "-o", "some.onnx")
    assert found.code == 0, found.err
    assert "with zeros in place" in found.out
    assert "no smaller and no faster" in found.out


@pytest.mark.usefixtures("read_here")
def test_a_file_that_predicts_otherwise_is_not_left_behind(
    cli: Cli, filters: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [folder] = StudyFolder(filters).runs()
    module, _ = network_of(folder)
    true = formats.of(".onnx")
    wrong = replace(true, write=lambda _, inputs: true.write(torch.nn.Sequential(module, Negative()), inputs))
    monkeypatch.setitem(formats.FORMATS, ".onnx", wrong)
    found = cli("export", filters, "--problem", "lenet-digits", "--member", "0", "-o", "pruned.onnx")
    assert found.code == 5
    assert "pruned.onnx must predict what its member does" in found.error
    assert not files(here)


class Negative(torch.nn.Module):
    """The opposite."""

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return -logits
