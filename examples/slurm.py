"""A comparison on SLURM: jobs that dask-jobqueue asks for are Dask's workers, and carry out its runs.

    pip install "pruneframe[dask]" dask-jobqueue
    python slurm.py            # on a login node; the same again goes on where it stopped
    python slurm.py --print    # the script that SLURM is given

The study must lie where all nodes can write. Fill in what stands in capital letters.
"""

import sys

from dask_jobqueue import SLURMCluster

import pruneframe as pf

THREADS = 1  # of a run, and cores of a job
JOBS = 50  # at the same time, at most

JOB = {
    "queue": "PARTITION",
    "cores": 1,  # runs at once in a job
    "processes": 1,
    "job_cpu": THREADS,
    "memory": "4GB",
    "walltime": "08:00:00",
    "job_script_prologue": [f"export OMP_NUM_THREADS={THREADS}"],
    "scheduler_options": {"dashboard_address": ":0"},  # any free port: others work on the login node, too
    # A worker leaves before SLURM ends its job, and not all of them at once.
    "worker_extra_args": ["--lifetime", "450m", "--lifetime-stagger", "10m"],
}


def compare(cluster: SLURMCluster, output: str, **settings: object) -> None:
    """Have the jobs of a cluster carry a comparison out."""
    pf.bench("nsga2,moead,random", output=output, dask=cluster.scheduler_address, retries=2, progress=True, **settings)


if __name__ == "__main__":
    with SLURMCluster(**JOB) as cluster:
        if "--print" in sys.argv:
            print(cluster.job_script())
        else:
            cluster.adapt(minimum=1, maximum=JOBS)
            compare(cluster, "pruneframe-study", threads=THREADS)
