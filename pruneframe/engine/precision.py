"""How exactly a GPU multiplies: float32 for what is reported, tf32 for the search.

tf32 rounds the factors of convolutions and matrix products to 10 bits behind the point and adds them up in float32;
weights, activations, batch norm and additions stay float32. bf16 would move half the bytes, but with 7 bits it changes
the class of too many images for a search that tells candidates apart by a few of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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


def search_precision(device: str) -> str:
    """What candidates are computed in during a search on a device; what is reported is float32 everywhere."""
    return "float32" if torch.device(device).type == "cpu" else "tf32"
