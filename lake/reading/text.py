"""Bytes as text: the encoding of a file, and its text as UTF-8 with nothing lost where some bytes are none."""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import charset_normalizer

from lake.reading.alphabets import is_told, language_of
from lake.wording import counted, several

_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_UNDEFINED = (0x81, 0x8D, 0x8F, 0x90, 0x9D)  # of cp1252
_BEYOND = re.compile(rb"[\x80-\xff]+")
_MIXED = re.compile(r"[A-Za-z][\u0370-\u06ff]|[\u0370-\u06ff][A-Za-z]")
_SELDOM = 20  # of so many lines one
_TELLING = 1 << 14
_FEW = 12  # letters beyond ASCII; fewer tell nothing of the language
_WORLD = [
    "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "iso8859_2", "iso8859_5", "iso8859_7", "cp437", "cp850", "cp866", "mac_roman",
    "shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp949", "cp1252",
]  # fmt: skip
_PADDING = b"\0\x1a\r\n"
_FILLED = 8  # NULs in a row that are no value
_LATIN = {"cp1252", "cp1250", "cp1254", "cp1257", "iso8859-2", "latin-1", "cp850", "cp852", "mac_roman"}
_EAST = {"shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp949"}


def find_encoding(head: bytes, tail: bytes = b"", *, cut: bool = False, between: Between | None = None, by_line: bool = False) -> tuple[str, str | None]:
    """The encoding of a text that begins with `head` and ends with `tail`, and why if it is not UTF-8. `cut`: the head may end within a character.

    `between` tells of what stands between the two, so that the same bytes are taken for the same wherever they stand. A text that can be read `by_line` is
    UTF-8 where any line is, if the others are Latin text for certain.
    """
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32", "a byte order mark of UTF-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", "a byte order mark of UTF-16"
    if wide := wide_encoding(head):
        return wide, "every other byte of its ASCII letters is zero" if "16" in wide else "three of four bytes are zero"
    lines = head.count(b"\n") + (between.lines if between else 0)
    seen = head
    if head.isascii() and between is not None and between.telling:
        seen, cut = between.telling, False
    try:
        seen.decode("utf-8")
    except UnicodeDecodeError as error:
        if cut and error.start >= len(seen) - 3:
            return "utf-8", None
        letters = len(_MULTIBYTE.findall(seen))
        foreign = len(_MULTIBYTE.sub(b"", seen)) - len(_MULTIBYTE.sub(b"", seen).translate(None, bytes(range(0x80, 0x100))))
        if letters >= foreign or _lines_hold(seen):
            return (
                "utf-8",
                f"{counted(letters, 'character')} {several(letters, 'is', 'are')} UTF-8 and {counted(foreign, 'byte')} {several(foreign, 'is', 'are')} not",
            )
        found = _of_bytes(seen + tail, lines)
        if by_line and found[0] in _LATIN and (among := _lines_among(seen, encoding_beside(seen))):
            return "utf-8", among
        return found
    return "utf-8", None


def encoding_beside(head: bytes, between: Between | None = None) -> str:
    """The encoding of lines of a UTF-8 text that are not UTF-8, as far as those that can be seen tell; else that of Windows in the West."""
    lines = [line for line in (head + (between.telling if between else b"")).splitlines() if not line.isascii() and not _is_utf8(line)]
    told = language_of(b"\n".join(lines)) if lines else None
    return told[0] if told else "cp1252"


def _lines_among(seen: bytes, encoding: str) -> str | None:
    """In words that some lines are UTF-8 and the others in `encoding`, where that is so."""
    lines = [line for line in seen.splitlines() if not line.isascii()]
    others = [line for line in lines if not _is_utf8(line)]
    if len(others) == len(lines) or not all(is_told(line, encoding) for line in others):
        return None
    good = len(lines) - len(others)
    return f"{counted(good, 'line')} with letters beyond ASCII {several(good, 'is', 'are')} UTF-8, and {len(others):,} in {encoding}"


def _is_utf8(line: bytes) -> bool:
    return b"\xff" not in line and line.decode("utf-8", "ignore").encode("utf-8") == line


@dataclass(frozen=True)
class Between:
    """What tells of the encoding of the bytes between the first and the last of a file: how many lines there are, and those that are not ASCII (some KiB)."""

    lines: int = 0
    telling: bytes = b""

    def with_chunk(self, chunk: bytes) -> Between:
        """What is known after one more chunk. The lines at its ends may be cut; a character cut there says nothing."""
        telling = self.telling
        if len(telling) < _TELLING and not chunk.isascii():
            found = (line for line in chunk.splitlines(keepends=True)[1:-1] if not line.isascii())
            telling += b"".join(itertools.islice(found, _TELLING // 64))
        return Between(self.lines + chunk.count(b"\n"), telling)


def padding(data: bytes, *, single: bool = False) -> int:
    """How many bytes at the end of `data` are no text: the sign 0x1A by which DOS ended files, and NULs that fill up a block.

    A NUL right after a value is part of it unless many follow; in a `single` column a line of few NULs is a value too, and so is 0x1A
    where nothing stands before it, or a line end follows it.
    """
    bare = data.rstrip(_PADDING)
    tail = data[len(bare) :]
    first = re.search(rb"[\0\x1a]+", tail)
    if first is None or (single and not bare.strip(b"\xef\xbb\xbf") and len(first.group()) < _FILLED):
        return 0
    apart = first.start() > 0 or not bare
    last = not tail.endswith((b"\r", b"\n"))  # a line end after the mark of DOS: it may be a value, where values may stand as it does
    marked = first.group().startswith(b"\x1a") and (last or (apart and not single))
    if (apart and not single) or marked or len(first.group()) >= _FILLED:
        return len(tail) - first.start()
    later = re.search(rb"(?<=[\r\n])[\0\x1a]|\x1a\Z" if not single else rb"\x1a\Z|\0{8}", tail[first.start() + 1 :])
    return len(tail) - first.start() - 1 - later.start() if later else 0


def _lines_hold(head: bytes) -> bool:
    """Whether as many lines with letters beyond ASCII are UTF-8 as are not."""
    lines = [line for line in head.splitlines() if not line.isascii()]
    good = 0
    for line in lines:
        good += _is_utf8(line)
    return 2 * good >= len(lines)


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, by where the zeros are."""
    sample = head[: len(head) // 4 * 4]
    if len(sample) < 8 or 0 not in sample:
        return None
    zeros = [sample[i::4].count(0) * 4 / len(sample) for i in range(4)]
    likely = "".join("0" if share > 0.6 else "x" for share in zeros)
    found = {"x000": "utf-32-le", "000x": "utf-32-be", "x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(likely)
    try:
        return found if found and sample.decode(found) else None
    except UnicodeDecodeError:
        return found


def _of_bytes(data: bytes, lines: int) -> tuple[str, str | None]:
    """An encoding of one language's letters, if there are enough of them to tell; else that of Windows in the West, unless its signs would be damage."""
    beyond = len(data) - len(data.translate(None, bytes(range(0x80, 0x100))))
    if beyond >= _FEW:
        best = charset_normalizer.from_bytes(_telling(data), cp_isolation=_WORLD, preemptive_behaviour=False).best()
        if best is not None and best.encoding not in ("cp1252", "ascii") and _is_sure(best, data):
            return codecs.lookup(best.encoding).name, f"its bytes make {best.language} text in {best.encoding}"
    if (told := language_of(_telling(data))) is not None:
        return told[0], f"its words are {told[1]} in {told[0]}"
    if _is_damage(data, lines):
        return "utf-8", "some bytes are not UTF-8, and are not letters of words or signs in Windows text either: their records are rejected"
    if any(byte in data for byte in _UNDEFINED):
        return "latin-1", "not UTF-8, and some bytes have no meaning in cp1252"
    return "cp1252", "not UTF-8: taken for Windows text (cp1252)"


def _is_damage(data: bytes, lines: int) -> bool:
    """Whether no byte beyond ASCII stands where Windows text has one (in a word, or as a sign), and they stand in numbers or in few of the `lines`."""
    words = damage = False
    for match in _BEYOND.finditer(data):
        before, after = data[match.start() - 1 : match.start()], data[match.end() : match.end() + 1]
        text = match.group().decode("cp1252", "replace")
        words |= any(not sign.isalpha() and sign != "\ufffd" for sign in text) or (text.isalpha() and (before.isalpha() or after.isalpha()))
        damage |= before.isdigit() or after.isdigit()
    foreign = sum(1 for line in data.splitlines() if not line.isascii())
    return not words and (damage or foreign * _SELDOM <= lines)


def _telling(data: bytes) -> bytes:
    """The lines with bytes beyond ASCII, 16 KiB of them."""
    lines = [line for line in data.splitlines(keepends=True) if not line.isascii()]
    return b"".join(lines)[:_TELLING]


def _is_sure(match: charset_normalizer.CharsetMatch, data: bytes) -> bool:
    """Whether the guess reads as whole words of another script; between the Latin encodings nothing is sure."""
    try:
        text = data.decode(match.encoding)
    except UnicodeDecodeError:
        return False
    beyond = [sign for sign in text if ord(sign) > 0x7F]
    letters = sum(1 for sign in beyond if sign.isalpha())
    if letters < 0.9 * len(beyond):
        return False
    if match.encoding in _EAST:
        return sum(1 for sign in beyond if ord(sign) >= 0x2E80) > 0.9 * len(beyond)
    if len(_MIXED.findall(text)) > 0.1 * letters:
        return False  # no language has letters of two scripts within its words
    return sum(1 for sign in beyond if 0x370 <= ord(sign) < 0x700) > 0.9 * len(beyond) and letters >= 2 * _FEW


def transcoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The text as UTF-8. Bytes that are none in `encoding` become bytes that are none in UTF-8 either, so that their line is rejected and no other."""
    start = b""
    while len(start) < 4 and (chunk := next(chunks, b"")):
        start += chunk
    decoder = codecs.getincrementaldecoder(_decoder_of(encoding, start))(_FOREIGN)
    for chunk in itertools.chain([start], chunks):
        yield decoder.decode(chunk).encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", True).encode("utf-8", "surrogateescape")


def _decoder_of(encoding: str, start: bytes) -> str:
    """The decoder for a text that begins with `start`: where no mark says which end comes first, as Python takes it."""
    marked = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    return f"{encoding}-le" if encoding in ("utf-16", "utf-32") and not marked else encoding


def mark_of(encoding: str, start: bytes) -> bytes:
    """The byte order mark that a text in UTF-16 or UTF-32 begins with, which its decoder takes away; empty where it leaves it, or where there is none."""
    marks = {"utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)}.get(encoding, ())
    return next((mark for mark in marks if start.startswith(mark)), b"")


def restored(text: bytes, encoding: str, start: bytes) -> tuple[bytes, int | None]:
    """The bytes of which `transcoded` made `text`, in a file that begins with `start`; and how many stand before the first that are none in `encoding`."""
    if encoding in ("utf-16", "utf-32"):
        big = start.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
        encoding += "-be" if big else "-le"
    out, place, first = b"", 0, None
    for match in _KEPT.finditer(text):
        out += _encoded(text[place : match.start()], encoding)
        first = len(out) if first is None else first
        halves = [byte - 0x80 for byte in match.group(1)]
        out += bytes(16 * high + low for high, low in zip(halves[::2], halves[1::2], strict=True))
        place = match.end()
    return out + _encoded(text[place:], encoding), first


def _encoded(text: bytes, encoding: str) -> bytes:
    return text.decode("utf-8").encode(encoding, _FOREIGN)


_FOREIGN = "lake-foreign"
_KEPT = re.compile(rb"\xff((?:[\x80-\x8f]{2})+)")  # as _keep_foreign writes foreign bytes


def _keep_foreign(error: UnicodeError) -> tuple[str | bytes, int]:
    """Foreign bytes by their halves, as surrogates after one that stands for 0xFF, which no UTF-8 holds; what cp1252 lacks as the signs that browsers take it for."""
    if isinstance(error, UnicodeEncodeError):
        return bytes(ord(sign) & 0xFF for sign in error.object[error.start : error.end]), error.end
    if not isinstance(error, UnicodeDecodeError):
        raise error
    foreign = error.object[error.start : error.end]
    if "1252" in error.encoding or (error.encoding == "charmap" and all(byte in _UNDEFINED for byte in foreign)):
        return foreign.decode("latin-1"), error.end
    return "\udcff" + "".join(f"{chr(0xDC80 + byte // 16)}{chr(0xDC80 + byte % 16)}" for byte in foreign), error.end


codecs.register_error(_FOREIGN, _keep_foreign)
