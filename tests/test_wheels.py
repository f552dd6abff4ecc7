"""What is distributed: the workflow that builds wheels, and a source distribution that installs without a compiler."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ARCHS = {"linux": ("x86_64", "aarch64"), "macos": ("x86_64", "arm64"), "windows": ("AMD64", "ARM64")}
SETUP = "from setuptools.build_meta import build_sdist; import sys; print(build_sdist(sys.argv[1]))"
WITHOUT = """
import pruneframe
from pruneframe.engine import kernel
assert kernel() is None, kernel()
from pruneframe.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which Dask brings")
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "wheels.yml").read_text())
    return found


def test_the_workflow_builds_for_every_platform_and_processor(workflow: dict[str, Any]) -> None:
    matrix = workflow["jobs"]["wheels"]["strategy"]["matrix"]["include"]
    assert sorted((one["platform"], one["arch"]) for one in matrix) == sorted(
        (platform, arch) for platform, archs in ARCHS.items() for arch in archs
    )


@pytest.mark.parametrize(("platform", "arch"), [(name, arch) for name, archs in ARCHS.items() for arch in archs])
def test_cibuildwheel_understands_what_is_to_be_built(platform: str, arch: str) -> None:
    pytest.importorskip("cibuildwheel")
    command = [sys.executable, "-m", "cibuildwheel", "--platform", platform, "--archs", arch]
    done = subprocess.run(
        [*command, "--print-build-identifiers", str(ROOT)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.split()
    assert [re.match(r"cp\d+", one)[0] for one in told] == ["cp311", "cp312", "cp313"]  # type: ignore[index]
    assert not any("musllinux" in one for one in told)


def test_each_version_of_python_that_is_built_may_install_it() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert told["project"]["requires-python"] == ">=3.11"
    assert told["tool"]["cibuildwheel"]["build"][0] == "cp311-*"


@pytest.mark.slow
def test_the_source_installs_without_a_compiler_and_torch_does_the_work(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-c", SETUP, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    archive = tmp_path / made.stdout.split()[-1]
    with tarfile.open(archive) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    engine = ROOT / "pruneframe" / "engine"
    assert {f"pruneframe/engine/{path.name}" for path in [*engine.glob("*.h"), *engine.glob("*.cpp")]} <= names
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet", "--target"]
    environment = os.environ | {"CC": "false", "CXX": "false"}
    subprocess.run([*install, str(site), str(archive)], env=environment, capture_output=True, check=True)
    assert not [*site.rglob("*.so")]
    bench = ("bench", "--methods", "random", "--seeds", "0", "--budget", "20", "--search-images", "100")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *bench],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "evaluated by torch alone" in done.stderr
