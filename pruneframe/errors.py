"""What can go wrong for a user, each with the exit code of the command line.

`BudgetSpent` is not here: it is no error, see `pruneframe.ledger`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LONGEST = 2000  # characters of a line that people are told


def one_line(message: str) -> str:
    """A message for people: in one line, not endless, and without characters that a terminal would obey."""
    line = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in " ".join(message.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


class PruneframeError(Exception):
    """Anything a user is told in one line, whatever a library's message in it looks like; exits with `exit_code`."""

    exit_code = 3

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(PruneframeError):
    """A name, value, file or combination that cannot be used: says the rule, the value and the way out."""

    exit_code = 2


class Declined(InputError):
    """A method will not run on this problem; raised by `Task.decline` before anything is spent."""


class Faulty(PruneframeError):
    """A component has not kept its contract; `kind` and `spec` say which, an empty spec the method of the run."""

    exit_code = 1

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
    except (Exception, SystemExit) as error:
        raise Faulty(f"{kind} {spec} fails: {type(error).__name__}: {error}", kind, spec) from error


class Overstepped(Faulty):
    """A component has changed what others see, or used the network more than it pays for."""


class NothingSelected(PruneframeError):
    """The selection is valid but empty."""

    exit_code = 4


class RunsFailed(PruneframeError):
    """Some runs of a study have failed, and all others have ended."""

    exit_code = 1


class VerificationFailed(PruneframeError):
    """What was computed once more is not what was written down."""

    exit_code = 5


class NotDeterministic(PruneframeError):
    """On replay a method asked another question than the journal holds."""


class Damaged(InputError):
    """A file of a study is not as it was written: it is never believed."""


class Gone(Damaged):
    """Tensors that a run needs are not there, or are others."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that nothing has: names the nearest one, or lists what there is."""
    names = sorted(known)
    spelt = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), spelt, n=1)
    way_out = f"did you mean {spelt[near[0]]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
    return InputError(f"no {kind} is named {name!r}; {way_out}")
