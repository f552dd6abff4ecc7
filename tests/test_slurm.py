"""The example for SLURM: the script that it makes, and its comparison, carried out by a stand-in for sbatch."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pruneframe as pf

pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue")
EXAMPLE = Path(__file__).parents[1] / "examples" / "slurm.py"
SBATCH = """#!/bin/sh
job=$(mktemp HERE/job-XXXXXX)
cp "$1" "$job"
nohup setsid sh "$job" > "$job.log" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
kill -TERM -- "-$1"
"""


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slurm_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What carries job scripts out here, where there is no SLURM."""
    for name, script in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script.replace("HERE", str(tmp_path)))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return tmp_path


def test_the_script_that_slurm_is_given_starts_one_worker_for_one_run(example: ModuleType) -> None:
    with example.SLURMCluster(**example.JOB) as cluster:
        script = cluster.job_script()
    print(script)
    lines = script.splitlines()
    assert lines[0].startswith("#!")
    directives = {line for line in lines if line.startswith("#SBATCH")}
    assert {"#SBATCH -p PARTITION", "#SBATCH -n 1", "#SBATCH --cpus-per-task=1", "#SBATCH -t 08:00:00"} <= directives
    assert "export OMP_NUM_THREADS=1" in lines
    [worker] = [line for line in lines if "dask_worker" in line or "dask worker" in line]
    assert worker.startswith(sys.executable)
    assert "--nthreads 1" in worker
    assert "--lifetime 450m --lifetime-stagger 10m" in worker


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_comparison_is_carried_out_by_jobs(example: ModuleType, slurm: Path) -> None:
    job = example.JOB | {"local_directory": str(slurm), "interface": "lo"}
    with example.SLURMCluster(**job) as cluster:
        cluster.scale(jobs=2)
        output = str(slurm / "study")
        example.compare(cluster, output, seeds=[0], budget=20, search_images=100)
    assert set(pf.load(output).runs.method) == {"nsga2", "moead", "random"}
