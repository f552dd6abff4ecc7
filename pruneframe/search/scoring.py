"""Scoring: what a scorer says of a network that it is lent, and of images that it pays for."""

from __future__ import annotations

import numpy as np
import torch

from ..encoding import Scores
from ..engine import memory_format
from ..errors import Faulty, faults_of
from ..model.data import Data, Split
from ..model.network import Network
from ..scorer import Scorer
from .loans import Loan


def scored(network: Network, scorer: Scorer, data: Data, split: Split | None, rng: np.random.Generator) -> Scores:
    """Importance of every unit by what a scorer sees of some training images, float32[units].

    One that asks for none has a blank one: to load images that nobody looks at may take long. Raises Faulty where its
    answer is not that, and Overstepped where it changes the network, or runs more images through it than it declares.
    """
    if split is None:
        images, labels = network.inputs.blank(1), torch.zeros(1, dtype=torch.int64)
    else:
        images, labels = data.tensor(split).clone(), torch.from_numpy(split.labels).clone()
    if images.dim() == 4:
        images = images.contiguous(memory_format=memory_format(network))  # in which torch is fastest
    loan = Loan(network)
    with faults_of("scorer", repr(scorer)):
        found = scorer.score(loan.network, images, labels, rng)
        scores = np.array(found, dtype=np.float32)  # a copy: it may keep its own
    declared = scorer.passes * (len(labels) if scorer.images else 0)
    loan.settle("scorer", repr(scorer), declared, "declare more `images` or `passes`")
    wanted = (network.layout.total,)
    if scores.shape != wanted or not np.all(np.isfinite(scores)):
        gave = scores.shape if scores.shape != wanted else "some that are not finite"
        raise Faulty(f"scorer {scorer!r} must give finite scores {wanted}, but gave {gave}", "scorer", repr(scorer))
    return scores
