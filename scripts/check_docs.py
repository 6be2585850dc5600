"""Check the prose: every relative link leads somewhere, every Python block parses. Exits 1 with one line for each fault."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def faults(page: Path) -> list[str]:
    """What is wrong with one Markdown page."""
    text = page.read_text("utf-8")
    name = page.relative_to(ROOT)
    links = [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if not target.startswith(("http://", "https://"))]
    found = [f"{name}: there is no {target}" for target in links if not (page.parent / target).exists()]
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        try:
            ast.parse(block)
        except SyntaxError as error:
            found.append(f"{name}: a Python block does not parse: {error}")
    return found


def main() -> int:
    """Check README, CHANGELOG and docs/."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [fault for page in pages for fault in faults(page)]
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
