"""What rules ask, in words: the docstring of a rule that has one, else what its expression says. For everything that people read of rules."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping
from typing import Any

from lake.contract import Contract, unsound
from lake.dtypes import stored_type_name
from lake.expression_words import phrase, tidied
from lake.type_names import type_name

_OLD = re.compile(r'\[\(col\("(?P<column>[^"]+)"\)\) (?P<sign>[<>]=?) \((?:dyn \w+: )?(?P<value>[^()]+)\)\]')
_SIGNS = {"<=": "at most", "<": "below", ">=": "at least", ">": "above"}


@functools.cache
def rule_words(contract: type[Contract]) -> Mapping[str, str]:
    """What is asked of each row, by rule, key uniqueness excepted; of a rule that cannot be evaluated, what is wrong with it."""
    broken = unsound(contract)
    rules = contract._validation_rules(with_cast=False)  # noqa: SLF001  # dataframely 3 has no public listing of rules
    return {name: str(broken[name]) if name in broken else _words(contract, name, rule) for name, rule in rules.items() if name != "primary_key"}


def asked(document: Mapping[str, Any], rule: str) -> str:
    """What a rule asks, by the schema document that has it: in the words kept there, else in those that its text allows. Nothing of a rule it does not know."""
    if words := (document.get("asks") or {}).get(rule):
        return str(words)
    _, _, declared = str((document.get("checks") or {}).get(rule, "")).partition(": ")
    if declared:
        return tidied(declared)
    if text := (document.get("rules") or {}).get(rule):
        return _reread(rule, str(text))
    column, _, kind = rule.rpartition("|")
    type_of = next((one["type"] for one in document.get("columns", ()) if one["name"] == column), None)
    if kind == "dtype" and type_of is not None:
        return f"can be read as {stored_type_name(type_of)}"
    return "a date, as in 2026-01-31" if kind == "date" and type_of is not None else ""


def asked_of_contract(contract: type[Contract], rule: str) -> str:
    """The same by the contract itself."""
    columns = [{"name": name, "type": type_name(column.dtype)} for name, column in contract.columns().items()]
    return asked({"asks": rule_words(contract), "columns": columns}, rule)


def _words(contract: type[Contract], name: str, rule: Any) -> str:
    if said := documented(contract, name):
        return said
    expression = rule.expr
    told = phrase(expression)
    if told is None:
        return tidied(str(expression))
    column = next((each for each in contract.columns() if name.startswith(f"{each}|")), None)
    if column is None or told.subject is None:
        return str(told)
    if told.subject == column:
        return told.claim
    about = re.fullmatch(rf"(?P<part>[\w ]+) of {re.escape(column)}(?P<rest>.*)", told.subject)  # a part of the column that the rule is named after
    alone = about is not None and not re.search(rf"\b{re.escape(column)}\b", told.claim)
    return f"{about['part']}{about['rest']} {told.claim}" if about and alone else str(told)


def documented(contract: type[Contract], name: str) -> str:
    """The docstring's first paragraph, of a function that makes the rule: one of the contract, or one given to a column as `check`. Empty if there is none."""
    made = next((vars(kind)[name] for kind in contract.__mro__ if name in vars(kind)), None)
    function = getattr(made, "validation_fn", None)
    if function is None and "|check" in name:
        column, _, called = name.partition("|check")
        check = getattr(contract.columns().get(column), "check", None)
        function = check.get(called.removeprefix("__")) if isinstance(check, dict) else check
    text = inspect.getdoc(function) if inspect.isfunction(function) or inspect.ismethod(function) else None
    return " ".join((text or "").split("\n\n")[0].split())


def _reread(rule: str, text: str) -> str:
    """The words of a rule of which a document keeps Polars' text alone."""
    column, _, kind = rule.rpartition("|")
    if kind == "nullability" and column:
        return "not null"
    if (found := _OLD.fullmatch(text)) is not None:
        words = f"{_SIGNS[found['sign']]} {found['value']}"
        return words if found["column"] == column else f"{found['column']} {words}"
    return tidied(text)
