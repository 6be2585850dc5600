"""Where rows stand in raw: the file as it came, on local disk, and the lines of records in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from lake.errors import LakeError
from lake.place import readings
from lake.reading.dialect import Dialect
from lake.reading.records import texts_of
from lake.reading.unpack import Compression, compression_of
from lake.receipts import receipt_of
from lake.run import Run

Fetched = tuple[Path, Compression | None]
"""A raw file on local disk, and how it is packed."""


def fetched(run: Run, receipt: dict[str, Any], folder: Path) -> Fetched:
    """The raw file on local disk, and how it is packed."""
    folder.mkdir(parents=True, exist_ok=True)
    local = folder / "raw"
    with local.open("wb") as handle:
        handle.writelines(run.raw.stream(receipt["file"]))
    stored = receipt.get("stored")
    if stored is None and receipt["packed"] is None:  # a receipt of an earlier lake: a file that came packed has `packed`
        stored = compression_of(local)
    return local, "zst" if stored == "zst" else receipt["packed"]


def place_in_words(run: Run, file: str, record: int) -> str:
    """A record of a raw file as people look for it: `orders.csv line 7`, or `orders.xlsx record 6` in a file without lines or one that cannot be read now.

    `file` and `record` are what a row carries as its raw place. Never raises: it is for messages about something else.
    """
    name = file.rsplit("/", 1)[-1]
    try:
        receipt = receipt_of(run, file.split("/")[1], file)
        if receipt is None:
            return f"{name} record {record:,}"
        member = next((inside for raw, inside in readings(file) if raw == receipt["file"]), None)
        name = receipt["name"] + (f" ({member})" if member else "")
        dialects = [Dialect.model_validate(said) for said in json.loads(receipt["dialects"])]
        dialect = next((one for one in dialects if one.member == member), dialects[0])
        with run.workspace("whereabouts") as folder:
            texts = texts_of(*fetched(run, receipt, folder), dialect, receipt["name"], folder / "texts", {record}, ours=receipt["packed"] is None)
    except (LakeError, pl.exceptions.PolarsError, OSError, LookupError, ValueError):
        return f"{name} record {record:,}"
    return f"{name} line {texts[record][0]:,}" if record in texts else f"{name} record {record:,}"
