"""A module as an ONNX model, which inference runtimes load."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import torch
from torch import nn

from ..errors import InputError
from ..model.inputs import Inputs, Shape

IMAGES, LOGITS = "images", "logits"  # what the model's input and output are called
NEEDED = ("onnx", "onnxscript")
EXAMPLES = 2  # images of the example; with one, torch.export takes the number of images for a constant


def to_onnx(module: nn.Module, inputs: Inputs | Shape) -> bytes:
    """A module in evaluation mode as one ONNX file: `images` [n, ...] to `logits` float32[n, classes], any n.

    Raises InputError where the extra `runtimes` is not installed, or torch cannot export the module.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"ONNX needs {' and '.join(missing)}; pip install 'pruneframe[runtimes]'")
    example = Inputs.of(inputs).blank(EXAMPLES)
    try:
        with _silent():
            program = torch.onnx.export(
                module.cpu().eval(),
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[IMAGES],
                output_names=[LOGITS],
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            )
    except Exception as error:  # of torch, of onnxscript, or of code that cannot be traced
        raise InputError(f"torch cannot export the network to ONNX: {_first_line(error)}") from error
    assert program is not None  # it is without a file to write to
    return program.model_proto.SerializeToString()


def _first_line(error: Exception) -> str:
    """The cause at the end of a chain of torch's, in one line."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the exporter's remarks, which are about itself; what it makes is compared with the module anyway."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
