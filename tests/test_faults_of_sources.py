"""Sources that cannot be read in part, or at all: what fails is named, the rest lands, and the next run tries again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import lake.source
from lake.cli import main
from lake.errors import NotFound, SourceError, StoreError, StoreUnreachable
from lake.landing import land
from lake.pipeline import Pipeline
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.source import Source
from lake.store import Store
from lake.table import Table
from tests.tiny import bronze_orders, clean_orders, orders, rows_of, write_orders


def _fill(folder: Path) -> None:
    for number, name in enumerate(("a.csv", "bad.csv", "z.csv")):
        write_orders(folder, name, [(number, "ann", "1.00", "2024-01-01")])


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        (OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error"),
        (OSError(errno.ESTALE, "Stale file handle"), "cannot be read: Stale file handle"),
        (IsADirectoryError(errno.EISDIR, "Is a directory"), "cannot be read: Is a directory"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be read: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "disappeared before it was read"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "cannot be read: Connection timed out"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, OSError) else "",
)
@pytest.mark.parametrize("after", [0, 1])
def test_a_file_that_fails_while_it_is_read_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: OSError, why: str, after: int) -> None:
    """At its first byte or later; it lands with the next run."""
    _fill(tmp_path)
    real = lake.source._file_chunks

    def failing(folder: Path, name: str) -> Iterator[bytes]:
        if name == "bad.csv":
            yield from [b"order"][:after]
            raise raised
        yield from real(folder, name)

    source = Source(bronze_orders, tmp_path, "*.csv")
    with monkeypatch.context() as patched:
        patched.setattr(lake.source, "_file_chunks", failing)
        landed = land(run, source)
    assert landed.new == ["a.csv", "z.csv"]
    assert len(landed.problems) == 1
    assert landed.problems[0].startswith(f"bad.csv {why}")
    assert land(run, source).new == ["bad.csv"]


def test_a_file_that_really_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    """The memory of this process, which the system refuses to read from its beginning; declared itself, since a link to it out of a folder is not followed."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("this system has no such file")
    (tmp_path / "memory.csv").symlink_to("/proc/self/mem")
    landed = land(run, Source(bronze_orders, tmp_path / "memory.csv"))
    assert landed.new == []
    assert landed.problems == ["memory.csv cannot be read: Input/output error. Check the disk or share it is on; the next run tries again"]


def test_a_folder_that_cannot_be_listed_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beside it lands; when it is the source's own folder, that is what fails."""
    _fill(tmp_path)
    write_orders(tmp_path / "shut", "inner.csv", [(7, "bob", "1.00", "2024-01-01")])
    real, shut = os.scandir, str(tmp_path / "shut")

    def refusing(folder: Any) -> Any:
        if str(folder) == shut:
            raise PermissionError(errno.EACCES, "Permission denied", shut)
        return real(folder)

    source = Source(bronze_orders, tmp_path, "*.csv")
    with monkeypatch.context() as patched:
        patched.setattr(lake.source.os, "scandir", refusing)
        landed = land(run, source)
        assert landed.new == ["a.csv", "bad.csv", "z.csv"]
        assert landed.problems == ["folder shut/ cannot be listed: Permission denied. What is in it was not looked at; the next run tries again"]
        with pytest.raises(SourceError, match="cannot be looked at: Permission denied"):
            land(run, Source(bronze_orders, shut))
    assert land(run, source).new == ["shut/inner.csv"]


@pytest.mark.parametrize(
    "error", [StoreError("the store answers 500", "x"), StoreUnreachable("no answer", "x"), NotFound("gone", "x")], ids=lambda one: type(one).__name__
)
def test_an_object_that_fails_is_named(moto_settings: Settings, monkeypatch: pytest.MonkeyPatch, error: StoreError) -> None:
    """One of a prefix, in another bucket of the store."""
    client = boto3.client("s3", endpoint_url=moto_settings.endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    bucket = f"offers-{moto_settings.bucket}"
    client.create_bucket(Bucket=bucket)
    for name in ("a.csv", "bad.csv", "z.csv"):
        client.put_object(Bucket=bucket, Key=f"in/{name}", Body=f"a\n{name}\n".encode())
    real = Store.stream

    def failing(self: Store, path: str) -> Iterator[bytes]:
        if path.endswith("bad.csv"):
            raise error
        return real(self, path)

    source = Source(Table("bronze.test.files"), f"s3://{bucket}/in", "*.csv")
    with begin_run(moto_settings, "test", "test") as run:
        with monkeypatch.context() as patched:
            patched.setattr(Store, "stream", failing)
            landed = land(run, source)
        assert landed.new == ["a.csv", "z.csv"]
        assert len(landed.problems) == 1
        assert landed.problems[0].startswith("bad.csv ")
        assert land(run, source).new == ["bad.csv"]


def _raising() -> str:
    raise RuntimeError("no such month")


def _leaving() -> str:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (_raising, "its `at` raises RuntimeError: no such month"),
        (_leaving, "its `at` raises SystemExit"),
        (lambda: None, "its `at` gives None, which is no address"),
        (lambda: 3, "its `at` gives 3, which is no address"),
        ("http://[half", "is no address"),
        ("", "its `at` gives '', which is no address"),
        ("a\0b", "which is no address"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("ftp://host/x", "is not a kind of address lake reads"),
        ("http://", "is no address that can be read"),
        ("http://exa mple/x.csv", ""),
        ("https://ex\u2102\u0000ample", ""),
    ],
)
def test_a_source_without_an_address_stops_no_other(run: Run, tmp_path: Path, at: str | Callable[[], Any], why: str) -> None:
    """Its step fails with a sentence that names it; the other sources of the run land, and their tables are made."""
    _fill(tmp_path)
    broken = Source(Table("bronze.shop.broken"), at)
    pipeline = Pipeline("shop", [broken, Source(bronze_orders, tmp_path, "*.csv")], [clean_orders])
    report = pipeline.run(run)
    assert set(report.failures) == {"land shop.broken"}
    assert why in str(report.failures["land shop.broken"])
    assert "source shop.broken" in str(report.failures["land shop.broken"])
    assert len(rows_of(run, orders)) == 3


def test_the_command_ends_with_one_where_a_file_was_not_read(tmp_path: Path, weed_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`lake land` says what landed, names the file, and ends with 1; another source whose address is none does not keep it from landing."""
    flows = tmp_path / "flows" / "shop"
    flows.mkdir(parents=True)
    (flows / "sources.py").write_text(
        "from lake.source import Source\nfrom lake.table import Table\n"
        f"odd = Source(Table('bronze.shop.odd'), lambda: 1 / 0)\norders = Source(Table('bronze.shop.orders'), {str(tmp_path / 'in')!r}, '*.csv')\n"
        f"memory = Source(Table('bronze.shop.memory'), {str(tmp_path / 'memory.csv')!r})\n"
    )
    _fill(tmp_path / "in")
    (tmp_path / "memory.csv").symlink_to("/proc/self/mem")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["lake", "land"])
    monkeypatch.setenv("LAKE_HOME", str(weed_settings.home))
    monkeypatch.setenv("LAKE_ENV", weed_settings.env)
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    assert left.value.code == 1
    assert "3 new files" in told.out
    assert "memory.csv cannot be read: Input/output error" in told.err
    assert "source shop.odd: its `at` raises ZeroDivisionError: division by zero" in told.err
