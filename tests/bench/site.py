"""`python -m tests.bench.site`: a generated lake as pages, and how long a browser takes to show, search and draw it.

TABLES (default 500) of COLUMNS (default 20) columns each, told by commits without rows, on the embedded store.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

from lake.catalog import Catalog
from lake.settings import load_settings
from lake.site import build_site
from lake.store import open_store
from tests.browser import browser_page
from tests.generated import generate

_TABLES, _COLUMNS = (int(os.environ.get(name, usual)) for name, usual in (("TABLES", "500"), ("COLUMNS", "20")))
_SHOWN = "document.querySelectorAll('#found [role=option]').length > 0"


def main() -> None:
    """Generate, write, look."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        store = open_store(load_settings(home=Path(home), root=Path(home)))
        release = generate(store, _TABLES, _COLUMNS)
        before, started = sum(store.requests.values()), time.perf_counter()
        index = build_site(Catalog(store), Path(home) / "site", env="bench", release=release)
        took, asked = time.perf_counter() - started, sum(store.requests.values()) - before
        size = sum(file.stat().st_size for file in index.parent.rglob("*") if file.is_file())
        print(f"{_TABLES:,} tables × {_COLUMNS} columns: written in {took:.1f} s with {asked:,} requests, {size / 1e6:.1f} MB")
        with browser_page() as page:
            _look(page, index, list(release.tables)[-1])
        store.close(wait=True)


def _look(page: Page, index: Path, name: str) -> None:
    _timed("front page", lambda: page.goto(index.as_uri()))
    page.locator("#search").focus()
    page.wait_for_function("'search' in lakeHeld")
    page.locator("#search").fill("column_7")
    page.wait_for_function(_SHOWN)
    took = page.evaluate(
        "() => { const box = document.getElementById('search'); const at = performance.now(); box.dispatchEvent(new Event('input')); return performance.now() - at; }"
    )
    print(f"{'search':<22} {took:8.0f} ms to answer")
    _timed("page of a table", lambda: page.goto(f"{index.parent.as_uri()}/tables/{name}.html"))

    def graph(mark: str) -> None:
        page.goto(f"{index.parent.as_uri()}/lineage.html{mark}")
        page.wait_for_function("window.lakeLineage !== undefined")

    _timed("graph, nothing chosen", lambda: graph(""))
    page.goto("about:blank")
    _timed("graph of a column", lambda: graph(f"#{name}.column_7"))
    print(f"{'':<22} {page.evaluate('lakeLineage.cy.nodes(`.table`).length'):8,} tables drawn")
    _timed("graph of all tables", lambda: page.get_by_role("button", name="All tables").click())
    print(f"{'':<22} {page.evaluate('lakeLineage.cy.nodes(`.table`).length'):8,} tables drawn")


def _timed(what: str, act: Callable[[], object]) -> None:
    started = time.perf_counter()
    act()
    print(f"{what:<22} {(time.perf_counter() - started) * 1000:8.0f} ms")


if __name__ == "__main__":
    main()
