"""The survey of a module: prunable layers in forward order, and multiply-adds wherever they are computed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from kinds import Attended
from tiny import network
from torch import Tensor, nn

from pruneframe.errors import InputError
from pruneframe.mask import Masks
from pruneframe.model.inputs import Inputs
from pruneframe.model.layers import survey


class Windows(nn.Module):
    """Windows of an image folded into the batch, as Swin has them."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.up, self.down, self.last = (
            nn.Conv2d(3, 8, 2, 2),
            nn.Linear(8, 16),
            nn.Linear(16, 8),
            nn.Linear(8, 5),
        )

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch(images).permute(0, 2, 3, 1).reshape(len(images) * 16, 4, 8)
        tokens = self.down(F.relu(self.up(tokens)))
        return self.last(tokens.reshape(len(images), 64, 8).mean(1))


class Twice(nn.Module):
    """One weight, used by its own layer and once more without it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(2, 3)

    def forward(self, images: Tensor) -> Tensor:
        both = self.conv(images) + F.conv2d(images, self.conv.weight, padding=2, dilation=2)
        return self.last(both.mean((2, 3)))


class Mixed(nn.Module):
    """Recurrent layers of two kinds before a prunable one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.rows = nn.LSTM(4, 5, batch_first=True), nn.GRU(5, 4, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        rows, _ = self.rows(self.first(images[:, 0])[0])
        return self.last(rows[:, -1])


def test_multiply_adds_of_windows_are_counted_whatever_the_batch_holds():
    found = survey(Windows(), (3, 16, 16))
    assert found.macs == 64 * 8 * 3 * 4 + 64 * 8 * 16 + 64 * 16 * 8 + 8 * 5
    assert {layer.name: layer.positions for layer in found.layers} == {"patch": 64, "up": 64, "down": 64, "last": 1}


def test_a_weight_counts_wherever_it_is_used():
    [conv, last] = survey(Twice(), (1, 5, 5)).layers
    assert (conv.name, conv.positions, conv.convolutional, last.positions) == ("conv", 50, True, 1)


def test_what_cannot_be_pruned_counts_in_the_totals_and_is_named():
    found = network(Mixed(), (1, 4, 4))
    recurrent = 4 * 4 * 5 * (4 + 5) + 4 * 3 * 4 * (5 + 4)
    assert found.total_macs == recurrent + 12
    assert found.notes == ("first (LSTM) cannot be pruned", "rows (GRU) cannot be pruned")
    nothing = found.layout.full() - found.layout.full()
    assert found.macs(Masks.join([found.layout.full(), nothing])).tolist() == [found.total_macs, recurrent]
    assert found.reach == pytest.approx(12 / found.total_params)


def test_attention_projections_are_layers_too():
    module = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    whole = nn.Sequential(nn.Flatten(2), module, nn.Flatten(), nn.Linear(32, 3)).eval()
    before = torch.backends.mha.get_fastpath_enabled()
    found = survey(whole, (4, 2, 4))
    assert torch.backends.mha.get_fastpath_enabled() == before
    names = ["1.self_attn.in_proj", "1.self_attn.out_proj", "1.linear1", "1.linear2", "3"]
    assert [layer.name for layer in found.layers] == names
    assert (found.layers[0].parameter, found.layers[0].owner) == ("1.self_attn.in_proj_weight", "1.self_attn")
    assert [layer.positions for layer in found.layers] == [4, 4, 4, 4, 1]
    assert found.others == ()


def test_keys_and_values_of_other_widths_have_projections_of_their_own():
    names = ["first", "attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.out_proj"]
    found = survey(Attended().eval(), Inputs((6,), 11))
    assert [layer.name for layer in found.layers] == [*names, "second", "last"]
    assert found.layers[2].shape == (8, 6)


@pytest.mark.parametrize(
    ("layer", "shape", "positions", "turned"),
    [
        (nn.Conv1d(2, 4, 3), (2, 9), 7, 0),
        (nn.Conv3d(2, 4, 2), (2, 3, 3, 3), 8, 0),
        (nn.ConvTranspose1d(2, 4, 3, 2), (2, 5), 5, 1),
        (nn.ConvTranspose2d(4, 2, 3, groups=2), (4, 3, 3), 9, 2),
        (nn.ConvTranspose3d(2, 4, 2), (2, 2, 2, 2), 8, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_convolutions_of_all_kinds_are_prunable(layer: nn.Module, shape: tuple[int, ...], positions: int, turned: int):
    [found] = survey(nn.Sequential(layer, nn.Flatten()).eval(), shape).layers
    assert (found.name, found.parameter, found.shape) == ("0", "0.weight", tuple(layer.weight.shape))
    assert (found.positions, found.convolutional, found.turned) == (positions, True, turned)


def test_a_whole_network_may_be_one_layer():
    found = network(nn.Linear(3, 2), (3,))
    assert [(layer.name, layer.parameter) for layer in found.layers] == [("", "weight")]
    nothing = found.layout.full() - found.layout.full()
    assert not found.keep(nothing, 0)["weight"].any()


def test_layers_that_share_their_weights_are_refused():
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    module[2].weight = module[0].weight
    with pytest.raises(InputError, match="layers must not share weights, but 0 and 2 do"):
        survey(module, (3,))
