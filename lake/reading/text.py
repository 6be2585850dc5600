"""Bytes as text: the encoding of a file, and its text as UTF-8 with nothing lost where some bytes are none."""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator

import charset_normalizer

_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_UNDEFINED = (0x81, 0x8D, 0x8F, 0x90, 0x9D)  # of cp1252
_FEW = 12  # letters beyond ASCII; fewer tell nothing of the language
_WORLD = [
    "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "iso8859_2", "iso8859_5", "iso8859_7", "cp437", "cp850", "cp866", "mac_roman",
    "shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp949", "cp1252",
]  # fmt: skip
_EAST = {"shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp949"}


def find_encoding(head: bytes, tail: bytes = b"", *, cut: bool = False) -> tuple[str, str | None]:
    """The encoding of a text that begins with `head` and ends with `tail`, and why if it is not UTF-8. `cut`: the head may end within a character."""
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32", "a byte order mark of UTF-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", "a byte order mark of UTF-16"
    if wide := wide_encoding(head):
        return wide, "every other byte of its ASCII letters is zero" if "16" in wide else "three of four bytes are zero"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if cut and error.start >= len(head) - 3:
            return "utf-8", None
        letters = len(_MULTIBYTE.findall(head))
        foreign = len(_MULTIBYTE.sub(b"", head)) - len(_MULTIBYTE.sub(b"", head).translate(None, bytes(range(0x80, 0x100))))
        if letters >= foreign or _lines_hold(head):
            return "utf-8", f"{letters} characters are UTF-8 and {foreign} bytes are not"
        return _of_bytes(head + tail)
    return "utf-8", None


def _lines_hold(head: bytes) -> bool:
    """Whether as many lines with letters beyond ASCII are UTF-8 as are not."""
    lines = [line for line in head.splitlines() if not line.isascii()]
    good = 0
    for line in lines:
        good += b"\xff" not in line and line.decode("utf-8", "ignore").encode("utf-8") == line
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


def _of_bytes(data: bytes) -> tuple[str, str | None]:
    """An encoding of one language's letters, if there are enough of them to tell; else that of Windows in the West."""
    beyond = len(data) - len(data.translate(None, bytes(range(0x80, 0x100))))
    if beyond >= _FEW:
        best = charset_normalizer.from_bytes(_telling(data), cp_isolation=_WORLD, preemptive_behaviour=False).best()
        if best is not None and best.encoding not in ("cp1252", "ascii") and _is_sure(best, data):
            return codecs.lookup(best.encoding).name, f"its bytes make {best.language} text in {best.encoding}"
    if any(byte in data for byte in _UNDEFINED):
        return "latin-1", "not UTF-8, and some bytes have no meaning in cp1252"
    return "cp1252", "not UTF-8: taken for Windows text (cp1252)"


def _telling(data: bytes) -> bytes:
    """The lines with bytes beyond ASCII, 16 KiB of them."""
    lines = [line for line in data.splitlines(keepends=True) if not line.isascii()]
    return b"".join(lines)[: 1 << 14]


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
    return sum(1 for sign in beyond if 0x370 <= ord(sign) < 0x700) > 0.9 * len(beyond) and letters >= 2 * _FEW


def transcoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The text as UTF-8. Bytes that are none in `encoding` become bytes that are none in UTF-8 either, so that their line is rejected and no other."""
    start = b""
    while len(start) < 4 and (chunk := next(chunks, b"")):
        start += chunk
    if encoding in ("utf-16", "utf-32") and not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        encoding += "-le"  # as Python takes a text that does not say
    decoder = codecs.getincrementaldecoder(encoding)(_FOREIGN)
    for chunk in itertools.chain([start], chunks):
        yield decoder.decode(chunk).encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", True).encode("utf-8", "surrogateescape")


_FOREIGN = "lake-foreign"


def _keep_foreign(error: UnicodeError) -> tuple[str | bytes, int]:
    """Foreign bytes as surrogates after one that stands for 0xFF, which no UTF-8 holds; what cp1252 lacks as the control signs that browsers take it for."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    foreign = error.object[error.start : error.end]
    if "1252" in error.encoding or (error.encoding == "charmap" and all(byte in _UNDEFINED for byte in foreign)):
        return foreign.decode("latin-1"), error.end
    if "16" in error.encoding or "32" in error.encoding:
        return "\udcff", error.end
    return "\udcff" + "".join(chr(0xDC00 + byte) if byte > 0x7F else chr(byte) for byte in foreign), error.end


codecs.register_error(_FOREIGN, _keep_foreign)
