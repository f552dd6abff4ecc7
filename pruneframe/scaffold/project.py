"""A new project around one plugin: an installable module that works, its test, and what goes with both."""

from __future__ import annotations

import importlib.util
import keyword
import re
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from string import Template

from ..errors import InputError
from ..hooks import KINDS
from ..registry import Registry

BENCH = {  # how each kind is tried beside what is bundled
    "method": "bench --methods $name,nsga2,random",
    "scorer": "bench --methods 'magnitude,magnitude[scorer=$name]'",
    "encoding": "bench --methods 'random,random[encoding=$name]'",
    "variation": "bench --methods 'nsga2[encoding=mask],nsga2[encoding=mask,variation=$name]'",
    "objective": "bench --methods nsga2,random --objectives $name,params",
    "target": "bench --methods nsga2,random --units filter --objectives error,latency --target $name",
    "unit": "bench --methods nsga2,random --units $name",
    "problem": "bench --problems $name --methods nsga2,random",
    "report": "bench --methods nsga2,random && pruneframe report pruneframe-study --reports $name,fronts",
}
NOUNS = {name.lower(): kind for kind, name in KINDS.items()}  # as one writes them: units, not unit
IMPORTED = ("Iterable", "Sequence", "Tensor")  # by templates, so that no class may have these names


@dataclass(frozen=True)
class Project:
    """A project called `name` around one component of that name; raises InputError for a name that cannot be."""

    name: str
    noun: str

    def __post_init__(self) -> None:
        rule = None
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name):
            rule = "be of lower-case letters, digits and single dashes, and begin with a letter"
        elif keyword.iskeyword(self.module) or self.class_name in IMPORTED:
            rule = "be no word of Python's"
        elif importlib.util.find_spec(self.module) is not None:
            rule = "not be that of an installed module"
        elif self.name in Registry().names(self.kind):
            rule = f"not be that of {self.a_what} that there is"
        if rule:
            raise InputError(f"the name of a plugin must {rule}, but got {self.name!r}")

    @property
    def kind(self) -> str:
        """Of the component."""
        return NOUNS[self.noun]

    @property
    def module(self) -> str:
        """The module that is written."""
        return self.name.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The class in it."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @property
    def what(self) -> str:
        """What its component is, in words."""
        return "kind of units" if self.kind == "unit" else self.noun

    @property
    def a_what(self) -> str:
        """The same with its article."""
        return f"an {self.what}" if self.what[0] in "eo" else f"a {self.what}"

    def files(self) -> dict[str, str]:
        """The text of every file, by its path in the project."""
        return {
            "pyproject.toml": self._filled("pyproject"),
            "README.md": self._filled("readme"),
            ".gitignore": self._filled("ignore"),
            ".github/workflows/test.yml": self._filled("workflow"),
            f"{self.module}.py": self._filled(self.kind),
            f"tests/test_{self.module}.py": self._filled("test"),
        }

    def write(self, folder: Path) -> list[Path]:
        """Write all files into a new or empty folder; raises InputError for any other, nothing is overwritten."""
        if folder.exists() and not (folder.is_dir() and next(folder.iterdir(), None) is None):
            raise InputError(f"a new project needs a new or empty folder, but got {str(folder)!r}; name another one")
        written = []
        for name, text in self.files().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            written.append(path)
        return written

    def _filled(self, template: str) -> str:
        """One template with the project's own words in it."""
        words = {"name": self.name, "module": self.module, "class_name": self.class_name, "noun": self.noun}
        bench = Template(f"pruneframe {BENCH[self.kind]}").substitute(words)
        brought = "problem" if self.kind == "problem" else self.class_name
        tested = brought if self.kind == "problem" else f"{brought}()"
        words |= {"bench": bench, "brought": brought, "tested": tested, "range": compatible()}
        words |= {"what": self.what, "a_what": self.a_what.capitalize()}
        text = resources.files(__package__).joinpath("templates", f"{template}.template").read_text()
        return Template(text).substitute(words)


def compatible() -> str:
    """The versions of pruneframe that a plugin written today is for, up to the next minor one: `>=0.1,<0.2`."""
    major, minor = metadata.version("pruneframe").split(".")[:2]
    return f">={major}.{minor},<{major}.{int(minor) + 1}"
