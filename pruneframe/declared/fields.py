"""Tables of a TOML file, read field by field, so that every fault is named with what would be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown
from ..files import read_toml
from ..spec import read, type_name, write

Check = Callable[[Any], bool]
KINDS: dict[str, Check] = {  # what is said of a value that another kind of field needs
    "a text": lambda value: isinstance(value, str),
    "a whole number from 1": lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0,
    "a number above 0": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value > 0,
    "a list of texts": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "a list of numbers": lambda value: isinstance(value, list) and all(isinstance(one, int | float) for one in value),
    "a table": lambda value: isinstance(value, dict),
}


class Table:
    """A table of a file; what is taken out of it is checked, and what nobody takes is a fault."""

    def __init__(self, path: Path, values: dict[str, Any], name: str = "") -> None:
        self.path = path
        self.values = values
        self._name = name
        self._known: set[str] = set()

    @classmethod
    def of(cls, path: Path) -> Table:
        """The whole of a file; raises InputError where it is not TOML."""
        return cls(path, read_toml(path, f"{path} must be a TOML file that declares a problem")[0])

    def fault(self, field: str, rule: str) -> InputError:
        """The error about a field that is not as it must be."""
        return InputError(f"{self._place(field)} must be {rule}, but got {self.values.get(field)!r}")

    def get(self, field: str, kind: str, default: Any = None) -> Any:
        """A field's value, of one of `KINDS`; the default where it is not given."""
        self._known.add(field)
        if field not in self.values:
            return default
        if not KINDS[kind](self.values[field]):
            raise self.fault(field, kind)
        return self.values[field]

    def need(self, field: str, kind: str, example: str) -> Any:
        """A field's value, which must be given."""
        if field not in self.values:
            raise InputError(f"{self._place(field)} must be given, such as {field} = {example}")
        return self.get(field, kind)

    def table(self, field: str) -> Table | None:
        """A table inside, or None."""
        values = self.get(field, "a table")
        return None if values is None else Table(self.path, values, field)

    def file(self, field: str, kind: str = "a file") -> Path | None:
        """A file, or a folder, beside this one, which must be there; None where it is not given."""
        text = self.get(field, "a text")
        if text is None:
            return None
        path = self.path.parent / Path(text).expanduser()
        if not (path.is_file() if kind == "a file" else path.is_dir()):
            raise self.fault(field, f"{kind} that is there ({path} is not)")
        return path

    def settings(self, hints: dict[str, Any]) -> dict[str, Any]:
        """All values, of fields whose types are given."""
        self._known |= hints.keys()
        self.done()
        found = {}
        for name, value in self.values.items():
            if isinstance(value, dict):
                raise self.fault(name, type_name(hints[name]))
            text = write(tuple(value) if isinstance(value, list) else value)
            found[name] = read(text, hints[name], self._place(name))
        return found

    def done(self) -> None:
        """Raise InputError where a field is given that nobody has asked for."""
        for field in self.values:
            if field not in self._known:
                raise InputError(f"{self._place(field)}: {unknown('field', field, self._known)}")

    def _place(self, field: str) -> str:
        return f"{self.path}: {f'[{self._name}] ' if self._name else ''}{field}"
