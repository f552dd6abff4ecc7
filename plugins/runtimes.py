"""Targets people deploy on: inference runtimes at hand, and a device far away that a command measures on."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from torch import nn

import pruneframe as pf

PLACE = "{file}"  # where a command is told the file
LONGEST = 300  # characters of what a command said that are repeated


@dataclass(frozen=True, repr=False)
class Runtime(pf.Timed):
    """A library that runs ONNX models on this machine's processor, with a fixed number of threads."""

    library: ClassVar[str]
    threads: int = pf.setting(1, "threads that one pass may use", least=1)

    @property
    def hardware(self) -> str:
        try:
            return f"{self.library} {version(self.library)}, {pf.processor_name()}"
        except PackageNotFoundError as error:
            raise pf.InputError(
                f"target {self.name} needs {self.library}; pip install 'pruneframe[runtimes]'"
            ) from error

    def prepared(self, module: nn.Module, inputs: pf.Inputs) -> Callable[[], Any]:
        if module not in _models:  # the unpruned network is timed beside every series
            _models[module] = pf.to_onnx(module, inputs)
        return self.opened(_models[module], inputs.blank(1).numpy())

    @abstractmethod
    def opened(self, model: bytes, image: NDArray[Any]) -> Callable[[], Any]:
        """What runs a model on one image."""


_models: WeakKeyDictionary[nn.Module, bytes] = WeakKeyDictionary()  # as ONNX, while their modules live


@dataclass(frozen=True, repr=False)
class OnnxRuntime(Runtime):
    """ONNX Runtime on this machine's processor; memory is computed from what lives at once in torch.

    Each candidate is exported to ONNX, which takes about a second and is not part of its latency.
    """

    name = "onnxruntime"
    library = "onnxruntime"

    def opened(self, model: bytes, image: NDArray[Any]) -> Callable[[], Any]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return partial(session.run, None, {session.get_inputs()[0].name: image})


@dataclass(frozen=True, repr=False)
class OpenVino(Runtime):
    """OpenVINO on this machine's processor, in float32; memory is computed from what lives at once in torch.

    Each candidate is exported to ONNX, which takes about a second and is not part of its latency.
    """

    name = "openvino"
    library = "openvino"

    def opened(self, model: bytes, image: NDArray[Any]) -> Callable[[], Any]:
        settings = {"INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        core = _core()
        compiled = core.compile_model(core.read_model(model), "CPU", settings)
        return partial(compiled.create_infer_request().infer, [image])


@cache
def _core() -> Any:
    """One for the life of the process: a core moves the stack on which its thread takes signals into its own memory.

    When one of two is gone, the next signal (an interrupt, the alarm of a time limit) ends the process without a word.
    """
    import openvino

    return openvino.Core()


@dataclass(frozen=True, repr=False)
class Command(pf.Target):
    """A device far away: a command is given an ONNX file, measures it there, and prints seconds of one image.

    `run` is split as a shell would, without one; {file} stands for the file's path. The last line that it prints must
    hold the same number of positive numbers for each network, one or several. Memory is computed from what lives at
    once in torch.
    """

    name = "command"
    measured = True
    run: str = pf.setting("", "the command, with {file} where the ONNX file is meant")
    passes: int = pf.setting(1, "forward passes that it makes, which are charged", least=1)
    patience: float = pf.setting(600.0, "seconds after which a measurement has failed", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(PLACE in word for word in self._words):
            raise ValueError(f"run must be a command with {PLACE} in it, such as 'ssh board measure {PLACE}'")

    @property
    def _words(self) -> list[str]:
        try:
            words = shlex.split(self.run)
        except ValueError as error:
            raise ValueError(f"run must be a command, but in {self.run!r} is {str(error).lower()}") from error
        return shlex.split(words[0]) if len(words) == 1 else words  # in quotes of its own, as a whole

    @property
    def forwards(self) -> int:
        return self.passes

    def latencies(self, networks: Sequence[pf.Physical]) -> NDArray[np.float64]:
        inputs = networks[0].network.inputs
        return self.series([network.shrunk for network in networks], [inputs] * len(networks))

    def series(
        self, modules: Sequence[nn.Module], inputs: Sequence[pf.Inputs | tuple[int, ...]]
    ) -> NDArray[np.float64]:
        found = [self._told(pf.to_onnx(module, one)) for module, one in zip(modules, inputs, strict=True)]
        if len({len(numbers) for numbers in found}) > 1:
            raise pf.InputError(f"{self._words[0]} must print as many seconds each time, but printed {found}")
        return np.array(found)

    def _told(self, model: bytes) -> list[float]:
        with tempfile.TemporaryDirectory(prefix="pruneframe-") as folder:
            file = Path(folder) / "network.onnx"
            file.write_bytes(model)
            words = [word.replace(PLACE, str(file)) for word in self._words]
            try:
                done = subprocess.run(words, capture_output=True, text=True, timeout=self.patience, check=False)
            except subprocess.TimeoutExpired as error:
                raise pf.InputError(f"{words[0]} must end within {self.patience:g} s; set patience") from error
            except OSError as error:
                raise pf.InputError(f"{words[0]} cannot be run: {error.strerror}") from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())[-LONGEST:]
            raise pf.InputError(f"{words[0]} must end with code 0, but ended with {done.returncode}: {said}")
        return self._seconds(words[0], done.stdout)

    def _seconds(self, program: str, said: str) -> list[float]:
        lines = said.split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        try:
            numbers = [float(word) for word in last.split()]
        except ValueError:
            numbers = []
        if not numbers or not all(0 < number < np.inf for number in numbers):
            raise pf.InputError(
                f"{program} must print seconds above 0 in its last line, but printed {last[:LONGEST]!r}"
            )
        return numbers

    def memory(self, network: pf.Physical) -> float:
        return pf.peak_memory(network.shrunk, network.network.inputs)


@pf.hookimpl
def pruneframe_targets() -> Sequence[type[pf.Target]]:
    return [OnnxRuntime, OpenVino, Command]
