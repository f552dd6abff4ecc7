"""The page of commands, from what click knows of them."""

from __future__ import annotations

import inspect

import click

from pruneframe.cli.main import COMMANDS, cli

from .markdown import code, page, prose, section, table, target

ENVIRONMENT = {
    "PRUNEFRAME_DATA": "A folder of data sets and weights that is looked at first and never written to.",
    "PRUNEFRAME_CACHE": "Where everything downloaded, decoded or trained is kept, instead of the user's cache folder.",
    "PRUNEFRAME_PLUGINS": "What `-p` takes, separated by commas; `no:*` leaves out all that is not bundled.",
    "PRUNEFRAME_TRACE_PLUGINS": "1: who answers which hook with what is told on standard error.",
    "SOURCE_DATE_EPOCH": "The date of a comparison, in seconds, instead of that of its study.",
}


def pages() -> dict[str, str]:
    """One page."""
    opening = "Every command answers `--help`. All of them are listed here as they say it of themselves."
    variables = table(("variable", "what it is"), [(code(name), text) for name, text in ENVIRONMENT.items()])
    heading = section(2, "Environment variables", "environment-variables", variables)
    return {"commands.md": page("Commands", opening, *map(_command, COMMANDS), heading)}


def _command(name: str) -> str:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    context = click.Context(command, info_name=f"pruneframe {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    options = [record for one in command.params if (record := one.get_help_record(context)) is not None]
    rows = [(code(option), prose(text)) for option, text in options]
    parts = (
        f"```text\n{usage}\n```",
        prose(inspect.cleandoc(command.help or "")),
        table(("option", "what it does"), rows),
    )
    inner = [_sub(context, command, one) for one in command.list_commands(context)] if _group(command) else []
    return section(2, f"`pruneframe {name}`", target("pruneframe", name), *parts, *inner)


def _group(command: click.Command) -> bool:
    return isinstance(command, click.Group)


def _sub(parent: click.Context, group: click.Group, name: str) -> str:
    """A command within a command, such as `plugins new`."""
    command = group.get_command(parent, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    options = [record for one in command.params if (record := one.get_help_record(context)) is not None]
    rows = [(code(option), prose(text)) for option, text in options]
    parts = (
        f"```text\n{usage}\n```",
        prose(inspect.cleandoc(command.help or "")),
        table(("option", "what it does"), rows),
    )
    return section(3, f"`{context.command_path}`", target(*context.command_path.split()), *parts)
