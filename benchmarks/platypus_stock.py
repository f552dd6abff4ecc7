# SPDX-License-Identifier: GPL-3.0-or-later
"""The row of `overhead.py` for Platypus's own NSGA-II on its Binary type; a program of its own for its licence's sake.

    python benchmarks/platypus_stock.py [--depth 56] [--population 100] [--generations 1]

Platypus keeps a genome as a list of Python bools, and varies it bit by bit.
"""

from __future__ import annotations

import json
import random

import click
import numpy as np
import platypus
from memory import peak_mb
from overhead import PLATYPUS, Clock, timed_answer
from random_networks import random_problem


@click.command()
@click.option("--depth", default=56, show_default=True, help="Layers of the ResNet: 6n + 2.")
@click.option("--population", default=100, show_default=True, help="Candidates per generation.")
@click.option("--generations", default=1, show_default=True, help="Generations that are timed, after the start.")
def main(depth: int, population: int, generations: int) -> None:
    """Print one row as JSON."""
    bits = random_problem(depth).network.layout.total
    clock = Clock(population, generations)
    base_mb = peak_mb()
    problem = platypus.Problem(1, 2)
    problem.types[:] = platypus.Binary(bits)
    problem.function = lambda variables: timed_answer(np.array(variables[0]), clock)
    random.seed(0)
    algorithm = platypus.NSGAII(problem, population_size=population)
    while not clock.enough:
        algorithm.step()
    print(json.dumps(clock.row(PLATYPUS, bits, base_mb)))


if __name__ == "__main__":
    main()
