"""Polars expressions in words: `pl.col("air_time") <= 1500` is "air_time at most 1500". What no words are known for comes as Polars' text, tidied.

An expression is read from the JSON that Polars serialises it to, so that nothing is evaluated and nothing of it is guessed from text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from lake.literal_words import bare, is_value, listed, quoted, spelled, truth_of
from lake.type_names import type_name

_COMPARED = {
    "LtEq": ("at most", "above"), "Lt": ("below", "at least"), "GtEq": ("at least", "below"), "Gt": ("above", "at most"), "Eq": ("is", "is not"),
    "NotEq": ("is not", "is"), "EqValidity": ("is", "is not"), "NotEqValidity": ("is not", "is"),
}  # fmt: skip
"""By operator: how it reads, and how its contrary does."""
_TURNED = {"LtEq": "GtEq", "Lt": "Gt", "GtEq": "LtEq", "Gt": "Lt"}
_RECKONED = {"Plus": "+", "Minus": "−", "Multiply": "×", "TrueDivide": "/", "Divide": "/", "RustDivide": "/", "FloorDivide": "//", "Modulus": "modulo"}
_CLAIMS = {
    "IsNull": ("is null", "not null"), "IsNotNull": ("not null", "is null"), "IsNan": ("is NaN", "not NaN"), "IsNotNan": ("not NaN", "is NaN"),
    "IsInfinite": ("is infinite", "not infinite"), "IsFinite": ("finite", "not finite"), "IsUnique": ("unique", "there more than once"),
    "IsDuplicated": ("there more than once", "unique"),
}  # fmt: skip
_AGGREGATES = {
    "Sum": "sum of", "Mean": "mean of", "Median": "median of", "Min": "least", "Max": "greatest", "NUnique": "number of distinct", "First": "first",
    "Last": "last", "Std": "standard deviation of", "Var": "variance of",
}  # fmt: skip
_PARTS = {
    "LenChars": "length of", "LenBytes": "length of", "Length": "length of", "Uppercase": "capitals of", "Lowercase": "small letters of", "Year": "year of",
    "Month": "month of", "Day": "day of", "Hour": "hour of", "Minute": "minute of", "Second": "second of", "WeekDay": "weekday of", "OrdinalDay": "day of the year of",
    "Date": "date of", "Time": "time of", "TotalDays": "days of", "TotalHours": "hours of", "TotalMinutes": "minutes of", "TotalSeconds": "seconds of",
    "Abs": "size of", "Negate": "minus", "NullCount": "nulls of",
}  # fmt: skip
_PASSED = {"ConvertTimeZone", "ReplaceTimeZone", "SetSortedFlag", "Rechunk"}
_COLUMN = re.compile(r'col\("((?:[^"\\]|\\.)*)"\)')


class _NoWordsError(Exception):
    """No words are known for a part of an expression."""


@dataclass(frozen=True)
class Phrase:
    """What an expression says: `claim` of `subject`, if it is about one thing; `binds` tells when it needs brackets."""

    claim: str
    subject: str | None = None
    binds: Literal["atom", "sum", "claim", "and", "or"] = "claim"
    contrary: Phrase | None = None

    def __str__(self) -> str:
        return f"{self.subject} {self.claim}" if self.subject is not None else self.claim


def phrase(expression: pl.Expr) -> Phrase | None:
    """What the expression says; None where no words are known for a part of it."""
    try:
        return _told(json.loads(expression.meta.serialize(format="json")))
    except (_NoWordsError, pl.exceptions.PolarsError, ValueError, TypeError, KeyError, IndexError, OverflowError):
        return None


def expression_words(expression: pl.Expr) -> str:
    """The expression in words, or as Polars spells it without its internals."""
    said = phrase(expression)
    return str(said) if said is not None else tidied(str(expression))


def tidied(text: str) -> str:
    """Polars' text of an expression in a form that people can read: column names bare, literals without their types, brackets only where they tell something."""
    told, kept = _without_texts(_COLUMN.sub(lambda found: found[1], " ".join(text.split())))
    told = re.sub(r"\bdyn \w+: ", "", told).replace("[(", "((").replace(")]", "))")
    before = ""
    while before != told:
        before = told
        told = re.sub(r"(?<![\w.])\(([^()\s]+(?:\([^()]*\))?|\([^()]*\)|[\d-]+ [\d:.]+(?: [\w/]+)?)\)", r"\1", told)  # one thing alone
    told = _once_bracketed(told)
    while told.startswith("(") and _closes(told, 0) == len(told) - 1:
        told = told[1:-1]
    return re.sub(r"\x00(\d+)\x00", lambda found: kept[int(found[1])], told)


def _without_texts(text: str) -> tuple[str, list[str]]:
    """The text with a mark for each quoted part, and these: nothing in them is a sign of the expression."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\x00{len(kept) - 1}\x00"

    return re.sub(r'"(?:[^"\\]|\\.)*"', keep, text), kept


def _once_bracketed(text: str) -> str:
    """The text without the outer one of two pairs of brackets around the same."""
    at = 0
    while (at := text.find("((", at)) >= 0:
        outer, inner = _closes(text, at), _closes(text, at + 1)
        if outer >= 0 and inner == outer - 1:
            text = text[:at] + text[at + 1 : inner] + text[outer:]
        else:
            at += 1
    return text


def _closes(text: str, start: int) -> int:
    """Where the bracket that opens at `start` closes; -1 if nowhere."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    return -1


def _told(node: Any) -> Phrase:
    """A node that says something of a row or a table."""
    if not isinstance(node, dict):
        return Phrase("is true", _operand(node), contrary=Phrase("is false", _operand(node)))
    (kind, body), *_ = node.items()
    if kind == "BinaryExpr":
        return _binary(body)
    if kind == "Function":
        return _function(body)
    if kind == "Ternary":
        return _conditional(body)
    if kind == "Eval":
        return _of_elements(body)
    if kind == "Alias":
        return _told(body[0])
    if kind == "Cast" and body["dtype"] == {"Literal": "Boolean"}:
        return _told(body["expr"])
    if kind in ("Column", "Agg", "Over"):
        return Phrase("is true", _operand(node), contrary=Phrase("is false", _operand(node)))
    if node in ({"Literal": {"Scalar": {"Boolean": True}}}, {"Literal": {"Scalar": {"Boolean": False}}}):
        return Phrase("always" if node["Literal"]["Scalar"]["Boolean"] else "never", binds="atom")
    raise _NoWordsError(kind)


def _binary(body: Any) -> Phrase:
    sign, left, right = body["op"], body["left"], body["right"]
    if sign in ("And", "LogicalAnd", "Or", "LogicalOr"):
        return _joined([left, right], "and" if sign in ("And", "LogicalAnd") else "or")
    if sign == "Xor":
        return Phrase(f"either {_in_brackets(_told(left))} or {_in_brackets(_told(right))}", binds="or")
    if sign not in _COMPARED:
        raise _NoWordsError(sign)
    if is_value(left) and not is_value(right):
        left, right, sign = right, left, _TURNED.get(sign, sign)
    if (truth := truth_of(right)) is not None and sign in ("Eq", "EqValidity", "NotEq", "NotEqValidity"):
        said = _told(left)
        return said if truth == sign.startswith("Eq") else _denied(said)
    if isinstance(left, dict) and left.get("Function", {}).get("function") == {"TemporalExpr": "Truncate"} and left["Function"]["input"][0] == right:
        return Phrase(f"nothing finer than {bare(left['Function']['input'][1])}", _operand(right))
    subject, other = _operand(left), _operand(right)
    claim, contrary = (f"{words} {other}" for words in _COMPARED[sign])
    return Phrase(claim, subject, contrary=Phrase(contrary, subject))


def _joined(nodes: list[Any], word: Literal["and", "or"]) -> Phrase:
    parts = [said if said.binds in ("atom", "claim", word) else Phrase(f"({said})", binds="atom") for said in map(_told, nodes)]
    denied = [part.contrary for part in parts]
    other: Literal["and", "or"] = "or" if word == "and" else "and"
    contrary = Phrase(f" {other} ".join(map(str, denied)), binds=other) if all(denied) and all(part.binds == "claim" for part in parts) else None
    if len({part.subject for part in parts}) == 1 and parts[0].subject is not None:
        return Phrase(f" {word} ".join(part.claim for part in parts), parts[0].subject, word, contrary)
    return Phrase(f" {word} ".join(map(str, parts)), binds=word, contrary=contrary)


def _denied(said: Phrase) -> Phrase:
    return said.contrary if said.contrary is not None else Phrase(f"not ({said})", binds="atom")


def _in_brackets(said: Phrase) -> str:
    return str(said) if said.binds in ("atom", "claim") else f"({said})"


def _function(body: Any) -> Phrase:
    name, given = body["function"], body["input"]
    if name == "FillNull" and (truth := truth_of(given[1])) is not None:
        said = _told(given[0])
        return Phrase(f"{_in_brackets(said)}{', where that is known' if truth else ', and that is known'}", binds="or")
    if isinstance(name, dict) and "Boolean" in name:
        return _boolean(name["Boolean"], given)
    if isinstance(name, dict) and "StringExpr" in name:
        return _text(name["StringExpr"], given)
    return Phrase("is true", _operand({"Function": body}), contrary=Phrase("is false", _operand({"Function": body})))


def _boolean(name: Any, given: list[Any]) -> Phrase:
    if isinstance(name, str) and name in _CLAIMS:
        subject = _operand(given[0]) if given[0] != "Element" else "element"
        claim, contrary = _CLAIMS[name]
        return Phrase(claim, subject, contrary=Phrase(contrary, subject))
    if name == "Not":
        return _denied(_told(given[0]))
    if name in ("AllHorizontal", "AnyHorizontal"):
        return _joined(given, "and" if name == "AllHorizontal" else "or")
    if isinstance(name, dict) and "IsBetween" in name:
        subject, low, high = map(_operand, given)
        closed = name["IsBetween"]["closed"]
        said = (
            f"between {low} and {high}"
            if closed == "Both"
            else f"{'at least' if closed == 'Left' else 'above'} {low} and {'at most' if closed == 'Right' else 'below'} {high}"
        )
        return Phrase(said, subject, contrary=Phrase(f"not {said}", subject))
    if isinstance(name, dict) and "IsIn" in name:
        subject = _operand(given[0])
        values = listed(given[1]) if is_value(given[1]) else f"the values of {_operand(given[1])}"
        return Phrase(f"one of {values}", subject, contrary=Phrase(f"none of {values}", subject))
    if isinstance(name, dict) and ("All" in name or "Any" in name):
        return Phrase(f"{_in_brackets(_told(given[0]))}, in {'every' if 'All' in name else 'some'} row", binds="and")
    raise _NoWordsError(str(name))


def _text(name: Any, given: list[Any]) -> Phrase:
    subject = _operand(given[0])
    if isinstance(name, dict) and "Contains" in name:
        wanted = bare(given[1])
        pair = (
            (f"contains {quoted(wanted)}", f"does not contain {quoted(wanted)}")
            if name["Contains"]["literal"]
            else (f"matches {wanted}", f"does not match {wanted}")
        )
        return Phrase(pair[0], subject, contrary=Phrase(pair[1], subject))
    if name in ("StartsWith", "EndsWith"):
        verb = ("starts", "start") if name == "StartsWith" else ("ends", "end")
        wanted = _operand(given[1])
        return Phrase(f"{verb[0]} with {wanted}", subject, contrary=Phrase(f"does not {verb[1]} with {wanted}", subject))
    raise _NoWordsError(str(name))


def _conditional(body: Any) -> Phrase:
    when, then, otherwise = body["predicate"], body["truthy"], body["falsy"]
    if then == {"Literal": {"Scalar": {"Null": "Null"}}} or truth_of(then) is True:
        if isinstance(when, dict) and when.get("Function", {}).get("function") == {"Boolean": "IsNull"}:
            return _told(otherwise)
        return Phrase(f"{_in_brackets(_told(otherwise))}, unless {_in_brackets(_told(when))}", binds="or")
    if truth_of(otherwise) is True or otherwise == {"Literal": {"Scalar": {"Null": "Null"}}}:
        return Phrase(f"if {_in_brackets(_told(when))}, then {_in_brackets(_told(then))}", binds="or")
    return Phrase(f"if {_in_brackets(_told(when))}, then {_in_brackets(_told(then))}, else {_in_brackets(_told(otherwise))}", binds="or")


def _of_elements(body: Any) -> Phrase:
    """What is asked of each element of a list."""
    inner, asked = body["expr"], body["evaluation"]
    if isinstance(inner, dict) and "Eval" in inner and asked["Function"]["function"] == {"Boolean": {"All": {"ignore_nulls": True}}}:
        said = _told(inner["Eval"]["evaluation"])
        return Phrase(f"each element {said.claim if said.subject == 'element' else said}", _operand(inner["Eval"]["expr"]))
    raise _NoWordsError("Eval")


def _operand(node: Any) -> str:
    """A node that stands for a value."""
    if node == "Len":
        return "number of rows"
    if node == "Element":
        return "element"
    if not isinstance(node, dict):
        raise _NoWordsError(str(node))
    (kind, body), *_ = node.items()
    if kind == "Column":
        return str(body)
    if kind == "Literal":
        return spelled(body)
    if kind == "Alias":
        return _operand(body[0])
    if kind == "Cast":
        return _cast(body)
    if kind == "BinaryExpr" and body["op"] in _RECKONED:
        return f"{_term(body['left'])} {_RECKONED[body['op']]} {_term(body['right'])}"
    if kind == "Agg":
        return _aggregate(body)
    if kind == "Over" and body["order_by"] is None:
        return f"{_term(body['function'])} within each {', '.join(map(_operand, body['partition_by']))}"
    if kind == "Function":
        return _part(body)
    if kind == "Ternary":
        then, otherwise = _operand(body["truthy"]), _operand(body["falsy"])
        return f"({then} if {_in_brackets(_told(body['predicate']))}, else {otherwise})"
    raise _NoWordsError(kind)


def _term(node: Any) -> str:
    """A value inside of a reckoning: one that is reckoned itself stands in brackets."""
    told = _operand(node)
    return f"({told})" if isinstance(node, dict) and "BinaryExpr" in node else told


def _cast(body: Any) -> str:
    wanted = body["dtype"].get("Literal") if isinstance(body["dtype"], dict) else None
    if not isinstance(wanted, str):
        return _term(body["expr"])
    return f"{_term(body['expr'])} as {type_name(getattr(pl, wanted))}" if hasattr(pl, wanted) else _term(body["expr"])


def _aggregate(body: Any) -> str:
    (name, given), *_ = body.items()
    if name == "Count":
        return f"number of {'rows' if given['include_nulls'] else 'values of ' + _term(given['input'])}"
    if isinstance(given, dict) and "input" in given:
        given = given["input"]
    given = given[0] if isinstance(given, list) else given
    if name in ("Mean", "Sum") and _says(given):
        return f"{'share' if name == 'Mean' else 'number'} of rows where {_told(given)}"
    if name not in _AGGREGATES:
        raise _NoWordsError(name)
    return f"{_AGGREGATES[name]} {_term(given)}"


def _part(body: Any) -> str:
    name, given = body["function"], body["input"]
    if isinstance(name, dict) and "StructExpr" in name and "FieldByName" in name["StructExpr"]:
        return f"{_operand(given[0])}.{name['StructExpr']['FieldByName']}"
    if isinstance(name, dict):
        (group, inner), *_ = name.items()
        name = inner if group in ("StringExpr", "ListExpr", "TemporalExpr", "ArrayExpr") else group
        name = next(iter(name)) if isinstance(name, dict) else name
    if name in _PASSED:
        return _operand(given[0])
    if name in _PARTS:
        unit = " in bytes" if name == "LenBytes" else ""
        return f"{_PARTS[name]} {_term(given[0])}{unit}"
    if name in ("StripChars", "StripCharsStart", "StripCharsEnd") and given[1] == {"Literal": {"Scalar": {"Null": "Null"}}}:
        return f"{_term(given[0])} without blanks at its ends"
    if name == "FillNull":
        return f"({_operand(given[0])}, or {_operand(given[1])} where null)"
    if name == "Coalesce":
        return f"the first of {', '.join(map(_operand, given))} that is not null"
    if name == "Round":
        return f"{_term(given[0])}, rounded"
    if name == "Quantile":
        return f"{float(bare(given[1])):.0%} quantile of {_term(given[0])}"
    if name == "Pow":
        return f"{_term(given[0])} to the power of {_term(given[1])}"
    if name == "Shift":
        return f"{_term(given[0])}, {_operand(given[1])} rows before"
    raise _NoWordsError(str(name))


def _says(node: Any) -> bool:
    """Whether a node is a claim that can be counted rather than a number."""
    if not isinstance(node, dict):
        return False
    (kind, body), *_ = node.items()
    return (kind == "BinaryExpr" and body["op"] not in _RECKONED) or (
        kind == "Function"
        and isinstance(body["function"], dict)
        and ("Boolean" in body["function"] or "Contains" in str(body["function"].get("StringExpr", "")))
    )
