"""What torch may round, seen from inside a network, and a processor that multiplies bfloat16, or does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from pruneframe.engine import choice
from pruneframe.engine.halves import WORTH


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@contextmanager
def noted_flags(module: nn.Module) -> Iterator[list[tuple[bool, bool]]]:
    """The flags under which a module is called."""
    found: list[tuple[bool, bool]] = []
    hook = module.register_forward_pre_hook(lambda *_: found.append(flags()))
    yield found
    hook.remove()


def multiplies(monkeypatch: pytest.MonkeyPatch, kind: str = "avx512_bf16", worth: float | None = None) -> None:
    """Has torch say what multiplies bfloat16 here, nothing with an empty text, and leaves that to torch.

    `worth` moves the rule for it.
    """
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {kind: True} if kind else {})
    monkeypatch.setattr(choice, "KERNEL", "nothing here")
    if worth is not None:
        monkeypatch.setitem(WORTH, kind, worth)
