"""Problems: a trained network, its data, and what a search on it may change and must minimise."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .data import Data, Split, cache_folder, find, missing
from .errors import InputError
from .files import write_whole
from .mask import Units
from .network import Network
from .training import Recipe, train

BATCH_NORM_IMAGES = 2000  # training images behind batch_norm=shifted, at most
BatchNorm = Literal["frozen", "shifted"]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """Weights on the web; the file name ends in the first 8 hex digits of its SHA-256, torch.hub's rule."""

    url: str
    prefix: str = ""  # of the names in the file, as in "module."

    def load(self, module: nn.Module, data: Callable[[], Data], report: Progress) -> None:
        """Fill the module; raises InputError for a wrong hash, wrong keys, or a file that needs unpickling of code."""
        name = self.url.rpartition("/")[2]
        path = find(f"weights/{name}") or self._fetch(name, report)
        expected = re.search(r"-([0-9a-f]{8,})\.", name)
        if expected and not _sha256(path).startswith(expected[1]):
            raise InputError(
                f"{path} must have a SHA-256 that begins with {expected[1]}, but has {_sha256(path)[:12]}...; "
                f"replace it with {self.url}"
            )
        fill(module, read_checkpoint(path), self.prefix, str(path))

    def _fetch(self, name: str, report: Progress) -> Path:
        folder = cache_folder() / "weights"
        report(f"downloading {self.url}")
        try:
            torch.hub.load_state_dict_from_url(
                self.url, str(folder), map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
        except (OSError, RuntimeError) as error:
            raise missing(name, f"weights/{name}", error) from error
        return folder / name


@dataclass(frozen=True)
class Trained:
    """Weights that are trained here, on the train split alone, when first needed, and kept in the cache."""

    recipe: Recipe
    seed: int = 0

    def load(self, module: nn.Module, data: Callable[[], Data], report: Progress) -> None:
        """Fill the module from the cache, or train it first."""
        from safetensors.torch import load_file, save

        path = self._path(module)
        if not path.exists():
            self._train(module, data(), report)
            state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
            write_whole(path, lambda file: file.write(save(state)))
        fill(module, load_file(path), "", str(path))

    def forget(self, module: nn.Module) -> None:
        """Remove this recipe's weights from the cache, so that `load` trains again."""
        self._path(module).unlink(missing_ok=True)

    def _path(self, module: nn.Module) -> Path:
        key = f"{asdict(self)} {module} {[tuple(p.shape) for p in module.parameters()]}"
        name = f"{type(module).__name__.lower()}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"
        return cache_folder() / "weights" / name

    def _train(self, module: nn.Module, data: Data, report: Progress) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for part in module.modules():
                if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                    part.reset_parameters()
        total = self.recipe.epochs
        train(
            module,
            data.tensor(data.train),
            torch.from_numpy(data.train.labels),
            self.recipe,
            self.seed,
            progress=lambda epoch, loss: report(f"training {type(module).__name__}: epoch {epoch}/{total}, loss {loss:.4f}"),
        )


@dataclass(frozen=True)
class Problem:
    """What all methods of a study are compared on.

    `network` is a trained module, or a function that makes one (then `weights` says how it gets its weights); `data`
    is a Data or a function that loads one. `search_images` None means all of the search split.
    """

    name: str
    network: nn.Module | Callable[[], nn.Module]
    data: Data | Callable[[], Data]
    weights: Published | Trained | None = None
    units: Units = "weight"
    objectives: tuple[str, ...] = ("error", "params")
    batch_norm: BatchNorm = "frozen"
    search_images: int | None = None
    budget: float = 300.0
    summary: str = ""
    source: str = ""  # where the network comes from: paper, publisher, licence

    def __post_init__(self) -> None:
        choices = {"units": ("weight", "filter"), "batch_norm": ("frozen", "shifted")}
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise InputError(f"{field} must be {' or '.join(allowed)}, but got {getattr(self, field)!r}")
        if not self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise InputError(f"objectives must be distinct, at least one, but got {self.objectives}")
        if not 0 < self.budget < float("inf"):
            raise InputError(f"budget > 0 must hold, but got {self.budget}")

    def with_settings(self, **changes: Any) -> Problem:
        """The same problem with some fields replaced; None leaves a field as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def load(self, report: Progress = lambda line: None) -> LoadedProblem:
        """Fetch or train what is missing, and check that it fits together."""
        data = self.data if isinstance(self.data, Data) else self.data()
        module = self.network if isinstance(self.network, nn.Module) else self.network()
        if self.weights is not None:
            self.weights.load(module, lambda: data, report)
        return LoadedProblem(self, Network(module, data.input_shape, self.units), data)


class LoadedProblem:
    """A problem in memory: its network, and its images as the network sees them."""

    def __init__(self, problem: Problem, network: Network, data: Data) -> None:
        self.problem = problem
        self.network = network
        self.data = data
        wanted = problem.search_images or len(data.search)
        if not 0 < wanted <= len(data.search):
            raise InputError(
                f"search_images must be from 1 to {len(data.search)} for {problem.name!r}, but got {wanted}"
            )
        self.search = data.search.stratified(wanted)[0]

    @cached_property
    def batch_norm_images(self) -> Split | None:
        """The fixed training images behind batch_norm=shifted; None where no statistics are shifted."""
        if self.problem.batch_norm == "frozen" or not self.network.norms:
            return None
        return self.training_images(min(BATCH_NORM_IMAGES, len(self.data.train)))

    def training_images(self, n: int) -> Split:
        """A fixed stratified choice of training images, all of them when there are no more."""
        return self.data.train.stratified(min(n, len(self.data.train)))[0]

    @property
    def price(self) -> float:
        """Units that one evaluation costs: a pass over the search set, and one over the batch-norm images."""
        extra = self.batch_norm_images
        return 1.0 + (len(extra) / len(self.search) if extra else 0.0)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over the dense weights and all splits: two problems of one name may differ."""
        parts = [self.network.digest, self.search.digest, self.data.train.digest, self.data.test.digest]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """A state dict from a torch or safetensors file, without ever running code from it."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError and others here
        raise InputError(
            f"{path} must be a checkpoint of tensors alone, but it is damaged or needs unpickling of code, which is "
            "refused; save the state dict again with torch.save(model.state_dict(), ...)"
        ) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"{path} must hold a state dict (names to tensors), but holds a {type(found).__name__}")
    return found


def fill(module: nn.Module, state: dict[str, Tensor], prefix: str, origin: str) -> None:
    """Load a state dict whose names may carry a prefix; raises InputError when keys or shapes do not fit."""
    state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    own = module.state_dict()
    # Batch counters are absent from files older than torch 0.4.1, and nothing here uses them.
    wanted = {name for name in own if not name.endswith("num_batches_tracked")}
    lacking = sorted(wanted - state.keys())
    surplus = sorted(state.keys() - own.keys())
    wrong = sorted(name for name in wanted & state.keys() if own[name].shape != state[name].shape)
    for complaint, names in (("lacks", lacking), ("has no use for", surplus), ("has other shapes for", wrong)):
        if names:
            raise InputError(
                f"{origin} must fit {type(module).__name__}, but it {complaint} {len(names)} tensors, "
                f"such as {names[0]!r}; choose the weights of this network"
            )
    module.load_state_dict(state, strict=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


