"""A raw place: the raw object that a row came from, and the file inside it where that is an archive. Names may hold any sign, so a place is read by the objects that there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

_INSIDE = "#"


def place_of(file: str, member: str | None) -> str:
    """The place of rows of the raw object `file`, or of the file `member` in it."""
    return file if member is None else f"{file}{_INSIDE}{member}"


def readings(place: str) -> Iterator[tuple[str, str | None]]:
    """Every raw object with the file inside it that `place` may mean, the one with the longest name first."""
    yield place, None
    at = len(place)
    while (at := place.rfind(_INSIDE, 0, at)) > 0:
        yield place[:at], place[at + 1 :]


def file_of(place: str, files: Collection[str]) -> str | None:
    """Which of the raw objects `files` the place is in; None if in none."""
    return next((file for file, _ in readings(place) if file in files), None)


def files_meant(places: Iterable[str]) -> list[str]:
    """Every name of a raw object that one of the places may mean, sorted."""
    return sorted({file for place in places for file, _ in readings(place)})
