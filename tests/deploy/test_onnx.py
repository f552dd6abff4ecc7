"""Modules as ONNX models, and what is said where that cannot be."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

import pruneframe as pf
from pruneframe.deploy import onnx
from pruneframe.model.shrink import shrink
from pruneframe_plugins.units import Head


class Branching(nn.Module):
    """Its way depends on the numbers, which no exporter can follow."""

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return flat if float(flat.sum()) > 0 else -flat


def test_a_model_predicts_what_its_module_does_for_any_number_of_images() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)).eval()
    session = onnxruntime.InferenceSession(pf.to_onnx(module, (2, 6, 6)))
    for count in (1, 5):
        images = torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(count))
        [logits] = session.run(None, {onnx.IMAGES: images.numpy()})
        assert logits == pytest.approx(module(images).detach().numpy(), abs=1e-5)


def test_token_ids_are_integers() -> None:
    module = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2)).eval()
    session = onnxruntime.InferenceSession(pf.to_onnx(module, pf.Inputs((3,), vocabulary=7)))
    [logits] = session.run(None, {onnx.IMAGES: np.array([[0, 6, 3]])})
    assert logits == pytest.approx(module(torch.tensor([[0, 6, 3]])).detach().numpy(), abs=1e-5)


def test_what_cannot_be_exported_is_said_in_one_line() -> None:
    with pytest.raises(pf.InputError, match="torch cannot export the network to ONNX") as found:
        pf.to_onnx(Branching(), (2, 2))
    assert "\n" not in str(found.value)


def test_without_the_libraries_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    with pytest.raises(pf.InputError, match=r"pip install 'pruneframe\[runtimes\]'"):
        pf.to_onnx(nn.Linear(2, 2), (2,))


def test_a_transformer_without_any_head_of_a_block_is_exported() -> None:
    module = VisionTransformer(8, 4, 2, 2, 8, 16, num_classes=3).eval()
    network = pf.Network(module, (3, 8, 8), Head())
    bits = np.array([[False, False, True, True]])
    masks = pf.Masks.pack(bits, network.layout)
    keep = network.keep(masks, 0)
    state = {name: tensor * keep[name] if name in keep else tensor for name, tensor in module.state_dict().items()}
    small = shrink(network, masks, state).eval()
    session = onnxruntime.InferenceSession(pf.to_onnx(small, network.inputs))
    images = network.inputs.random(3)
    [logits] = session.run(None, {onnx.IMAGES: images.numpy()})
    assert logits == pytest.approx(small(images).detach().numpy(), abs=1e-5)
