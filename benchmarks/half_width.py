"""How much faster inference runtimes are with every second filter of a network, each timed in turns with the whole.

python benchmarks/half_width.py [--problems lenet-digits] [--targets local-cpu,onnxruntime,openvino]
"""

from __future__ import annotations

import click
import numpy as np
import torch

from pruneframe.mask import Masks
from pruneframe.model.shrink import shrink
from pruneframe.registry import Registry
from pruneframe.search.shelf import Shelf
from pruneframe.search.workbench import DENSE, Workbench
from pruneframe.spec import names
from pruneframe.target import Target


@click.command()
@click.option("--problems", default="lenet-digits", show_default=True)
@click.option("--targets", default="local-cpu,onnxruntime,openvino", show_default=True)
def main(problems: str, targets: str) -> None:
    """Print a line for each problem and target."""
    registry = Registry()
    torch.set_num_threads(1)
    for name in names([problems]):
        loaded = registry.problem(name).with_settings(units="filter").load(registry.component)
        network, layout = loaded.network, loaded.network.layout
        mask = Masks.pack(np.concatenate([np.arange(size) % 2 == 0 for size in layout.sizes])[None], layout)
        half = shrink(network, mask, Workbench(loaded, "cpu", Shelf(None)).masked(mask, DENSE))
        for target in names([targets]):
            series = registry.component(Target, target).series([network.module, half], [network.inputs] * 2)
            whole, less = np.median(series, axis=1)
            times = f"{1e3 * whole:.3f} ms, half {1e3 * less:.3f} ms"
            print(f"{name} on {target}: {times}: {whole / less:.2f} times as fast")


if __name__ == "__main__":
    main()
