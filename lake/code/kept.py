"""What made a fingerprint, kept in the store: one object for each fingerprint, written once, before the commit that names it."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lake.code.parts import SCHEME, Part
from lake.errors import StoreError
from lake.store import Store

_FOLDER = "system/code"
_kept: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Change:
    """One thing that a hop's function reaches and that is not what it was: its name, `added`, `removed` or `changed`, and how, line by line."""

    name: str
    what: str
    kind: str
    lines: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, "what": self.what, "kind": self.kind, "diff": list(self.lines)}


def keep(store: Store, mark: str, hop: str, parts: Iterable[Part], packages: dict[str, str]) -> None:
    """Put what made the fingerprint `mark` into the store, if it is not there. One request, or none for what this process has kept already."""
    at = (store.uri(_FOLDER), mark)
    if at in _kept:
        return
    told = what_is_kept(mark, hop, parts, packages)
    store.put_if_absent(f"{_FOLDER}/{mark}.json", json.dumps(told, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace"))
    _kept.add(at)


def what_is_kept(mark: str, hop: str, parts: Iterable[Part], packages: dict[str, str]) -> dict[str, Any]:
    """What is kept of the fingerprint `mark`, as plain data."""
    given = list(parts)
    return {
        "fingerprint": mark,
        "scheme": SCHEME,
        "hop": hop,
        "packages": dict(sorted(packages.items())),
        "whole": _whole(given),
        "parts": _told(given),
    }


def recall(store: Store, mark: str) -> dict[str, Any] | None:
    """What is kept of a fingerprint; None where nothing is, or it is damaged."""
    try:
        told = json.loads(store.get(f"{_FOLDER}/{mark}.json"))
    except (StoreError, ValueError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("parts"), list) else None


def changes_between(was: dict[str, Any], parts: Iterable[Part], packages: dict[str, str]) -> list[Change]:
    """What differs between what is kept and what is reached now. A thing that only moved or was renamed does not, unless nothing else does."""
    given = list(parts)
    now_told = _told(given)
    old, new = _paired(was["parts"], now_told)
    same = {part["digest"] for part in was["parts"]} & {part["digest"] for part in now_told}
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before is not None and now is not None:
            if before["digest"] != now["digest"]:
                found.append(Change(name, "changed", now["kind"], _lines(before["text"], now["text"])))
            continue
        one = before or now or {}
        if one["digest"] not in same:
            found.append(Change(name, "removed" if now is None else "added", one["kind"], _lines(before["text"] if before else "", now["text"] if now else "")))
    for name in sorted(was.get("packages", {}).keys() | packages.keys()):
        before_version, now_version = was.get("packages", {}).get(name), packages.get(name)
        if before_version != now_version:
            found.append(Change(name, "changed", "package", _lines(before_version or "not used", now_version or "not used")))
    return found or _reaching_other(was, old, new, _whole(given), now_told)


def _told(parts: list[Part]) -> list[dict[str, Any]]:
    """Parts as plain data, each with a digest of what it refers to by what that is."""

    def linked(part: Part) -> str:
        form = re.sub(r"#(\d+) ", lambda one: f"#{parts[int(one[1])].digest} " if int(one[1]) < len(parts) else one[0], part.form)
        return hashlib.sha256(form.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    return [part.told() | {"reaches": linked(part)} for part in parts if part.name]


def _whole(parts: list[Part]) -> str:
    """A digest of all that the parts are, in their order."""
    return hashlib.sha256("\n".join(part.form for part in parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _paired(was: list[dict[str, Any]], now: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts by their keys. Of those that share a name and differ in the number after it, those that are the same have one key: where one goes, the rest keep theirs."""
    old, new = {str(part["name"]): part for part in was}, {str(part["name"]): part for part in now}
    groups: dict[tuple[str, str], list[str]] = {}
    for name, part in new.items():
        groups.setdefault((part["kind"], _unnumbered(name)), []).append(name)
    moved: dict[str, Any] = {}
    for (kind, name), keys in groups.items():
        before = [key for key, part in old.items() if part["kind"] == kind and _unnumbered(key) == name]
        if len(keys) == len(before) == 1:
            moved[keys[0]] = old.pop(before[0])
            continue
        waiting = [old.pop(key) for key in before]
        for key in keys:
            if (same := next((part for part in waiting if part["digest"] == new[key]["digest"]), None)) is not None:
                waiting.remove(same)
                moved[key] = same
        left = [key for key in keys if key not in moved]
        moved |= dict(zip(left, waiting, strict=False))
        moved |= {f"{part['name']} (gone)" if part["name"] in new else part["name"]: part for part in waiting[len(left) :]}
    return old | moved, new


def _unnumbered(name: str) -> str:
    return re.sub(r" \(\d+\)$", "", name)


def _reaching_other(was: dict[str, Any], old: dict[str, Any], new: dict[str, Any], whole: str, now: list[dict[str, Any]]) -> list[Change]:
    """Where everything that is reached is as it was: what refers to other things of it than before, or in another order."""
    if "whole" not in was or was["whole"] == whole:
        return []
    told = ("+ it refers to other things, or in another order",)
    found = [Change(name, "changed", part["kind"], told) for name, part in new.items() if name in old and old[name].get("reaches") != part["reaches"]]
    return found or [Change(part["name"], "changed", part["kind"], told) for part in now[:1]]


def _lines(was: str, now: str) -> tuple[str, ...]:
    return tuple(line for line in difflib.unified_diff(was.splitlines(), now.splitlines(), lineterm="", n=2) if not line.startswith(("---", "+++", "@@")))
