"""Precision: set for a block alone, refused where it would be emulated, and part of what a run is."""

from __future__ import annotations

import pytest
import torch
from precisions import flags, multiplies
from tiny import registry

from pruneframe.engine import Precision, multiplies_bfloat16, search_precision
from pruneframe.engine.halves import WORTH
from pruneframe.errors import InputError
from pruneframe.model.precision import PROCESSORS, bfloat16, multiplier, precision
from pruneframe.study.plan import plan
from pruneframe.study.run import Run


@pytest.mark.parametrize("before", [False, True])
def test_precision_is_set_for_a_block_alone(before: bool) -> None:
    with precision(tf32=before):
        for tf32 in (False, True):
            with precision(tf32=tf32):
                assert flags() == (tf32, tf32)
            assert flags() == (before, before)
        with pytest.raises(RuntimeError, match="on purpose"), precision(tf32=not before):
            raise RuntimeError("on purpose")
        assert flags() == (before, before)


@pytest.mark.parametrize("enabled", [False, True])
def test_torch_rounds_to_bfloat16_where_enabled_and_follows_weights_that_change(enabled: bool) -> None:
    linear, rows = torch.nn.Linear(3, 2), torch.randn(4, 3)
    with torch.no_grad(), bfloat16(torch.device("cpu"), enabled):
        first = linear(rows)
        linear.weight.zero_()
        linear.bias.zero_()
        assert first.dtype == (torch.bfloat16 if enabled else torch.float32)
        assert not linear(rows).any()
    assert linear(rows).dtype == torch.float32


@pytest.mark.parametrize(
    ("capabilities", "found"),
    [
        ({"avx512_bf16": True, "amx_bf16": True}, "amx_bf16"),
        ({"avx512_bf16": True, "amx_bf16": False}, "avx512_bf16"),
        ({"neon": True, "bf16": True}, "bf16"),
        ({"avx512_f": True}, ""),
        ({}, ""),
    ],
)
def test_torch_is_asked_what_a_processor_multiplies(
    capabilities: dict[str, bool], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert multiplier("cpu") == found
    assert multiplies_bfloat16("cpu") is bool(found)


def test_a_torch_that_cannot_tell_is_taken_to_emulate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not multiplies_bfloat16("cpu")


def test_every_processor_that_multiplies_it_has_its_rule() -> None:
    assert set(WORTH) == set(PROCESSORS)


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (9, 0)])
def test_a_gpu_multiplies_it_from_compute_capability_8_on(
    capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bfloat16("cuda:0") is (capability >= (8, 0))
    if capability < (8, 0):
        with pytest.raises(InputError, match=r"cuda:0.*compute capability 8\.0"):
            search_precision("cuda:0", "bfloat16")
    else:
        assert search_precision("cuda:0", "bfloat16") == "bfloat16"
    assert search_precision("cuda:0") == "tf32"
    assert search_precision("cuda:0", "float32") == "float32"


def test_what_a_processor_would_emulate_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplies(monkeypatch, "")
    with pytest.raises(InputError, match="emulate") as caught:
        search_precision("cpu", "bfloat16")
    assert "\n" not in str(caught.value)
    assert search_precision("cpu") == search_precision("cpu", "float32") == "float32"


def test_the_precision_of_the_search_is_part_of_a_runs_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplies(monkeypatch)

    def planned(device: str, wanted: Precision | None) -> Run:
        found = plan(
            registry(), ["random"], ["lenet-digits"], [0], [0], {"budget": 20.0}, device, 1, lambda line: None, wanted
        )
        return found.runs[0]

    runs = [planned("cpu", None), planned("cpu", "bfloat16"), planned("cuda:0", None), planned("cuda:0", "float32")]
    assert [run.precision for run in runs] == ["float32", "bfloat16", "tf32", "float32"]
    assert len({run.hash for run in runs}) == len({run.board for run in runs}) == 4
    assert planned("cpu", "float32") == runs[0]
