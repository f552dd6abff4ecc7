"""The control: the method that others are tested against, named before anybody knows how the runs end."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..method import Method
from ..registry import Registry
from ..spec import meant
from .store import StudyFolder


def control_of(registry: Registry, spec: str, methods: Sequence[str], study: StudyFolder) -> str:
    """The control of a study, or of one that is to be, as runs name it.

    Raises InputError for one that is not among the methods, and where the study has finished runs without it.
    """
    named = [repr(registry.component(Method, method)) for method in methods]
    found = repr(registry.component(Method, spec))
    try:
        found = found if found in named else meant("method", spec, named)
    except InputError as error:
        raise InputError(f"--control must be one of --methods: {error}") from error
    if any(run.finished for run in study.runs()) and (known := study.settings["control"]) != found:
        raise InputError(
            f"--control must be named before the first run is finished, but {study.path} has finished runs and "
            f"{'no control' if known is None else f'the control {known}'}; name another --output, or give --control "
            "to report and summary, which say that it was named afterwards"
        )
    return found
