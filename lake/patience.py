"""Trouble that may pass is waited out: pauses that grow and are never alike, for so long and no longer; and who waits is told for what.

Whoever shows something to people registers with `telling`; without anybody, the logger `lake` has it.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_FIRST, _LONGEST = 0.25, 8.0  # seconds
_QUIET = 3.0  # seconds of trouble that nobody hears of
_TOLD_EVERY = 15.0  # seconds until the same place's trouble is told again
_tellers: list[Callable[[str], None]] = []
_last_told: dict[str, float] = {}
_logger = logging.getLogger("lake")

Result = TypeVar("Result")


@contextmanager
def telling(say: Callable[[str], None]) -> Iterator[None]:
    """Have `say` called with a line whenever something is waited for, or a person should know of trouble that stops nothing."""
    _tellers.append(say)
    try:
        yield
    finally:
        _tellers.remove(say)


def tell_people(line: str) -> None:
    """Say `line` to everybody who listens."""
    _logger.warning("%s", line, extra={"lake": {"event": "trouble"}})
    for say in tuple(_tellers):
        say(line)


class Trouble(Exception):
    """What kept a piece of work from being done may pass. `told` says what it was, in a few words; `error` is what is raised if it does not pass."""

    def __init__(self, told: str, error: Exception) -> None:
        super().__init__(told)
        self.told = told
        self.error = error


def pauses(seconds: float) -> Iterator[float]:
    """How long to wait before each next try, so that the last one begins about `seconds` after the first; each has been waited out before the next."""
    deadline, pause = time.monotonic() + seconds, _FIRST
    while (left := deadline - time.monotonic()) > 0:
        yield min(left, pause * (0.5 + secrets.randbelow(1000) / 1000))
        pause = min(_LONGEST, 2 * pause)


def persist(work: Callable[[], Result], *, where: str, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> Result:
    """What `work` returns, done again for up to `seconds` while it raises Trouble; then the error of the last one is raised.

    `where` is what people know the other side by; `meanwhile` is called before each next try.
    """
    waiting: Iterator[float] | None = None
    began = 0.0
    while True:
        try:
            result = work()
        except Trouble as trouble:
            if waiting is None:
                waiting, began = pauses(seconds), time.monotonic()
            pause = next(waiting, None)
            if pause is None:
                raise trouble.error from None
            if time.monotonic() - began > _QUIET:
                _say_once(where, f"{where} {trouble.told}; tried again for up to {seconds:.0f} s")
            time.sleep(pause)
            meanwhile()
            continue
        if waiting is not None:
            _say_over(where)
        return result


def _say_once(where: str, line: str) -> None:
    now = time.monotonic()
    if now - _last_told.get(where, float("-inf")) >= _TOLD_EVERY:
        _last_told[where] = now
        tell_people(line)


def _say_over(where: str) -> None:
    with contextlib.suppress(KeyError):
        _last_told.pop(where)
        tell_people(f"{where} answers again")
