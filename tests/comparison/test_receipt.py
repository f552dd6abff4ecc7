"""Receipts: a comparison stands only while all that went into it, and all that came out, is what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from pruneframe.comparison import receipt
from pruneframe.comparison.receipt import NAME, Receipt, made_of, stands


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Parts beside their comparison, with a receipt."""
    folder = tmp_path / "out-parts"
    folder.mkdir()
    for path in (tmp_path / "out.pdf", folder / "front-1.pdf"):
        path.write_text(path.name)
    Receipt.of("digest", folder, [tmp_path / "out.pdf", folder / "front-1.pdf"]).write(folder)
    return folder


def test_what_is_as_it_was_written_stands(parts: Path) -> None:
    assert stands(parts, "digest", [parts.parent / "out.pdf"])
    assert not stands(parts, "another", [parts.parent / "out.pdf"])
    assert not stands(parts, "digest", [parts.parent / "out.pdf", parts.parent / "out.html"]), "no page was written"
    assert not stands(parts.parent / "other-parts", "digest", [])


@pytest.mark.parametrize("name", ["out.pdf", "out-parts/front-1.pdf"])
def test_a_file_that_is_missing_or_damaged_does_not_stand(name: str, parts: Path) -> None:
    path = parts.parent / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    assert not stands(parts, "digest", [])
    path.write_bytes(content)
    assert stands(parts, "digest", [])
    path.unlink()
    assert not stands(parts, "digest", [])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"made_of": "digest"}', '{"made_of": "digest", "files": 3}', "\xff"]
)
def test_a_damaged_receipt_is_none(text: str, parts: Path) -> None:
    (parts / NAME).write_bytes(text.encode("latin-1"))
    assert not stands(parts, "digest", [])


def test_it_is_made_of_each_of_its_ingredients(monkeypatch: pytest.MonkeyPatch) -> None:
    first = made_of("a", "b")
    assert made_of("a", "b") == first
    assert len({first, made_of("a"), made_of("ab"), made_of("b", "a")}) == 4
    monkeypatch.setattr(receipt, "version", lambda name: "another")
    assert made_of("a", "b") != first
