"""ExecuTorch, the runtime of PyTorch on phones and boards, as a target."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

import pruneframe as pf


@dataclass(frozen=True, repr=False)
class ExecuTorch(pf.Timed):
    """ExecuTorch on this machine's processor, by XNNPACK; memory is computed from what lives at once in torch.

    Each candidate is exported and lowered, which takes some seconds and is not part of its latency.
    """

    name = "executorch"
    threads: int = pf.setting(1, "threads that one pass may use", least=1)

    @property
    def hardware(self) -> str:
        try:
            return f"executorch {version('executorch')}, {pf.processor_name()}"
        except PackageNotFoundError as error:
            raise pf.InputError("target executorch needs executorch; pip install executorch") from error

    def prepared(self, module: nn.Module, inputs: pf.Inputs) -> Callable[[], Any]:
        image = inputs.blank(1)
        with _silent():
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime

            if portable_lib._threadpool_get_thread_count() != self.threads:  # one pool serves all of the process
                portable_lib._unsafe_reset_threadpool(self.threads)
            if module not in _programs:  # the unpruned network is timed beside every series
                _programs[module] = lowered(module, image)
            method = Runtime.get().load_program(_programs[module]).load_method("forward")
        return partial(method.execute, [image])


_programs: WeakKeyDictionary[nn.Module, bytes] = WeakKeyDictionary()  # of modules that live


def lowered(module: nn.Module, image: torch.Tensor) -> bytes:
    """A module as an ExecuTorch program that computes what XNNPACK can by XNNPACK, as a .pte file has it.

    Raises InputError where ExecuTorch cannot take it.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    try:
        program = torch.export.export(module.cpu().eval(), (image,))
        return to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().buffer
    except Exception as error:  # of torch, of ExecuTorch, or of code that cannot be traced
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise pf.InputError(f"ExecuTorch cannot take the network: {reason}") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without ExecuTorch's remarks about itself, and with torch's random numbers as they were, from which it draws."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        unheard = contextlib.redirect_stderr(io.StringIO())
        with warnings.catch_warnings(action="ignore"), unheard, torch.random.fork_rng(devices=()):
            yield
    finally:
        logging.disable(level)


@pf.hookimpl
def pruneframe_targets() -> Sequence[type[pf.Target]]:
    return [ExecuTorch]
