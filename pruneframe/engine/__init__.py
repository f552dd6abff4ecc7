"""How the outputs of many candidates are computed; the only place that knows how.

`choice` picks the path: `sparse`, a kernel that multiplies only what is left and computes once what candidates share
(`prefix`), on a plan that `compiler` makes of the network's graph; else `plain`, torch's own forward pass, or `shrunk`,
the same without the removed filters; on a GPU `gpu`, CUDA graphs (`capture`) over weights in one row (`flat`), at a
`precision`. `batch_norm` is batch_norm=shifted, `moments` its statistics by the kernel; `library` calls the kernel, on
`lists`.
"""

from .batch_norm import pair as pair
from .choice import Engine as Engine
from .choice import available as available
from .library import kernel as kernel
from .plain import State as State
from .plain import memory_format as memory_format
from .precision import search_precision as search_precision
