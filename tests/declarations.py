"""A problem in a TOML file, with a network, weights and data beside it, in the formats that users have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

NETWORK = """
import torch
from torch import nn

def make(classes=3, width=4):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(5, classes),
    )

def broken():
    raise RuntimeError("out of ideas")

def none():
    return 3

made = "not a function"
"""
SIDE = 8  # of the arrays


def module() -> nn.Module:
    """What `make` makes, with weights of a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        convolutions = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU()
        return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))


def write_toml(path: Path, tables: dict[str, Any]) -> Path:
    """Values as TOML; JSON writes texts, numbers and lists as TOML does."""
    plain = {name: value for name, value in tables.items() if not isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in plain.items()]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def declaration(folder: Path, **changes: Any) -> Path:
    """`mine.toml` in a folder, with a network, its weights and an npz; a change to None leaves a field out."""
    folder.mkdir(exist_ok=True)
    (folder / "network.py").write_text(NETWORK)
    torch.save({"state_dict": {f"module.{n}": t for n, t in module().state_dict().items()}}, folder / "weights.pth")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (90, SIDE, SIDE, 3), dtype=np.uint8)
    np.savez(folder / "data.npz", images=images, labels=np.arange(90) % 3, seen=images[:30], of=np.arange(30) % 3)
    found: dict[str, Any] = {
        "name": "mine",
        "network": "network.py:make",
        "weights": "weights.pth",
        "prefix": "module.",
        "budget": 10,
        "data": {"arrays": "data.npz", "search": 30, "test": 40, "mean": [0.5] * 3, "std": [0.25] * 3},
    }
    found |= changes
    return write_toml(folder / "mine.toml", {name: value for name, value in found.items() if value is not None})


def photographs(
    folder: Path, classes: tuple[str, ...] = ("ant", "bee", "cat"), number: int = 4, start: str = ""
) -> Path:
    """A folder of JPEG files for each class, of several sizes, each class in a colour of its own."""
    rng = np.random.default_rng(0)
    for k, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(number):
            size = (int(rng.integers(20, 40)), int(rng.integers(20, 40)))
            Image.new("RGB", size, (50 * k, 200 - 50 * k, 100)).save(folder / name / f"{start}{name}_{i}.JPEG")
    return folder
