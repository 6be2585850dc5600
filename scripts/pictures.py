"""Draws the README's pictures from a flights lake made on the spot: lineage.svg, delays.svg and site.png in docs/images."""

import os
import runpy
import tempfile
from pathlib import Path

import vl_convert

from lake.catalog import Catalog
from lake.drawing import lineage_svg
from lake.lineage import edges
from lake.pipeline import load_pipeline
from lake.release import find_release
from lake.run import begin_run
from lake.settings import load_settings
from lake.site import build_site
from lake.store import close_stores
from tests.browser import browser_page

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"


def main() -> None:
    """Build the lake in a folder of its own, whatever the environment says, and draw."""
    for name in list(os.environ):
        if name.startswith(("LAKE_", "AWS_")):
            del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="lake-pictures-", ignore_cleanup_errors=True) as home:
        os.environ["LAKE_HOME"] = home
        settings = load_settings(root=ROOT)
        try:
            with begin_run(settings, "nyc", "pictures") as run:
                load_pipeline(settings, "nyc").run(run).raise_failures()
                _write("lineage.svg", lineage_svg(edges(Catalog(run.store)), title="From raw files to gold: the flights lake"))
                _write("delays.svg", _calendar())
                _site(Catalog(run.store), Path(home) / "site")
        finally:
            close_stores(wait=True)


def _site(catalog: Catalog, out: Path) -> None:
    """A column followed through the graph of `lake docs`, as a browser shows it."""
    index = build_site(catalog, out, env="dev", release=find_release(catalog.store))
    with browser_page(1280, 700) as page:
        page.goto(f"{index.parent.as_uri()}/lineage.html#gold.nyc.daily_delays.mean_delay")
        page.get_by_role("button", name="Show 12 columns").click()
        page.wait_for_timeout(500)
        page.screenshot(path=str(IMAGES / "site.png"))
    print(f"docs/images/site.png: {(IMAGES / 'site.png').stat().st_size / 1000:.0f} kB")


def _calendar() -> str:
    """The notebook's calendar of delays. Without the labels for screen readers, one a day, which double its size."""
    notebook = runpy.run_path(str(ROOT / "notebooks" / "flights.py"))
    _, defined = notebook["app"].run()
    return str(vl_convert.vegalite_to_svg(defined["calendar"].configure(aria=False).to_dict()))


def _write(name: str, svg: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    file = IMAGES / name
    file.write_text(svg, "utf-8")
    print(f"{file.relative_to(ROOT)}: {len(svg) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
