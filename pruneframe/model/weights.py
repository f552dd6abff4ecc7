"""Where a problem's trained weights come from: published on the web, or trained here on first use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..files import cache_folder, write_whole
from .data import Data
from .fetch import find, missing
from .state import versioned
from .training import Recipe, train

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """Weights on the web, at `url`; the file name ends in the first 8 hex digits of its SHA-256, torch.hub's rule."""

    url: str
    prefix: str = ""  # of the names in the file, as in "module."
    vary: ClassVar[bool] = False  # from instance to instance

    def load(self, module: nn.Module, data: Callable[[], Data], report: Progress, instance: int = 0) -> None:
        """Fill the module; raises InputError for a wrong hash, wrong keys, or a file that needs unpickling of code."""
        name = self.url.rpartition("/")[2]
        path = find(f"weights/{name}") or self._fetch(name, report)
        expected = _prefix(name)
        if expected and not sha256(path).startswith(expected):
            raise InputError(
                f"{path} must have a SHA-256 that begins with {expected}, but has {sha256(path)[:12]}...; "
                f"replace it with {self.url}"
            )
        fill(module, read_checkpoint(path), self.prefix, str(path))

    def _fetch(self, name: str, report: Progress) -> Path:
        folder = cache_folder() / "weights"
        report(f"downloading {self.url}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(folder / name), _prefix(name), progress=False)
        except (OSError, RuntimeError) as error:
            raise missing(name, f"weights/{name}", error) from error
        return folder / name


@dataclass(frozen=True)
class Trained:
    """Weights that are trained here, on the train split alone, when first needed, and kept in the cache.

    An instance's are trained from it as a seed.
    """

    recipe: Recipe  # how they are trained
    vary: ClassVar[bool] = True  # from instance to instance

    def load(self, module: nn.Module, data: Callable[[], Data], report: Progress, instance: int = 0) -> None:
        """Fill the module from the cache, or train it first."""
        path = self._path(module, data(), instance)
        if not path.exists():
            self.train(module, data(), report, instance)
            write_checkpoint(path, module)
        fill(module, read_checkpoint(path), "", str(path))

    def forget(self, module: nn.Module, data: Data, instance: int = 0) -> None:
        """Remove an instance's weights from the cache, so that `load` trains again."""
        self._path(module, data, instance).unlink(missing_ok=True)

    def kept(self, module: nn.Module, data: Data, instance: int = 0) -> bool:
        """Whether an instance's weights are in the cache, so that `load` need not train."""
        return self._path(module, data, instance).exists()

    def _path(self, module: nn.Module, data: Data, instance: int) -> Path:
        shapes = [tuple(p.shape) for p in module.parameters()]
        key = f"{asdict(self)} {instance} {module} {shapes} {data.train.digest} {data.mean} {data.std}"
        name = f"{type(module).__name__.lower()}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"
        return cache_folder() / "weights" / name

    def train(self, module: nn.Module, data: Data, report: Progress, instance: int) -> None:
        """Train the module from scratch, whatever it was, and keep nothing of it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(instance)
            _reset(module)
        name, total = type(module).__name__, self.recipe.epochs
        images, labels = data.source(data.train), torch.from_numpy(data.train.labels)
        tell = lambda epoch, loss: report(f"training {name}: epoch {epoch}/{total}, loss {loss:.4f}")  # noqa: E731
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more would add in another order: other weights, and studies that do not merge
        try:
            train(module, images, labels, self.recipe, instance, progress=tell)
        finally:
            torch.set_num_threads(threads)


def _reset(module: nn.Module) -> None:
    """Weights as torch draws them, whatever they were."""
    parts: list[Any] = list(module.modules())
    for part in parts:
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    for part in parts:
        if isinstance(part, nn.MultiheadAttention):  # which alone of torch's layers has no public one
            part._reset_parameters()


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
            return load_file(path)
        except Exception as error:  # safetensors raises its own error class, or OSError
            raise InputError(f"{path} must be a safetensors file, but is damaged ({error}); remove it") from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError and others here
        raise InputError(
            f"{path} must be a checkpoint of tensors alone, but it is damaged or needs unpickling of code, which is "
            "refused; save the state dict again with torch.save(model.state_dict(), ...)"
        ) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
        raise InputError(f"{path} must hold a state dict (names to tensors), but holds a {type(found).__name__}")
    return found


def fill(module: nn.Module, state: dict[str, Tensor], prefix: str, origin: str) -> None:
    """Load a state dict whose names may carry a prefix; raises InputError when keys or shapes do not fit."""
    own = module.state_dict()
    kept = own if prefix or not hasattr(state, "_metadata") else state  # of a file that says versions, those
    state = versioned({name.removeprefix(prefix): tensor for name, tensor in state.items()}, kept)
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


def _prefix(name: str) -> str | None:
    """The first digits of the SHA-256 that a file's name promises."""
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    return match[1] if match else None


def sha256(path: Path) -> str:
    """64 hex digits over a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
