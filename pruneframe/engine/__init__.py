"""How the outputs of many candidates are computed; the only place that knows how.

`choice` picks a path for each candidate: `sparse`, a kernel that multiplies only what is left, compiled from the
network's graph by `plan`; `plain`, torch's own forward pass; or `gpu`, a CUDA graph (`capture`) over weights that lie
in one row (`flat`), at a `precision`. `batch_norm` is batch_norm=shifted.
"""

from .choice import Engine as Engine
from .choice import available as available
from .plain import State as State
from .precision import search_precision as search_precision
from .sparse import kernel as kernel
