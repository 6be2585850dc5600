"""Damaged and odd files of every format and packing, drawn from a number, and what must hold of each: told, counted, and no harm to whoever reads it.

As a program: `python -m tests.laws.fuzzed FIRST COUNT`, which ends with 1 and says which number breaks what.
"""

from __future__ import annotations

import bz2
import faulthandler
import gzip
import io
import json
import lzma
import random
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import zstandard

from lake.contract import ROW
from lake.errors import FileRejected
from lake.reading.hints import Hints
from lake.reading.records import examine, read_member
from lake.reading.unpack import compression_of
from tests.security.hostile_files import rewritten, workbook
from tests.test_reading import zipped

_ROWS = [{"a": number, "b": f"x{number}", "c": number / 4, "d": [number, None], "e": {"f": str(number)}} for number in range(40)]
_FRAME = pl.DataFrame(_ROWS)
_SIGNS = [
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b'"',
    b"'",
    b"\n",
    b"\r",
    b"\r\n",
    b",",
    b";",
    b"\t",
    b"[",
    b"{",
    b"}",
    b"]",
    b"\\",
    b"\xed\xa0\x80",
    b"1e999",
    b"NaN",
    b"-",
    b"\x1a",
    b"{" * 50,
    b"[" * 1500,
]
_SHEETS = b"""<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>
<table:table table:name="one">%s</table:table></office:spreadsheet></office:body></office:document-content>"""


def _csv() -> bytes:
    return b"a,b,c\n" + b"".join(f'{row["a"]},"{row["b"]}, y",{row["c"]}\n'.encode() for row in _ROWS)


def _columnar(kind: str) -> bytes:
    made = io.BytesIO()
    if kind == "parquet":
        _FRAME.write_parquet(made, row_group_size=7)
    else:
        _FRAME.write_ipc(made)
    return made.getvalue()


def _ods() -> bytes:
    cell = '<table:table-cell office:value-type="string" table:number-columns-repeated="1"><text:p>%s</text:p></table:table-cell>'
    rows = "".join(f"<table:table-row>{cell % row['a']}{cell % row['b']}</table:table-row>" for row in [{"a": "a", "b": "b"}, *_ROWS])
    return zipped({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": _SHEETS % rows.encode()})


def _xlsx() -> bytes:
    return workbook([(0, 0, "a"), (0, 1, "b"), *[(1 + n, column, value) for n, row in enumerate(_ROWS) for column, value in enumerate((row["a"], row["b"]))]])


FORMATS: dict[str, Callable[[], bytes]] = {
    "x.csv": _csv, "x.json": lambda: json.dumps(_ROWS).encode(), "x.ndjson": lambda: b"".join(json.dumps(row).encode() + b"\n" for row in _ROWS),
    "x.parquet": lambda: _columnar("parquet"), "x.arrow": lambda: _columnar("arrow"), "x.xlsx": _xlsx, "x.ods": _ods,
    "x.xls": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + b"\x3e\0\x03\0\xfe\xff\x09\0\x06\0" + bytes(2000),
}  # fmt: skip
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".zip": lambda body: zipped({"one.csv": body, "two.csv": body[: len(body) // 2]}), ".gz": gzip.compress, ".zst": zstandard.compress,
    ".xz": lzma.compress, ".bz2": bz2.compress,
}  # fmt: skip


def drawn(number: int) -> tuple[str, bytes]:
    """A name and the bytes of a file: damaged before it was packed, within its parts, after, or not at all; the name may lie."""
    chance = random.Random(number)
    name = chance.choice(list(FORMATS))
    body = FORMATS[name]()
    if name in ("x.xlsx", "x.ods") and chance.random() < 0.6:
        body = _within(body, chance)
    elif chance.random() < 0.6:
        body = _damaged(body, chance)
    packing = chance.choice([*PACKINGS, "", "", ""])
    body = PACKINGS[packing](body)
    if packing and chance.random() < 0.4:
        body = _damaged(body, chance)
    return (name + packing if chance.random() < 0.8 else chance.choice(list(FORMATS)) + chance.choice(list(PACKINGS))), body


def _damaged(body: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        at = chance.randrange(len(body) + 1)
        until = min(len(body), at + chance.choice([1, 1, 4, 100]))
        what = chance.choice(["flip", "cut", "leave", "sign", "twice", "large"])
        if what == "flip" and at < len(body):
            body = body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :]
        elif what == "cut" and chance.random() < 0.3:
            body = body[:at]
        elif what == "leave":
            body = body[:at] + body[until:]
        elif what == "sign":
            body = body[:at] + chance.choice(_SIGNS) + body[at:]
        elif what == "twice":
            body = body[:until] + body[at:]
        elif what == "large":
            body = body[:at] + chance.choice([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\x0f", b"\0\0\0\x80"]) + body[at + 4 :]
    return body


def _within(body: bytes, chance: random.Random) -> bytes:
    """A workbook with one of its parts damaged, or with numbers in it that are far too large."""
    with zipfile.ZipFile(io.BytesIO(body)) as given:
        part = chance.choice(given.namelist())
        inner = given.read(part)
    if chance.random() < 0.5:
        was, now = chance.choice(
            [
                (b'="1"', b'="4294967295"'),
                (b'r="A2"', b'r="XFD1048576"'),
                (b'r="B', b'r="ZZZ'),
                (b'repeated="1"', b'repeated="1000000000"'),
                (b'ount="', b'ount="9999'),
            ]
        )
        return rewritten(body, part, was, now)
    return rewritten(body, part, inner, _damaged(inner, chance)) if inner else body


def check(number: int, folder: Path) -> str | None:
    """What is wrong with how the file of this number is read; None if nothing is."""
    name, body = drawn(number)
    path = folder / f"{number}"
    path.write_bytes(body)
    compression = compression_of(path)
    for place, dialect in enumerate(examine(path, compression, name, Hints())):
        try:
            parsed = read_member(path, compression, dialect, name, folder / f"{number}-{place}")
            rows = parsed.frame.select(ROW).collect()[ROW]
        except FileRejected:
            continue
        seen = sorted([*rows.to_list(), *parsed.rejects[ROW].drop_nulls().to_list()])
        if rows.len() + parsed.rejects.height != parsed.records:
            return f"{name}: {parsed.records} records, {rows.len()} rows and {parsed.rejects.height} rejects"
        if len(set(seen)) != len(seen):
            return f"{name}: a record comes twice"
        frame = parsed.frame.collect()
        if frame.height != rows.len():
            return f"{name}: {frame.height} rows and {rows.len()} numbers"
    return None


def main(first: int, count: int) -> int:
    """Check so many from the first on. Says which fails."""
    faulthandler.enable()
    for number in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                wrong = check(number, Path(folder))
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is not lake's word
                wrong = f"{drawn(number)[0]}: {type(error).__name__}: {error}"
        print(number, wrong or "", flush=True)  # noqa: T201  # the last number is the one that ends a process
        if wrong:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
