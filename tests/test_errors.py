"""Every error says what to do next: each kind in the book, each place that raises one in a hint."""

from __future__ import annotations

import ast
import dataclasses
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake import errors
from lake.errors import Damaged, DiskFull, LakeError, LedgerOpen, StoreUnreachable, translated
from lake.execute import execute
from lake.hop import changes, hop
from lake.run import Run
from lake.wording import counted, in_words, several, shortened
from tests.conftest import ROOT
from tests.tiny import bring, bronze_orders, clean, clean_orders, orders, total, totals, write_orders

KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, LakeError)}
WITHOUT: dict[tuple[str, str], str] = {}
"""Places (file, text) that raise an error without a hint, each with the reason."""


def _raised(path: Path) -> Iterator[ast.Call]:
    """Every call in a file that makes an error of lake's from a message."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if called in KINDS:
                yield node


def test_every_place_that_raises_an_error_says_what_to_do_next() -> None:
    """A message alone leaves people standing. A hint that is not a plain text comes from elsewhere, where it is looked at as well."""
    silent = []
    for path in sorted((ROOT / "lake").rglob("*.py")):
        for call in _raised(path):
            hints = [*call.args[1:2], *(given.value for given in call.keywords if given.arg == "hint")]
            empty = not hints or (isinstance(hints[0], ast.Constant) and not hints[0].value)
            if empty and (path.name, ast.unparse(call.args[0])) not in WITHOUT:
                silent.append(f"{path.relative_to(ROOT)}:{call.lineno} {ast.unparse(call)[:120]}")
    assert silent == []


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_error_has_its_next_step_in_the_book(name: str) -> None:
    """Its own, not its parent's, and the page on operation tells it in the same words."""
    kind = KINDS[name]
    assert "next_step" in vars(kind)
    assert kind.__doc__
    assert f"| `{name}` | " in (page := (ROOT / "docs" / "operate.md").read_text("utf-8"))
    assert kind.next_step in page


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no good"), "ValueError: no good"),
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError(), "ValueError"),
        (pl.exceptions.ComputeError("it broke\n\nThis error occurred in the following expression:\n\tcol(\"a\")"), "it broke"),
        (pl.exceptions.ComputeError("it broke\n\nResolved plan until failure:\n\n\t---> FAILED HERE"), "it broke"),
        (pl.exceptions.ComputeError("cannot read /tmp/home/.lake/spool/hop-x-ab12/made/0.parquet: eof"), "cannot read a file of lake's own: eof"),
        (pl.exceptions.ComputeError("cannot read /home/ann/deliveries/orders.csv"), "cannot read orders.csv"),
        (pl.exceptions.ComputeError("Traceback (most recent call last):\n  File \"x.py\", line 1\nValueError: bad"), "ValueError: bad"),
        (pl.exceptions.ComputeError("at file:///home/a 'b' c/.lake/spool/hop-x/0.parquet: eof"), "at a file of lake's own: eof"),
        ("s3://lake/dev/silver/a is gone, and raw/shop/1/a.csv", "s3://lake/dev/silver/a is gone, and raw/shop/1/a.csv"),
        ("a text. With more", "a text. With more"),
    ],
)  # fmt: skip
def test_what_libraries_say_is_told_in_one_whole_sentence(error: BaseException | str, words: str) -> None:
    """No plan, no traceback, no path of this machine."""
    assert in_words(error) == words


def test_long_texts_end_after_a_whole_word() -> None:
    """And say that they go on."""
    text = "several words " * 100
    cut = shortened(text)
    assert len(cut) < 610
    assert (cut.endswith(("words …", "several …")), shortened("short"), shortened("x" * 2000)) == (True, "short", "x" * 2000)


def test_no_text_of_a_library_is_cut_by_counting_signs() -> None:
    """What lake shows of an error passes through one function; a slice of its text would cut in mid-word."""
    found = []
    for path in sorted((ROOT / "lake").rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if ("error" in line and ".split())[:" in line.replace(" ", "")) or "str(error)[:" in line:
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_a_full_disk_and_a_store_that_is_away_are_told_as_that() -> None:
    """Whoever says it."""
    assert isinstance(translated(OSError(28, "No space left on device"), "x"), DiskFull)
    assert isinstance(translated(pl.exceptions.ComputeError("Generic S3 error: error sending request"), "x"), StoreUnreachable)


@pytest.mark.parametrize(
    ("number", "thing", "said"), [(1, "row", "1 row"), (0, "row", "0 rows"), (2000, "copy", "2,000 copies"), (2, "day", "2 days"), (2, "branch", "2 branches")]
)
def test_counts_of_things_have_the_right_form(number: int, thing: str, said: str) -> None:
    """One is one."""
    assert counted(number, thing) == said
    assert several(1, "child", "children") == "child"


def _dropping(raw: pl.LazyFrame) -> pl.LazyFrame:
    return clean(raw).filter(pl.col("order") != "1")


def _repeating(raw: pl.LazyFrame) -> pl.LazyFrame:
    return pl.concat([clean(raw), clean(raw).with_columns(order=pl.col("order") + "0")])


def _losing(orders: pl.LazyFrame) -> pl.LazyFrame:
    return total(orders.filter(pl.col("customer") != "ann"))


MISSING = '@hop(orders, write="merge", filters="why rows are left out", raw=changes(bronze_orders))'
REPEATED = '@hop(orders, write="merge", expands="why rows are multiplied", raw=changes(bronze_orders))'
LOST = '@hop(totals, write="replace", counts="orders", filters="why rows are left out", orders=orders)'


@pytest.mark.parametrize(
    ("function", "declared", "said", "line"),
    [
        (_dropping, {"table": orders, "write": "merge", "raw": changes(bronze_orders)}, "2 rows read but 1 row accounted for", MISSING),
        (_repeating, {"table": orders, "write": "merge", "raw": changes(bronze_orders)}, "2 rows read but 4 rows accounted for", REPEATED),
        (_losing, {"table": totals, "counts": "orders", "orders": orders}, "2 rows read but 1 row in groups", LOST),
    ],
)
def test_an_open_ledger_says_the_very_line_to_write(function: Any, declared: dict[str, Any], said: str, line: str, run: Run, tmp_path: Path) -> None:
    """By the names that the team's module knows its tables under; and what it spells is a declaration that works."""
    write_orders(tmp_path, "a.csv", [(1, "ann", "1.00", "2026-01-01"), (2, "bob", "2.00", "2026-01-02")])
    bring(run, tmp_path, clean_orders)
    run_orders = [] if declared["table"] is totals else [clean_orders]
    one = hop(**(declared if not run_orders else declared | {"table": dataclasses.replace(orders, name="silver.shop.others")}))(function)
    with pytest.raises(LedgerOpen, match=said) as opened:
        execute(run, one)
    assert line.replace("@hop(orders", "@hop('silver.shop.others'" if run_orders else "@hop(orders") in (opened.value.hint or "")
    names = {"hop": hop, "changes": changes, "orders": orders, "totals": totals, "bronze_orders": bronze_orders}
    mended = eval(line.removeprefix("@"), names)(function)  # noqa: S307  # what the message spells
    execute(run, mended)


def test_prefect_logs_an_error_of_lakes_as_the_line_that_it_is() -> None:
    """Whatever wraps it, in the log of a flow, a task or the engine; a defect keeps its traceback."""
    from prefect.exceptions import FailedRun

    import lake.orchestration.api  # noqa: F401  # puts the filters in place

    said: list[str] = []
    for name in ("prefect.engine", "prefect.flow_runs", "prefect.task_runs"):
        for error in (
            errors.ContractBroken("gold.a: 1 row breaks b", "Correct the hop"),
            FailedRun("gold.a: 1 row breaks b. Correct the hop"),
            ZeroDivisionError("oh"),
        ):
            try:
                raise RuntimeError("wrapped") from error
            except RuntimeError:
                record = logging.LogRecord(name, logging.ERROR, "engine.py", 1, "Execution of flow run exited with unexpected exception", (), sys.exc_info())
            logging.getLogger(name).filter(record)
            said.append(logging.Formatter().format(record))
    assert {line for number, line in enumerate(said) if number % 3 != 2} == {"gold.a: 1 row breaks b. Correct the hop"}
    assert all("Traceback" in line for line in said[2::3])


_PLURALS = re.compile(
    r" ((?:new|more|other|rejected|raw|small|data|later) )*"
    r"(rows|rejects|files|records|columns|steps|tables|keys|values|lines|events|deployments|requests|hops|months|bytes|objects|processes|changes|partitions)\b"
)
CONSTANT = {"_ATTEMPTS", "_TRIES", "_MOST_COLUMNS", "MOST_COLUMNS", "MOST_MEMBERS", "LONGEST_LINE", "MOST_ROWS"}
NO_NUMBER = {"hop.counts", "pipeline.name", "type(node).__name__"}
"""What stands before such a word and is a name, not a number."""


def _plurals(path: Path) -> Iterator[str]:
    """Numbers in the f-strings of a file that are followed by a plural, whatever the number."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant) and _PLURALS.match(str(after.value)):
                told = ast.unparse(value.value)
                if told not in CONSTANT | NO_NUMBER and (path.name, told) not in ALWAYS_MORE:
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {told}{after.value}"


ALWAYS_MORE: dict[tuple[str, str], str] = {
    ("expression_words.py", "_operand(given[1])"): "an operand as it is told, a column as often as a number",
    ("intake.py", "after"): "the one record has words of its own beside it",
    ("plan.py", "len(files)"): "the only file has words of its own beside it",
}
"""What is never one, or no number (file, expression), each with the reason."""


def test_no_text_puts_a_number_before_a_plural_without_looking_at_it() -> None:
    """`1 rows`: what counts things asks `counted` for the word."""
    assert [found for path in sorted((ROOT / "lake").rglob("*.py")) for found in _plurals(path)] == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("object-store error: Object at location dev/gold/part-1.parquet not found: Error performing GET http://h:1/lake/dev/gold/part-1.parquet in 6.3ms - Server returned "
         "non-2xx status code: 404 Not Found", "gold.x: dev/gold/part-1.parquet is missing from the store"),
        ("object-store error: Generic S3 error: Error performing GET http://h:1/lake/dev/gold/part-1.parquet in 62.3s, after 10 retries, max_retries: 10 - Server returned "
         "non-2xx status code: 500 Internal Server Error", "gold.x: the store answers that it cannot give dev/gold/part-1.parquet"),
    ],
)  # fmt: skip
def test_an_object_that_the_store_does_not_give_is_named(said: str, words: str) -> None:
    """A store that answers has not stopped answering: which object it is about, and what finds and mends it."""
    told = translated(pl.exceptions.ComputeError(said), "gold.x")
    assert isinstance(told, Damaged)
    assert told.message.startswith(words)
    assert "lake doctor --repair" in str(told)
