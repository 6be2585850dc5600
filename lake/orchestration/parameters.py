"""Parameters of flows as a form shows them: names to choose from, and what each is for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from lake.errors import LakeError
from lake.range import iso


def _day(given: Any) -> dt.date:
    """A day as it is given. Pydantic alone would take a number, or digits, for seconds since 1970."""
    if isinstance(given, dt.date) and not isinstance(given, dt.datetime):
        return given
    try:
        if isinstance(given, str):
            return dt.date.fromisoformat(given)
    except ValueError:
        pass
    raise ValueError(f"{given!r} is no date; write 2026-11-23")


def _bound(given: Any) -> str | None:
    try:
        return iso(given)
    except LakeError as error:
        raise ValueError(str(error)) from None


Day = Annotated[dt.date, BeforeValidator(_day)]
"""A day, which a form lets people pick."""
Bound = Annotated[str, BeforeValidator(_bound), WithJsonSchema({"type": "string", "format": "date"})]
"""A day that a form lets people pick; or, given by a program, an instant."""


def choices(title: str, names: Iterable[str]) -> Any:
    """A type whose values are `names`: a form lets people choose among them."""
    return StrEnum(title, {name: name for name in names} or {"none": "none"})


def described(function: Callable[..., Any], summary: str, **parameters: str) -> None:
    """Give the function a docstring in the form that Prefect reads descriptions of parameters from."""
    lines = [f"    {name}: {told}" for name, told in parameters.items()]
    function.__doc__ = summary + ("\n\nArgs:\n" + "\n".join(lines) if lines else "")
