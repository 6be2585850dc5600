"""No file stops its subject: whatever the types of a column in two files that follow each other, in whatever formats, no run fails and a third file comes in.

In `make test` some pairs, always the same; in `make laws` others for LAKE_FUZZ_MINUTES (10) from LAKE_LAWS_SEED on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import polars as pl
import pytest

from lake.ingest import ingest
from lake.landing import land
from lake.run import Run, begin_run
from lake.settings import Settings
from lake.source import Source
from lake.table import Table, path_of
from tests.laws.draws import FULL
from tests.laws.paired import FORMATS, drawn, good

_MINUTES = float(os.environ.get("LAKE_FUZZ_MINUTES", "10"))
_FIRST = int(os.environ.get("LAKE_LAWS_SEED", "0"))
_FEW = 12


def _check(run: Run, number: int, folder: Path) -> str | None:
    """What is wrong with how the files of this number come in, one a run; None if nothing is."""
    policy, files = drawn(number)
    source = Source(Table(f"bronze.pairs.t{number}", policy=policy), folder, "*")
    folder.mkdir()
    taken = []
    for at in range(3):
        file = files[at] if at < len(files) else good(next(iter(taken), None) if policy == "strict" else None)
        (folder / f"{file.name}.{file.kind}").write_bytes(file.body)
        landed = land(run, source)
        outcomes = ingest(run, source)
        if landed.problems or not any(outcome.changed for outcome in outcomes):
            return f"{file} did not come in: {landed.problems}"
        _, record = run.log(path_of(source.into.name)).head()
        assert record is not None
        (consumed,) = record.files
        if consumed.reason is None:
            taken.append(file)
            if (consumed.rows, consumed.rejects) != (3, 0) and file.types != ("nothing",):
                return f"{file}: {consumed.rows} rows and {consumed.rejects} rejects"
        elif at > 1:
            return f"{file} is rejected after {files}: {consumed.reason}"
    return None


def _failing(settings: Settings, numbers: range, folder: Path) -> list[str]:
    wrong = []
    with begin_run(settings, "pairs", "test") as run:
        for number in numbers:
            try:
                told = _check(run, number, folder / str(number))
            except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  # whatever it is, it stops the subject
                told = f"{type(error).__name__}: {error}"
            if told:
                wrong.append(f"{number} {drawn(number)}: {told}")
    return wrong


@pytest.mark.timeout(_MINUTES * 60 + 300)
def test_no_pair_of_types_stops_a_subject(weed_settings: Settings, tmp_path: Path) -> None:
    """Every run ends well, each file is rows or rejects, and the third comes in."""
    if not FULL:
        assert _failing(weed_settings, range(_FEW), tmp_path) == []
        return
    until, first = time.monotonic() + _MINUTES * 60, _FIRST
    while first == _FIRST or time.monotonic() < until:
        print(f"LAKE_LAWS_SEED={first}")  # noqa: T201  # says how to draw the same again
        assert _failing(weed_settings, range(first, first + _FEW), tmp_path) == []
        first += _FEW


def test_every_type_of_every_format_is_drawn() -> None:
    """Among ten thousand pairs."""
    seen = {(file.kind, one) for number in range(10_000) for file in drawn(number)[1] for one in file.types}
    assert seen == {(kind, one) for kind, (types, _) in FORMATS.items() for one in types}
