"""What can go wrong for a user, each with the exit code of the command line.

`BudgetSpent` is not here: it is no error, see `pruneframe.ledger`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class PruneframeError(Exception):
    """Anything a user is told in one line, whatever a library's message in it looks like; exits with `exit_code`."""

    exit_code = 3

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(PruneframeError):
    """A name, value, file or combination that cannot be used: says the rule, the value and the way out."""

    exit_code = 2


class Declined(InputError):
    """A method will not run on this problem; raised by `Task.decline` before anything is spent."""


class Faulty(PruneframeError):
    """A component has not kept its contract; `kind` and `spec` say which, an empty spec the method of the run."""

    def __init__(self, message: str, kind: str = "method", spec: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.spec = spec


@contextmanager
def faults_of(kind: str, spec: str) -> Iterator[None]:
    """Whatever goes wrong in the block is this component's fault; what users are told already stays as it is."""
    try:
        yield
    except (PruneframeError, OSError, MemoryError):
        raise
    except Exception as error:
        raise Faulty(f"{kind} {spec} fails: {type(error).__name__}: {error}", kind, spec) from error


class Overstepped(Faulty):
    """A component has changed what others see, or used the network more than it pays for."""


class NothingSelected(PruneframeError):
    """The selection is valid but empty."""

    exit_code = 4


class NotDeterministic(PruneframeError):
    """On replay a method asked another question than the journal holds."""


class JournalBroken(PruneframeError):
    """A line inside the journal (not its torn end) cannot be read."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that nothing has: names the nearest one, or lists what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    way_out = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
    return InputError(f"no {kind} is named {name!r}; {way_out}")
