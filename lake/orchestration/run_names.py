"""What flow runs are called: as somebody named them, else by what they do and what came of it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client

from lake.orchestration.api import current_flow_run, current_parameters
from lake.orchestration.background import all_said, later

_TWO_WORDS = re.compile(r"[a-z]+-[a-z]+", re.IGNORECASE)
_given: set[UUID] = set()


def run_name(what: str, more: str = "") -> Callable[[], str]:
    """How Prefect names a run of a flow that does `what`, with `more` about its parameters: as it is called already, where somebody chose that."""

    def name() -> str:
        usual, flow_run = f"{what}{more.format(**current_parameters())}", current_flow_run()
        if flow_run is None or not is_given(flow_run.name, what, usual):
            return usual
        _given.add(flow_run.id)
        return flow_run.name

    return name


def is_given(name: str, what: str, usual: str) -> bool:
    """Whether somebody chose the name of a run: Prefect did not make it up, and lake does not call a run that does `what` so, before its end or after."""
    return bool(name.strip()) and not is_made_up(name) and name != usual and not name.startswith(f"{what} · ")


def is_made_up(name: str) -> bool:
    """Whether Prefect calls runs so that nobody named: two of its words, which the form of its page begins with capitals. A person's two words, as in fix-tuesday, are not both of them."""
    return bool(_TWO_WORDS.fullmatch(name)) and (not (words := _vocabulary()) or words.issuperset(name.lower().split("-")))


@cache
def _vocabulary() -> frozenset[str]:
    """The words of which Prefect makes up names; none where a Prefect keeps them elsewhere."""
    try:
        lists: dict[str, Any] = importlib.import_module("coolname.data").config  # what Prefect draws from: it comes with Prefect
    except (ImportError, AttributeError):
        return frozenset()

    def words(of: str) -> Iterator[str]:
        told = lists.get(of, {})
        yield from told.get("words", ())
        for other in told.get("lists", ()):
            yield from words(other)

    return frozenset(words("2"))


def rename_run(name: str) -> None:
    """Call this flow run otherwise, now that it is known what came of it, unless somebody named it; and let all be said of it."""
    flow_run = current_flow_run()
    if flow_run is not None and flow_run.id not in _given:
        later(_rename, flow_run.id, name)
    all_said()


def _rename(flow_run: UUID, name: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run, name=name)
