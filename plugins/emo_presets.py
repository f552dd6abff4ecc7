"""The presets of `emo-dir`: its numbers and operators, as the paper has them where it says so, and as trials found."""

from __future__ import annotations

from .presets import Presets

PAPER = {
    "detector": "linear",
    "scorer": "magnitude",
    "encoding": "mask",
    "variation": None,
    "population": 50,
    "generations": 5,
    "least": 0.1,
    "members": 20,
    "training": 0.5,
    "alpha": 1.0,
    "tolerated": 5.0,
    "inheriting": False,
    "batch": 64,
    "images": 5000,
    "learning_rate": 0.01,
    "joining": 0.25,
    "finetuning": 0.0,
    "finetuned": 5,
}
TUNED = PAPER | {
    "scorer": "lamp",
    "encoding": "global-cut",
    "variation": "sbx-pm[crossover=0.6,spread=5,reach=5]",
    "training": 0.647,
    "batch": 18,
}
PRESETS = Presets({"tuned": TUNED, "paper": PAPER})
