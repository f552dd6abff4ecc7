"""The command `pruneframe`: finds its commands, and turns what goes wrong into one line and an exit code.

Commands import what they need when they run, so that `--help` stays instant.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from importlib import import_module

import click

from ..errors import PruneframeError

COMMANDS = (
    *("bench", "data", "export", "info", "list", "noise", "plugins", "report", "reproduce", "summary", "train", "tune"),
)
SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}  # threads that wait leave their cores to others
OK, USAGE, INTERNAL, INTERRUPTED = 0, 2, 3, 130


class Commands(click.Group):
    """Loads a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return import_module(f".{name}", __package__).command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pruneframe")
def cli() -> None:
    """Compare methods that prune trained neural networks: same problems, same compute, sound statistics."""


def main() -> None:
    """The entry point of the console script."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*")
    for name, value in SLEEP.items():  # read where torch is imported, here and in the worker processes
        os.environ.setdefault(name, value)
    sys.exit(run())


def run() -> int:
    """Run the command line; returns the exit code."""
    try:
        return cli(standalone_mode=False) or OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on from here", err=True)
        return INTERRUPTED
    except PruneframeError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except OSError as error:
        click.echo(f"Error: {error.filename or 'a file'} cannot be used ({error.strerror or error})", err=True)
        return USAGE
    except SystemExit:  # click's answer to a reader that has left, as in `pruneframe list | head -1`
        return OK
    except Exception:
        traceback.print_exc()
        click.echo("Error: this is a fault of pruneframe; please report the lines above", err=True)
        return INTERNAL
