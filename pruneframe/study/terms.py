"""On what terms runs are carried out, which is no part of what they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """Epochs of the common fine-tuning of final fronts, seconds that a search may take, and further tries of a run."""

    epochs: int = 0
    timeout: float | None = None
    retries: int = 0  # of a run that has failed, or whose worker has died, by one command


ONCE = Terms()  # each run once, for as long as it takes
