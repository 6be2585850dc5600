"""Packed files are read to their last byte: streams one after the other, padding, damage in a later one, and what follows the last."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
from pathlib import Path

import pytest
import zstandard

from lake.ingest import ingest
from lake.landing import land
from lake.reading.unpack import compression_of
from lake.run import Run
from tests.test_packages import outcomes
from tests.test_reading import PACKERS, read, zipped
from tests.tiny import bronze_orders, last_record, source_at

FIRST, SECOND, THIRD = b"n\n1\n2\n", b"3\n4\n", b"5\n6\n"
SKIPPED = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 5) + b"hello"
EMPTY_SKIPPED = b"\x50\x2a\x4d\x18" + struct.pack("<I", 0)


def cut(packed: bytes) -> bytes:
    """Without its last bytes."""
    return packed[:-6]


def turned(packed: bytes) -> bytes:
    """With a byte in the middle that is another."""
    return packed[: len(packed) // 2] + bytes([packed[len(packed) // 2] ^ 0xFF]) + packed[len(packed) // 2 + 1 :]


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_stream_of_a_file_is_read(kind: str, count: int) -> None:
    """One after the other, an empty one among them."""
    pack = PACKERS[kind]
    data = b"".join(map(pack, [FIRST, SECOND, THIRD][:count])) + pack(b"")
    assert [row[0] for row in read(data, f"n.csv.{kind}").rows] == [str(n) for n in range(1, 2 * count + 1)]


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("harm", [cut, turned], ids=["cut", "turned"])
@pytest.mark.parametrize("place", [1, 2])
def test_damage_in_a_later_stream_rejects_the_file(kind: str, harm: object, place: int) -> None:
    """Half of the rows are no success, whichever stream the damage is in."""
    pack = PACKERS[kind]
    streams = [pack(FIRST), pack(SECOND * 4000), pack(THIRD * 4000)]
    streams[place] = harm(streams[place])  # type: ignore[operator]  # one of the functions above
    (told,) = outcomes(b"".join(streams), f"n.csv.{kind}")
    assert "is damaged" in str(told)


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize(
    "after", [b"x", b"7\n8\n", b"garbage that is much longer than a magic number\n", b"\0\0\0\0seven"], ids=["one", "rows", "long", "late"]
)
def test_what_follows_the_last_stream_rejects_the_file(kind: str, after: bytes) -> None:
    """Bytes that are no stream are told with their number and their place."""
    whole = PACKERS[kind](FIRST) + PACKERS[kind](SECOND)
    (told,) = outcomes(whole + after, f"n.csv.{kind}")
    beyond = after.lstrip(b"\0") if kind in ("gz", "xz") else after
    at = len(whole) + len(after) - len(beyond) + 1
    word = f"{len(beyond)} byte{'s' if len(beyond) != 1 else ''}"
    assert f"the {word} from byte {at} on follow its last whole {kind} stream" in str(told)


def test_padding_that_a_packing_allows_is_no_damage() -> None:
    """NULs after a stream: of any number in gz, of multiples of four in xz, between streams too."""
    for pad in (b"\0", b"\0" * 3, b"\0" * 1500, b"\0" * 3_000_000):
        assert len(read(gzip.compress(FIRST) + pad + gzip.compress(SECOND) + pad, "n.csv.gz").rows) == 4
    for pad in (b"\0" * 4, b"\0" * 1500, b"\0" * 3_000_000):
        assert len(read(lzma.compress(FIRST) + pad + lzma.compress(SECOND) + pad, "n.csv.xz").rows) == 4
    for odd in (b"\0", b"\0" * 6):
        (told,) = outcomes(lzma.compress(FIRST) + odd, "n.csv.xz")
        assert "follow a stream, where xz has a multiple of 4" in str(told) or "follows a stream" in str(told)
    for kind in ("bz2", "zst"):
        (told,) = outcomes(PACKERS[kind](FIRST) + b"\0" * 8, f"n.csv.{kind}")
        assert "the 8 bytes from byte" in str(told)


@pytest.mark.parametrize("before", [SKIPPED, EMPTY_SKIPPED, SKIPPED + EMPTY_SKIPPED + SKIPPED], ids=["one", "empty", "several"])
def test_a_zstd_file_may_begin_with_frames_to_be_skipped(before: bytes, tmp_path: Path) -> None:
    """It is zstd, not binary; frames to be skipped may also stand between and after the others."""
    pack = zstandard.ZstdCompressor(write_checksum=True).compress
    assert len(read(before + pack(FIRST) + before + pack(SECOND) + before, "n.csv.zst").rows) == 4
    for data, kind in ((before + pack(FIRST), "zst"), (before, "zst"), (before + b"a,b\n1,2\n", None)):
        (tmp_path / "x").write_bytes(data)
        assert compression_of(tmp_path / "x") == kind
    (told,) = outcomes(zipped({"in.csv.zst": before + pack(FIRST)}), "x.zip")
    assert "packed once more (zst)" in str(told)


def test_much_out_of_little_comes_in_pieces() -> None:
    """A long stream among short ones, each to its end."""
    rows = b"n\n" + b"0\n" * 300_000
    for kind, pack in PACKERS.items():
        assert read(pack(rows) + pack(SECOND), f"n.csv.{kind}").records == 300_002, kind


def test_an_archive_is_accounted_for() -> None:
    """Two archives one after the other, bytes among the files or after the end: none is passed over."""
    one, two = zipped({"a.csv": FIRST}), zipped({"b.csv": FIRST})
    for data, told in (
        (one + two, f"the {len(one)} bytes from byte 1 on"),
        (one + b"more", f"the 4 bytes from byte {len(one) + 1} on"),
        (zipped({}) + two, "the 22 bytes from byte 1 on"),
        (one + b"\0\0" + two, f"the {len(one) + 2} bytes from byte 1 on"),
    ):
        (reason,) = outcomes(data, "x.zip")
        assert f"{told} belong to no file that its list names" in str(reason)
    assert outcomes(one + b"\0" * 512, "x.zip") == [2]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_as_they_are_written_are_whole(packing: int, streamed: bool) -> None:
    """With comments, files added later, large ones, and sizes that follow the file where it was written to a pipe."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return not streamed

    buffer = Pipe()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        archive.comment = b"made by a test, PK and all"
        archive.writestr("a.csv", FIRST)
        with archive.open("b.csv", "w", force_zip64=True) as handle:
            handle.write(FIRST + SECOND)
    if not streamed:
        with zipfile.ZipFile(buffer, "a", packing) as archive:
            archive.writestr("c.csv", FIRST)
    assert outcomes(buffer.getvalue(), "x.zip") == [2, 4, *([] if streamed else [2])]


def test_a_file_with_damage_far_down_is_one_reject_and_the_rest_comes_in(run: Run, tmp_path: Path) -> None:
    """Through bronze: no row of it, its reason in the rejects."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows = b"order,customer,amount,day\n1,a,1.50,2024-01-01\n"
    (folder / "a.csv").write_bytes(rows)
    (folder / "b.csv").write_bytes(bz2.compress(rows) + turned(bz2.compress(rows * 50)))
    land(run, source_at(folder))
    ingest(run, source_at(folder))
    record = last_record(run, bronze_orders)
    assert [(file.name, file.rows, file.rejects) for file in record.files] == [("a.csv", 1, 0), ("b.csv", 0, 1)]
    assert "b.csv is damaged" in str(record.files[1].reason)
