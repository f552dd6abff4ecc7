"""State dicts: copies of a module with one, the versions behind it, and its digest."""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict

from torch import Tensor, nn

State = dict[str, Tensor]  # all parameters and buffers of a module, by name


def reweighted(module: nn.Module, state: State) -> nn.Module:
    """A copy of a module with other weights, read as of the versions that the module itself writes."""
    copied = copy.deepcopy(module)
    copied.load_state_dict(versioned(state, module.state_dict()))
    return copied


def versioned(state: State, like: State) -> State:
    """The same weights with the versions of their modules, by which some modules read old entries in another way.

    torch keeps them beside the entries of a state dict, where a plain dict or another file format loses them.
    """
    found = OrderedDict(state)
    found._metadata = getattr(like, "_metadata", {})  # type: ignore[attr-defined] # torch's own way
    return found


def digest(state: State) -> str:
    """32 hex digits over names, shapes and values of a state dict."""
    total = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
