"""What a problem needs of the outside: found in a folder that the user names, or downloaded once and cached.

A folder named by `PRUNEFRAME_DATA` is looked at first and never written to; it and the cache share one layout, which is
torchvision's where torchvision reads the data set: `MNIST/raw/*`, `FashionMNIST/raw/*`, `cifar-100-python/*`,
`cifar10.npz`, `weights/*`.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from ..files import cache_folder


def folders() -> list[Path]:
    """Where files of the shared layout are looked for, in this order; raises InputError where one is named wrongly."""
    named = os.environ.get("PRUNEFRAME_DATA")
    if named and not Path(named).is_dir():
        raise InputError(f"PRUNEFRAME_DATA (or --data) must name a folder, but got {named!r}")
    return [*([Path(named)] if named else []), cache_folder()]


def find(relative: str) -> Path | None:
    """A file or folder of the shared layout, from the folder `PRUNEFRAME_DATA` or else the cache."""
    return next((folder / relative for folder in folders() if (folder / relative).exists()), None)


def missing(what: str, relative: str, error: Exception) -> InputError:
    """The error when something is neither here nor can be fetched."""
    return InputError(
        f"{what} is not on this machine and cannot be downloaded ({error}); put {relative} into "
        f"{cache_folder()}, or into a folder that --data or PRUNEFRAME_DATA names"
    )
