"""The pages of public names: those of `pruneframe`, and of the modules that plugins may import besides."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any

import pruneframe

from .described import described
from .markdown import page, section, table, target

PLACES = {  # page, heading, what it is about, and the names of `pruneframe` on it
    "api-components.md": (
        "Classes that a plugin brings",
        "A plugin's classes are subclasses of these, and [hooks](hooks.md) return them.",
        "Component setting hookimpl Method Scorer Encoding Variation Objective Target Timed Units Report InputError",
    ),
    "api-search.md": (
        "What a method, scorer or objective is handed",
        "A method asks its task. An objective looks at a candidate, and a target at what is left of its network.",
        "Task Prices Part Predecessor REST DENSE Tuning Candidate Physical Gradients",
    ),
    "api-masks.md": (
        "Masks and genomes",
        "A mask has a bit for each unit, packed eight to a byte. A genome is what an encoding makes of it.",
        "Masks Layout Group Slices Bits bit flip Genomes Scores Variables families need",
    ),
    "api-networks.md": (
        "Networks and their units",
        "A network is a module in evaluation mode, with its prunable layers in forward order.",
        "Network Layer Inputs single_weights filter_groups neuron_groups head_groups block_groups peak_memory "
        "Profile processor_name to_onnx",
    ),
    "api-problems.md": (
        "Problems, data and weights",
        "A problem is a trained network with its data: where both come from is said by objects of these classes.",
        "Problem Tabular Data Split Splits Recipe Trained Shipped Published Given Saved Crop Pictures image_folder "
        "digits mnist fashion_mnist cifar10 cifar100 tiny_imagenet imagenet imagenet100 imagenette",
    ),
    "api-fronts.md": (
        "Fronts and indicators",
        "Pure functions on points that are to be minimised.",
        "Points OperatingPoint REGION_MARGIN non_dominated hypervolume hypervolume_curve contributions "
        "attainment choose pick thin",
    ),
    "api-reports.md": (
        "Reports and what they are told",
        "A report gives figures, tables and remarks, from the long table and the facts of a study.",
        "Figure Table Remark StudyFacts Board Instance RunSummary RUN best_first by_run fronts members "
        "normalised spread",
    ),
    "api-python.md": (
        "Problems, comparisons and studies at a prompt",
        "What the commands do, as calls: [From Python](../python.md) shows how they are used.",
        "open_problem OpenProblem Result as_split bench load Study Member",
    ),
    "api-papers.md": (
        "What papers report",
        "A method may say what its paper reports, and which experiments of it can be carried out here.",
        "Claim Experiment Finding Scale",
    ),
}
MODULES = {  # page, the module, and how it is imported
    "api-kit.md": ("pruneframe.kit", "from pruneframe import kit"),
    "api-testing.md": ("pruneframe.testing", "from pruneframe import testing"),
    "api-statistics.md": ("pruneframe.comparison.statistics", "from pruneframe import statistics"),
    "api-style.md": ("pruneframe.comparison.style", "from pruneframe.comparison import style"),
}
ELSEWHERE = {"kit", "statistics", "testing", "__version__"}  # modules, which have pages of their own, and the version


def public(module: ModuleType) -> list[str]:
    """The names that a module is there for: its `__all__`, or its own functions and classes, which have docstrings."""
    if hasattr(module, "__all__"):
        return [*module.__all__]
    own = {name: value for name, value in vars(module).items() if inspect.isclass(value) or inspect.isfunction(value)}
    return [name for name, value in own.items() if value.__module__ == module.__name__ and not name.startswith("_")]


def pages() -> dict[str, str]:
    """All pages; raises ValueError unless every public name stands on exactly one."""
    check([name for _, _, names in PLACES.values() for name in names.split()], {*pruneframe.__all__} - ELSEWHERE)
    found = {
        file: page(title, opening, *_sections("pf", pruneframe, names.split()))
        for file, (title, opening, names) in PLACES.items()
    }
    for file, (name, statement) in MODULES.items():
        module = import_module(name)
        opening = f"```python\n{statement}\n```\n\n{described(module).text}"
        found[file] = page(f"`{name}`", opening, *_sections(name.rpartition(".")[2], module, public(module)))
    return found


def check(placed: list[str], there: set[str]) -> None:
    """Raise ValueError for public names without a place, and for places without such a name."""
    twice = {name for name in placed if placed.count(name) > 1}
    for names, fault in (
        (there - {*placed}, "stand on no page of the reference: give them one in docs/generate/names.py"),
        ({*placed} - there, "are not public any more: take them out of docs/generate/names.py"),
        (twice, "stand there twice in docs/generate/names.py"),
    ):
        if names:
            raise ValueError(f"{', '.join(sorted(names))} {fault}")


def _sections(short: str, module: ModuleType, names: Iterable[str]) -> list[str]:
    return [_section(short, module, name, getattr(module, name)) for name in names]


def _section(short: str, module: ModuleType, name: str, value: Any) -> str:
    found, anchor = described(value, name, module), target(short, name)
    anchor += "-function" if any(name != one and name == one.lower() for one in public(module)) else ""  # of a class
    shown = f"{'class ' if inspect.isclass(value) else ''}{short}.{name}{found.signature}"
    fields = table(("field", "type", "default", "meaning"), found.fields)
    members = [section(3, f"`{one.name}`", target(short, name, one.name), one.code, one.text) for one in found.members]
    return section(2, f"`{name}`", anchor, f"```python\n{shown}\n```", found.text, fields, *members)
