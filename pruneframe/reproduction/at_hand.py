"""Whether an experiment can be carried out here, found out before anything is loaded or trained for it."""

from __future__ import annotations

from ..method import Method
from ..problem import Problem
from ..registry import Registry
from ..spec import parse_spec
from .experiment import Experiment, Size
from .savings import COUNTED


def lacking(registry: Registry, method: type[Method], experiment: Experiment, size: Size) -> str:
    """Why an experiment of a method cannot be carried out here, in a few words; empty where nothing is in the way.

    Weights that would be trained first are: that takes hours for most networks, and has a command of its own. Raises
    InputError for a component that there is not, and for data that are neither here nor can be fetched.
    """
    scale = experiment.scale(size)
    if scale is None:
        return f"it is not offered at the scale {size}"
    if experiment.problem not in registry.names("problem"):
        return "no plugin brings this problem"
    strangers = [spec for spec in experiment.methods if parse_spec(spec)[0] != method.name]
    strangers += [f.saving for f in experiment.findings if f.saving not in (*COUNTED, *experiment.objectives)]
    if strangers:
        return f"it is declared wrongly: {strangers[0]!r} is neither {method.name!r} nor anything that is measured here"
    named = [("method", spec) for spec in experiment.methods] + [("unit", experiment.units)]
    for kind, spec in [*named, *(("objective", name) for name in experiment.objectives)]:
        registry.check(kind, spec)
    problem = registry.problem(experiment.problem)
    instances = [problem.with_settings(instance=number) for number in scale.instances]
    return next((f"its weights are not trained yet; {train(one)} does that" for one in instances if one.untrained), "")


def train(problem: Problem) -> str:
    """The command that trains an instance's weights."""
    return f"pruneframe train {problem.name}" + (f" --instances {problem.instance}" if problem.instance else "")
