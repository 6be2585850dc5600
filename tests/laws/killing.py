"""A process that is no more, as a test of laws has it in its own: the store answers nobody from one of its writes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lake.store import Store

_MUTATING = ("put", "put_if_absent", "upload", "delete")


class Killed(BaseException):
    """The process is no more."""


def kill(store: Store, at: int, *, after: bool) -> None:
    """Let the `at`-th call that changes the store be its last: not made at all, or made and its answer lost. Later calls die too."""
    count, mutex = [0], threading.Lock()

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with mutex:
                count[0] += 1
                mine = count[0]
            if mine > at or (mine == at and not after):
                raise Killed
            result = real(*args, **kwargs)
            if mine == at:
                raise Killed
            return result

        return call

    for name in _MUTATING:
        setattr(store, name, dying(getattr(store, name)))
