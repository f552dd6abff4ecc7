"""The figure of a training."""

from __future__ import annotations

from pathlib import Path

from pruneframe.comparison.course import draw
from pruneframe.model.session import Epoch


def test_the_course_of_a_training_is_a_pdf_and_the_same_one_each_time(tmp_path: Path) -> None:
    epochs = [Epoch(i, 0.1, 1 / i, 0.5 / i, 0.6 / i, 1.0) for i in range(1, 6)]
    draw(epochs, tmp_path / "one.pdf")
    draw(epochs, tmp_path / "other.pdf")
    draw(epochs[:1], tmp_path / "first.pdf")
    one, other, first = ((tmp_path / name).read_bytes() for name in ("one.pdf", "other.pdf", "first.pdf"))
    assert one.startswith(b"%PDF")
    assert one == other != first
