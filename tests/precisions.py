"""Whether torch may round to TF32, seen from inside a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@contextmanager
def noted_flags(module: nn.Module) -> Iterator[list[tuple[bool, bool]]]:
    """The flags under which a module is called."""
    found: list[tuple[bool, bool]] = []
    hook = module.register_forward_pre_hook(lambda *_: found.append(flags()))
    yield found
    hook.remove()
