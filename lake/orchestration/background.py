"""What Prefect is told beside the work: cards, pictures, progress, a run's name. It is said in order, by a thread of its own, and no hop waits for it.

A Prefect that is gone for a while keeps no run from its work: its client tries for a minute, and what it still does not take is left unsaid.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import httpx
from prefect.exceptions import PrefectException

from lake.errors import LakeError

_AWAY = (PrefectException, httpx.HTTPError, RuntimeError)
_logger = logging.getLogger(__name__)
_PATIENCE = 70.0  # seconds: as long as Prefect's client tries, and a little
_teller = ThreadPoolExecutor(1, thread_name_prefix="tells-prefect")
_open: list[Future[None]] = []


def later(say: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Have `say` called in the context of this run, after what was handed over before it."""
    _open[:] = [future for future in _open if not future.done()]
    _open.append(_teller.submit(contextvars.copy_context().run, _say, say, args, kwargs))


def all_said() -> None:
    """Wait until everything was said, or Prefect was given its time."""
    _, unsaid = wait(_open, _PATIENCE)
    for future in unsaid:
        future.cancel()


def _say(say: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        say(*args, **kwargs)
    except _AWAY:
        _logger.debug("Prefect did not take it", exc_info=True)
    except LakeError as error:  # what was to be shown could not be read
        _logger.warning("not shown in Prefect: %s", error)
