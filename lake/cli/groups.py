"""Groups of commands whose help tells of each command in whole sentences, over as many lines as that takes."""

from __future__ import annotations

import inspect
import re

import click


class WholeSentences(click.Group):
    """A group that lists its commands each with the first sentence of what it does, wrapped and never cut."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, first_sentence(command)) for name, command in found if command is not None and not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def first_sentence(command: click.Command) -> str:
    """What a command does, in the first sentence of its help."""
    text = " ".join(inspect.cleandoc(command.short_help or command.help or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text)[0]
