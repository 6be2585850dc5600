"""Names and values as the text that they are, wherever they are shown: one door for terminals and log lines, one for Markdown, one for cells of a table.

What comes from data may hold signs that steer a terminal, line ends that fake lines, and marks that become links. The pages of `lake docs` have their own door:
every value is escaped by the templates.
"""

from __future__ import annotations

import re

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control signs, line ends and tabs aside, what else ends a line, and what turns the direction of text."""
_LINES = {"\n": "\\n", "\t": "\\t"}
_MARKS = re.compile(r"[\\`*\[\]<>&~]|(?<!\w)_|_(?!\w)|(?<=^)[#+=-](?=\s)|(?<=^)\d+(?=[.)]\s)")
_LINK = re.compile(r"(?<=[A-Za-z])://|\bwww\.", re.IGNORECASE)
_GAP = "\u200b"


def spelled_out(text: str) -> str:
    """The text with what steers spelled out; line ends and tabs stay."""
    return STEERING.sub(lambda found: f"\\x{ord(found.group()):02x}" if ord(found.group()) < 0x100 else f"\\u{ord(found.group()):04x}", text)


def in_line(text: str) -> str:
    """The text in one line, for logs, cells and lists: line ends and tabs are spelled out too."""
    return spelled_out(text).replace("\n", _LINES["\n"]).replace("\t", _LINES["\t"])


def indented(text: str) -> str:
    """The text for standard error, where a line that begins at the margin is a message of its own: what follows a line end is set off."""
    return spelled_out(text).replace("\n", "\n  ")


def in_markdown(text: str) -> str:
    """The text in one line of Markdown that shows it as it is: no emphasis, code, HTML, list, or link, written or found."""
    return _unlinked(_MARKS.sub(lambda found: f"\\{found.group()}" if not found.group().isdigit() else found.group() + _GAP, in_line(text)))


def in_cell(text: str) -> str:
    """The text in a cell of a table that may or may not be taken for Markdown: no link comes of it, and nothing is added that would be seen."""
    return _unlinked(in_line(text).replace("](", f"]{_GAP}("))


def _unlinked(text: str) -> str:
    return _LINK.sub(lambda found: found.group()[0] + _GAP + found.group()[1:], text)
