"""What a command that `lake up` runs owes it: a word when it works, and an end when it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

ready_option: Callable[..., Any] = click.option(
    "--ready", type=click.Path(path_type=Path), default=None, hidden=True, help="A file to be written when it works; it then ends with its parent."
)


def say_ready(file: Path | None, url: str = "") -> None:
    """It works, and answers at `url` if it answers at all."""
    if file is not None:
        half = file.with_name(f".{file.name}")
        half.write_text(url, "utf-8")
        half.replace(file)


@contextlib.contextmanager
def until_parent_ends(ready: Path | None) -> Iterator[None]:
    """Under `lake up`, have this process end when that one does, however it went: its end of our standard input closes."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    if ready is not None:
        threading.Thread(target=wait, daemon=True).start()
    yield
