"""Specs: components as text, `name[setting=value,...]`, and the values inside them; lists of numbers, such as seeds.

And names as people write them: `meant` is the one rule, wherever something is named.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Union, get_args, get_origin

from .errors import InputError, unknown

OPENING, CLOSING = "[", "]"
DEEPEST = 50  # brackets inside each other
MOST = 100_000  # numbers that a list may mean
LONGEST = 18  # digits of such a number
TAIL = re.compile(r"\[.*| \(.*|-\d+$", re.DOTALL)  # settings, versions, and the numbers of figures
SPEC = re.compile(r"([A-Za-z0-9_.-]+)(?:\[(.*)\])?", re.DOTALL)


def split(text: str, separator: str = ",") -> list[str]:
    """Parts between separators outside brackets: `a,b[x=1,y=2]` has two. Raises InputError for unbalanced brackets."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == OPENING) - (char == CLOSING)
        if depth < 0:
            break
        if depth > DEEPEST:
            raise InputError(f"brackets may be {DEEPEST} deep at most, but those of {text[:40]!r}... are deeper")
        if char == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth != 0:
        raise InputError(f"brackets must balance, but got {text!r}; write name[setting=value,...]")
    return [part.strip() for part in [*parts, text[start:]]]


def names(texts: Iterable[str]) -> list[str]:
    """Comma lists and repeated values as one list: ("a,b[x=1,y=2]", "c") has three names."""
    return [name for text in texts for name in split(text) if name]


def parse_spec(text: str) -> tuple[str, dict[str, str]]:
    """`name[field=value,...]` as name and settings; raises InputError when it is not of that form."""
    match = SPEC.fullmatch(text.strip())
    if match is None:
        raise InputError(f"a component is written name or name[setting=value,...], but got {text!r}")
    name, inside = match.groups()
    settings: dict[str, str] = {}
    for part in split(inside) if inside else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise InputError(f"settings are written setting=value, but got {part!r} in {text!r}")
        if key.strip() in settings:
            raise InputError(f"each setting may be given once, but {key.strip()!r} stands twice in {text!r}")
        settings[key.strip()] = value.strip()
    return name, settings


def write(value: object) -> str:
    """A setting's value as text, which `read` takes back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "+".join(write(item) for item in value)
    return "none" if value is None else str(value)


def read(text: str, hint: Any, where: str) -> object:
    """The value that a text stands for, of a setting's type; raises InputError, naming `where`, for any other text."""
    for alternative in _alternatives(hint):
        try:
            return _convert(text, alternative)
        except ValueError:
            continue
    raise InputError(f"{where} must be {type_name(hint)}, but got {text!r}")


def type_name(hint: Any) -> str:
    """A setting's type as people read it: `int | none`, `paper | best`, `int+...`."""
    if get_origin(hint) is Literal:
        return " | ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(type_name(part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return f"{type_name(get_args(hint)[0])}+..."
    return "none" if hint is type(None) else hint.__name__


def fits(text: str, type: str) -> bool:
    """Whether a text is a value of a type that is known by its name alone."""
    return any(_fits(text, alternative) for alternative in type.split(" | "))


def _fits(text: str, alternative: str) -> bool:
    if alternative.endswith("+..."):
        return not text or all(_fits(part, alternative.removesuffix("+...")) for part in split(text, "+"))
    if alternative not in _NAMED:
        return text == alternative
    try:
        _convert(text, _NAMED[alternative])
    except ValueError:
        return False
    return True


_NAMED = {"int": int, "float": float, "str": str, "bool": bool}


def _alternatives(hint: Any) -> Iterator[Any]:
    """The members of a union, None first: `none` must not be read as a string."""
    if get_origin(hint) in (Union, types.UnionType):
        yield from sorted(get_args(hint), key=lambda part: part is not type(None))
    else:
        yield hint


def _convert(text: str, hint: Any) -> object:
    if get_origin(hint) is Literal:
        choices = {str(choice): choice for choice in get_args(hint)}
        if text not in choices:
            raise ValueError
        return choices[text]
    if get_origin(hint) is tuple:
        return tuple(_convert(part, get_args(hint)[0]) for part in split(text, "+")) if text else ()
    if hint is type(None):
        if text != "none":
            raise ValueError
        return None
    if hint is bool:
        if text not in ("true", "false"):
            raise ValueError
        return text == "true"
    return hint(text)


def numbers(texts: Iterable[str], noun: str) -> list[int]:
    """`0-4` or `1,5,9`, or both mixed, as distinct integers in the given order; `noun` says what they are."""
    found: list[int] = []
    for text, part in ((whole, part) for whole in texts for part in whole.split(",")):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f"{noun} are written 0-4 or 1,5,9, but got {text!r}")
        if max(len(first), len(last)) > LONGEST:
            raise InputError(f"{noun} may have {LONGEST} digits at most, but got {part.strip()[:40]!r}...")
        start, stop = int(first), int(last or first)
        if stop < start:
            raise InputError(f"a range of {noun} must ascend, but got {part.strip()!r}")
        if len(found) + stop - start >= MOST:
            raise InputError(f"{noun} may be {MOST:,} numbers at most, but got {text[:40]!r}; name fewer")
        found += range(start, stop + 1)
    return list(dict.fromkeys(found))


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as one would write them: `0-4` or `1,5-7`, ascending."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def meant(kind: str, name: str, known: Iterable[str]) -> str:
    """The name that is meant: itself; the only one that is spelt so but for capitals, hyphens and underscores; or the
    only one of that head, which stands before settings (`nsga2` for `nsga2[population=20]`) or a figure's number.

    Raises InputError where none is, and where several are, which it lists.
    """
    names = list(dict.fromkeys(known))
    found = meanings(name, names)
    if not found:
        raise unknown(kind, name, names)
    if len(found) > 1:
        raise InputError(f"{kind} {name!r} may be any of {', '.join(sorted(found))}; name one in full")
    return found[0]


def meanings(name: str, known: Iterable[str]) -> list[str]:
    """The names that may be meant: none, one, or several that only their full names tell apart."""
    names = list(dict.fromkeys(known))
    if name in names:
        return [name]
    spelt = [one for one in names if plain(one) == plain(name)]
    return spelt or [one for one in names if plain(TAIL.sub("", one)) == plain(name)]


def plain(name: str) -> str:
    """A name as it is compared."""
    return re.sub(r"[-_\s]", "", name).lower()


def without_machine(identity: str) -> str:
    """A target's identity without the name of the machine that it measures, which stands behind `on`."""
    return identity.partition(" on ")[0]
