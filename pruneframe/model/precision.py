"""How exactly the search multiplies; what is reported is float32 everywhere.

float32 is a processor's default. tf32 is a GPU's: it rounds the factors of convolutions and matrix products to 10 bits
behind the point and adds them up in float32; weights, activations, batch norm and additions stay float32. bfloat16 is
there on request: weights and activations have 7 bits behind the point and take half the memory, sums are float32. It
tells candidates apart less finely, so it is part of a run's identity, and it is refused where it would be emulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch

from ..errors import InputError

Precision = Literal["float32", "tf32", "bfloat16"]
# What multiplies bfloat16: of processors by torch's names, the fastest first, the last one ARM's.
PROCESSORS = ("amx_bf16", "avx512_bf16", "bf16")
GPU = "tensor cores"
CAPABILITY = 8  # the first major compute capability of GPUs whose tensor cores do


@contextmanager
def precision(*, tf32: bool) -> Iterator[None]:
    """Whether a GPU may round factors to tf32 inside the block; afterwards all is as before."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def bfloat16(device: torch.device, enabled: bool) -> torch.autocast:
    """Torch's bfloat16 inside the block, where enabled; it keeps no rounded weights, since masks change them."""
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)


def multiplier(device: str | torch.device) -> str:
    """What multiplies bfloat16 on a device, one of PROCESSORS or GPU; empty where bfloat16 would be emulated."""
    device = torch.device(device)
    if device.type == "cuda":
        return GPU if torch.cuda.get_device_capability(device)[0] >= CAPABILITY else ""
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot tell
    return next((name for name in PROCESSORS if capabilities.get(name, False)), "")


def multiplies_bfloat16(device: str | torch.device) -> bool:
    """Whether a device multiplies bfloat16 itself; elsewhere it takes longer than float32."""
    return bool(multiplier(device))


def search_precision(device: str, wanted: Precision | None = None) -> Precision:
    """What candidates are computed in during a search on a device; None takes the device's default.

    Raises InputError for a precision that the device would emulate.
    """
    processor = torch.device(device).type == "cpu"
    if wanted == "bfloat16" and not multiplies_bfloat16(device):
        needed = "AMX or AVX512-BF16 (on ARM, BF16)" if processor else f"compute capability {CAPABILITY}.0 or higher"
        raise InputError(
            f"precision must be float32 on {device}, which would emulate bfloat16 for want of {needed}, but got "
            f"{wanted}; leave --precision out"
        )
    return wanted or ("float32" if processor else "tf32")
