"""A fresh process that loads exported files and says what they predict, so that nothing of the writer's can help.

    python -m pruneframe.deploy.reader ORDER

ORDER is JSON: `files`, `identity` of the run and `sources` of plugins. Batches of images come on standard input as
.npy, each behind its length; for each, the logits float32[files, n, classes] go to standard output likewise.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import PruneframeError
from ..registry import Registry
from ..study.run import Run
from .formats import of

LENGTH = 8  # bytes that say how many follow


def read_back(
    files: Sequence[Path], identity: dict[str, Any], sources: Sequence[str], batches: Iterable[Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each batch of images [n, ...], and what a fresh process predicts with files, logits float32[files, n, classes].

    Raises PruneframeError with the last line that it said where it ends early.
    """
    order = json.dumps({"files": list(map(str, files)), "identity": identity, "sources": list(sources)})
    command = [sys.executable, "-m", __name__, order]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # plugins may lie anywhere
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=surroundings, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for images in batches:
                try:
                    _send(process.stdin, images.numpy())
                    found = torch.from_numpy(_receive(process.stdout))
                except (BrokenPipeError, EOFError) as error:
                    said = process.stderr.read().decode(errors="replace").strip().splitlines() or ["nothing was said"]
                    raise PruneframeError(f"{files[0].name} cannot be read back: {said[-1]}") from error
                yield images, found
        finally:
            process.kill()


def _send(stream: IO[bytes], array: NDArray[Any]) -> None:
    """An array as its length in bytes, eight of them, and a .npy: numpy itself writes to files alone, not to pipes."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    stream.write(len(buffer.getvalue()).to_bytes(LENGTH) + buffer.getvalue())
    stream.flush()


def _receive(stream: IO[bytes]) -> NDArray[Any]:
    """The next array; raises EOFError where the stream has ended."""
    head = stream.read(LENGTH)
    body = stream.read(int.from_bytes(head))
    if len(head) < LENGTH or len(body) < int.from_bytes(head):
        raise EOFError
    return np.load(io.BytesIO(body), allow_pickle=False)


def opened(files: Sequence[Path], identity: dict[str, Any], sources: Sequence[str]) -> Callable[[Tensor], Tensor]:
    """What files predict of images [n, ...], logits float32[files, n, classes]."""
    dense = cache(lambda: Run.of(identity).load(Registry(sources)).network.module)  # for those that need it
    each = [of(path.suffix).open(path, dense) for path in files]

    def predict(images: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.stack([one(images) for one in each])

    return predict


def main() -> None:
    """Answer until there are no more images."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a plugin may print
    order = json.loads(sys.argv[1])
    predict = opened(list(map(Path, order["files"])), order["identity"], order["sources"])
    while True:
        try:
            images = torch.from_numpy(_receive(sys.stdin.buffer))
        except EOFError:  # who asked has gone
            return
        _send(answers, predict(images).numpy())


if __name__ == "__main__":
    try:
        main()
    except PruneframeError as error:
        sys.exit(str(error))
