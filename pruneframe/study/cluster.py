"""A cluster: Dask's scheduler hands runs to workers here or on other machines, as many at once as those have threads.

A run goes by its name to whichever worker is free, also to one that joins late. Where a worker dies, the scheduler
hands its run to another, which goes on from the journal: the study lies where all can write. Of workers that both
believe that a run is theirs one waits, since the run is locked, and finds it done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from ..errors import InputError, RunsFailed
from .clerk import ClerkDied, Unwanted, by_clerk
from .executor import uninterrupted

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as Sent

    from .store import StudyFolder

LOCAL = re.compile(r"local:([1-9][0-9]{0,3})")
PATIENCE = 30  # seconds that a scheduler has to answer
HANDED_ON = "PRUNEFRAME_"  # variables of the command that clerks get, too: where data, cache and plugins are


def check_cluster(where: str) -> None:
    """Raise InputError where Dask is not installed, or `where` is neither local:N nor may be an address."""
    if find_spec("distributed") is None:
        raise InputError("--dask needs the package distributed, but it is not installed; pip install pruneframe[dask]")
    if where.startswith("local") and not LOCAL.fullmatch(where):
        raise InputError(f"--dask local:N must name 1 to 9999 workers, but got {where!r}")


def size_of(where: str) -> int | None:
    """How many runs a cluster on this machine carries out at once; None of others, whose workers come and go."""
    local = LOCAL.fullmatch(where)
    return None if local is None else int(local[1])


@contextmanager
def connected(where: str) -> Iterator[Client]:
    """A client of the scheduler at an address, or of one on this machine with N workers that end with the block.

    Raises InputError where nothing answers there.
    """
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        address: str | LocalCluster = where
        if (workers := size_of(where)) is not None:
            resource_tracker.ensure_running()  # which would let interrupts through again if it began later
            with uninterrupted():  # an interrupt is for the command, which then ends them
                address = LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
                )
            stack.enter_context(address)
        try:
            client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            rule = "--dask must be local:N or the address of a scheduler that answers"
            raise InputError(f"{rule}, but got {where!r} ({error})") from error
        yield stack.enter_context(client)


class DaskExecutor(Executor):
    """Carries out calls by the clerks of a cluster's workers: functions go by name, arguments as JSON has them.

    A call is broken off where its run is not wanted any more, also where the command that asked for it was killed.
    """

    def __init__(self, client: Client, study: StudyFolder, threads: int, versions: dict[str, str]) -> None:
        self._client, self._threads = client, threads
        self._common = {"study": str(study.path), "versions": versions}
        self._variables = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
        self._sent: list[Sent] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor's; arguments by position alone."""
        assert not kwargs
        errand = {"call": f"{fn.__module__}:{fn.__qualname__}", "arguments": args, **self._common}
        future: Future[Any] = Future()
        sent = self._client.submit(by_clerk, errand, self._threads, self._variables, pure=False)
        self._sent.append(sent)  # the scheduler forgets what nobody holds
        sent.add_done_callback(lambda sent: _pass_on(sent, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As any executor's."""
        if cancel_futures:
            self._client.cancel(self._sent, force=True)


def _pass_on(sent: Sent, future: Future[Any]) -> None:
    """Give a future the result that came, or the error.

    Results stay with the worker that has them: one that was lost with its worker is waited for until it comes again.
    """
    from distributed import KilledWorker

    try:
        future.set_result(sent.result())
    except (CancelledError, asyncio.CancelledError):
        future.set_exception(RunsFailed("the Dask scheduler has gone; the same command goes on"))
    except (KilledWorker, ClerkDied, Unwanted) as error:  # a worker that leaves wants nothing any more
        future.set_exception(BrokenProcessPool(str(error)))
    except Exception as error:
        future.set_exception(error)
