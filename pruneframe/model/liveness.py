"""Which of the operations that a network runs its output depends on; attention averages weights that nobody reads."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Liveness(TorchDispatchMode):
    """Records what the operations of one pass read and write, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[tuple[str, set[int], set[int]]] = []  # operation, memory that it reads, and that it writes
        self._held: list[Any] = []  # lest freed memory is used again, and one tensor taken for another

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._held += [args, kwargs, out]
        self._steps.append((str(func), _memory((args, kwargs)), _memory(out)))
        return out

    def dead(self, output: Tensor) -> dict[int, str]:
        """The operations that an output does not depend on, by their place in the order of all."""
        wanted, found = _memory(output), {}
        for place, (operation, reads, writes) in reversed(list(enumerate(self._steps))):
            if writes & wanted:
                wanted |= reads
            else:
                found[place] = operation
        return found


def _memory(values: Any) -> set[int]:
    return {one.untyped_storage().data_ptr() for one in tree_leaves(values) if isinstance(one, Tensor)}
