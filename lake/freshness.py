"""Which tables are as fresh as they promise. Read from the last commit of each."""

from __future__ import annotations

import datetime as dt
from typing import Any

from lake.catalog import Catalog
from lake.release import Release
from lake.retired import retired


def freshness(catalog: Catalog, release: Release | None) -> list[dict[str, Any]]:
    """One row a table that promises freshness, stalest first: table, fresh, age_seconds, promised_seconds, freshest, owner.

    Retired tables promise nothing. Age counts from when the newest raw file that reached the table landed. With a release, tables are looked at as readers see them.
    """
    gone = retired(catalog.store)
    names = [name for name in (release.tables if release else catalog.names()) if name not in gone]
    rows = []
    for name in names:
        last = catalog.log(name).last_record(until=release.tables[name].version if release else None)
        if last is None or last[1].fresh_within_seconds is None:
            continue
        record = last[1]
        age = (dt.datetime.now(dt.UTC) - record.freshest).total_seconds() if record.freshest else None
        rows.append(
            {"table": name, "fresh": age is not None and age <= last[1].fresh_within_seconds, "age_seconds": age, "promised_seconds": record.fresh_within_seconds,
             "freshest": record.freshest, "owner": record.owner}
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row["fresh"], -(row["age_seconds"] or float("inf"))))
