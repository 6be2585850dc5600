"""What kind of file bytes are: by content first; the name decides only between kinds of text."""

from __future__ import annotations

import json
import re
from typing import Literal

from lake.reading.streams import is_skippable
from lake.reading.text import find_encoding, padding, wide_encoding
from lake.wording import counted

Format = Literal["csv", "json", "ndjson", "parquet", "arrow", "excel", "empty", "binary"]


_PACKED: dict[str, bytes | tuple[bytes, ...]] = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "gz": b"\x1f\x8b",
    "zst": b"\x28\xb5\x2f\xfd",
    "bz2": b"BZh",
    "xz": b"\xfd7zXZ",
}
_BEYOND = bytes(range(0x80, 0x100))
_SIGNS = bytes(one for one in (*range(0x20), 0x7F) if one not in b"\t\n\r\0")
_FILLING = re.compile(rb"(?:\A|(?<=[,;\t|\r\n]))\0+|\0+(?=[,;\t|\r\n]|\Z)")
_FEW = 8  # NULs that a text of any size may have
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html[\s>]|\?xml[\s?])", re.IGNORECASE)


def foreign(head: bytes) -> str:
    """What a file is that holds no table, in words."""
    if _MARKUP.match(head):
        return "XML" if b"<?xml" in head[:200].lower() and b"<html" not in head[:2000].lower() else "a web page"
    if head.startswith((b"\x89PNG", b"GIF8", b"\xff\xd8\xff")):
        return "a picture"
    packed = "zst" if is_skippable(head) else next((name for name, magic in _PACKED.items() if head.startswith(magic)), None)
    if packed:
        return f"packed once more ({packed}): one packing is undone, no more; land what is inside"
    if head.startswith(b"%PDF"):
        return "a PDF"
    nuls, controls = head.count(0), _controls(head)
    told = (
        f"{nuls:,} of its first {counted(len(head), 'byte')} are NUL"
        if 2 * nuls >= controls
        else f"{controls:,} of its first {counted(len(head), 'byte')} are control signs"
    )
    return f"binary: {told}; text has none" if controls else "binary"


def format_of(head: bytes, name: str, *, cut: bool = False) -> Format:
    """The format by content first; the name decides only between kinds of text."""
    if not head:
        return "empty"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "excel"
    if head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ")) or (head[:3] == b"BZh" and head[4:10] == b"1AY&SY") or is_skippable(head):
        return "binary"  # packed inside a package
    if head.startswith((b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff")) or _is_binary(head):
        return "binary"
    if _MARKUP.match(head):
        return "binary"
    suffix = name.rsplit(".", 1)[-1].lower()
    if suffix in ("csv", "tsv", "tab", "psv"):
        return "csv"
    text = head.decode(find_encoding(head, cut=cut)[0], "replace").lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        return "json" if suffix == "json" or _begins_json_array(text) else "csv"
    if text.startswith("{"):
        return "ndjson" if (suffix in ("ndjson", "jsonl") and not _spans_lines(text)) or _has_json_lines(text) else "json"
    if suffix in ("json", "ndjson", "jsonl"):
        return "ndjson"
    return "csv"


def _is_binary(head: bytes) -> bool:
    """Text has no NULs, unless it is UTF-16 or UTF-32 and begins by saying so; a few in a text, and those that fill up its end, do not make it another."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or wide_encoding(head):
        return False
    head = head[: len(head) - padding(head)] or head
    if _is_noise(head):
        return True
    if 0 in head and not _controls(bare := _FILLING.sub(b"", head)) and len(bare.split()) > 1:
        return False  # NULs fill up the fields or records of a text
    nuls = head.count(0)
    return nuls > max(len(head) // 100 + 1, min(_FEW, len(head) // 4)) or _controls(head) - nuls > len(head) // 20 + 2


def _is_noise(head: bytes) -> bool:
    """Whether bytes are neither UTF-8 nor like text in any older encoding: these have letters beyond ASCII, and next to no control signs among them."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 3:
            return False  # cut within a character
    else:
        return False
    beyond = len(head) - len(head.translate(None, _BEYOND))
    controls = len(head) - len(head.translate(None, _SIGNS))
    return beyond > len(head) // 4 and controls > len(head) // 50


def _controls(head: bytes) -> int:
    return sum(head.count(byte) for byte in range(0x20) if byte not in b"\t\n\r\f\v\x1b\x1e\x1f\x01")


def _has_json_lines(text: str) -> bool:
    """Whether one object stands on each line; a document that is one object on one line may hold a list of records."""
    lines = [line for line in text.split("\n")[:20] if line.strip()]
    return len(lines) > 1 and 2 * sum(map(_is_json_object, lines)) >= len(lines)


def _spans_lines(text: str) -> bool:
    """Whether the first object goes over several lines, or carriage returns alone stand between objects: one after another they are read as a document."""
    try:
        end = json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return False  # damaged, or longer than what is looked at
    return "\n" in text[:end] or "\r" in text[:end] or bool(re.match(r"[ \t]*\r[ \t]*\{", text[end:]))


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _begins_json_array(text: str) -> bool:
    return bool(re.match(r"\[\s*[\[{\"\d\]-]", text))
