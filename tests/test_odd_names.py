"""Whatever a file is called, it is landed, traced both ways, verified, replayed, and its rejects are found again: a place is never split at a sign."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import pytest

from lake.contract import FILE
from lake.pipeline import Pipeline
from lake.place import file_of, files_meant, place_of, readings
from lake.quarantine import open_rejects
from lake.readmit import readmit_files
from lake.replay import replay
from lake.run import Run
from lake.source import Source
from lake.trace import reach, trace
from lake.verify import verify
from tests.tiny import bronze_orders, clean_orders, last_record, orders, sum_orders

NAMES = [
    "a#b.csv", "#.csv", "a.csv#", "a?b.csv", "a%b.csv", "a%23b.csv", " a.csv", "a.csv ", "a\nb.csv", "a\\b.csv", "\"a'b.csv", "\u00e9.csv",
    unicodedata.normalize("NFD", "\u00e9.csv"), "-a.csv", "a..csv", "x" * 240 + ".csv", "~a.csv", "a*b[c]{d}.csv", "\u65e5\u672c.csv", "\U0001f600.csv", "a:1.csv",
    "sub#1/a?.csv", "plain.csv.zst", "^a$.csv", "a\tb.csv", "a|b<c>&d=e+f;g,h@i!.csv",
]  # fmt: skip
MEMBERS = ["m#1.csv", "dir#/m?.csv", "m%.csv", " m.csv ", "-m.csv", "#"]
ARCHIVES = ["z#1.zip", "z?#.zip", "m#.zip"]


def _text(number: int) -> str:
    return f'order,customer,amount,day\n{number},c{number},1.00,2024-01-01\n"open,{number}\n'


@pytest.fixture
def files(tmp_path: Path) -> dict[str, int]:
    """A file of each name and archives with members of each, in `tmp_path`: what a place in them is called, with the order that is there."""
    made: dict[str, int] = {}
    for name in NAMES:
        made[name] = len(made)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(_text(made[name]))
    for archive in ARCHIVES:
        with zipfile.ZipFile(tmp_path / archive, "w") as packed:
            for member in MEMBERS:
                made[f"{archive}#{member}"] = len(made)
                packed.writestr(member, _text(len(made) - 1))
    return made


def test_every_name_goes_all_the_way(run: Run, tmp_path: Path, files: dict[str, int]) -> None:
    """One record and one reject a file: verify looks at all of them, each is traced up and down, each reject is read again, and the release replays."""
    source = Source(bronze_orders, tmp_path, "*")
    pipeline = Pipeline("shop", [source], [clean_orders, sum_orders])
    report = pipeline.run(run)
    report.raise_failures()
    assert last_record(run, bronze_orders).rows == last_record(run, bronze_orders).rejects == len(files)
    assert {row["verdict"] for row in verify(run, pipeline, share=1.0)} == {"equal"}
    assert report.release is not None
    versions = {name: pin.version for name, pin in report.release.tables.items()}
    for name, order in files.items():
        found = reach(run, [pipeline], f"{name}:1", versions)
        assert len(found.tables) == 3, name
        (there,) = found.tables[orders.name, versions[orders.name]].rows["order"]
        assert there == order
    for name, order in list(files.items())[::3]:
        traced = trace(run, [pipeline], orders.name, versions[orders.name], {"order": order})
        assert traced.verdict_line() == "computed again from 1 raw record: equal", name
        assert [record.text for record in traced.again.records] == [f"{order},c{order},1.00,2024-01-01"]
    assert {found.why for found in readmit_files(run, source)} == {"it reads as it did"}
    assert len(readmit_files(run, source)) == len(NAMES) + len(ARCHIVES)
    assert {one.verdict for one in replay(run, report.release, [pipeline])} == {"equal"}


def test_a_file_rejected_whole_is_corrected_under_any_name(run: Run, tmp_path: Path) -> None:
    """The reject of the damaged file is resolved by the file of its name that can be read."""
    source = Source(bronze_orders, tmp_path, "*")
    for content in (b"\x89PNG\r\n\x1a\n", _text(1).encode()):
        for name in NAMES[:6]:
            (tmp_path / name).write_bytes(content + f"2,{NAMES.index(name)},1.00,2024-01-01\n".encode() if content[0] != 0x89 else content + name.encode())
        Pipeline("shop", [source], []).run(run).raise_failures()
    open_now = open_rejects(run, bronze_orders, last_record(run, bronze_orders)).collect()
    assert open_now["line"].null_count() == 0
    assert open_now[FILE].n_unique() == 6


def test_a_place_is_read_by_the_objects_there_are() -> None:
    """The longest object that is there, and what follows it."""
    assert list(readings("raw/a#b#c")) == [("raw/a#b#c", None), ("raw/a#b", "c"), ("raw/a", "b#c")]
    assert file_of("raw/a#b#c", {"raw/a", "raw/a#b"}) == "raw/a#b"
    assert file_of("raw/a#b", {"raw/x"}) is None
    assert files_meant(["raw/a#b", "raw/c"]) == ["raw/a", "raw/a#b", "raw/c"]
    for file in ("raw/a", "raw/#", "raw/a#"):
        for member in (None, "m", "m#1", "#", "d/#m"):
            assert (file, member) in list(readings(place_of(file, member)))
