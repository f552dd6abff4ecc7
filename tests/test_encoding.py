"""What an encoding says of its genomes."""

from __future__ import annotations

import numpy as np
import pytest

from pruneframe.encoding import Variables


@pytest.mark.parametrize(
    ("kind", "upper", "width"),
    [("binary", 1, 2), ("real", 1, 9), ("integer", 3, 9)],
)
def test_binary_genomes_are_as_wide_as_their_bytes(kind: str, upper: int, width: int) -> None:
    variables = Variables(kind, 9, np.zeros(9), np.full(9, upper), (9,))  # type: ignore[arg-type]
    assert variables.width == width
