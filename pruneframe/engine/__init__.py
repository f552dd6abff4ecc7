"""How the outputs of many candidates are computed; the only place that knows how."""

from .plain import Engine as Engine
from .plain import State as State
