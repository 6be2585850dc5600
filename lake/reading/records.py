"""Any landed file as rows: unpacked, transcoded, and parsed by its format. The one entry for everything that reads raw."""

from __future__ import annotations

import codecs
import itertools
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from lake.contract import RESCUED, ROW
from lake.errors import FileRejected
from lake.guard import blamed
from lake.reading.columnar import read_columnar
from lake.reading.confined.asking import ask
from lake.reading.confined.work import parsed_from
from lake.reading.delimited import REJECTS, Parsed, parts, read_delimited
from lake.reading.dialect import Dialect, column_names, find_dialect
from lake.reading.fields import NOT_UTF_8
from lake.reading.formats import foreign
from lake.reading.hints import Hints
from lake.reading.json_records import is_deep, read_document, read_ndjson
from lake.reading.proof import count_text
from lake.reading.strict import only_whole
from lake.reading.structural import MARK, STRUCTURE, WHY
from lake.reading.text import Between, mark_of, restored, transcoded
from lake.reading.unpack import Compression, compression_of, kept_open, members, most_bytes, unpack
from lake.reading.view import view_of
from lake.reading.zones import with_known_zones

_HEAD, _LONGEST_HEADER = 1 << 16, 1 << 24
_FEWEST_LINES, _LONGEST_LINES = 4, 1 << 20  # a header is told by the records below it: so many lines are looked at, where they are no longer than this
_LINE_ENDS = re.compile(rb"\r?\n|\r")
_SMALL_DOCUMENT = 1 << 22  # bytes
_COLUMNAR = (b"PAR1", b"ARROW1", b"PK\x03\x04")


def examine(path: Path, compression: Compression | None, name: str, hints: Hints, earlier: Sequence[Dialect] = ()) -> list[Dialect]:
    """The dialect of each file inside the raw file at `path`: what its receipt keeps. A damaged or foreign one has a `problem`."""
    found: list[Dialect] = []
    try:
        inside = members(path, compression, name, most_bytes(path, compression, hints.most_bytes))
        with kept_open(path, compression, name):
            found += [_examined(path, compression, member, inner, name, hints, earlier) for member, inner in inside]
    except BaseException as error:  # noqa: BLE001  # whatever a library raises over it, panics too
        return [Dialect(format="binary", problem=blamed(error, f"{name} cannot be looked into").message)]
    return found or [Dialect(format="empty", problem=f"{name} is an archive with nothing in it")]


def _examined(path: Path, compression: Compression | None, member: str | None, inner: str, name: str, hints: Hints, earlier: Sequence[Dialect]) -> Dialect:
    """The dialect of one file; whatever is raised while it is looked for is its problem."""
    try:
        return _examine_member(path, compression, member, inner, name, hints, earlier)
    except BaseException as error:  # noqa: BLE001  # as above
        return Dialect(member=member, format="binary", problem=blamed(error, f"{inner} cannot be looked into").message)


def _examine_member(
    path: Path, compression: Compression | None, member: str | None, inner: str, name: str, hints: Hints, earlier: Sequence[Dialect]
) -> Dialect:
    head, tail, between = _ends(path, compression, member, name, most_bytes(path, compression, hints.most_bytes))
    if head[257:262] == b"ustar":
        return Dialect(member=member, format="binary", problem=f"{inner} is a tar archive; land the files in it")
    dialect = find_dialect(head, inner, member, hints, tail, between, earlier).model_copy(update={"most_bytes": hints.most_bytes})
    if dialect.format == "excel" and not dialect.problem:
        return _examine_workbook(path, compression, dialect, name, hints)
    if compression is None and dialect.format in ("parquet", "arrow") and not dialect.problem:
        try:
            with tempfile.TemporaryDirectory() as folder:
                named = ask("names", with_known_zones(path, dialect.format, Path(folder)), inner, kind=dialect.format)["names"]
        except (FileRejected, ValueError) as error:
            why = error.message if isinstance(error, FileRejected) else f"{inner} begins like {dialect.format} but cannot be read: {error}"
            return dialect.model_copy(update={"format": "binary", "problem": why})
        return dialect.model_copy(update={"columns": column_names(named), "named": named})
    return dialect


def _ends(path: Path, compression: Compression | None, member: str | None, name: str, most: int | None) -> tuple[bytes, bytes | None, Between]:
    """The first 64 KiB, or the first four lines up to a MiB, or the first if that is longer, the last from a multiple of four on (None if the first are all), and what is between.

    Damage further on shows later. Of a file whose first bytes are not ASCII nothing between is looked at.
    """
    head = b""
    chunks = unpack(path, compression, member, name, most)
    for chunk in chunks:
        head += chunk
        if len(head) < _HEAD:
            continue
        lines = sum(1 for _ in itertools.islice(_LINE_ENDS.finditer(head), _FEWEST_LINES))
        if lines == _FEWEST_LINES or len(head) > (_LONGEST_LINES if lines else _LONGEST_HEADER):
            break
    ends = [end.start() for end in itertools.islice(_LINE_ENDS.finditer(head), _FEWEST_LINES)] or [len(head)]
    limit = max(_HEAD, next((end for end in reversed(ends) if end <= _LONGEST_LINES), ends[0]) // 4 * 4 + 4)
    if head.count(b'"', 0, limit) % 2:
        limit = len(head)  # a quoted value goes on
    size, rest, head = len(head), head[limit:], head[:limit]
    looks = head[:_HEAD].isascii() and not head.startswith(_COLUMNAR)
    tail, between = rest[-_HEAD - 4 :], Between().with_chunk(head[-1:] + rest) if looks else Between()
    try:
        for chunk in chunks if looks or compression is not None else ():
            size += len(chunk)
            between = between.with_chunk(tail[-1:] + chunk) if looks else between
            tail = (tail + chunk)[-_HEAD - 4 :]
    except FileRejected:
        return head, b"", between
    if compression is None:
        begin = max(0, path.stat().st_size - _HEAD) // 4 * 4
        with path.open("rb") as handle:
            handle.seek(begin)
            tail = handle.read()
        return head, None if begin + len(tail) <= len(head) else tail, between
    return head, tail[(len(tail) - size) % 4 :] if size > len(head) else None, between


def _examine_workbook(path: Path, compression: Compression | None, dialect: Dialect, name: str, hints: Hints) -> Dialect:
    most = most_bytes(path, compression, hints.most_bytes)
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain = path if compression is None else _plain(path, compression, dialect, name, Path(folder), most)
            if compression_of(plain) == "zip":
                with plain.open("rb") as handle:
                    raise FileRejected(f"{dialect.member or name} is {foreign(handle.read(8))}", "Save it as a workbook (.xlsx) or as CSV")
            asked = ask("lay_out", plain, dialect.member or name, dialect=dialect.model_dump(), hints=hints.model_dump())
            return Dialect.model_validate(asked["dialect"])
    except FileRejected as rejected:
        return dialect.model_copy(update={"format": "binary", "problem": rejected.message})
    except ValueError as error:
        return dialect.model_copy(update={"format": "binary", "problem": f"the workbook cannot be read: {error}"})


def read_member(
    path: Path, compression: Compression | None, dialect: Dialect, name: str, spool: Path, *, ours: bool = False, strict: bool = False, proving: bool = False
) -> Parsed:
    """Every record of one file inside the raw file at `path`, working in the folder `spool`. Raises FileRejected.

    `ours` says that lake packed the file itself, so that no bound is set on what comes out of it; `strict` that a delimited record with
    too few or too many fields is rejected; `proving` that the caller proves a delimited file in the pass in which it reads the rows.
    """
    if dialect.problem:
        raise FileRejected(dialect.problem, "The bytes are kept in raw; correct the file or its source, and land it again")
    if dialect.format == "empty":
        return Parsed(pl.LazyFrame(schema={ROW: pl.Int64(), RESCUED: pl.String()}), pl.DataFrame(schema=REJECTS), 0)
    most = None if ours else most_bytes(path, compression, dialect.most_bytes)
    try:
        plain = path if compression is None and dialect.encoding == "utf-8" else _plain(path, compression, dialect, name, spool, most)
        if dialect.format == "csv":
            parsed = _read_text(plain, dialect, spool, strict=strict, proving=proving)
            start = next(unpack(path, compression, dialect.member, name, most), b"")[:4] if dialect.encoding != "utf-8" else b""
            return _of_the_file(parsed, dialect, start)
        if dialect.format == "ndjson":
            return read_ndjson(plain, spool / "rows")
        if dialect.format == "json" and plain.stat().st_size <= _SMALL_DOCUMENT and not is_deep(plain):
            return read_document(plain, dialect, spool / "rows")
        if dialect.format in ("json", "excel"):
            into = spool / "read"
            told = ask("document" if dialect.format == "json" else "workbook", plain, name, dialect=dialect.model_dump(), into=str(into))
            return parsed_from(told, into)
        plain = with_known_zones(plain, dialect.format, spool)
        told = ask("columnar", plain, name, kind=dialect.format)
        return read_columnar(plain, dialect, int(told["rows"]), told["wide"])
    except BaseException as error:  # noqa: BLE001  # whatever a library raises over it, panics too
        raise blamed(error, f"{name} cannot be read as {dialect.format}") from None


def _read_text(plain: Path, dialect: Dialect, spool: Path, *, strict: bool, proving: bool) -> Parsed:
    """A UTF-8 text as delimited records, by a view of it where it is to be rewritten for that."""
    stats = count_text(plain, dialect.delimiter, dialect.quote)
    view = view_of(plain, dialect, spool, nuls=stats.nuls)
    path = plain if view is None else view.path
    parsed = read_delimited(
        path, dialect, spool / "rows", proving=proving and not strict and view is None, strict=strict, stats=stats if view is None else None
    )
    parsed = only_whole(parsed, path, dialect) if strict else parsed
    return parsed if view is None else view.restored(parsed)


def texts_of(
    path: Path, compression: Compression | None, dialect: Dialect, name: str, spool: Path, records: Collection[int], *, ours: bool = False
) -> dict[int, tuple[int, bytes]]:
    """The first line and the bytes (as UTF-8, if they are in another encoding) of the records with these numbers, as they stand in the file.

    Of delimited files and JSON lines alone: in others a record has no text. Raises FileRejected.
    """
    wanted, found = frozenset(records), dict[int, tuple[int, bytes]]()
    if dialect.problem or dialect.format not in ("csv", "ndjson") or not wanted:
        return found
    most = None if ours else most_bytes(path, compression, dialect.most_bytes)
    plain = path if compression is None and dialect.encoding == "utf-8" else _plain(path, compression, dialect, name, spool, most)
    if dialect.format == "ndjson":
        with plain.open("rb") as handle:
            return {number: (number, line) for number, line in enumerate(handle, 1) if number in wanted}
    view = view_of(plain, dialect, spool, nuls=count_text(plain, dialect.delimiter).nuls)
    for part in parts(plain if view is None else view.path, dialect, wanted):
        if part.row in wanted:
            found[part.row] = (part.line, part.text if view is None else view.part(part).text)
            if len(found) == len(wanted):
                break
    return found


def _plain(path: Path, compression: Compression | None, dialect: Dialect, name: str, spool: Path, most: int | None) -> Path:
    """The unpacked bytes as a local file, in UTF-8 if they are text."""
    spool.mkdir(parents=True, exist_ok=True)
    target = spool / "plain"
    chunks = unpack(path, compression, dialect.member, name, most)
    text = dialect.format in ("csv", "json", "ndjson")
    changed = transcoded if dialect.format == "csv" else _transcoded
    with target.open("wb") as handle:
        handle.writelines(changed(chunks, dialect.encoding) if text and dialect.encoding != "utf-8" else chunks)
    return target


def _of_the_file(parsed: Parsed, dialect: Dialect, start: bytes) -> Parsed:
    """What was read of the UTF-8 made of a file that begins with `start`, with the file's own bytes and with what is to be known of it; and so where it is read another way."""
    if dialect.encoding != "utf-8":
        parsed = _as_they_came(parsed, dialect.encoding, start)
    again = parsed.otherwise
    return replace(
        parsed,
        remarks=(*(told for told in (dialect.doubt, dialect.remark) if told), *parsed.remarks),
        otherwise=(lambda: _of_the_file(again(), dialect, start)) if again else None,
    )


def _as_they_came(parsed: Parsed, encoding: str, start: bytes) -> Parsed:
    """The rejects and the structure of a text that was transcoded, with the file's own bytes, and reasons that speak of these."""
    told = []
    for number, line, text, reason in parsed.rejects.iter_rows():
        raw, at = restored(text, encoding, start)
        if at is not None and reason.startswith(NOT_UTF_8):
            reason = f"not valid {encoding.upper()} at byte {at + 1} of the record"
        told.append((number, line, raw, reason))
    structure, roles = parsed.structure.map_batches(lambda some: _restored(some, encoding, start), schema=STRUCTURE, streamable=True), parsed.roles
    if mark := mark_of(encoding, start):
        structure = pl.concat([pl.DataFrame([(0, mark, MARK, WHY[MARK])], schema=STRUCTURE, orient="row").lazy(), structure])
        roles = {MARK: 1} | roles
    return replace(parsed, rejects=pl.DataFrame(told, schema=REJECTS, orient="row"), structure=structure, roles=roles)


def _restored(structure: pl.DataFrame, encoding: str, start: bytes) -> pl.DataFrame:
    return structure.with_columns(pl.Series("bytes", [restored(text, encoding, start)[0] for text in structure["bytes"]], dtype=pl.Binary))


def _transcoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8")
        yield decoder.decode(b"", True).encode("utf-8")
    except UnicodeDecodeError as error:
        raise FileRejected(
            f"the text is not {encoding}: {error.reason} at byte {error.start}", "Declare the encoding on the source: Hints(encoding=…)"
        ) from None
