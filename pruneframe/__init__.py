"""pruneframe: compare methods that prune trained neural networks.

The names below are the public API. They are loaded when first used, so that `pruneframe --help` never imports torch.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

__version__ = metadata.version("pruneframe")

_HOMES = {
    "Board": "report",
    "Candidate": "objective",
    "Claim": "method",
    "Data": "data",
    "Encoding": "encoding",
    "Figure": "report",
    "Genomes": "encoding",
    "InputError": "errors",
    "Layout": "mask",
    "Masks": "mask",
    "Method": "method",
    "Network": "network",
    "Objective": "objective",
    "Problem": "problem",
    "Published": "weights",
    "Recipe": "training",
    "Remark": "report",
    "Tuning": "tuning",
    "Report": "report",
    "Scorer": "scorer",
    "Scores": "encoding",
    "Split": "data",
    "StudyFacts": "report",
    "Table": "report",
    "Task": "task",
    "Trained": "weights",
    "Variables": "encoding",
    "Variation": "variation",
    "families": "variation",
    "hookimpl": "hookspecs",
    "setting": "component",
}

__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from .component import setting as setting
    from .data import Data as Data
    from .data import Split as Split
    from .encoding import Encoding as Encoding
    from .encoding import Genomes as Genomes
    from .encoding import Scores as Scores
    from .encoding import Variables as Variables
    from .errors import InputError as InputError
    from .hookspecs import hookimpl as hookimpl
    from .mask import Layout as Layout
    from .mask import Masks as Masks
    from .method import Claim as Claim
    from .method import Method as Method
    from .network import Network as Network
    from .objective import Candidate as Candidate
    from .objective import Objective as Objective
    from .problem import Problem as Problem
    from .report import Board as Board
    from .report import Figure as Figure
    from .report import Remark as Remark
    from .report import Report as Report
    from .report import StudyFacts as StudyFacts
    from .report import Table as Table
    from .scorer import Scorer as Scorer
    from .task import Task as Task
    from .training import Recipe as Recipe
    from .tuning import Tuning as Tuning
    from .variation import Variation as Variation
    from .variation import families as families
    from .weights import Published as Published
    from .weights import Trained as Trained


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pruneframe' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
