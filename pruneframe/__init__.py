"""pruneframe: compare methods that prune trained neural networks.

The names below are the public API: all that a plugin, problem or report needs, and what people at a prompt call, as
`open_problem`, `bench` and `load`. They are loaded when first used, so that `pruneframe --help` never imports torch.
What authors of methods build on is in `pruneframe.kit`, contract tests are in `pruneframe.testing`, and how figures
look in `pruneframe.comparison.style`.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

__version__ = metadata.version("pruneframe")

_HOMES = {
    "Bits": "mask",
    "Board": "report",
    "Candidate": "objective",
    "Claim": "component",
    "Component": "component",
    "Crop": "model.decoding",
    "DENSE": "search.workbench",
    "Data": "model.data",
    "Encoding": "encoding",
    "Experiment": "reproduction.experiment",
    "Figure": "item",
    "Finding": "reproduction.experiment",
    "Genomes": "encoding",
    "Given": "model.given",
    "Gradients": "engine.gradients",
    "Group": "mask",
    "InputError": "errors",
    "Inputs": "model.inputs",
    "Instance": "report",
    "Layer": "model.layers",
    "Layout": "mask",
    "Masks": "mask",
    "Method": "method",
    "Network": "model.network",
    "Member": "interactive.member",
    "Objective": "objective",
    "OpenProblem": "interactive.opened",
    "OperatingPoint": "front",
    "Part": "search.part",
    "Physical": "target",
    "Pictures": "model.pictures",
    "Points": "front",
    "Predecessor": "search.subnetwork",
    "Prices": "search.prices",
    "Problem": "problem",
    "Profile": "profile",
    "Published": "model.weights",
    "REGION_MARGIN": "front",
    "REST": "search.subnetwork",
    "RUN": "report",
    "Recipe": "model.recipe",
    "Remark": "item",
    "Report": "report",
    "Result": "interactive.result",
    "RunSummary": "report",
    "Saved": "model.saved",
    "Scale": "reproduction.experiment",
    "Scorer": "scorer",
    "Scores": "encoding",
    "Shipped": "model.shipped",
    "Slices": "mask",
    "Split": "model.data",
    "Splits": "model.data",
    "Study": "interactive.loaded",
    "StudyFacts": "report",
    "Table": "item",
    "Tabular": "model.tabular",
    "Target": "target",
    "processor_name": "target",
    "Task": "search.task",
    "Timed": "target",
    "Trained": "model.trained",
    "Tuning": "search.tuning",
    "Units": "units",
    "Variables": "encoding",
    "Variation": "variation",
    "as_split": "model.dataset",
    "attainment": "front",
    "bench": "interactive.bench",
    "best_first": "report",
    "bit": "mask",
    "block_groups": "model.branches",
    "by_run": "report",
    "choose": "front",
    "cifar10": "model.cifar",
    "cifar100": "model.cifar",
    "contributions": "front",
    "digits": "model.digits",
    "families": "variation",
    "fashion_mnist": "model.digits",
    "filter_groups": "model.groups",
    "head_groups": "model.groups",
    "neuron_groups": "model.groups",
    "flip": "mask",
    "fronts": "report",
    "hookimpl": "hookspecs",
    "hypervolume": "front",
    "hypervolume_curve": "front",
    "image_folder": "model.pictures",
    "imagenet": "model.imagenet",
    "imagenet100": "model.imagenet",
    "imagenette": "model.imagenet",
    "load": "interactive.loaded",
    "members": "report",
    "mnist": "model.digits",
    "need": "variation",
    "non_dominated": "front",
    "normalised": "report",
    "open_problem": "interactive.opened",
    "peak_memory": "model.memory",
    "pick": "front",
    "setting": "component",
    "single_weights": "model.network",
    "spread": "comparison.summary",
    "thin": "front",
    "tiny_imagenet": "model.imagenet",
    "to_onnx": "deploy.onnx",
}
_MODULES = {"kit": "kit", "statistics": "comparison.statistics", "testing": "testing"}

__all__ = [*_HOMES, *_MODULES, "__version__"]

if TYPE_CHECKING:
    from . import kit as kit
    from . import testing as testing
    from .comparison import statistics as statistics
    from .comparison.summary import spread as spread
    from .component import Claim as Claim
    from .component import Component as Component
    from .component import setting as setting
    from .deploy.onnx import to_onnx as to_onnx
    from .encoding import Encoding as Encoding
    from .encoding import Genomes as Genomes
    from .encoding import Scores as Scores
    from .encoding import Variables as Variables
    from .engine.gradients import Gradients as Gradients
    from .errors import InputError as InputError
    from .front import REGION_MARGIN as REGION_MARGIN
    from .front import OperatingPoint as OperatingPoint
    from .front import Points as Points
    from .front import attainment as attainment
    from .front import choose as choose
    from .front import contributions as contributions
    from .front import hypervolume as hypervolume
    from .front import hypervolume_curve as hypervolume_curve
    from .front import non_dominated as non_dominated
    from .front import pick as pick
    from .front import thin as thin
    from .hookspecs import hookimpl as hookimpl
    from .interactive.bench import bench as bench
    from .interactive.loaded import Study as Study
    from .interactive.loaded import load as load
    from .interactive.member import Member as Member
    from .interactive.opened import OpenProblem as OpenProblem
    from .interactive.opened import open_problem as open_problem
    from .interactive.result import Result as Result
    from .item import Figure as Figure
    from .item import Remark as Remark
    from .item import Table as Table
    from .mask import Bits as Bits
    from .mask import Group as Group
    from .mask import Layout as Layout
    from .mask import Masks as Masks
    from .mask import Slices as Slices
    from .mask import bit as bit
    from .mask import flip as flip
    from .method import Method as Method
    from .model.branches import block_groups as block_groups
    from .model.cifar import cifar10 as cifar10
    from .model.cifar import cifar100 as cifar100
    from .model.data import Data as Data
    from .model.data import Split as Split
    from .model.data import Splits as Splits
    from .model.dataset import as_split as as_split
    from .model.decoding import Crop as Crop
    from .model.digits import digits as digits
    from .model.digits import fashion_mnist as fashion_mnist
    from .model.digits import mnist as mnist
    from .model.given import Given as Given
    from .model.groups import filter_groups as filter_groups
    from .model.groups import head_groups as head_groups
    from .model.groups import neuron_groups as neuron_groups
    from .model.imagenet import imagenet as imagenet
    from .model.imagenet import imagenet100 as imagenet100
    from .model.imagenet import imagenette as imagenette
    from .model.imagenet import tiny_imagenet as tiny_imagenet
    from .model.inputs import Inputs as Inputs
    from .model.layers import Layer as Layer
    from .model.memory import peak_memory as peak_memory
    from .model.network import Network as Network
    from .model.network import single_weights as single_weights
    from .model.pictures import Pictures as Pictures
    from .model.pictures import image_folder as image_folder
    from .model.recipe import Recipe as Recipe
    from .model.saved import Saved as Saved
    from .model.shipped import Shipped as Shipped
    from .model.tabular import Tabular as Tabular
    from .model.trained import Trained as Trained
    from .model.weights import Published as Published
    from .objective import Candidate as Candidate
    from .objective import Objective as Objective
    from .problem import Problem as Problem
    from .profile import Profile as Profile
    from .report import RUN as RUN
    from .report import Board as Board
    from .report import Instance as Instance
    from .report import Report as Report
    from .report import RunSummary as RunSummary
    from .report import StudyFacts as StudyFacts
    from .report import best_first as best_first
    from .report import by_run as by_run
    from .report import fronts as fronts
    from .report import members as members
    from .report import normalised as normalised
    from .reproduction.experiment import Experiment as Experiment
    from .reproduction.experiment import Finding as Finding
    from .reproduction.experiment import Scale as Scale
    from .scorer import Scorer as Scorer
    from .search.part import Part as Part
    from .search.prices import Prices as Prices
    from .search.subnetwork import REST as REST
    from .search.subnetwork import Predecessor as Predecessor
    from .search.task import Task as Task
    from .search.tuning import Tuning as Tuning
    from .search.workbench import DENSE as DENSE
    from .target import Physical as Physical
    from .target import Target as Target
    from .target import Timed as Timed
    from .target import processor_name as processor_name
    from .units import Units as Units
    from .variation import Variation as Variation
    from .variation import families as families
    from .variation import need as need


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module 'pruneframe' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
