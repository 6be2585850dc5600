"""Asking before something is done that readers notice: on a terminal in words, in scripts by --yes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from lake.cli.render import safe
from lake.errors import LakeError

yes_option: Callable[..., Any] = click.option("--yes", "-y", "yes", is_flag=True, help="Do it without asking: for scripts.")


class NobodyToAsk(LakeError):
    """Something must be agreed to, and there is no terminal on which to ask."""


def agreed(question: str, *, yes: bool, look: str) -> None:
    """Go on if `yes` was given or somebody says so now. Raises NobodyToAsk without a terminal, with `look` as the way to see first; Abort for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NobodyToAsk("this asks before it does anything, and there is no terminal to ask on", f"Give --yes to agree beforehand; {look}")
    click.confirm(safe(question), abort=True, err=True)
