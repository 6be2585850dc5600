"""Keys of a bucket that are no paths, and addresses that are none, cost themselves alone: they are told, and all others land."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from lake.landing import land
from lake.pipeline import Pipeline
from lake.run import begin_run
from lake.settings import Settings
from lake.source import Source
from lake.table import Table
from tests.tiny import rows_of

EMPTY, OTHER = "its key has an empty part (//), and it is not read", "its key has a part that means another folder (. or ..), and it is not read"
ODD = {
    "in//b.csv": EMPTY, "in/sub//c.csv": EMPTY, "in/./d.csv": OTHER, "in/x/../e.csv": OTHER, "in/\x01f.csv": "its key has control signs, and it is not read",
    "in/folder.csv/": "its key is the mark of a folder, and it is not read",
}  # fmt: skip


def _bucket(settings: Settings, keys: list[str]) -> str:
    client = boto3.client("s3", endpoint_url=settings.endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    bucket = f"odd-{settings.bucket}"
    client.create_bucket(Bucket=bucket)
    for number, key in enumerate(keys):
        client.put_object(Bucket=bucket, Key=key, Body=b"" if key.endswith("/") else f"a\n{number}\n".encode())
    client.close()
    return bucket


@pytest.mark.parametrize("odd", [[key] for key in ODD] + [list(ODD)], ids=repr)
def test_a_key_that_is_no_path_is_told_and_the_others_land(moto_settings: Settings, odd: list[str]) -> None:
    """Beside keys of the same folder, before and after it, and below."""
    bucket = _bucket(moto_settings, ["in/a.csv", *odd, "in/sub/y.csv", "in/z.csv", "inside.csv"])
    with begin_run(moto_settings, "test", "test") as run:
        landed = land(run, Source(Table("bronze.test.files"), f"s3://{bucket}/in", "*.csv*"))
    assert landed.new == ["a.csv", "sub/y.csv", "z.csv"]
    assert landed.problems == []
    assert {key.removesuffix("/"): why for key, why in landed.passed.items()} == {key.removesuffix("/"): ODD[key] for key in odd}


@pytest.mark.parametrize(
    "at",
    ["http://[::1", "s3://", "s3:///x", "http://[bad]/x", "\0", "ftp://x/y", lambda: 1 / 0, lambda: None, lambda: "http://[::1"],
    ids=[
        "no end",
        "no bucket",
        "no bucket but a key",
        "no number",
        "NUL",
        "another scheme",
        "a function that raises",
        "one that gives nothing",
        "one that gives no address",
    ],
)
def test_an_address_that_is_none_stops_its_source_alone(run: object, tmp_path: Path, weed_settings: Settings, at: object) -> None:
    """The source is named with what is wrong with its address; the other one lands and is ingested."""
    (tmp_path / "a.csv").write_text("a\n1\n")
    good, bad = Source(Table("bronze.test.good"), tmp_path), Source(Table("bronze.test.bad"), at)  # type: ignore[arg-type]  # what is no address
    with begin_run(weed_settings, "test", "test") as begun:
        report = Pipeline("test", [bad, good], []).run(begun)
        assert list(report.failures) == ["land test.bad"]
        assert "source test.bad" in str(report.failures["land test.bad"])
        assert rows_of(begun, good.into) == [{"a": "1", "_rescued": None}]
