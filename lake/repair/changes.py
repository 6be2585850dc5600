"""The rows that a commit changed, as hops read them that follow a table, told again from the versions before and after it."""

from __future__ import annotations

import polars as pl

from lake.content import row_hash
from lake.datafile import parts_in, write_parts
from lake.delta import DataFile, scan_files
from lake.errors import LakeError
from lake.log import key_of_record
from lake.repair.findings import Finding, Mended
from lake.run import Run

_KIND, _HASH, _OTHER = "_change_type", "#hash", "#other"


def mend_changes(run: Run, one: Finding) -> Mended:
    """Put the object with changes in its place again: all that the commit changed but what its other such objects still tell."""
    if one.version > run.log(one.table).version():
        run.store.delete([one.path])
        return Mended(one.path, "cut off", "with the commit that named it")
    try:
        why = _told_again(run, one)
    except Exception as error:  # noqa: BLE001  # whatever a library says of what it cannot read
        why = error.message if isinstance(error, LakeError) else "the versions before and after it cannot be read"
    if why is None:
        return Mended(one.path, "made again", "the rows that differ between the versions before and after it")
    return Mended(one.path, "lost", f"{why}; a hop that has not followed the table this far has to be run with --full. Or bring it back from a backup")


def _told_again(run: Run, one: Finding) -> str | None:
    """Write it; why that cannot be, else."""
    log = run.log(one.table)
    before, after = run.snapshot(one.table, one.version - 1), run.snapshot(one.table, one.version)
    record = log.record_at(one.version)
    key = key_of_record(run.store, log, record) if record is not None else []
    if not key:
        return f"nothing tells the rows of {one.table} apart"
    columns = list(after.schema)
    old, new = (side.scan().select(columns).with_columns(row_hash(after.schema).alias(_HASH)) for side in (before, after))
    both = new.select(*key, _HASH).join(old.select(*key, pl.col(_HASH).alias(_OTHER)), on=key, how="full", coalesce=True)
    differ = both.filter(pl.col(_HASH).ne_missing(pl.col(_OTHER)))
    came, went = pl.col(_OTHER).is_null(), pl.col(_HASH).is_null()
    parts = ((new, came, "insert"), (old, went, "delete"), (old, ~came & ~went, "update_preimage"), (new, ~came & ~went, "update_postimage"))
    every = pl.concat(
        rows.join(differ.filter(which).select(key), on=key, how="semi").select(columns).with_columns(pl.lit(kind).alias(_KIND)) for rows, which, kind in parts
    )
    told = [action["cdc"] for action in log.commit_at(one.version) if "cdc" in action]
    others = tuple(DataFile(cdc["path"], cdc["size"], 0, "") for cdc in told if f"{one.table}/{cdc['path']}" != one.path)
    if others:
        there = scan_files(run.store, one.table, pl.Schema({**after.schema, _KIND: pl.String()}), others)
        every = every.join(there, on=[*key, _KIND], how="anti")
    with run.workspace("repair-changes") as folder:
        write_parts(every, folder)
        written = parts_in(folder)
        if len(written) > 1:
            return "it changed more rows than one object holds"
        if not written:
            every.collect().write_parquet(folder / "none.parquet")
        run.store.upload(one.path, parts_in(folder)[0])
    return None
