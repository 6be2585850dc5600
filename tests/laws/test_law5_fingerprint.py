"""Laws 5 and 6 hold only if lake sees every change of the code: the fingerprint of hundreds of edits that may change rows, and of as many that cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from lake.code import Change, Seen, changes_between
from lake.code.kept import what_is_kept
from tests.code_edits import Edit, Files, seen_of, value_edits
from tests.code_rewrites import EQUIVALENT, MUTATIONS, equivalents, mutations
from tests.conftest import ROOT

_FULL = os.environ.get("LAKE_LAWS") == "full"
_ANEW = os.environ.get("LAKE_GOLDEN") == "anew"
_GOLDEN = Path(__file__).parent / "fingerprints.json"
pytestmark = [
    pytest.mark.filterwarnings("ignore::polars.exceptions.PolarsInefficientMapWarning"),
    pytest.mark.filterwarnings("ignore:overriding existing custom namespace:UserWarning"),  # each state of the code registers it anew
]


class _Marks:
    """The marks of states of code, each worked out once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Seen] = {}

    def of(self, files: Files) -> str:
        """The mark of what `make` reaches."""
        text = json.dumps(files)
        if text not in self._known:
            self._known[text] = seen_of(files, self._folder)
        return self._known[text].mark

    def changes(self, edit: Edit) -> list[Change]:
        """What `lake plan --why` would show of an edit. Each part has a key of its own."""
        before, after = (self._of_one_package(files) for files in (edit.before, edit.after))
        was = what_is_kept("", "make", before.parts, before.packages)
        names = [part["name"] for part in was["parts"]]
        assert len(names) == len(set(names)), edit.kind
        assert not changes_between(was, before.parts, before.packages), edit.kind
        return changes_between(was, after.parts, after.packages)

    def _of_one_package(self, files: Files) -> Seen:
        """What is seen, as if each state had been imported under one name."""
        self.of(files)
        seen = self._known[json.dumps(files)]
        return Seen(tuple(replace(part, name=re.sub(r"\bteam_\d+", "team", part.name)) for part in seen.parts), seen.packages)


@pytest.fixture
def marks(tmp_path: Path) -> _Marks:
    """Marks of packages that are written below the test's folder."""
    return _Marks(tmp_path)


def _wrong(marks: _Marks, edits: Iterable[Edit], *, same: bool) -> tuple[int, list[str]]:
    """How many edits there are, and those that are not seen as they should be."""
    tried, wrong = 0, []
    for edit in edits:
        tried += 1
        if (marks.of(edit.before) == marks.of(edit.after)) is not same:
            wrong.append(edit.kind)
        elif not same and not marks.changes(edit):
            wrong.append(f"{edit.kind}: seen, but not shown")
    return tried, wrong


def test_every_value_that_changes_is_seen_however_it_is_reached(marks: _Marks) -> None:
    """Eighty kinds of values, each in some of twenty shapes (in all of them with LAKE_LAWS=full)."""
    tried, missed = _wrong(marks, value_edits(1 if _FULL else 6), same=False)
    assert not missed
    assert tried >= 250


def test_every_change_of_code_is_seen(marks: _Marks) -> None:
    """More than forty kinds of edits of functions, classes, decorators and whatever they reach."""
    tried, missed = _wrong(marks, mutations(), same=False)
    assert not missed
    assert tried >= 140
    assert len(MUTATIONS) >= 40


def test_edits_that_change_no_row_are_not_seen(marks: _Marks) -> None:
    """Comments, docstrings, layout, annotations, quotes, renamed helpers, moved files and more."""
    tried, false = _wrong(marks, equivalents(), same=True)
    assert not false
    assert tried >= 100
    assert len(EQUIVALENT) >= 30


def _golden() -> dict[str, Files]:
    """One state of code for each kind of edit, but for values of numpy, whose version is part of the fingerprint."""
    states = {edit.kind: edit.before for edit in (*value_edits(20), *mutations(), *equivalents())}
    return {kind: files for kind, files in states.items() if "numpy" not in json.dumps(files)}


def test_fingerprints_are_those_of_every_python_and_process(marks: _Marks) -> None:
    """The marks kept in a file are found here; 3.11, 3.12 and 3.13 have given the very same. Another scheme has another number, and makes them anew."""
    found = {kind: marks.of(files)[:16] for kind, files in _golden().items()}
    if _ANEW:
        _GOLDEN.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    assert found == json.loads(_GOLDEN.read_text("utf-8"))


@pytest.mark.parametrize("seed", range(20 if _FULL else 2))
def test_every_process_gives_one_fingerprint(seed: int, tmp_path: Path) -> None:
    """Sets, dicts of functions and expressions with functions in them, in processes that hash differently."""
    files = {
        "hops.py": """
            import polars as pl
            def a(x): return x
            def b(x): return -x
            HELD = {"a": a, "b": lambda x: [x, {1, 2, "c", "d", None}], "c": {a, b, len, max}, "e": frozenset("abcdef"), "f": object()}
            EXPRESSION = pl.col("a").map_batches(lambda s: s + len(HELD))
            def make(raw): return HELD["a"](raw), EXPRESSION
        """
    }
    program = f"import sys; from pathlib import Path; from tests.code_edits import seen_of; print(seen_of({files!r}, Path({str(tmp_path)!r})).mark)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": str(seed * 7919 + 1)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == seen_of(files, tmp_path).mark
