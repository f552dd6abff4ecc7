"""Files of tensors that say what they hold, with a checksum over all of it: safetensors, from which no code is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_whole
from .state import State, digest

ENTRY = "pruneframe"  # of the file's header; there is one alone, since several would be written in any order


def write_sealed(path: Path, tensors: State, facts: Mapping[str, Any]) -> None:
    """Write tensors on the processor and facts as JSON has them: the same bytes for the same of both."""
    from safetensors.torch import save

    laid = {name: tensor.contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, sort_keys=True)
    header = {ENTRY: json.dumps({"facts": text, "checksum": _checksum(laid, text)}, sort_keys=True)}
    write_whole(path, lambda file: file.write(save(laid, header)))


def read_sealed(path: Path) -> tuple[State, dict[str, Any]]:
    """The tensors and facts of such a file; raises InputError where it is damaged, or another one."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            header, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it has no other
    except Exception as error:  # safetensors raises its own error class, or OSError
        raise InputError(f"{path} must be a safetensors file, but is damaged ({error}); remove it") from error
    if ENTRY not in header:
        raise InputError(f"{path} must be written by pruneframe train, but does not say what it holds; choose another")
    try:
        seal = json.loads(header[ENTRY])
        whole = seal["checksum"] == _checksum(tensors, seal["facts"])
    except (ValueError, KeyError):  # what is damaged is the seal itself
        whole = False
    if not whole:
        raise InputError(f"{path} must have the checksum that it names, but is damaged; remove it")
    return tensors, json.loads(seal["facts"])


def _checksum(tensors: State, text: str) -> str:
    return hashlib.blake2b(f"{digest(tensors)} {text}".encode(), digest_size=16).hexdigest()
