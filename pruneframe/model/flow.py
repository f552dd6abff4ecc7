"""Channels followed through a network: one pass through the module itself, in which every element carries an atom.

What torch computes is seen below its modules and functions, so that no way to write a network is special: moving
elements moves their atoms, combining elements unites them, and what is not known keeps all that enters it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from .atoms import FIXED, Atoms, Ids

# Elements are only moved.
MOVES = {"permute", "transpose", "t", "expand", "squeeze", "unsqueeze", "alias", "detach", "cat", "stack", "flip"}
MOVES |= {"roll", "repeat", "index", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"}
COPIES = {"clone", "_to_copy", "contiguous", "lift_fresh", "copy"}
# Element by element, which torch does not say of them.
ELEMENTWISE = {"hardswish", "log_sigmoid_forward", "rrelu_with_noise", "_prelu_kernel"}
# Made without looking at the values of what they are given; what is filled in place is as it was otherwise.
MADE = {"empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"}
MADE |= {"zero", "fill", "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"}
Rule = Callable[["Flow", tuple[Any, ...], dict[str, Any], Any], None]


class Flow(TorchDispatchMode):
    """Follows what a module computes while this is entered; `rules` are for operations by name, see `rules.py`.

    An activation's labels are a float64 tensor of its shape (exact for integers, and torch moves floats everywhere),
    with stride 0 along dimensions in which they are the same. `heads`: whether a product of activations unites what
    enters it, matrix by matrix, and pieces of a tensor may be of different sizes. `dead`: operations
    that the output does not depend on, by their place in the order of all; what they do to channels does not matter.
    """

    def __init__(self, module: nn.Module, rules: dict[str, Rule], dead: dict[int, str], heads: bool) -> None:
        super().__init__()
        self.atoms = Atoms()
        self.heads = heads
        self.written: set[tuple[str, int]] = set()  # parameters' dimensions whose places are a layer's outputs
        self.heads_seen: list[Ids] = []  # atoms of the heads of every product of activations
        self.dims: dict[tuple[str, int], Ids] = {}  # atoms of places along a weight's dimension
        self.elements: dict[str, Ids] = {}  # atoms of a parameter's or buffer's elements, of its shape
        self._rules = rules
        self._dead = dead
        self._place = 0  # of the next operation in a pass
        self._labels = WeakTensorKeyDictionary()
        named = [*module.named_parameters(), *(() if heads else module.named_buffers())]
        self._owned = {tensor.untyped_storage().data_ptr(): (name, tensor) for name, tensor in named if tensor.numel()}

    def begin(self) -> None:
        """Before every pass."""
        self._labels.clear()
        self.heads_seen.clear()
        self._place = 0
        self.atoms.forget_stays()

    # What tensors carry

    def label(self, tensor: Tensor) -> Tensor:
        """An activation's labels, or those of a view of a parameter or buffer; 0 where nothing is known."""
        if tensor in self._labels:
            return self._labels[tensor]
        owned = self._owned.get(tensor.untyped_storage().data_ptr())
        if owned is None or not tensor.is_floating_point():
            return torch.zeros((), dtype=torch.float64).expand(tensor.shape)
        name, whole = owned
        if name not in self.elements:
            self.elements[name] = self.atoms.make(whole.numel()).reshape(whole.shape)
        own = torch.from_numpy(self.elements[name]).double()
        laid_out = torch.empty_strided(whole.shape, whole.stride(), dtype=torch.float64).copy_(own)
        return laid_out.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset() - whole.storage_offset())

    def put(self, tensor: Tensor, labels: Tensor) -> None:
        """Give an activation its labels, of its shape."""
        self._labels[tensor] = labels

    def write(self, tensor: Tensor, labels: Tensor) -> None:
        """Labels of an activation that was written in place, through to what it is a view of."""
        own = self.label(tensor)
        if torch.equal(own, labels):
            self.put(tensor, own)
            return
        try:
            own.copy_(labels)
            self.put(tensor, own)
        except RuntimeError:  # one element of labels stands for several of the activation's
            self.put(tensor, labels.contiguous())

    def weight(self, tensor: Tensor) -> tuple[str, int, int, int] | None:
        """Whose weight [axis 0, axis 1, ...] a tensor is: its name, and for both axes the dimension; where rows begin.

        None where it is no parameter's, or no whole rows of one.
        """
        owned = self._owned.get(tensor.untyped_storage().data_ptr())
        if owned is None or owned[1].dim() < 2 or tensor.dim() < 2:
            return None
        name, whole = owned
        first = int(tensor.storage_offset()) - int(whole.storage_offset())
        if tensor.dim() > 2 or tensor.shape[2:] != whole.shape[2:]:
            same = first == 0 and tensor.shape == whole.shape and tensor.stride() == whole.stride()
            return (name, 0, 1, 0) if same else None
        rows, columns = whole.stride()[:2]
        if columns != 1 or first % max(rows, 1):
            return None
        if tensor.stride() == (rows, 1) and tensor.shape[1] == whole.shape[1]:
            return name, 0, 1, first // rows
        if tensor.stride() == (1, rows) and tensor.shape[0] == whole.shape[1]:
            return name, 1, 0, first // rows
        return None

    def along(self, name: str, dim: int) -> Ids:
        """Atoms of the places along a parameter's dimension."""
        if (name, dim) not in self.dims:
            self.dims[name, dim] = self.atoms.make(self.whole(name).shape[dim])
        return self.dims[name, dim]

    def whole(self, name: str) -> Tensor:
        """A parameter or buffer by its name."""
        return next(tensor for owner, tensor in self._owned.values() if owner == name)

    # What they are asked

    def roots(self, labels: Tensor) -> Tensor:
        """The same with what stands for each atom's class, each dimension of size 1 where it is the same along it."""
        found = self.atoms.find(labels[small(labels)].numpy().astype(np.int64))
        return torch.from_numpy(np.asarray(found, dtype=np.float64))

    def varying(self, labels: Tensor) -> set[int]:
        """The dimensions along which an activation's atoms differ."""
        found = self.roots(labels)
        return {d for d, n in enumerate(found.shape) if n > 1 and bool((found != found.narrow(d, 0, 1)).any())}

    def channels(self, labels: Tensor, dim: int) -> Ids:
        """One atom for each place along a dimension, after uniting what stands there elsewhere, int64[places]."""
        moved = self.roots(labels).movedim(dim, 0)
        found = moved.reshape(moved.shape[0], -1).numpy().astype(np.int64)
        if found.shape[0] != labels.shape[dim]:
            found = found.repeat(labels.shape[dim], axis=0)
        first = np.ascontiguousarray(np.broadcast_to(found[:, :1], found.shape))
        mixed = ((found == FIXED).any(axis=1) & (found != FIXED).any(axis=1))[:, None]
        self.atoms.stay(found[np.broadcast_to(mixed, found.shape)], "they lie beside something that stays")
        self.atoms.unite(np.where(mixed, FIXED, found), np.where(mixed, FIXED, first))
        return np.where(mixed[:, 0], FIXED, found[:, 0])

    def stay(self, labels: Tensor, why: str) -> None:
        """Keep all that carry these."""
        self.atoms.stay(self.roots(labels).numpy().astype(np.int64), why)

    # What happens

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = str(func._schema.name).removeprefix("aten::")
        writes = name.endswith("_") and not name.startswith("_")
        name = name.rstrip("_") if writes else name
        self._place += 1
        if isinstance(out, Tensor) and out.untyped_storage().data_ptr() in self._owned:
            return out  # a view of a parameter: `label` and `weight` tell what of it
        if self._dead.get(self._place - 1) == str(func):
            return out
        if name == "as_strided" and args[0].shape == torch.Size(args[1]):
            self.put(out, self.label(args[0]))
        elif name in self._rules and not writes:
            self._rules[name](self, args, kwargs, out)
        elif name in COPIES:
            self._copied(args, out, writes)
        elif name in MOVES and not writes:
            self._moved(func, args, kwargs, out)
        elif torch.Tag.pointwise in func.tags or name in ELEMENTWISE:
            self._combined(args, kwargs, out, writes)
        else:
            self._unknown(name, args, kwargs, out)
        return out

    def _moved(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        moved = tree_map(self._movable, args)
        labels = func(*moved, **kwargs)
        for one, found in zip(tree_leaves(out), tree_leaves(labels), strict=True):
            self.put(one, found)

    def _movable(self, one: Any) -> Any:
        """Labels in the place of what carries some; an index is what it is."""
        return self.label(one) if isinstance(one, Tensor) and one.is_floating_point() else one

    def _copied(self, args: Any, out: Any, writes: bool) -> None:
        if writes:  # into the first, of the second
            self.write(args[0], self.label(args[1]).expand(args[0].shape))
            return
        for one in tree_leaves(out):
            self.put(one, self.label(args[0]).expand(one.shape))

    def _combined(self, args: Any, kwargs: Any, out: Any, writes: bool) -> None:
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        result = tree_leaves(out)[0]
        whole = [one.expand(result.shape) for one in tensors]
        labels = self._joined(whole, [self.label(one).expand(result.shape) for one in tensors])
        (self.write if writes else self.put)(result, labels.expand(result.shape))

    def _joined(self, tensors: Sequence[Tensor], labels: Sequence[Tensor]) -> Tensor:
        """The labels of an element-wise result, its operands united; each of them may be broadcast."""
        varying = [self.varying(one) for one in labels]
        for i, one in enumerate(labels):
            for j, other in enumerate(labels):
                if i != j and varying[i]:
                    shared = {d for d in varying[i] if self._same_along(tensors[j], other, d)}
                    self._meet(one, other, "none" if not shared else "all" if shared == varying[i] else "some")
        found = torch.zeros((), dtype=torch.float64)
        for i in sorted(range(len(labels)), key=lambda i: -len(varying[i])):  # one for all comes last: it tells least
            found = torch.where(found == FIXED, labels[i][small(labels[i])], found)
        return found

    def _same_along(self, tensor: Tensor, labels: Tensor, dim: int) -> bool:
        """Whether an operand is broadcast along a dimension, or, of heads, a constant written out for all of them."""
        if tensor.stride()[dim] == 0 or tensor.shape[dim] == 1:
            return True
        constant = self.heads and not bool(labels[small(labels)].any())
        return constant and bool((tensor == tensor.narrow(dim, 0, 1)).all())

    def _meet(self, one: Tensor, other: Tensor, shared: str) -> None:
        """An operand whose atoms differ, and another that is the same for none, all or some of them."""
        if shared == "none":
            a, b = torch.broadcast_tensors(self.roots(one), self.roots(other))
            self.atoms.unite(a.numpy().astype(np.int64), b.numpy().astype(np.int64))
        elif bool((self.roots(other) != FIXED).any()):
            self.stay(other, "one of them is there for several others")
            if shared == "some":
                self.stay(one, "they are combined with others in a way that is not known")

    def _unknown(self, name: str, args: Any, kwargs: Any, out: Any) -> None:
        for one in tree_leaves((args, kwargs)):
            if isinstance(one, Tensor) and one in self._labels and name not in MADE:
                self.stay(self._labels[one], f"{name} is not known to keep them apart")
        for one in tree_leaves(out):
            if isinstance(one, Tensor) and one not in self._labels:
                self.put(one, torch.zeros(one.shape, dtype=torch.float64))


def small(labels: Tensor) -> tuple[slice, ...]:
    """Where every label stands that there is: once along dimensions in which they are the same."""
    return tuple(slice(0, 1) if step == 0 else slice(None) for step in labels.stride())
