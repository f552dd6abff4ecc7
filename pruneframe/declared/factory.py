"""A function that makes a network, named in a file: `module:function`, or `file.py:function`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from ..errors import InputError
from ..files import read_plain


@dataclass(frozen=True)
class Factory:
    """Makes a network by a function of a Python file, or of a module that can be imported, with some arguments."""

    place: str  # the field that names it, for messages
    module: str
    function: str
    file: Path | None
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, place: str, text: str, beside: Path, arguments: Mapping[str, Any]) -> Factory:
        """From `module:function` or `file.py:function`, files beside a folder; raises InputError for other texts."""
        module, colon, function = text.rpartition(":")
        if not colon or not module or not function.isidentifier():
            raise InputError(f"{place} must be module:function or file.py:function, but got {text!r}")
        file = beside / Path(module).expanduser() if module.endswith(".py") else None
        if file is not None and not file.is_file():
            raise InputError(f"{place} must name a file that is there, but {file} is not")
        return cls(place, module, function, file, arguments)

    @property
    def code(self) -> bytes:
        """Of the file, or of the module's; empty where it has none of its own."""
        if self.file is not None:
            return read_plain(self.file)
        try:
            spec = importlib.util.find_spec(self.module)
        except (ImportError, ValueError):  # told by name when it is called
            return b""
        origin = None if spec is None or not spec.has_location else spec.origin
        return b"" if origin is None else Path(origin).read_bytes()

    def __call__(self) -> nn.Module:
        """The network; raises InputError for whatever goes wrong in the user's code."""
        make = getattr(self._imported(), self.function, None)
        if not callable(make):
            raise InputError(f"{self.place} must name a function of {self.module}, but it has no {self.function!r}")
        try:
            found = make(**self.arguments)
        except (Exception, SystemExit) as error:  # a user's code may fail in any way
            given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
            raise InputError(
                f"{self.place}: {self.module}:{self.function}({given}) fails: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(found, nn.Module):
            raise InputError(f"{self.place} must name what makes a torch.nn.Module, but it makes {found!r}")
        return found

    def _imported(self) -> ModuleType:
        try:
            return importlib.import_module(self.module) if self.file is None else _from_file(self.file)
        except (Exception, SystemExit) as error:  # likewise
            raise InputError(
                f"{self.place}: {self.module} cannot be imported: {type(error).__name__}: {error}"
            ) from error


def _from_file(path: Path) -> ModuleType:
    """A Python file as a module, known by its content, so that it is imported once."""
    name = f"pruneframe_network_{hashlib.sha256(read_plain(path)).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up the names in postponed annotations there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
