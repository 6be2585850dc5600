"""Which of the files that a source offered are deliveries: new ones, copies of what landed, and those that go on from or correct an earlier one."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Collection
from typing import Any

from lake.continuing import continued
from lake.receipts import Known


def new_receipts(
    receipts: list[dict[str, Any]], known: Known, looked: dt.datetime | None, *, deliver: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Receipts of files not landed yet, and of copies of landed content under another name; the rest is known as it is.

    Where each delivery counts (`deliver`), there are no copies, and each has a raw object of its own; one that was left out comes in as of when it was offered first.
    """
    fresh, duplicates = [], []
    contents = {content: dict(files) for content, files in known.by_content.items()}
    for receipt in receipts:
        last, there = known.by_name.get(receipt["name"]), contents.setdefault(receipt["sha256"], {})
        left_out = deliver and last is not None and last["status"] == "duplicate"
        if last is not None and last["sha256"] == receipt["sha256"] and not left_out:
            continue  # touched, or copied by a run that was faster
        if last is not None and (looked is None or last["landed_at"] > looked):
            continue  # landed by another run since this one looked; the next run sees what the file is now
        if last is None and there and not deliver:
            duplicates.append(receipt | {"status": "duplicate", "file": next(iter(there))})
            continue
        came = {"first_landed": last["landed_at"]} if left_out and last is not None and last["sha256"] == receipt["sha256"] else {}
        file = _own(receipt["file"], there) if deliver else receipt["file"]
        fresh.append(receipt | {"file": file} | came)
        there[file] = receipt["name"]
    return fresh, duplicates


def changed_names(fresh: list[dict[str, Any]], known: Known) -> dict[str, str]:
    """The names of files that go on from one that landed before, each with the name of that; and of those that are other than they were, with none."""
    told = {}
    for receipt in fresh:
        last = known.by_name.get(receipt["name"])
        if (before := continued(receipt)) is not None:
            told[receipt["name"]] = before.name
        elif last is not None and last["size"] and last["sha256"] != receipt["sha256"]:
            told[receipt["name"]] = ""
    return told


def _own(file: str, taken: Collection[str]) -> str:
    """The raw object for a delivery: `file`, or where the same content came under that name before, one beside it with the number of the delivery."""
    folder, _, name = file.rpartition("/")
    return next(path for number in itertools.count(1) if (path := file if number == 1 else f"{folder}/{number}/{name}") not in taken)


def name_of_same(receipts: list[dict[str, Any]], copy: dict[str, Any]) -> str:
    """The name of the one of `receipts` that has the content of `copy`."""
    return next((receipt["name"] for receipt in receipts if receipt["sha256"] == copy["sha256"]), "")
