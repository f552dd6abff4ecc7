"""A problem from a TOML file: the network's factory, its weights, its data, and what is to be searched."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, get_type_hints

from ..errors import InputError
from ..files import read_plain
from ..model.data import Splits
from ..model.recipe import Recipe
from ..model.saved import Saved
from ..model.trained import Trained
from ..model.weights import Published
from ..problem import Problem
from .factory import Factory
from .fields import Table
from .images import drawn

RULES = {  # of a Problem, that a file may set
    "units": "a text",
    "batch_norm": "a text",
    "target": "a text",
    "search_images": "a whole number from 1",
    "budget": "a number above 0",
    "summary": "a text",
    "source": "a text",
    "bibtex": "a text",
}


def declared(path: Path) -> tuple[Problem, str]:
    """The problem that a file declares, and 12 hex digits over the file and the code of its factory.

    Weights and images are no part of the digits: a run's fingerprint has them. Raises InputError for every fault of the
    file; what its factory, weights and images are is seen when the problem is loaded.
    """
    table = Table.of(path)
    name = table.need("name", "a text", '"my-network"')
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise table.fault("name", "of lower-case letters, digits and dashes")
    network = table.need("network", "a text", '"network.py:make"')
    arguments = table.get("arguments", "a table", {})
    factory = Factory.of(f"{path}: network", network, path.parent, arguments)
    rules: dict[str, Any] = {rule: table.get(rule, kind) for rule, kind in RULES.items()}
    objectives = table.get("objectives", "a list of texts")
    rules["objectives"] = None if objectives is None else tuple(objectives)
    weights, images = _weights(table), table.table("data")
    if images is None:
        raise InputError(f"{path} must say by a table [data] where images are")
    splits = Splits(drawn(images))
    table.done()
    try:
        given = {rule: value for rule, value in rules.items() if value is not None}
        problem = Problem(name, factory, splits, weights=weights, **given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return problem, hashlib.sha256(read_plain(path) + factory.code).hexdigest()[:12]


def _weights(table: Table) -> Published | Saved | Trained | None:
    """From a file, the web or a recipe; None where the factory fills the network itself."""
    text, digest = table.get("weights", "a text"), table.get("sha256", "a text", "")
    prefix, recipe = table.get("prefix", "a text", ""), table.table("recipe")
    if not re.fullmatch(r"|[0-9a-f]{8,64}", digest):
        raise table.fault("sha256", "8 to 64 lower-case hex digits")
    if text is None:
        if digest or prefix:
            raise InputError(f"{table.path}: sha256 and prefix are of weights, which must be named as well")
        return None if recipe is None else Trained(_recipe(recipe))
    if recipe is not None:
        raise InputError(f"{table.path} must have weights or a [recipe] to train them, but has both")
    if not re.match(r"https?://", text):
        path = table.file("weights")
        assert path is not None
        return Saved(path, prefix, digest)
    found = Published(text, prefix, sha256=digest)
    if not found.digest:
        raise table.fault(
            "weights",
            "a file, or a URL whose file name ends in the first 8 digits of its SHA-256, or which sha256 gives",
        )
    return found


def _recipe(table: Table) -> Recipe:
    settings = table.settings(get_type_hints(Recipe))
    try:
        return Recipe(**settings)
    except InputError as error:
        raise InputError(f"{table.path}: [recipe] {error}") from error
