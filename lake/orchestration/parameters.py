"""Parameters of flows as a form shows them: names to choose from, and what each is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any


def choices(title: str, names: Iterable[str]) -> Any:
    """A type whose values are `names`: a form lets people choose among them."""
    return StrEnum(title, {name: name for name in names} or {"none": "none"})


def described(function: Callable[..., Any], summary: str, **parameters: str) -> None:
    """Give the function a docstring in the form that Prefect reads descriptions of parameters from."""
    lines = [f"    {name}: {told}" for name, told in parameters.items()]
    function.__doc__ = summary + ("\n\nArgs:\n" + "\n".join(lines) if lines else "")
