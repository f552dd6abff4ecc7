"""What a module must be like so that it can be pruned: each refusal is one line with its remedy."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from pruneframe.errors import InputError
from pruneframe.model.acceptance import check, check_repeatable, one_tensor


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def parametrised() -> nn.Module:
    module = small()
    parametrizations.weight_norm(module[0])
    return module


def spectral() -> nn.Module:
    module = small()
    parametrizations.spectral_norm(module[3])
    return module


def hooked() -> nn.Module:
    module = small()
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(module[0])
    return module


def masked() -> nn.Module:
    module = small()
    prune.l1_unstructured(module[3], "weight", 0.5)
    return module


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            parametrised,
            "0.weight is parametrised; call torch.nn.utils.parametrize.remove_parametrizations(module.0, 'w",
        ),
        (spectral, "remove_parametrizations(module.3, 'weight')"),
        (hooked, "0 has WeightNorm; call torch.nn.utils.remove_weight_norm(module.0)"),
        (masked, "still has a mask of torch.nn.utils.prune; call torch.nn.utils.prune.remove(module.3, 'weight')"),
        (lambda: small().half(), "parameters must be float32, but 0.weight is float16; call module.float()"),
        (lambda: nn.Sequential(nn.LazyLinear(3)), "'0' is lazy; run the network on one image first"),
        (lambda: nn.DataParallel(small()), "without DataParallel; give its .module"),
        (lambda: torch.compile(small()), "before torch.compile; give its ._orig_mod"),
    ],
)
def test_what_cannot_be_pruned_as_it_is_is_told_with_its_remedy(make, words):
    with pytest.raises(InputError) as refused:
        check(make())
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_after_the_remedy_nothing_is_in_the_way():
    module = parametrised()
    nn.utils.parametrize.remove_parametrizations(module[0], "weight")
    check(module)
    module = masked()
    prune.remove(module[3], "weight")
    check(module)
    check(small())


@pytest.mark.parametrize("outputs", [(torch.zeros(1, 2),), {"logits": torch.zeros(1, 2)}, torch.zeros(1, 2, 2)])
def test_outputs_are_one_row_of_numbers_per_image(outputs):
    with pytest.raises(InputError, match="the network must give one"):
        one_tensor(outputs)
    assert one_tensor(torch.zeros(1, 2)).shape == (1, 2)


class Noisy(nn.Module):
    """Dropout that is always on."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(20, 3)

    def forward(self, rows: Tensor) -> Tensor:
        return self.linear(F.dropout(rows, 0.5))


def test_randomness_in_evaluation_is_refused():
    with pytest.raises(InputError, match="must give the same outputs twice"):
        check_repeatable(Noisy().eval(), torch.ones(4, 20))
    check_repeatable(nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 3)).eval(), torch.ones(4, 20))
