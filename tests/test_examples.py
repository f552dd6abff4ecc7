"""The examples of distributions are built, installed, checked by their own tests and benchmarked; the notebook runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import nbclient
import nbformat
import pytest
from command import Command

from pruneframe import Trained
from pruneframe.registry import Registry

ROOT = Path(__file__).parents[1]
ANNEALING, EXECUTORCH = "pruneframe-annealing", "pruneframe-executorch"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
needs_executorch = pytest.mark.skipif(not find_spec("executorch"), reason="executorch is not installed")
Install = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Gives the environment in which an example is found, from the wheel that its folder makes."""

    @cache
    def installed(name: str) -> dict[str, str]:
        source, site = tmp_path_factory.mktemp("source") / name, tmp_path_factory.mktemp("site")
        shutil.copytree(ROOT / "examples" / name, source)
        subprocess.run(
            [*PIP, "wheel", "--no-build-isolation", "--no-deps", "-w", source / "dist", source], check=True, timeout=300
        )
        [wheel] = (source / "dist").glob(f"{name.replace('-', '_')}-*.whl")
        subprocess.run([*PIP, "install", "--no-deps", "--target", site, wheel], check=True, timeout=300)
        paths = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
        return {"PYTHONPATH": paths, "PRUNEFRAME_PLUGINS": ""}

    return installed


def own_tests(name: str, installed: dict[str, str]) -> str:
    """What pytest says of the tests that an example brings, all of which must pass."""
    tests = ROOT / "examples" / name / "tests"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-c", os.devnull, "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env=os.environ | installed, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_method_and_a_scorer_keep_the_contract(install: Install) -> None:
    assert "4 passed" in own_tests(ANNEALING, install(ANNEALING))


def test_they_run_beside_bundled_methods(pruneframe: Command, install: Install, tmp_path: Path) -> None:
    installed = install(ANNEALING)
    methods = "annealing,random,magnitude[scorer=balanced]"
    done = pruneframe("bench", "--methods", methods, "--seeds", "0", "--budget", "30", env=installed)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("annealing", "random", "magnitude[scorer=balanced]"))
    assert (tmp_path / "pruneframe-study" / "comparison.pdf").exists()
    listed = pruneframe("plugins", env=installed).stdout
    assert f"{ANNEALING} 0.1.0" in listed
    assert "method annealing" in listed
    assert "scorer balanced" in listed


@pytest.mark.slow
@needs_executorch
def test_a_target_keeps_the_contract(install: Install) -> None:
    assert "4 passed" in own_tests(EXECUTORCH, install(EXECUTORCH))


@pytest.mark.slow
@needs_executorch
def test_a_search_measures_on_it(pruneframe: Command, install: Install) -> None:
    target = "executorch[repeats=3,warmup=1]"
    settings = ("--units", "filter", "--objectives", "error,params,latency", "--target", target)
    command = ("bench", "--methods", "random", "--seeds", "0", "--budget", "3", *settings)
    done = pruneframe(*command, "--search-images", "100", "--json", env=install(EXECUTORCH))
    assert done.returncode == 0, done.stderr
    [run] = json.loads(done.stdout)
    assert run["status"] in ("done", "empty")  # so few random masks may all be no better than the unpruned network
    assert run["objectives"] == ["error", "params", "latency"]
    assert "executorch" not in done.stderr, "what the runtime remarks about itself stands in nobody's way"


def test_a_runtime_that_is_not_installed_is_named(pruneframe: Command, install: Install) -> None:
    if find_spec("executorch"):
        pytest.skip("it is")
    settings = ("--units", "filter", "--objectives", "error,latency", "--target", "executorch")
    done = pruneframe("bench", "--methods", "random", "--seeds", "0", *settings, env=install(EXECUTORCH))
    assert done.returncode == 2
    assert "target executorch needs executorch; pip install executorch" in done.stderr


def test_the_notebook_runs_and_is_stored_without_outputs(tmp_path: Path) -> None:
    tour = nbformat.read(ROOT / "examples" / "tour.ipynb", as_version=4)
    nbformat.validate(tour)
    cells = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []
    where = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(tour, timeout=500, startup_timeout=300, resources=where)
    client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    shown = [str(output.data.get("text/html", "")) for output in outputs if "data" in output]
    assert "Problem lenet-digits" in shown[0]
    assert any("hypervolume" in page and "runs ended" in page for page in shown), "the progress of a study is a table"
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    assert (tmp_path / "tour-study" / "study.json").exists()


def test_the_network_that_is_trained_here_is_the_published_ones() -> None:
    """Its short form is what docs/training.md says."""
    own = Registry((str(ROOT / "examples/trained_resnet.py"),))
    trained, published = own.problem("resnet20-trained"), own.problem("resnet20-cifar10")
    assert str(trained.module()) == str(published.module())
    assert trained.varies == ("training", "split")
    assert isinstance(trained.weights, Trained)
    assert trained.weights.short is not None
    assert (trained.weights.recipe.epochs, trained.weights.short.epochs) == (182, 10)
    assert "It has ten epochs" in (ROOT / "docs/training.md").read_text()
