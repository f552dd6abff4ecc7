"""The target keeps what pruneframe asks of it, and what it times computes what the module does."""

import pytest
import torch
from pruneframe_executorch.executorch import ExecuTorch
from torch import nn

import pruneframe as pf
from pruneframe.testing import check_target


class Branching(nn.Module):
    """Its way depends on the numbers, which no exporter can follow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images if float(images.sum()) > 0 else -images


def test_the_target() -> None:
    check_target(ExecuTorch(repeats=3, warmup=1))


def test_what_is_timed_computes_what_the_module_does() -> None:
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)).eval()
    inputs = pf.Inputs((1, 6, 6))
    [logits] = ExecuTorch().prepared(module, inputs)()
    torch.testing.assert_close(logits, module(inputs.blank(1)).detach(), atol=1e-5, rtol=1e-5)


def test_it_names_the_runtime_and_the_processor() -> None:
    assert "executorch" in ExecuTorch().identity
    assert pf.processor_name() in ExecuTorch().identity


def test_a_network_that_it_cannot_take() -> None:
    with pytest.raises(pf.InputError, match="ExecuTorch cannot take the network"):
        ExecuTorch().prepared(Branching(), pf.Inputs((2,)))
