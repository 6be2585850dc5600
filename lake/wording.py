"""How things are said wherever lake says something: counts of things, and what libraries say, in words of lake's."""

from __future__ import annotations

import difflib
import re

_AFTERWARDS = (
    "Resolved plan until failure", "This error occurred", "while evaluating this larger expression", "You might want to try:", "Hint: ", "(consider non-strict",
    "; try setting", "Try increasing", "You may be able to", "Ensure that all values in the input column", "; error message for the first shown value",
)  # fmt: skip
"""What libraries add to a sentence that says what is wrong: plans, expressions, and advice on their own parameters."""
_SPELLED: tuple[tuple[str, str], ...] = (
    (r"Invalid date components \((-?\d+), (-?\d+), (-?\d+)\) supplied", r"there is no date \1-\2-\3"),
    (r"Invalid time components \((-?\d+), (-?\d+), (-?\d+), (-?\d+)\) supplied", r"there is no time \1:\2:\3"),
    (r"conversion from `([^`]+)` to `([^`]+)` failed in column '(.*)' for 1 out of 1 values: \[(.*)\]", r"\4 in \3 cannot become \2"),
    (r"conversion from `([^`]+)` to `([^`]+)` failed in column '(.*)' for (\d+) out of (\d+) values: \[(.*)\]", r"\4 of \5 values in \3 cannot become \2: \6"),
    (r"strict integer parsing failed for \d+ value\(s\): \[(.*)\]", r"\1 is no whole number"),
    (r"incomplete mapping specified for `replace_strict`", r"a value is none of those that replace_strict maps"),
    (r"get index is out of bounds", r"a list is too short for the place that is asked of it"),
    (r"gather indices are out of bounds", r"there are fewer rows than the one that is asked for"),
    (r"expected leading integer in the duration string, found '?(.*?)'?", r"a length of time begins with \1, and not with a number"),
    (r"datetime '(.*)' is non-existent in time zone '(.*)'\.?", r"there is no \1 in time zone \2"),
    (r"datetime '(.*)' is ambiguous in time zone '(.*)'\.?", r"\1 comes twice in time zone \2"),
    (r"invalid `(hex|base64)` encoding found", r"a text is no \1"),
)
_PANIC = re.compile(
    r"called `\w+::\w+\(\)` on an? |assertion .*failed|internal error: entered unreachable|not (yet )?implemented|index out of bounds: |attempt to "
)
_NO_COLUMN = re.compile(r'unable to find column "(.*?)"; valid columns: \[(.*)\]\.?(?: Did you mean .*)?')
_OWN_FILE = "a file of lake's own"
_SPOOL = re.compile(r"""(?:file://(?=/)|(?<![:/\w]))/[^\n]*?/spool/[^\s'"`,;:()<>\[\]]+""")
_LOCAL = re.compile(r"""(?:file://(?=/)|(?<![:/\w]))(?:/[^\s'"`,;:()<>\[\]/]+){2,}""")
_OURS = re.compile(r"\.parquet$|^/tmp/")


def counted(number: int, thing: str, things: str | None = None) -> str:
    """A number of things: `1 row`, `2 rows`, `1,024 copies`. `things` is the plural where it is not the singular with an s, or ies for y."""
    return f"{number:,} {several(number, thing, things)}"


def several(number: int, thing: str, things: str | None = None) -> str:
    """The word for so many things, without the number."""
    if number == 1:
        return thing
    if things is not None:
        return things
    if thing.endswith("y") and thing[-2:-1] not in "aeiou":
        return f"{thing[:-1]}ies"
    return f"{thing}es" if thing.endswith(("s", "x", "ch", "sh")) else f"{thing}s"


def in_words(error: BaseException | str) -> str:
    """What an error of a library says, in one line of lake's words: whole sentences, without plans, tracebacks, advice on its parameters and local paths.

    Where the error is one of Python's, its kind comes first. What is very long ends after a whole word.
    """
    text = str(error).strip()
    if _PANIC.match(text):
        said = re.search(r'ErrString\("((?:[^"\\]|\\.)*)"\)', text)
        text = said[1].partition("\\n")[0] if said else "the library broke off at what it does not know, or at damage"
    if "Traceback (most recent call last)" in text:
        text = next((line for line in reversed(text.splitlines()) if line.strip()), text)
    for mark in _AFTERWARDS:
        text = text.partition(mark)[0]
    text = " ".join(text.split())
    text = next((found.expand(words) for pattern, words in _SPELLED if (found := re.fullmatch(pattern, text))), text)
    if missing := _NO_COLUMN.fullmatch(text):
        text = _no_column(missing.group(1), re.findall(r'"([^"]*)"', missing.group(2)))
    text = re.sub(r"(?<=cannot become )([iuf])(8|16|32|64|128)\b", _number_type, text)
    text = re.sub(
        r"(?<=no date )(-?\d+)-(\d+)-(\d+)", lambda found: "-".join(f"{int(part):0{wide}}" for part, wide in zip(found.groups(), (4, 2, 2), strict=True)), text
    )
    text = _LOCAL.sub(_without_folders, _SPOOL.sub(_OWN_FILE, text))
    kind = type(error).__name__ if not isinstance(error, str) else ""
    if not text:
        text = kind or "no reason was given"
    elif kind and type(error).__module__ == "builtins" and not isinstance(error, OSError):
        text = f"{kind}: {text}"
    return shortened(text.rstrip(".").strip())


def shortened(text: str, most: int = 600) -> str:
    """The text in at most about `most` characters, ending after a whole word and saying that it goes on where it does."""
    if len(text) <= most:
        return text
    head = text[:most].rpartition(" ")[0] or text.split(" ", 1)[0]
    return head if head == text else f"{head} …"


def _no_column(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"there is no column {name}" + (f"; near it: {', '.join(near)}" if near else "")


def _without_folders(found: re.Match[str]) -> str:
    """A path as an error may tell it: of lake's own files nothing, of others the name alone."""
    path = found.group().removeprefix("file://")
    if _OURS.search(path):
        return _OWN_FILE
    return path.rstrip("/").rsplit("/", 1)[-1]


def _number_type(found: re.Match[str]) -> str:
    return {"i": "Int", "u": "UInt", "f": "Float"}[found.group(1)] + found.group(2)
