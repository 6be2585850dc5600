"""Tags of a table: kept in its schema document with the rest of what is said of it, found by search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lake.catalog import Catalog
from lake.hop import changes, hop
from lake.run import Run
from lake.site.data import found_by
from lake.site.gather import gather
from tests.test_writes import _grow, _plain, bronze, log


def test_a_table_is_found_by_its_tags(run: Run, tmp_path: Path) -> None:
    """By `lake ls --search` and on the pages; tags that change are a new version of the schema that breaks nobody."""
    for number, tags in enumerate((("billing", "daily"), ("billing", "weekly")), 1):
        tagged = replace(log, name="silver.shop.tagged", tags=tags)
        _grow(run, tmp_path / f"{number}", [[(number, 1, "rome", "2024-01-02")]], hop(tagged, write="append", raw=changes(bronze))(_plain))
    catalog = Catalog(run.store)
    assert [row["table"] for row in catalog.search("weekly BILLING", catalog.tables())] == ["silver.shop.tagged"]
    assert catalog.search("daily", catalog.tables()) == []
    (told,) = gather(catalog, {"silver.shop.tagged": run.log("silver/shop/tagged").version()})
    assert "billing weekly" in found_by([told])[0][2]
    assert [row["class"] for row in catalog.schema_versions("silver.shop.tagged")] == ["none", "first"]
