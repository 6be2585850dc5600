"""What is made of the lines of a text before they are cut: signs that stand for others, and padding around values; each told from the text's beginning."""

from __future__ import annotations

import re
from typing import Any

from lake.reading.fields import split_lines
from lake.reading.text import Between

CHARACTERS, NULS = "control signs read as signs of Windows text", "NULs around values left out"
_WINDOWS = {
    "utf-8": "cp1252", "latin-1": "cp1252", "iso8859-1": "cp1252", "iso8859-15": "cp1252", "iso8859-2": "cp1250", "iso8859-5": "cp1251", "iso8859-7": "cp1253",
    "iso8859-9": "cp1254", "iso8859-13": "cp1257",
}  # fmt: skip
_CONTROLS = re.compile(r"[\x80-\x9f]")
_EDGES = r"[,;\t|\r\n]"
_BESIDE_EDGES = re.compile(rf"(?:\A|(?<={_EDGES}))\0+|\0+(?={_EDGES}|\Z)")
PADDED, FILLED = 2, 4  # NULs beside the edge of a field that fill it up: where others do, and alone
_HABIT = 2  # lines


def windows_signs(encoding: str) -> dict[int, str]:
    """What the control signs U+0080 to U+009F are in Windows text of this encoding."""
    told = {byte: bytes([byte]).decode(encoding, "ignore") for byte in range(0x80, 0xA0)}
    return {byte: sign for byte, sign in told.items() if sign}


def signs_of(text: str, encoding: str, between: Between | None) -> dict[str, Any]:
    """What is to be done to the signs of a text with this beginning, as fields of a dialect, and why; nothing for nearly every text."""
    found: dict[str, Any] = {}
    why = {}
    windows = _WINDOWS.get(encoding)
    rest = between.telling.decode(encoding, "ignore") if between is not None and windows else ""
    if windows and not (text.isascii() and rest.isascii()):
        signs = {*_CONTROLS.findall(text), *_CONTROLS.findall(rest)}
        if any(ord(sign) in windows_signs(windows) for sign in signs):
            found["controls"] = windows
            why["controls"] = f"control signs stand where {windows} has letters and punctuation, and are read as these"
    if "\0" in text and _is_filled(text):
        found["nuls"], why["nuls"] = True, "NULs fill up its fields or records, and are no part of values"
    return {**found, "why": why} if found else {}


def _is_filled(text: str) -> bool:
    """Whether NULs stand around the values of most lines, or several beside the edge of a field in some; a NUL that stands alone may be a value."""
    lines = [line for line in split_lines(text) if line.strip("\r\n")]
    runs = [max(len(match.group()) for match in found) for line in lines if "\0" in line and (found := [*_BESIDE_EDGES.finditer(line)])]
    habitual = len(runs) >= max(_HABIT, len(lines) / 2)
    several = sum(run >= PADDED for run in runs) >= _HABIT or max(runs, default=0) >= FILLED
    return (habitual or several) and re.search(r"[,;\t|]", text) is not None


def cleaned(text: str, controls: str | None, *, nuls: bool) -> str:
    """The beginning of a text, before it is known where its fields end, as it will be read."""
    if controls is not None:
        text = text.translate(windows_signs(controls))
    return _BESIDE_EDGES.sub("", text) if nuls else text
