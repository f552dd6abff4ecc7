"""Files that are either whole or not there, and the folder of those that are kept for later."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import platformdirs


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write to a temporary name beside `path`, flush to disk, rename: a crash or a full disk leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a study is meant to be shared
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - the name is a string here
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """For downloads, trained weights and the index of plugins: `PRUNEFRAME_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("PRUNEFRAME_CACHE") or platformdirs.user_cache_dir("pruneframe"))
