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
_LETTER = "[A-Za-z\u00c0-\u024f]"
_WITHIN = r"[^\x91-\x94\r\n\t,;|]*"
_PLAIN = re.compile(  # signs that stand as only punctuation does: an apostrophe in a word, a pair of quotes around words, a dash between
    rf"{_LETTER}{{2}}\x92{_LETTER}|{_LETTER}\x92{_LETTER}{{2}}|\x91{_LETTER}{{2}}{_WITHIN}\x92|\x93{_LETTER}{{2}}{_WITHIN}\x94|\x84{_LETTER}{{2}}{_WITHIN}[\x93\x94]"
    rf"|{_LETTER}{{2}} [\x96\x97] {_LETTER}{{2}}|\d{{2}} ?[\x96\x97] ?\d{{2}}"
)
_LIKELY = re.compile(rf"{_LETTER}{{3}} ?[\x80-\x9f]|[\x80-\x9f] ?{_LETTER}{{3}}|\d ?[\x80\x89]|\x80 ?\d")  # beside a word, or a number as currencies do
_WORDS = re.compile(r"[A-Za-z][a-z]{2,}")
_SEVERAL = 3
_EDGES = r"[,;\t|\r\n]"
_BESIDE_EDGES = re.compile(rf"(?:\A|(?<={_EDGES}))\0+|\0+(?={_EDGES}|\Z)")
_AFTER_VALUE = re.compile(rf"[^,;\t|\r\n\0]\0+(?={_EDGES}|\Z)")  # a field of a single NUL is one
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
        if any(ord(sign) in windows_signs(windows) for sign in signs) and (encoding != "utf-8" or _is_punctuation(text) or _is_punctuation(rest)):
            found["controls"] = windows
            why["controls"] = f"control signs stand where {windows} has letters and punctuation, and are read as these"
    if "\0" in text and _is_filled(text):
        found["nuls"], why["nuls"] = True, "NULs fill up its fields or records, and are no part of values"
    return {**found, "why": why} if found else {}


def _is_punctuation(text: str) -> bool:
    """Whether control signs stand as punctuation does, one for certain or several likely: in UTF-8, one that stands anyhow may be what it is."""
    if _PLAIN.search(text) is not None:
        return True
    lines = [line for line in split_lines(text) if _CONTROLS.search(line)]
    likely = sum(_LIKELY.search(line) is not None for line in lines)
    return likely >= max(_SEVERAL, 0.9 * len(lines)) and len(set(_WORDS.findall(text))) >= _SEVERAL


def _is_filled(text: str) -> bool:
    """Whether NULs stand around the values of most lines, or several beside the edge of a field in some; a NUL that stands alone may be a value."""
    lines = [line for line in split_lines(text) if line.strip("\r\n")]
    runs = [max(len(match.group()) for match in found) for line in lines if "\0" in line and (found := [*_BESIDE_EDGES.finditer(line)])]
    habitual = len(runs) >= max(_HABIT, len(lines) / 2) and _AFTER_VALUE.search(text) is not None
    several = sum(run >= PADDED for run in runs) >= _HABIT or max(runs, default=0) >= FILLED
    return (habitual or several) and re.search(r"[,;\t|]", text) is not None


def cleaned(text: str, controls: str | None, *, nuls: bool) -> str:
    """The beginning of a text, before it is known where its fields end, as it will be read."""
    if controls is not None:
        text = text.translate(windows_signs(controls))
    return _BESIDE_EDGES.sub("", text) if nuls else text
