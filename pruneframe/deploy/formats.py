"""The file formats of an exported network: what each holds, how it is written, and how it is loaded."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..model.inputs import Inputs
from ..model.state import reweighted
from .onnx import EXAMPLES, IMAGES, to_onnx

Predict = Callable[[Tensor], Tensor]  # logits float32[n, classes] of images [n, ...]


@dataclass(frozen=True)
class Format:
    """One of them; `shrinks` says whether units that can be taken out are, and `target` what runs its files.

    `write` gives the bytes of a module; `open` gives what a file predicts, where `dense` makes the unpruned network;
    `loading` is how a reader of the file does, in Python.
    """

    suffix: str
    shrinks: bool
    target: str
    write: Callable[[nn.Module, Inputs], bytes]
    open: Callable[[Path, Callable[[], nn.Module]], Predict]
    loading: str


def of(suffix: str) -> Format:
    """The format of a file's suffix; raises InputError for any other."""
    if suffix not in FORMATS:
        raise InputError(f"a network is exported as {', '.join(FORMATS)}, but got {suffix or 'no suffix'!r}")
    return FORMATS[suffix]


def _write_tensors(module: nn.Module, inputs: Inputs) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.clone().contiguous() for name, tensor in module.state_dict().items()})


def _open_tensors(path: Path, dense: Callable[[], nn.Module]) -> Predict:
    from safetensors.torch import load_file

    return reweighted(dense(), load_file(path)).eval()


def _write_program(module: nn.Module, inputs: Inputs) -> bytes:
    file = io.BytesIO()
    try:
        example = (inputs.blank(EXAMPLES),)
        program = torch.export.export(module.cpu().eval(), example, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, file)
    except Exception as error:  # of torch, or of code that cannot be traced
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"torch.export cannot export the network: {reason}; choose .safetensors") from error
    return file.getvalue()


def _open_program(path: Path, dense: Callable[[], nn.Module]) -> Predict:
    return torch.export.load(path).module()


def _open_model(path: Path, dense: Callable[[], nn.Module]) -> Predict:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError("ONNX files are read back by onnxruntime; pip install 'pruneframe[runtimes]'") from error
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def predict(images: Tensor) -> Tensor:
        found: Any = session.run(None, {IMAGES: images.numpy()})[0]
        return torch.from_numpy(found)

    return predict


_TENSORS = """from safetensors.torch import load_file

module.load_state_dict(load_file("{file}"))  # module: the network that the problem names"""
_PROGRAM = """import torch

module = torch.export.load("{file}").module()
logits = module(images)"""
_MODEL = """import onnxruntime

session = onnxruntime.InferenceSession("{file}")
[logits] = session.run(None, {{"images": images}})"""

FORMATS = {
    one.suffix: one
    for one in (
        Format(".safetensors", False, "local-cpu", _write_tensors, _open_tensors, _TENSORS),
        Format(".pt2", True, "local-cpu", _write_program, _open_program, _PROGRAM),
        Format(".onnx", True, "onnxruntime", to_onnx, _open_model, _MODEL),
    )
}
