"""The door by which what commands say leaves the process: standard output and error, without what is known as secret."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from lake.confidential import hidden


class _Told:
    """A stream that is written to without what is secret; in all else the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text; says how much of it was taken, as streams do."""
        self._stream.write(hidden(text, addresses=False) if isinstance(text, str) else text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def told_without_secrets() -> Iterator[None]:
    """Have everything in the block written to standard output and error by way of this door."""
    before = sys.stdout, sys.stderr
    ours: Any = [_Told(stream) for stream in before]
    sys.stdout, sys.stderr = ours
    try:
        yield
    finally:
        if [sys.stdout, sys.stderr] == ours:
            sys.stdout, sys.stderr = before
