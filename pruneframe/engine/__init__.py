"""How the outputs of many candidates are computed; the only place that knows how.

`choice` picks a path for each candidate: `sparse`, a kernel that multiplies only what is left, compiled from the
network's graph by `plan`; or `plain`, torch's own forward pass. `batch_norm` is batch_norm=shifted.
"""

from .choice import Engine as Engine
from .plain import State as State
from .sparse import kernel as kernel
