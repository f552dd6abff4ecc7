"""Joint schemes: which member of each part's front a network takes, when the parts were pruned apart.

Global performance impairment ranking is after Shang et al., arXiv 2303.16212; how it gives schemes is our
reconstruction, and so are the sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..front import non_dominated

UNPRUNED = -1  # in the place of a member's row: the part stays as it is


def is_pruned(scheme: Sequence[int]) -> bool:
    """Whether a joint scheme takes a member of any part."""
    return any(row != UNPRUNED for row in scheme)


def ranked(impairments: Sequence[np.ndarray], params: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    """Nested joint schemes, one row of each part's front: by global performance impairment ranking.

    All members of all parts are ranked by their impairment, of equal ones the larger first. Scheme r takes from each
    part the smallest of its members that are ranked r or before, and leaves a part without one unpruned.
    """
    members = [
        (impairment, -size, part, row)
        for part, (harms, sizes) in enumerate(zip(impairments, params, strict=True))
        for row, (impairment, size) in enumerate(zip(harms, sizes, strict=True))
    ]
    scheme = [UNPRUNED] * len(params)
    schemes = [tuple(scheme)]
    for _, size, part, row in sorted(members):
        if scheme[part] == UNPRUNED or -size < params[part][scheme[part]]:
            scheme[part] = row
            schemes.append(tuple(scheme))
    return schemes


def summed(
    impairments: Sequence[np.ndarray], savings: Sequence[np.ndarray], dense: tuple[float, float]
) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Joint schemes that no other dominates if impairments and savings of parts add up, the largest first.

    And the errors and parameters that these sums make of the unpruned network's, float64[schemes, 2].
    """
    schemes: list[tuple[int, ...]] = [()]
    points = np.array([dense], dtype=np.float64)
    for harms, saved in zip(impairments, savings, strict=True):
        own = np.vstack([[0.0, 0.0], np.stack([harms, -saved], axis=1)])
        both = (points[:, None] + own).reshape(-1, 2)
        longer = [(*scheme, row) for scheme in schemes for row in (UNPRUNED, *range(len(harms)))]
        stays = np.flatnonzero(non_dominated(both))
        schemes, points = [longer[row] for row in stays], both[stays]
    order = np.argsort(-points[:, 1], kind="stable")
    return [schemes[row] for row in order], points[order]


def paired(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Joint schemes without a ranking: members at the same place in their fronts of so many members, largest first."""
    steps = max(sizes, default=0)
    places = np.linspace(0, 1, steps)
    schemes = [tuple(round(place * (size - 1)) if size else UNPRUNED for size in sizes) for place in places]
    return [(UNPRUNED,) * len(sizes), *dict.fromkeys(schemes)]
