"""Runs whose plugins change what others see: they fail by name, and the next run of the process is unharmed."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from pathlib import Path

import pytest
import torch
from runs import assert_same_front, carried_out, run_of

from pruneframe.files import cache_folder
from pruneframe.study.machine import same_settings
from pruneframe.study.store import StudyFolder
from pruneframe.study.worker import carry_out

PLUGIN = '''
import os
import warnings
from dataclasses import dataclass

import numpy as np
import pruneframe as pf
import torch

@dataclass(frozen=True, repr=False)
class Harm(pf.Method):
    """Harms, and evaluates on."""
    name = "harm"
    what: str = pf.setting("network", "what it harms")
    def search(self, task):
        task.evaluate(task.layout.full())
        if self.what == "network":
            for parameter in task.network.module.parameters():
                parameter.zero_()
        elif self.what == "pass":
            task.network.module(torch.zeros(5, *task.network.input_shape))
        elif self.what == "dtype":
            torch.set_default_dtype(torch.float64)
        elif self.what == "threads":
            torch.set_num_threads(torch.get_num_threads() + 1)
        elif self.what == "folder":
            os.chdir("/")
        elif self.what == "errors":
            np.seterr(all="raise")
        elif self.what == "silently":
            os.environ.clear()
            warnings.simplefilter("error")
        elif self.what == "scorer":
            task.scores("harmful")
        task.evaluate(task.layout.full() - task.layout.full())

@dataclass(frozen=True, repr=False)
class Harmful(pf.Scorer):
    """Zeroes the network and its images."""
    name = "harmful"
    images = 10_000
    def score(self, network, images, labels, rng):
        images.zero_(), labels.zero_()
        list(network.module.parameters())[0].zero_()
        return np.zeros(network.layout.total, dtype=np.float32)

@pf.hookimpl
def pruneframe_methods():
    return [Harm]

@pf.hookimpl
def pruneframe_scorers():
    return [Harmful]
'''
COMPLAINTS = {
    "network": "a method must leave the network that it is handed as it is, but changed its 'conv1.weight'",
    "pass": "a method must run no more images through the network than it pays for, 0 .*, but ran 5 ",
    "dtype": "a run must leave torch's default dtype as it is",
    "threads": "a run must leave torch's number of threads as it is",
    "folder": "a run must leave the working folder as it is",
    "errors": "a run must leave NumPy's handling of errors as it is",
    "scorer": "scorer harmful must leave the network that it is handed as it is, but changed its 'conv1.weight'",
}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


@pytest.mark.parametrize("what", COMPLAINTS)
def test_a_run_that_harms_fails_by_name_and_the_next_one_is_as_ever(what: str, tmp_path: Path, plugin: Path) -> None:
    sources, study = (str(plugin),), tmp_path / "study"
    run, innocent = (
        run_of(one, sources=sources, budget=60.0) for one in (f"harm[what={what}]", "magnitude[scorer=taylor]")
    )
    reference = carried_out(innocent, tmp_path / "undisturbed", sources)
    weights = {path: path.read_bytes() for path in (cache_folder() / "weights").glob("*")}
    result = carry_out(run, study, sources)
    folder = run.folder(StudyFolder(study))
    assert result["status"] == "failed"
    assert re.search(COMPLAINTS[what], result["reason"])
    assert "\n" not in result["reason"]
    assert not folder.finished
    assert not folder.journal.exists()
    assert_same_front(carried_out(innocent, study, sources), reference)
    assert torch.get_default_dtype() == torch.float32
    assert {path: path.read_bytes() for path in (cache_folder() / "weights").glob("*")} == weights


def test_what_libraries_change_when_they_are_imported_is_restored_and_blamed_on_nobody(
    tmp_path: Path, plugin: Path
) -> None:
    before, filters = dict(os.environ), list(warnings.filters)
    carried_out(run_of("harm[what=silently]", sources=(str(plugin),)), tmp_path / "study", (str(plugin),))
    assert dict(os.environ) == before
    assert list(warnings.filters) == filters


def test_settings_are_restored_also_where_the_block_fails() -> None:
    with contextlib.suppress(ZeroDivisionError), same_settings():
        torch.set_default_dtype(torch.float64)
        _ = 1 / 0
    assert torch.get_default_dtype() == torch.float32
