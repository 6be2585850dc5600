"""Writes the pages: what was gathered goes through the templates, and the scripts and libraries that the pages need are put beside them."""

from __future__ import annotations

import datetime as dt
import importlib.resources
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lake import amounts
from lake.catalog import Catalog
from lake.dtypes import stored_type_name
from lake.errors import LakeError
from lake.record import Ledger
from lake.rejects_picture import share_of
from lake.release import Release
from lake.retired import retired
from lake.site import shapes
from lake.site.changes import steps
from lake.site.data import found_by, graph_of, script
from lake.site.gather import Told, gather, readers_of
from lake.site.pictures import bars, stack

_MARK = "data/moment.js"  # in every site, and what tells a site from any other folder
_RULES_DRAWN = 6
_ENTRIES = tuple(Ledger.model_fields)
_WENT = ("inserted", "updated", "unchanged", "aggregated", "superseded", "duplicate", "tombstones", "filtered", "rejected")


@dataclass(frozen=True)
class Picture:
    """A drawing of one number over the versions of a table, with its newest value in words."""

    title: str
    newest: str
    broken: bool
    svg: str


def build_site(catalog: Catalog, out: Path, *, env: str, release: Release | None) -> Path:
    """Write the pages of the tables that `release` pins (None: as they are now) into the folder `out`. Returns the path of index.html.

    The same commits give the same files, but for the moment in data/moment.js. Pages of tables that are there no more are removed. Raises
    LakeError if the folder holds something else.
    """
    _check_ours(out)
    versions = {name: pin.version for name, pin in release.tables.items()} if release else {name: catalog.last(name)[0] for name in catalog.names()}
    tables = gather(catalog, versions)
    history, older = steps(catalog, release.number) if release else ([], 0)
    templates = _templates()
    about: dict[str, Any] = {"env": env, "release": release, "tables": tables, "steps": history, "older": older, "embedded": catalog.store.embedded}
    about |= {"retired": retired(catalog.store), "unreleased": [name for name in catalog.names() if name not in versions]}
    about |= {"readers": readers_of(tables), "known": set(versions), "endpoint": "" if catalog.store.embedded else catalog.store.endpoint}
    pages = {
        "index.html": templates.get_template("index.html").render(root="", page="tables", **about),
        "lineage.html": templates.get_template("lineage.html").render(root="", page="lineage", **about),
        "releases.html": templates.get_template("releases.html").render(root="", page="releases", **about),
        "data/search.js": script("search", found_by(tables)),
        "data/graph.js": script("graph", graph_of(tables)),
        _MARK: script("moment", dt.datetime.now(dt.UTC).isoformat(timespec="seconds")),
    }
    table_page = templates.get_template("table.html")
    for told in tables:
        pages[f"tables/{told.name}.html"] = table_page.render(root="../", page="table", told=told, pictures=_pictures(told), **about)
    _write(out, pages)
    return out / "index.html"


def _check_ours(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise LakeError(f"{out} is a file", "Name a folder for the pages")
    if out.is_dir() and any(out.iterdir()) and not (out / _MARK).exists():
        raise LakeError(f"{out} is not empty and holds no pages of lake's", "Name another folder; what is in this one stays as it is")


def _write(out: Path, pages: dict[str, str]) -> None:
    for page in (out / "tables").glob("*.html"):
        if f"tables/{page.name}" not in pages:
            page.unlink()
    for name, text in pages.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    with importlib.resources.as_file(importlib.resources.files("lake.site") / "static") as static:
        shutil.copytree(static, out / "static", dirs_exist_ok=True)


def _templates() -> Environment:
    made = Environment(loader=PackageLoader("lake.site"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "number": shapes.number, "signed": shapes.signed, "size": amounts.size, "instant": shapes.instant, "stamp": shapes.stamp,
        "lasting": shapes.lasting, "kind": stored_type_name, "fragment": shapes.fragment, "plural": shapes.plural,
    }  # fmt: skip
    made.globals |= {"went": _went, "used": _used}
    return made


def _went(ledger: Ledger) -> str:
    """The ledger as a thin bar: of the rows read, or, where rows are summed up, of the groups made."""
    left_out = ("aggregated", "filtered") if ledger.groups is not None else ()
    return stack([(entry, getattr(ledger, entry)) for entry in _WENT if entry not in left_out])


def _used(ledgers: Sequence[Ledger]) -> list[str]:
    """The entries that at least one of the ledgers counts."""
    return [entry for entry in _ENTRIES if any(getattr(ledger, entry) for ledger in ledgers)]


def _pictures(told: Told) -> list[Picture]:
    """How the table went, version by version: rows, the share rejected, and each rule that was broken."""
    runs = told.runs[::-1]
    if not runs:
        return []
    when = [f"version {version}, {shapes.instant(record.at)}" for version, record in runs]
    records = [record for _, record in runs]

    def drawn(title: str, values: list[float], words: list[str], tone: str, *, broken: bool) -> Picture:
        return Picture(
            title,
            words[-1],
            broken,
            bars(values, [f"{word} · {at}" for word, at in zip(words, when, strict=True)], tone, what=f"{title}: {words[-1]} in the newest version"),
        )

    shares = [share_of(record) for record in records]
    found = [
        drawn("Rows", [float(record.rows) for record in records], [shapes.plural(record.rows, "row") for record in records], "good", broken=False),
        drawn("Rejected, of the rows judged", shares, [f"{share:.2%}" for share in shares], "bad", broken=shares[-1] > 0),
    ]
    totals: dict[str, int] = {}
    for record in records:
        for rule, count in (*record.rules.items(), *record.warned.items()):
            totals[rule] = totals.get(rule, 0) + count
    for rule in sorted(totals, key=lambda name: (-totals[name], name))[:_RULES_DRAWN]:
        counts = [record.rules.get(rule, 0) + record.warned.get(rule, 0) for record in records]
        tone = "warned" if any(rule in record.warned for record in records) else "bad"
        found.append(drawn(rule, [float(count) for count in counts], [shapes.plural(count, "row") for count in counts], tone, broken=counts[-1] > 0))
    return found
