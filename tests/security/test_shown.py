"""Names and values are shown as the text that they are: none steers a terminal, fakes a line of lake's, or becomes a link or markup on a card."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from lake.cards import table_card
from lake.catalog import Catalog
from lake.cli import run_command
from lake.cli.render import print_table
from lake.ingest import ingest
from lake.landed import Landed, landed_line
from lake.landing import land
from lake.logs import JsonFormatter, TextFormatter, tell
from lake.plain_text import STEERING, in_cell, in_line, in_markdown, indented
from lake.run import Run
from lake.source import Source
from lake.table import Table

HOSTILE = [
    "a\x1b[2Jb", "a\x1b]0;title\x07b", "\x9b31mred", "a\nlake: released", "a\r\nlake: released", "x\u202egpj.csv", "a\u2028lake: b",
    "[click](http://evil.example/x)", "![p](//evil.example/p.png)", "<img src=x onerror=alert(1)>", "http://evil.example", "www.evil.example", "`code`", "**bold**",
    "| a | b |", "# head", "~~no~~", "_slanted_", "&lt;b&gt;", "1. one", "<javascript:alert(1)>",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_each_door_lets_text_through_as_text(text: str) -> None:
    """One line where a line is meant, no sign that steers anywhere, and no mark that is not escaped."""
    for shown in (in_line(text), in_markdown(text), in_cell(text)):
        assert not STEERING.search(shown)
        assert "\n" not in shown
    assert not re.search(r"^lake:", indented(f"lake said\n{text}"), re.MULTILINE)
    bare = re.sub(r"\\[\\`*\[\]<>&~_#+=-]", "", in_markdown(text))
    assert not re.search(r"[`*\[\]<>~&]|://|\bwww\.", bare)
    assert "://" not in in_cell(text)
    assert "](" not in in_cell(text)
    plain = "gold.nyc.daily_delays: 1,024 rows (2013-02-09), 5 % and more"
    assert (in_line(plain), in_markdown(plain), in_cell(plain), indented(plain)) == (plain,) * 4


def test_errors_lines_and_cells_of_a_terminal_fake_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What is told of files and values with such names, in tables and on standard error."""
    print_table(
        [{"file": text, "landed": landed_line(Landed("s", new=[text], passed={text: "why"}))} for text in HOSTILE], {"file": "file", "landed": "what"}, empty=""
    )
    run_command(["show", "bronze.x.y\nlake: released\x1b[2J"])
    told = capsys.readouterr()
    for line in [*told.out.split("\n"), *told.err.split("\n")]:
        assert not STEERING.search(line)
        assert not line.startswith("lake: released")


def test_a_log_line_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """In text and as JSON; the fields have the values as they are."""
    with caplog.at_level(logging.INFO, logger="lake"):
        for text in HOSTILE:
            tell("landing", f"1 new file ({text})", None, file=text)
    assert len(caplog.records) == len(HOSTILE)
    for record, text in zip(caplog.records, HOSTILE, strict=True):
        for line in (TextFormatter().format(record), JsonFormatter().format(record)):
            assert "\n" not in line
            assert not STEERING.search(line)
        assert json.loads(JsonFormatter().format(record))["file"] == text


def test_a_card_shows_names_as_text(run: Run, tmp_path: Path) -> None:
    """Files and columns of such names, in what the commit says of them."""
    for number, text in enumerate(HOSTILE):
        (tmp_path / f"{number}{text.replace('/', '-')[:60]}.csv").write_bytes(f"a,b{number}\n1,{number}\n".encode())
    (tmp_path / "z[x](http:--y).csv").write_bytes(b'"[click](http://evil.example)",a\n1,2\n')
    source = Source(Table("bronze.test.files"), tmp_path)
    land(run, source)
    ingest(run, source)
    card = table_card(Catalog(run.store), "bronze.test.files")
    differences = card.partition("## What was different about the files")[2].partition("##")[0]
    assert differences.strip()
    lines = differences.strip().split("\n")
    assert all(line.startswith("- ") for line in lines)
    assert not any(STEERING.search(line) for line in lines)
    assert not re.search(r"(?<!\\)\[[^\]]*\]\(|://|(?<!\\)<", differences)


def test_prefects_tables_get_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells and descriptions of an artifact."""
    from lake.orchestration import artifacts

    given: list[dict[str, Any]] = []
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda rows, key, description: given.append({"rows": rows, "description": description}))
    monkeypatch.setattr(artifacts, "later", lambda what, *told: what(*told))
    monkeypatch.setattr(artifacts, "all_said", lambda: None)
    monkeypatch.setattr(artifacts, "link_to", lambda _: "")
    artifacts.show_rows("x", [{"step": text, "rows": 1} for text in HOSTILE], HOSTILE[7])
    for text in [given[0]["description"], *(row["step"] for row in given[0]["rows"])]:
        assert "](" not in text
        assert "://" not in text
        assert not STEERING.search(text)
