"""Landing files that grew: whether a file begins with all that landed before under its name, or under one that changed at the same time, as logs that are rotated do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lake.errors import FileRejected, NotFound
from lake.reading.dialect import Continued, Dialect
from lake.reading.grown import Hashed, length_if_begun
from lake.reading.unpack import Compression, compression_of, unpack
from lake.run import Run

_LINES = ("csv", "ndjson")


def continued(receipt: dict[str, Any]) -> Continued | None:
    """What the file of a receipt goes on from."""
    found = json.loads(receipt["dialects"])
    return Continued.model_validate(found[0]["continues"]) if len(found) == 1 and "continues" in found[0] else None


def related(earlier: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Those of the last receipts of files that changed of which a file of this name may go on: its own, or where it is new, those of a name that its own begins with."""
    own = [receipt for receipt in earlier if receipt["name"] == name]
    return own or [receipt for receipt in earlier if name.startswith(_stem(receipt["name"]))]


def lengths_of(earlier: list[dict[str, Any]]) -> list[int]:
    """Of how many bytes the beginnings are that may have landed before, as they are."""
    return [receipt["size"] for receipt in earlier if receipt["packed"] is None]


def _stem(name: str) -> str:
    """A log's name as it is part of those that it is given when it is put aside: `x` of `x.log`, for `x.log.1` and `x-2026.log`."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last)


def with_beginning(
    run: Run, dialects: list[Dialect], plain: Path, compression: Compression | None, digest: Hashed, name: str, earlier: list[dict[str, Any]]
) -> list[Dialect]:
    """The dialects of a file with what it goes on from, where it is one text of lines and begins with one of the `earlier` files of which that is so too.

    A packed file is unpacked for that; where the earlier one is packed, it is read from raw.
    """
    if compression == "zip" or len(dialects) != 1 or dialects[0].problem or dialects[0].format not in _LINES:
        return dialects
    usable = [receipt for receipt in earlier if receipt["size"] and _format(receipt) == dialects[0].format]
    try:
        found = _begun(run, plain, compression, digest, name, usable)
    except (FileRejected, NotFound):
        found = None  # damage further on: reading it says so
    if found is None:
        return dialects
    receipt, length = found
    (was,) = json.loads(receipt["dialects"])
    was.pop("continues", None)
    goes_on = Continued(file=receipt["file"], name=receipt["name"], bytes=length, dialect=was)
    return [dialects[0].model_copy(update={"continues": goes_on, "edition": was.get("edition", 1)})]


def _begun(
    run: Run, plain: Path, compression: Compression | None, digest: Hashed, name: str, earlier: list[dict[str, Any]]
) -> tuple[dict[str, Any], int] | None:
    """The longest of the earlier texts that this one begins with, and its length in bytes."""
    text = digest
    if compression is not None and earlier:
        text = Hashed(lengths_of(earlier))
        for chunk in unpack(plain, compression, None, name):
            text.add(chunk)
    whole = [text.size] if compression is None else []  # the same bytes are a copy
    plainly = [one for one in earlier if one["packed"] is None and one["size"] not in whole and text.beginnings.get(one["size"]) == one["sha256"]]
    if plainly:
        best = max(plainly, key=lambda one: (one["size"], one["name"] == name))
        return best, best["size"]
    packed = next((one for one in earlier if one["name"] == name and one["packed"] not in (None, "zip")), None)
    if packed is None:
        return None
    length = length_if_begun(unpack(plain, compression, None, name), _unpacked(run, packed, plain.with_suffix(".before")))
    return (packed, length) if length else None


def _unpacked(run: Run, receipt: dict[str, Any], local: Path) -> Iterator[bytes]:
    """The text of an earlier file that came packed."""
    try:
        with local.open("wb") as handle:
            handle.writelines(run.store.stream(receipt["file"]))
        yield from unpack(local, compression_of(local), None, receipt["name"])
    finally:
        local.unlink(missing_ok=True)


def _format(receipt: dict[str, Any]) -> str | None:
    """The format of an earlier file that is one text and could be read; None for others."""
    found = json.loads(receipt["dialects"])
    return found[0]["format"] if len(found) == 1 and not found[0].get("problem") and not found[0].get("member") else None
