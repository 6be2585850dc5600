"""Score readers on the corpus: `python -m tests.corpus.score` writes the tables of docs/csv.md.

`--check` compares instead of writing (lake's own figures aside), `--failures` lists the files lake reads imperfectly, with what differs,
`--seed N` makes another corpus that nobody has looked at, and prints only; so does `--only TEXT`, which takes the files whose names hold
the text, and `--print`.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from tests.corpus.make import SEED, write
from tests.corpus.readers import READERS
from tests.corpus.run import Result, run

PAGE = Path(__file__).parents[2] / "docs" / "csv.md"
_BETWEEN = re.compile(r"(<!-- scores -->\n).*(<!-- end of scores -->)", re.DOTALL)
OURS = "lake"
UNSEEN_SEED = 4128
COLUMNS = ("header", "records", "cells", "perfect", "lost", "failed")


def totals(results: Iterable[Result]) -> dict[str, dict[str, float]]:
    """For each reader the mean shares of headers, records, cells and perfect files; and how many records are lost, how many files failed."""
    by_reader: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_reader[result.reader].append(result)
    return {reader: _total(some) for reader, some in by_reader.items()}


def _total(results: list[Result]) -> dict[str, float]:
    scores = [result.score for result in results]
    return {
        "header": fmean(score.header for score in scores), "records": fmean(score.records for score in scores), "cells": fmean(score.cells for score in scores),
        "perfect": fmean(score.perfect for score in scores), "lost": sum(score.lost for score in scores), "failed": sum(score.failed for score in scores),
    }  # fmt: skip


def by_kind(results: Iterable[Result]) -> dict[str, dict[str, tuple[int, float]]]:
    """For each breakage, alone or in company, and each reader: how many files, and the share that is perfect. Honest files are under `nothing`."""
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for kind in result.kinds or ("nothing",):
            found[kind][result.reader].append(result.score.perfect)
    return {kind: {reader: (len(marks), fmean(marks)) for reader, marks in readers.items()} for kind, readers in sorted(found.items())}


def render(results: list[Result]) -> str:
    """The table of readers and that of breakages, as Markdown."""
    return f"{readers_table(results)}\n{breakages_table(results)}"


def readers_table(results: list[Result]) -> str:
    """Each reader's figures over all files."""
    files = {result.file: result.encoding for result in results}
    foreign = sum(not encoding.startswith("utf-8") for encoding in files.values())
    lines = [
        f"{len(files)} files, {foreign} of them not in UTF-8.",
        "",
        "| reader | header | records | cells | all three | lost records | failed files |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for reader, total in totals(results).items():
        shares = " | ".join(f"{100 * total[column]:.1f} %" for column in COLUMNS[:4])
        lines.append(f"| {reader} | {shares} | {total['lost']:,} | {total['failed']} |")
    return "\n".join(lines) + "\n"


def breakages_table(results: list[Result]) -> str:
    """Each breakage's perfect share: the best of the other readers, and lake."""
    lines = ["| broken by | files | best other | its share | lake |", "|---|--:|---|--:|--:|"]
    for kind, readers in by_kind(results).items():
        others = {reader: share for reader, (_, share) in readers.items() if reader != OURS}
        best = max(others, key=others.__getitem__, default="")
        ours = f"{100 * readers[OURS][1]:.0f} %" if OURS in readers else ""
        name = best if others and others[best] else "none"
        lines.append(f"| {kind.replace('_', ' ')} | {next(iter(readers.values()))[0]} | {name} | {100 * others.get(best, 0):.0f} % | {ours} |")
    return "\n".join(lines) + "\n"


def without_lake(page: str) -> str:
    """The tables without lake's own figures, which change with each improvement."""
    kept = [line for line in page.splitlines() if not line.startswith("| lake |")]
    return "\n".join(re.sub(r"\| [^|]*\|$", "|", line) if line.count("|") == 6 else line for line in kept)


def failures(results: Iterable[Result]) -> str:
    """What is wrong with each file that lake does not read perfectly."""
    lines = []
    for result in results:
        score = result.score
        if result.reader == OURS and (not score.perfect or score.lost):
            lines.append(f"{result.file}: header {score.header:.0f}, records {score.records:.2f}, cells {score.cells:.2f}, lost {score.lost}")
            lines += [f"    {text[:300]}" for text in score.unlike]
    return "\n".join(lines)


def worst(results: Iterable[Result], folder: Path | None) -> str:
    """The breakages in the order of lake's perfect share, the worst first, each with a file to look at."""
    ours = [result for result in results if result.reader == OURS]
    lines = []
    for kind, readers in sorted(by_kind(ours).items(), key=lambda item: item[1][OURS][1]):
        files, share = readers[OURS]
        lost = sum(result.score.lost for result in ours if kind in (result.kinds or ("nothing",)))
        example = next((result.file for result in ours if kind in (result.kinds or ("nothing",)) and (not result.score.perfect or result.score.lost)), None)
        if example:
            lines.append(f"{kind}: {files} files, {100 * share:.0f} % perfect, {lost} lost; e.g. {folder / example if folder else example}")
    return "\n".join(lines)


def scored(seed: int, readers: list[str], keep: Path | None = None, only: str = "") -> list[Result]:
    """The results of `readers` on the files of one corpus whose names hold `only`; the files stay in `keep`, if it is given."""
    with tempfile.TemporaryDirectory() as passing:
        return run([file for file in write(keep or Path(passing), seed) if only in file.name], readers)


def publish(results: list[Result], *, check: bool) -> int:
    """Put the tables into docs/csv.md, with those of a corpus in other words; or only say whether they stand there."""
    unseen = readers_table(scored(UNSEEN_SEED, list(READERS)))
    tables = f"{render(results)}\nA corpus of other tables and phrases (`--seed {UNSEEN_SEED}`), which no reader was written with in view: {unseen}"
    page = PAGE.read_text(encoding="utf-8")
    fresh = _BETWEEN.sub(lambda found: found[1] + tables + found[2], page)
    if check:
        stale = without_lake(page) != without_lake(fresh)
        print("docs/csv.md is stale: run python -m tests.corpus.score" if stale else "docs/csv.md is fresh")
        return int(stale)
    PAGE.write_text(fresh, encoding="utf-8")
    print(tables)
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus.score", description="Score readers of delimited text on the corpus.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="only files whose name holds this")
    parser.add_argument("--print", action="store_true", help="write nothing")
    parser.add_argument("--check", action="store_true", help="fail if the tables in docs/csv.md are stale, lake's figures aside")
    parser.add_argument("--failures", action="store_true", help="list what lake reads imperfectly")
    parser.add_argument("--keep", type=Path, help="write the corpus here and leave it")
    told = parser.parse_args()
    results = scored(told.seed, [OURS] if told.failures else list(READERS), told.keep, told.only)
    if told.failures:
        print(failures(results), worst(results, told.keep), sep="\n\n")
        return 0
    if told.seed != SEED or told.only or told.print:
        print(render(results))
        return 0
    return publish(results, check=told.check)


if __name__ == "__main__":
    sys.exit(main())
