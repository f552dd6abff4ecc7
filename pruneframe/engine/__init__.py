"""How the outputs of many candidates are computed; the only place that knows how.

`choice` picks the path: `sparse`, a kernel that multiplies only what is left and computes once what candidates share
(`prefix`), on a plan that `compiler` makes of the network's graph; in bfloat16 it rounds what is dense (`winograd`), or
`halves`, torch's pass in bfloat16, answers beside it; else `plain`, torch's own forward pass, or `shrunk`, the same
without the removed filters; on a GPU `gpu`, CUDA graphs (`capture`) over weights in one row (`flat`). `batch_norm` is
batch_norm=shifted, `moments` its statistics by the kernel; `library` calls the kernel, on `lists`. `trainable` computes
outputs with gradients: of a small network by the kernel (`lesson` and `tape`, on `operations` that `taping` records),
of a large one by torch, in `segments` where a batch would keep too much; `gradients` are those by a network's own
parameters.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model.precision import Precision as Precision
    from ..model.precision import multiplier as multiplier
    from ..model.precision import multiplies_bfloat16 as multiplies_bfloat16
    from ..model.precision import search_precision as search_precision
    from .batch_norm import pair as pair
    from .choice import Engine as Engine
    from .library import kernel as kernel
    from .library import may_take as may_take
    from .plain import memory_format as memory_format
    from .trainable import Pieces as Pieces
    from .trainable import Trainable as Trainable

_HOMES = {
    "Engine": "choice",
    "kernel": "library",
    "may_take": "library",
    "memory_format": "plain",
    "pair": "batch_norm",
    "Pieces": "trainable",
    "Trainable": "trainable",
}
_HOMES |= dict.fromkeys(("Precision", "multiplier", "multiplies_bfloat16", "search_precision"), ".model.precision")


def __getattr__(name: str) -> Any:
    """Loaded when first used: who asks for the kernel alone does not need torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pruneframe.engine' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
