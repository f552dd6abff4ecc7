"""Members of every family of networks, exported: ONNX Runtime predicts what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Cli, in_this_process

FAMILIES = '''
import torch
from torchvision.models import VisionTransformer, mobilenet_v2

import pruneframe as pf
from pruneframe_problems.deit import DeiTTiny


def problem(name, make, side, count):
    """A network without training, on noise; what it says of an image is the image's label."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network, images = make(), torch.randn(3 * count, 3, side, side)
        for one in network.modules():  # the first layers are not told apart from noise by averages of no images
            if isinstance(one, torch.nn.BatchNorm2d):
                one.momentum = None
        with torch.no_grad():
            network.train()(images)
            logits = network.eval()(images)
            labels = (logits - logits.mean(dim=0)).argmax(dim=1)
    parts = [pf.Split(images[start::3].numpy(), labels[start::3].numpy()) for start in range(3)]
    return pf.Problem(name, network, pf.Data(*parts), summary="a network without training")


def vit():
    network = VisionTransformer(32, 8, 3, 4, 64, 128, num_classes=10)
    torch.nn.init.normal_(network.heads.head.weight)  # they are zeros, and all images of one class
    return network


@pf.hookimpl
def pruneframe_problems():
    return [
        problem("mobilenet", lambda: mobilenet_v2(num_classes=10), 32, 40),
        problem("vit", vit, 32, 40),
        problem("deit", DeiTTiny, 224, 8),
    ]
'''
LENET = [("lenet-digits", "weight"), ("lenet-digits", "filter")]
RESNET = [("resnet20-cifar10", "weight"), ("resnet20-cifar10", "filter")]
MOBILENET = [("mobilenet", "weight"), ("mobilenet", "filter")]
VIT = [("vit", "weight"), ("vit", "head"), ("vit", "neuron"), ("deit", "head"), ("deit", "neuron")]


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """The command line in a folder with the plugin; no comparison is typeset."""
    monkeypatch.setattr("pruneframe.comparison.edition.write", lambda *arguments: ([], []))
    (tmp_path / "families.py").write_text(FAMILIES)
    with in_this_process(tmp_path, capsys) as run:
        yield run


@pytest.mark.slow
@pytest.mark.usefixtures("read_here")
@pytest.mark.parametrize(("problem", "units"), LENET + RESNET + MOBILENET + VIT)
def test_a_member_predicts_the_same_classes_in_onnxruntime(
    problem: str, units: str, cli: Cli, request: pytest.FixtureRequest
) -> None:
    if problem.startswith("resnet20"):
        request.getfixturevalue("real_data")
    plugin = ("-p", "families.py") if (problem, units) in MOBILENET + VIT else ()
    images = () if plugin else ("--search-images", "100")
    settings = ("--units", units, "--seeds", "0", "--budget", "4", "--threads", "1", *images)
    ran = cli("bench", *plugin, "--problems", problem, "--methods", "random", *settings)
    assert ran.code == 0, ran.err
    wanted = ("--problem", problem, "--max-drop", "100", "-o", "few.onnx")
    done = cli("export", "pruneframe-study", *plugin, *wanted, "--json")
    assert done.code == 0, done.err
    [one] = json.loads(done.out)
    dense, pruned = one["dense"], one["pruned"]
    assert one["images"] in (8, 40, 100)
    assert one["shrunk"] == (units != "weight")
    assert pruned["params"] < dense["params"]
    if units != "weight":
        assert pruned["bytes"] < dense["bytes"]
        assert pruned["macs"] < dense["macs"]
