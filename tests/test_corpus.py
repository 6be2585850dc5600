"""The corpus of broken delimited files tells the truth, its judge can tell right from wrong, and no reader recovers more of it than lake."""

from __future__ import annotations

import copy
import csv
import io
from itertools import islice
from pathlib import Path

import pytest

from tests.corpus.judge import judge
from tests.corpus.make import SEED, Case, corpus, write
from tests.corpus.readers import READERS, Table
from tests.corpus.run import Result, run
from tests.corpus.score import COLUMNS, OURS, UNSEEN_SEED, totals

_PART = 3  # every third file, or the test would take more than a minute


@pytest.fixture(scope="module", params=[SEED, UNSEEN_SEED])
def cases(request: pytest.FixtureRequest) -> list[Case]:
    """A whole corpus: the published one, and one of other tables and phrases."""
    return list(corpus(request.param))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Every reader on a part of the corpus."""
    return run(write(tmp_path_factory.mktemp("corpus"))[::_PART], list(READERS))


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Only lake, on a part of a corpus of other tables and phrases."""
    return run(write(tmp_path_factory.mktemp("unseen"), UNSEEN_SEED)[::_PART], [OURS])


def _truth(case: Case) -> Table:
    """The table that the corpus expects, as if a reader had recovered it."""
    header = case.expected["header"]
    width = len(case.table[0])
    return Table([f"column_{i}" for i in range(width)] if header is None else list(header), [list(row["cells"]) for row in case.expected["rows"]])


def test_honest_files_are_read_back_exactly(cases: list[Case]) -> None:
    """Python's csv, told the dialect, reads from each file that is not broken just the table that was written."""
    honest = [case for case in cases if not case.kinds]
    assert len(honest) > 40
    for case in honest:
        told = case.dialect
        quoting = csv.QUOTE_NONE if told.quoting == "none" else csv.QUOTE_MINIMAL
        escape = None if told.doubled else "\\"
        text = io.StringIO(case.data.decode(told.encoding), newline="")
        found = list(
            csv.reader(text, delimiter=told.delimiter, quotechar=told.quote, doublequote=told.doubled, escapechar=escape, quoting=quoting, strict=True)
        )
        assert case.table == found, case.name
        assert case.table == [case.expected["header"], *(row["cells"] for row in case.expected["rows"])], case.name


def test_every_record_of_a_broken_file_is_accounted_for(cases: list[Case]) -> None:
    """Each record of the clean table is expected of the broken file, with a cell a column, and what it was made of stands in the file's bytes."""
    for case in cases:
        if case.kinds in (("only_header",), ("no_bytes",), ("whitespace_only",)):
            assert case.expected["rows"] == []
            continue
        records = [row for row in case.expected["rows"] if row["standing"] != "free"]
        width = len(case.table[0])
        assert len(records) == len(case.table) - 1, case.name
        assert {len(cells) for row in records for cells in (row["cells"], *row["also"])} == {width}, case.name
        assert case.expected["header"] is None or len(case.expected["header"]) >= width, case.name
        for row in records:
            source = row["source"].encode("latin-1")
            assert source in case.data or source.decode().encode(case.dialect.encoding.replace("utf-16", "utf-16-le")) in case.data, case.name
        for text in case.expected["beside"]:
            assert text in case.data.decode(case.dialect.encoding, "replace"), case.name


def test_the_truth_is_perfect(cases: list[Case]) -> None:
    """A reader that recovers what is expected of each file has every point, and has lost nothing."""
    for case in cases:
        score = judge(case.expected, _truth(case))
        assert score.perfect, (case.name, score.unlike)
        assert score.lost == 0, case.name


def test_each_fault_costs(cases: list[Case]) -> None:
    """A record that is missing, doubled or changed, a line beside that is taken for one, and a wrong name each cost points where they belong."""
    for case in cases:
        counted = [i for i, row in enumerate(case.expected["rows"]) if row["standing"] == "row" and any(row["cells"])]
        if len(counted) < 2 or case.expected["header"] in (None, []):
            continue
        first, whole = counted[0], _truth(case)
        missing, doubled, changed, named = (copy.deepcopy(whole) for _ in range(4))
        missing.rows.pop(first)
        doubled.rows.insert(first, ["0", "a row that is none"])
        changed.rows[first] = [f"not {cell}" for cell in changed.rows[first]]
        named.header[-1] = "another name"
        assert judge(case.expected, missing).records < 1, case.name
        assert judge(case.expected, missing).lost == 1, case.name
        assert judge(case.expected, doubled).records < 1, case.name
        assert judge(case.expected, doubled).cells == 1, case.name
        assert judge(case.expected, changed).cells < 1, case.name
        assert judge(case.expected, named).header == 0, case.name


def test_what_is_set_aside_is_not_lost(cases: list[Case]) -> None:
    """A record in the rejects is no row, but it is not lost."""
    case = next(case for case in cases if case.kinds == ("stray_quote",))
    table = _truth(case)
    table.rows.pop(3)
    table.aside.append(case.expected["rows"][3]["source"].encode("latin-1") + b"\n")
    score = judge(case.expected, table)
    assert score.lost == 0
    assert score.records < 1


def test_the_corpus_is_the_same_each_time(cases: list[Case]) -> None:
    """The same seed makes the same bytes and truths; another seed makes others."""
    made = [[(case.name, case.data, case.expected) for case in islice(corpus(seed), 120)] for seed in (SEED, UNSEEN_SEED)]
    assert [(case.name, case.data, case.expected) for case in cases[:120]] in made
    assert made[0] != made[1]
    assert 300 <= len(cases) <= 500


@pytest.mark.slow
def test_lake_raises_nothing_but_a_rejection(results: list[Result], unseen: list[Result]) -> None:
    """However a file is broken, lake reads it or says in one line that it cannot."""
    raised = [(result.file, result.score.said) for result in [*results, *unseen] if result.reader == OURS and result.score.said and not result.score.refused]
    assert raised == []


@pytest.mark.slow
def test_lake_loses_no_record(results: list[Result], unseen: list[Result]) -> None:
    """Every record that is expected of a file is a row, or in the rejects."""
    lost = [(result.file, result.score.unlike) for result in [*results, *unseen] if result.reader == OURS and result.score.lost]
    assert lost == []


@pytest.mark.slow
def test_no_reader_recovers_more_than_lake(results: list[Result]) -> None:
    """In each column of the table, lake is at least as good as every other reader."""
    table = totals(results)
    ahead = [
        (reader, column, total[column], table[OURS][column])
        for reader, total in table.items()
        for column in COLUMNS
        if (total[column] < table[OURS][column] if column in ("lost", "failed") else total[column] > table[OURS][column])
    ]
    assert ahead == []


def test_the_page_has_a_row_for_each_reader() -> None:
    """docs/csv.md was written with the readers that are compared."""
    page = (Path(__file__).parents[1] / "docs" / "csv.md").read_text(encoding="utf-8")
    assert [reader for reader in READERS if f"| {reader} |" not in page] == []
