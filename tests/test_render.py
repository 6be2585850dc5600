"""What a terminal is shown: nothing that steers it, nothing squeezed, nothing that panics."""

from __future__ import annotations

import polars as pl
import pytest

from lake.cli import cli, run_command
from lake.cli.render import as_it_came, print_frame, print_table, safe, spelled


def test_control_signs_are_spelled_out() -> None:
    """Those of ASCII, of Latin-1, and those that turn the direction of text; line ends and tabs are layout."""
    assert safe("a\x1b[31mb\x07\x9b\r\u202ec\n\td") == "a\\x1b[31mb\\x07\\x9b\\x0d\\u202ec\n\td"


def test_bytes_are_shown_in_their_encoding() -> None:
    """UTF-16 is read as such; what is no text is spelled out."""
    assert as_it_came("id,\u00e9a name\n".encode("utf-16-le")) == "id,\u00e9a name"
    assert as_it_came(b"1,\xff\n") == "1,\\xff"


def test_a_wide_frame_is_shown_in_parts_none_of_them_squeezed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each column's name stands in one piece; a narrow frame is one table; a hostile name or value is spelled out."""
    print_frame(pl.DataFrame({f"a_rather_long_name_{i}": ["value"] for i in range(30)}), 5)
    shown = capsys.readouterr().out
    assert all(f" a_rather_long_name_{i} " in shown for i in range(30))
    assert shown.count("\u250c") == 5
    assert max(map(len, shown.splitlines())) <= 160
    print_frame(pl.DataFrame({"a\x1b": ["x\x07"], "b": [1]}), 5)
    shown = capsys.readouterr().out
    assert "a\\x1b" in shown
    assert "x\\x07" in shown
    assert shown.count("\u250c") == 1


def test_dates_that_python_has_not_are_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON would have them, in nested values too; other columns keep their type."""
    far = pl.Series("day", [4_000_000, 0], dtype=pl.Int32).cast(pl.Date)
    frame = spelled(pl.DataFrame([far, far.alias("near").clip(upper_bound=far.gather([1])), far.alias("d").to_frame().to_struct("inside")]))
    assert frame["day"].to_list() == ["+12921-08-18", "1970-01-01"]
    assert frame.schema["near"] == pl.Date
    assert "12921" in frame["inside"][0]
    print_frame(frame, 2)
    assert "12921-08-18" in capsys.readouterr().out


def test_a_cell_is_no_markup_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What looks like markup is text."""
    print_table([{"a": "[bold]x[/] \x1b[2J"}], {"a": "a"}, empty="")
    assert "[bold]x[/] \\x1b[2J" in capsys.readouterr().out


def test_a_panic_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Polars panics by an exception that is none of Python's: it is told like any other defect."""

    def panics(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("out-of-range date \x1b[2J")

    monkeypatch.setattr(cli, "main", panics)
    assert run_command(["ls"]) == 1
    assert capsys.readouterr().err == "lake: unexpected PanicException: out-of-range date \\x1b[2J. This is a defect in lake; LAKE_DEBUG=1 shows where\n"
