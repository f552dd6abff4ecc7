"""ResNet-8's weights for pruneframe, from the Keras file that MLCommons publishes (needs h5py).

python examples/resnet8_weights.py pretrainedResnet.h5 FOLDER  writes FOLDER/weights/resnet8-mlperf-tiny.safetensors
"""

import re
import sys
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import save_file

# Keras numbers the layers of a kind in the order in which they were made.
LAYERS = {
    "conv2d": ["conv1", *(f"block1.conv{i}" for i in (1, 2))]
    + [f"block{block}.{layer}" for block in (2, 3) for layer in ("conv1", "conv2", "shortcut")],
    "batch_normalization": ["bn1", *(f"block{block}.bn{i}" for block in (1, 2, 3) for i in (1, 2))],
    "dense": ["linear"],
}
VALUES = {"kernel": "weight", "gamma": "weight", "moving_mean": "running_mean", "moving_variance": "running_var"}
VALUES |= {"bias": "bias", "beta": "bias"}


def layers(weights: h5py.Group, kind: str) -> list[h5py.Group]:
    """The layers of a kind, in their order."""
    numbers = {name: re.fullmatch(rf"{kind}(?:_(\d+))?", name) for name in weights}
    named = sorted((int(match[1] or 0), name) for name, match in numbers.items() if match)
    return [weights[name] for _, name in named]


def tensors(layer: h5py.Group) -> dict[str, np.ndarray]:
    """A layer's values as torch names and lays them out: outputs, inputs, rows, columns."""
    found: dict[str, np.ndarray] = {}

    def take(path: str, value: h5py.Group | h5py.Dataset) -> None:
        if isinstance(value, h5py.Dataset):
            name = VALUES[path.rpartition("/")[2].partition(":")[0]]
            axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]
            found[name] = np.ascontiguousarray(value[()].transpose(axes), dtype=np.float32)

    layer.visititems(take)
    return found


source, folder = sys.argv[1:]
with h5py.File(source) as file:
    state = {
        f"{name}.{value}": array
        for kind, names in LAYERS.items()
        for name, layer in zip(names, layers(file["model_weights"], kind), strict=True)
        for value, array in tensors(layer).items()
    }
target = Path(folder, "weights", "resnet8-mlperf-tiny.safetensors")
target.parent.mkdir(parents=True, exist_ok=True)
save_file(state, target)
print(target)
