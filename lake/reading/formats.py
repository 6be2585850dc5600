"""What kind of file bytes are: by content first; the name decides only between kinds of text."""

from __future__ import annotations

import json
import re
from typing import Literal

from lake.reading.text import find_encoding, wide_encoding

Format = Literal["csv", "json", "ndjson", "parquet", "arrow", "excel", "empty", "binary"]


_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html[\s>]|\?xml[\s?])", re.IGNORECASE)


def foreign(head: bytes) -> str:
    """What a file is that holds no table, in words."""
    if _MARKUP.match(head):
        return "XML" if b"<?xml" in head[:200].lower() and b"<html" not in head[:2000].lower() else "a web page"
    return "a PDF" if head.startswith(b"%PDF") else "a picture" if head[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0", b"GIF8") else "binary"


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
    if head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")):
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
        return "ndjson" if suffix in ("ndjson", "jsonl") or _has_json_lines(text) else "json"
    if suffix in ("json", "ndjson", "jsonl"):
        return "ndjson"
    return "csv"


def _is_binary(head: bytes) -> bool:
    """Text has no NULs, unless it is UTF-16 or UTF-32 and begins by saying so; a stray one in a long text is still text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or wide_encoding(head):
        return False
    controls = sum(head.count(byte) for byte in range(0x20) if byte not in b"\t\n\r\f\v\x1b\x1e\x1f\x01")
    return head.count(0) > len(head) // 100 + 1 or controls > len(head) // 20 + 2


def _has_json_lines(text: str) -> bool:
    """Whether one object stands on each line; a document that is one object on one line may hold a list of records."""
    lines = [line for line in text.split("\n")[:20] if line.strip()]
    return len(lines) > 1 and 2 * sum(map(_is_json_object, lines)) >= len(lines)


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _begins_json_array(text: str) -> bool:
    return bool(re.match(r"\[\s*[\[{\"\d\]-]", text))
