"""Damaged and hostile packages: each fails alone, with a reason, and what is landed beside it goes on."""

from __future__ import annotations

import gzip
import io
import random
import tempfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from lake.errors import FileRejected
from lake.ingest import ingest
from lake.landing import land
from lake.reading.hints import Hints
from lake.reading.records import examine, read_member
from lake.reading.unpack import compression_of
from lake.run import Run
from tests.test_reading import NUMBERS, PACKERS, read, read_all, zipped
from tests.test_workbook import TABLE, book, put
from tests.tiny import bronze_orders, last_record, source_at

ZEROS = b"n\n" + b"0\n" * 3_000_000


def locked(files: dict[str, bytes], name: str) -> bytes:
    """A zip in which one file says that it is encrypted."""
    data = bytearray(zipped(files))
    for magic, flags, name_at in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        at = -1
        while (at := data.find(magic, at + 1)) >= 0:
            if data[at + name_at :].startswith(name.encode()):
                data[at + flags] |= 1
    return bytes(data)


def outcomes(data: bytes, name: str, hints: Hints | None = None) -> list[int | str]:
    """For each member its rows, or why it is rejected."""
    found: list[int | str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes(data)
        compression = compression_of(path)
        for i, dialect in enumerate(examine(path, compression, name, hints or Hints())):
            try:
                found.append(read_member(path, compression, dialect, name, Path(folder) / f"{i}").frame.collect().height)
            except FileRejected as rejected:
                found.append(str(rejected))
    return found


def test_a_member_that_cannot_be_read_fails_alone() -> None:
    """An encrypted or damaged file in a zip is rejected by name, the others are read."""
    files = {"a.csv": b"a\n1\n2\n", "secret.csv": b"a\n1\n", "z.csv": b"a\n3\n"}
    assert [(kind if isinstance(kind, int) else "secret.csv inside is encrypted" in kind) for kind in outcomes(locked(files, "secret.csv"), "x.zip")] == [
        2,
        True,
        1,
    ]
    data = bytearray(zipped(files | {"secret.csv": NUMBERS}))
    data[data.index(b"secret.csv") + 2000] ^= 0xFF
    rows, reason, last = outcomes(bytes(data), "x.zip")
    assert (rows, last) == (2, 1)
    assert "damaged" in str(reason)


def test_a_package_that_unpacks_to_far_more_than_it_should_is_rejected() -> None:
    """A bound that a hint sets stops every kind of packing; without it these files are within the generous bound and are read."""
    for kind in ("gz", "bz2", "xz", "zst", "zip"):
        data = zipped({"n.csv": ZEROS}) if kind == "zip" else PACKERS[kind](ZEROS)
        assert outcomes(data, f"n.csv.{kind}") == [3_000_000]
        (reason,) = outcomes(data, f"n.csv.{kind}", Hints(most_bytes=2_000_000))
        assert "unpacks to more than 2,000,000 bytes" in str(reason)
        assert "Hints(most_bytes=" in str(reason)


def test_a_bomb_of_zstd_is_unpacked_in_sips(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that holds gigabytes does not come out in one piece."""
    monkeypatch.setattr("lake.reading.unpack._ALWAYS_ALLOWED", 1 << 26)
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 30))
    assert len(bomb) < 200_000
    (reason,) = outcomes(bomb, "x.csv.zst")
    assert "binary" in str(reason) or "unpacks to more than" in str(reason)


@pytest.mark.parametrize("kind", [*PACKERS, "zip", "xlsx", "ndjson.gz"])
def test_a_changed_byte_anywhere_is_data_or_a_rejection(kind: str) -> None:
    """Whatever byte of a packed file or a workbook is changed, it is read or rejected, and nothing else is raised."""
    lines = b"".join(b'{"n": %d}\n' % i for i in range(300))
    table = b"n,square\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(300))
    whole = {
        "zip": lambda: zipped({"n.csv": table, "m.csv": table}),
        "xlsx": lambda: book(lambda made: put(made, "s", TABLE)),
        "ndjson.gz": lambda: gzip.compress(lines),
    }
    data = whole[kind]() if kind in whole else PACKERS[kind](table)
    chance = random.Random(7)
    for _ in range(150):
        harmed = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            harmed[chance.randrange(len(harmed))] ^= 1 << chance.randrange(8)
        for cut in (len(harmed), chance.randrange(1, len(harmed))):
            outcomes(bytes(harmed[:cut]), f"n.csv.{kind}")


def test_a_way_of_packing_that_python_lacks_is_named() -> None:
    """A zip packed by another method is no damage, and is told as what it is."""
    data = bytearray(zipped({"n.csv": NUMBERS}))
    data[8] = 9
    data[data.index(b"PK\x01\x02") + 10] = 9
    (reason,) = outcomes(bytes(data), "x.zip")
    assert "cannot be read" in str(reason)


def test_an_archive_of_another_kind_is_no_table() -> None:
    """A tar file, packed or not, is rejected as such rather than read as text."""
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.csv")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"a\n1\n"))
    for data in (buffer.getvalue(), gzip.compress(buffer.getvalue())):
        with pytest.raises(FileRejected, match="tar archive"):
            read(data, "x.tar.gz")


def test_damaged_files_do_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    """Landed together, each damaged file is a reject with its reason, and the good ones are in bronze."""
    folder = tmp_path / "in"
    folder.mkdir()
    good = b"order,customer,amount,day\n1,ann,2,\n"
    packed = gzip.compress(good * 50)
    files = {
        "good.csv": good, "cut.csv": packed[:40], "flipped.csv": packed[:30] + b"\xff" + packed[31:], "magic.csv": b"\x28\xb5\x2f\xfd" + good,
        "locked.csv": locked({"a.csv": good, "b.csv": good + b"2,bob,3,\n"}, "a.csv"), "bz2.csv": b"BZh91AY&SY" + good, "xz.csv": b"\xfd7zXZ\x00" + good, "zip.csv": b"PK\x03\x04" + good,
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    land(run, source_at(folder))
    ingest(run, source_at(folder))
    record = last_record(run, bronze_orders)
    told = {file.name: (file.rows, file.rejects) for file in record.files}
    assert told.pop("good.csv") == (1, 0)
    assert told.pop("locked.csv (b.csv)") == (2, 0)
    assert set(told.values()) == {(0, 1)}
    assert len(told) == 7
    assert all(file.reason for file in record.files if file.rejects)


def test_a_zip_cut_anywhere_is_damaged() -> None:
    """Its directory is at its end."""
    with pytest.raises(FileRejected, match="damaged"):
        read_all(zipped({"a.csv": NUMBERS})[:-30], "x.zip")


def test_a_missing_member_is_damage() -> None:
    """A directory that lists a file which is not there."""
    data = zipped({"a.csv": b"a\n1\n", "b.csv": b"a\n2\n"})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.getinfo("b.csv").header_offset
    harmed = data[:start] + b"\0" * 4 + data[start + 4 :]
    first, second = outcomes(harmed, "x.zip")
    assert first == 1
    assert "damaged" in str(second)


def test_a_package_in_a_package_is_named() -> None:
    """One packing is undone: what is packed once more says so, and how."""
    inner = zipped({"a.csv": b"x,y\n1,2\n"})
    told = outcomes(zipped({"in.zip": inner, "in.csv.gz": gzip.compress(b"a\n1\n"), "b.csv": b"x\n1\n"}), "x.zip")
    assert ["packed once more (zip)" in str(told[0]), "packed once more (gz)" in str(told[1]), told[2]] == [True, True, 1]
    assert "packed once more (gz)" in str(outcomes(gzip.compress(gzip.compress(b"a\n1\n")), "a.csv.gz")[0])
    assert "packed once more (zip)" in str(outcomes(gzip.compress(inner), "a.csv.gz")[0])
