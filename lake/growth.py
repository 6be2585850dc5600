"""Files that go on from what landed before: of each the records that are new, whatever became of the file that it goes on from."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from lake.continuing import continued
from lake.contract import FILE, ROW
from lake.intake import take_in
from lake.meter import carried
from lake.quarantine import open_rejects
from lake.reading.dialect import Continued, Dialect
from lake.receipts import receipt_of
from lake.record import Record
from lake.run import Run
from lake.source import Source
from lake.table import Table, path_of
from lake.taken import Taken

_AT_ONCE = 2  # files


def take_all(run: Run, source: Source, receipts: pl.DataFrame, folder: Path, before: Record | None) -> list[Taken]:
    """Every file of the batch, in its order; a few at once, so that one is counted and fetched while another is parsed.

    Of a file that goes on from another come the records that the other had not. Where that was rejected whole, it goes on from what the other went on from; else it
    comes in whole.
    """

    def one(numbered: tuple[int, dict[str, Any]]) -> list[Taken]:
        number, receipt = numbered
        after = taken_after(run, source.into, receipt) if receipt["status"] == "again" else None
        return take_in(run, source.into, receipt, folder / f"{number}", after=after)

    rows = list(receipts.iter_rows(named=True))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = list(pool.map(carried(one), enumerate(rows)))
    if not any(item.consumed.after for items in done for item in items):
        return [item for items in done for item in items]
    refused = _refused(run, source.into, before) | {item.consumed.file for items in done for item in items if not item.accepted}
    for number, receipt in enumerate(rows):
        last = told = continued(receipt)
        while last is not None and last.file in refused:
            older = receipt_of(run, source.name, last.file)
            last = continued(older) if older is not None else None
        if last != told and receipt["status"] != "again":
            again = receipt | {"dialects": _dialects(receipt, last)}
            done[number] = take_in(run, source.into, again, folder / f"{number}-whole", after=None if last is not None else 0)
    return [item for items in done for item in items]


def going_on(dialects: list[Dialect], receipt: dict[str, Any]) -> list[Dialect]:
    """Dialects that were found anew, with what the file goes on from, and by the edition by which its records were numbered."""
    last = continued(receipt)
    editions = {was.get("member"): was.get("edition", 1) for was in json.loads(receipt["dialects"])}
    dialects = [found.model_copy(update={"edition": editions.get(found.member, found.edition)}) for found in dialects]
    return [dialects[0].model_copy(update={"continues": last})] if last is not None and len(dialects) == 1 else dialects


def taken_after(run: Run, table: Table, receipt: dict[str, Any]) -> int | None:
    """How many of the first records of a file were left out when the table took it in; None where it goes on from no other, or was not taken in."""
    if continued(receipt) is None:
        return None
    records = (record for _, record in run.log(path_of(table.name)).back() if record.kind == "ingest")
    return next((file.after for record in records for file in record.files if file.file == receipt["file"] and file.reason is None), None)


def _refused(run: Run, table: Table, before: Record | None) -> set[str]:
    """The raw objects that the table rejects whole."""
    if before is None or not before.rejects:
        return set()
    whole = open_rejects(run, table, before).filter(pl.col(ROW).is_null() & pl.col("line").is_null())
    return set(whole.select(pl.col(FILE).unique()).collect(engine="streaming").to_series())


def _dialects(receipt: dict[str, Any], last: Continued | None) -> str:
    (found,) = json.loads(receipt["dialects"])
    found = {name: value for name, value in found.items() if name != "continues"}
    return json.dumps([found | ({"continues": last.model_dump()} if last is not None else {})])
