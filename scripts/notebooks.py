"""Writes notebooks/jupyter from the marimo notebooks, and pages of them, run on a flights lake made on the spot, into build/notebooks.

The pages need no internet: what marimo would load from elsewhere lies beside them. Browsers load it from a web server only, not from disk. With --check only says which of the Jupyter notebooks are stale; with --jupyter writes these alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import marimo

from lake.pipeline import load_pipeline
from lake.run import begin_run
from lake.settings import load_settings
from lake.store import close_stores

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
JUPYTER = ROOT / "notebooks" / "jupyter"
PAGES = ROOT / "build" / "notebooks"
_ELSEWHERE = re.compile(r"https://cdn\.jsdelivr\.net/npm/@marimo-team/frontend@[^/]+/dist/")


def jupyter(notebook: Path) -> str:
    """The notebook as Jupyter's JSON, without outputs: the same cells give the same text."""
    return _marimo("ipynb", "--sort", "top-down", str(notebook)).rstrip() + "\n"


def stale() -> list[str]:
    """What is wrong with the Jupyter notebooks as they are committed, a line each."""
    wanted = {f"{notebook.stem}.ipynb": notebook for notebook in NOTEBOOKS}
    found = {file.name: file.read_text("utf-8") for file in JUPYTER.glob("*.ipynb")}
    wrong = [f"notebooks/jupyter/{name} is stale: run `make notebooks`" for name, notebook in wanted.items() if found.get(name) != jupyter(notebook)]
    return wrong + [f"notebooks/jupyter/{name} has no notebook that it is made from: remove it" for name in sorted(found.keys() - wanted.keys())]


def write_jupyter() -> None:
    """Bring notebooks/jupyter up to date."""
    JUPYTER.mkdir(exist_ok=True)
    for notebook in NOTEBOOKS:
        (JUPYTER / f"{notebook.stem}.ipynb").write_text(jupyter(notebook), "utf-8")


def write_pages() -> None:
    """Run every notebook on a lake in a folder of its own, whatever the environment says, and keep what it shows as a page."""
    for name in list(os.environ):
        if name.startswith(("LAKE_", "AWS_")):
            del os.environ[name]
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(Path(marimo.__file__).parent / "_static", PAGES / "marimo", ignore=shutil.ignore_patterns("*.md", "*.map"))
    with tempfile.TemporaryDirectory(prefix="lake-notebooks-", ignore_cleanup_errors=True) as home:
        os.environ["LAKE_HOME"] = home
        settings = load_settings(root=ROOT)
        try:
            with begin_run(settings, "nyc", "notebooks") as run:
                load_pipeline(settings, "nyc").run(run).raise_failures()
                for notebook in NOTEBOOKS:
                    page = PAGES / f"{notebook.stem}.html"
                    _marimo("html", "--force", "--output", str(page), str(notebook))
                    alone, found = _ELSEWHERE.subn("marimo/", page.read_text("utf-8"))
                    if not found:
                        raise SystemExit(f"{page.name}: marimo loads its scripts from somewhere else now; see _ELSEWHERE")
                    page.write_text(alone, "utf-8")
                    print(f"{page.relative_to(ROOT)}: {page.stat().st_size / 1000:,.0f} kB")
        finally:
            close_stores(wait=True)


def _marimo(kind: str, *options: str) -> str:
    ran = subprocess.run([sys.executable, "-m", "marimo", "export", kind, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"marimo could not export: {ran.stderr or ran.stdout}")
    return ran.stdout


def main() -> int:
    """Write, or check that it is written."""
    if "--check" in sys.argv[1:]:
        wrong = stale()
        for line in wrong:
            print(line)
        return 1 if wrong else 0
    write_jupyter()
    if "--jupyter" not in sys.argv[1:]:
        write_pages()
    return 0


if __name__ == "__main__":
    sys.exit(main())
