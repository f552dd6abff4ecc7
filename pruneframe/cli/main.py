"""The command `pruneframe`: finds its commands, and turns what goes wrong into one line and an exit code.

Commands import what they need when they run, so that `--help` stays instant.
"""

from __future__ import annotations

import atexit
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any

import click

from ..errors import InputError, PruneframeError, one_line

COMMANDS = (
    *("bench", "data", "export", "info", "list", "merge", "noise", "plugins", "remove", "report"),
    *("reproduce", "summary", "tabulate", "train", "tune", "verify"),
)
SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}  # threads that wait leave their cores to others
LIGHT = ("list", "plugins")  # commands that need neither torch nor numpy
NEEDED = 4 << 30  # bytes of addresses that torch needs with all its libraries
DRAW = {"MPLBACKEND": "agg"}  # without windows, whatever plugins draw with
OK, USAGE, INTERNAL, INTERRUPTED = 0, 2, 3, 130


class Commands(click.Group):
    """Loads a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return import_module(f".{name}", __package__).command

    def invoke(self, ctx: click.Context) -> Any:
        """As any group's; a file that ends too early is no end of what somebody types, which click takes it for."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise InputError(f"a file ends too early ({error})") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pruneframe")
def cli() -> None:
    """Compare methods that prune trained neural networks: same problems, same compute, sound statistics."""


def main() -> None:
    """The entry point of the console script."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    for name, value in (SLEEP | DRAW).items():  # read where libraries are imported, here and in the worker processes
        os.environ.setdefault(name, value)
    _leave(run())


def _leave(code: int) -> None:
    """End the process, also where a plugin has left threads running, for which Python would wait."""
    from ..patience import lasting

    if lasting():
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first one ends what is under way in order; who is not content with that leaves at once."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    raise KeyboardInterrupt


def _check(arguments: Sequence[str]) -> None:
    """Raise InputError for what would end in the middle of a library."""
    if any("\0" in argument for argument in arguments):
        raise InputError("arguments must not hold NUL characters, but one does")
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed not in (-1, resource.RLIM_INFINITY) and allowed < NEEDED and not {*LIGHT, "--help"} & {*arguments}:
        raise InputError(
            f"a process must be allowed {NEEDED >> 20:,} MiB of addresses, which torch takes with its libraries, but "
            f"has {allowed >> 20:,} MiB here; raise ulimit -v"
        )


def run() -> int:
    """Run the command line; returns the exit code."""
    try:
        _check(sys.argv[1:])
        return cli(standalone_mode=False) or OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx:
            click.echo(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n", err=True)
        click.echo(f"Error: {one_line(error.format_message())}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on from here", err=True)
        return INTERRUPTED
    except PruneframeError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except OSError as error:
        told = f"{error.filename or 'a file'} cannot be used ({error.strerror or error})"
        click.echo(f"Error: {one_line(told)}", err=True)
        return USAGE
    except MemoryError as error:
        click.echo(f"Error: the memory of this process is not enough ({error or 'no more was given'})", err=True)
        return USAGE
    except SystemExit:  # click's answer to a reader that has left, as in `pruneframe list | head -1`
        return OK
    except Exception:
        traceback.print_exc()
        click.echo("Error: this is a fault of pruneframe; please report the lines above", err=True)
        return INTERNAL
