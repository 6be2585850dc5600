"""What lake makes of a hop's code: what it refuses, what it keeps and shows, what a change or another version of the engine brings about."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.code import SCHEME, changes_between
from lake.code.kept import what_is_kept
from lake.errors import DeclarationError
from lake.execute import execute
from lake.hop import Hop, changes, hop
from lake.ingest import ingest
from lake.landing import land
from lake.pipeline import Pipeline, load_pipeline
from lake.plan import make_plan
from lake.raw_share import confirm_reading
from lake.record import Code
from lake.replay import replay
from lake.rules import expect
from lake.run import Run
from lake.settings import load_settings
from lake.source import Source
from lake.table import path_of
from tests import tiny
from tests.code_edits import seen_of
from tests.conftest import fresh_env
from tests.test_cli import Project, make_project
from tests.tiny import bring, bronze_orders, clean_orders, last_record, orders, rows_of, sum_orders, totals, write_orders

_ROWS = [(1, "ann", "5.00", "2024-01-01"), (2, "bob", "2.00", "2024-01-02"), (3, "ann", "1.50", "2024-01-02")]
_SECRET = "not-to-be-told-4711"
_HEAD = "import io, os, pathlib, threading\nfrom pathlib import Path\nimport numpy as np\nimport polars as pl\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("LOCK = threading.Lock()\ndef make(raw):\n    return raw, LOCK", ["LOCK", "line 7", "thread.lock", "module level"], id="a lock"),
        pytest.param("HELD = {'a': [threading.RLock()]}\ndef make(raw):\n    return raw, HELD", ["HELD", "RLock"], id="a lock in a dict"),
        pytest.param("NUMBERS = (x for x in [1])\ndef make(raw):\n    return raw, NUMBERS", ["NUMBERS", "generator"], id="a generator"),
        pytest.param("FILE = io.StringIO('a')\ndef make(raw):\n    return raw, FILE", ["FILE", "StringIO"], id="a stream"),
        pytest.param("def make(raw):\n    return raw, open('rates.csv').read()", ["reads or writes files", "open", "line 6", "land it"], id="open"),
        pytest.param("def helper():\n    return Path('a').read_text()\ndef make(raw):\n    return raw, helper()", ["helper", "read_text"], id="read_text in a helper"),
        pytest.param("def make(raw):\n    return raw, (Path('a') / 'b').open()", ["open of a path"], id="a path that is computed"),
        pytest.param("def make(raw):\n    return raw, open('rates', mode='w+').write('')", ["open"], id="open to write and read"),
        pytest.param("def make(raw):\n    return raw, open('w').read()", ["open"], id="open a file called w"),
        pytest.param("def make(raw, path=Path('a')):\n    return raw, path.open('r'), Path('a').open('r')", ["open of a path"], id="open of a path"),
        pytest.param("def make(raw):\n    return raw.join(pl.read_csv('a.csv'))", ["polars.read_csv", "land it"], id="read_csv"),
        pytest.param("FRAME = pl.scan_csv(__file__)\ndef make(raw):\n    return raw.join(FRAME)", ["FRAME", "lazy frame", "Collect it"], id="a scan"),
        pytest.param("def make(raw):\n    return raw, np.loadtxt('a')", ["numpy.loadtxt"], id="loadtxt"),
        pytest.param("def make(raw):\n    import httpx\n    return raw, httpx.get('a')", ["asks something outside", "httpx.get"], id="the network"),
        pytest.param("def make(raw):\n    return raw, os.environ", ["environment", "os.environ['NAME']"], id="the whole environment"),
        pytest.param("def make(raw, name='A'):\n    return raw, os.getenv(name)", ["environment"], id="a variable that is not named"),
        pytest.param("def make(raw):\n    return eval('raw')", ["eval"], id="eval"),
        pytest.param("def make(raw):\n    return globals()['raw']", ["globals"], id="globals"),
        pytest.param("def make(raw, name='json'):\n    return __import__(name)", ["imports a module by a name"], id="an import that is not named"),
        pytest.param("LOCK = threading.Lock()\nE = pl.col('a').map_batches(lambda s: (LOCK, s)[1])\ndef make(raw):\n    return raw, E", ["E", "expression"], id="an expression"),
    ],
)  # fmt: skip
def test_what_no_fingerprint_can_see_is_refused_by_name(code: str, words: list[str], tmp_path: Path) -> None:
    """The error names the hop, the thing, the line, and what to do."""
    with pytest.raises(DeclarationError) as refused:
        seen_of({"hops.py": _HEAD + code + "\n"}, tmp_path)
    assert "hop make" in str(refused.value)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    "code",
    [
        "open('reached', 'w')", "open('reached', mode='xb')", "io.open('reached', 'a')", "Path('reached').open('w')", "Path('reached').touch()",
        "Path('reached').write_text('a')", "PLACE.write_bytes(b'a')", "(PLACE / 'a').open(mode='w')", "PLACE.touch()", "PLACE.unlink()",
    ],
)  # fmt: skip
def test_what_a_function_only_writes_is_its_own_affair(code: str, tmp_path: Path) -> None:
    """A note that it was reached, or a log of its own, cannot change a row."""
    assert seen_of({"hops.py": f"{_HEAD}PLACE = Path('a')\ndef make(raw):\n    {code}\n    return raw\n"}, tmp_path).mark


def test_a_variable_of_the_environment_counts_by_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by its name inside the function, or read at import; and no value of one is among what people read."""
    files = {"hops.py": "import os\nTOKEN = os.environ['SHOP_TOKEN'] + '!'\ndef make(raw):\n    return raw, os.environ.get('SHOP_RATE', '1'), TOKEN\n"}
    marks = set()
    for token, rate in ((_SECRET, "2"), (_SECRET, "3"), ("another", "3")):
        monkeypatch.setenv("SHOP_TOKEN", token)
        monkeypatch.setenv("SHOP_RATE", rate)
        seen = seen_of(files, tmp_path)
        marks.add(seen.mark)
        told = json.dumps([part.told() for part in seen.parts])
        assert token not in told
        assert "environment variable SHOP_RATE" in told
    assert len(marks) == 3


def test_the_version_of_a_package_that_is_reached_counts(tmp_path: Path) -> None:
    """numpy's, where it is used; not those of lake, Polars and dataframely, which are recorded beside the fingerprint."""
    used = seen_of({"hops.py": "import numpy as np\nimport polars as pl\ndef make(raw):\n    return raw.select(pl.lit(np.sqrt(2)))\n"}, tmp_path)
    assert list(used.packages) == ["numpy"]
    assert seen_of({"hops.py": "import numpy as np\nimport polars as pl\ndef make(raw):\n    return raw.select(pl.lit(2))\n"}, tmp_path).packages == {}


def test_a_file_that_is_read_at_import_counts_by_its_content(tmp_path: Path) -> None:
    """Rates from a file beside the code."""
    module = "from pathlib import Path\nRATES = Path(__file__).with_name('rates.csv').read_text()\ndef make(raw):\n    return raw, RATES\n"
    marks = [seen_of({"hops.py": module, "rates.csv": rates}, tmp_path).mark for rates in ("a,1\n", "a,2\n", "a,1\n")]
    assert marks[0] == marks[2] != marks[1]


# ---- in a project


@pytest.fixture
def project(tmp_path: Path, weed_home: Path) -> Project:
    """A project whose hop keeps orders up to a date at module level."""
    made = make_project(tmp_path / "shop", LAKE_HOME=str(weed_home), LAKE_ENV=fresh_env())
    made.edit(
        "hops",
        "import polars as pl\n",
        "import datetime as dt\nimport os\nimport polars as pl\n\nLAST = dt.date(2026, 1, 1)\nTOKEN = os.environ.get('SHOP_TOKEN', '')\n",
    )
    made.edit("hops", "    spent = pl.col", "    assert TOKEN is not None\n    orders = orders.filter(pl.lit(LAST) < dt.date(2026, 6, 1))\n    spent = pl.col")
    made.edit("hops", 'counts="orders", orders', 'counts="orders", filters="later ones do not count", orders')
    return made


def test_a_date_at_module_level_makes_gold_anew(project: Project) -> None:
    """The plan says what changed, line by line; the run makes the table anew; the secret that the module read is nowhere."""
    project.lake("run", "--no-prefect", SHOP_TOKEN=_SECRET).did()
    assert project.tables()["gold.shop.totals"] == 2
    assert {row["why"] for row in project.lake("plan", "--json", SHOP_TOKEN=_SECRET).rows} == {"nothing new"}
    project.edit("hops", "LAST = dt.date(2026, 1, 1)", "LAST = dt.date(2026, 7, 1)")
    rows = {row["table"]: row for row in project.lake("plan", "--why", "--json", SHOP_TOKEN=_SECRET).rows}
    assert (rows["silver.shop.orders"]["why"], rows["silver.shop.orders"]["code"]) == ("nothing new", [])
    assert rows["gold.shop.totals"]["why"] == "full, because the code changed: LAST changed"
    (change,) = rows["gold.shop.totals"]["code"]
    assert change == {
        "name": "flows.shop.hops.LAST", "what": "changed", "kind": "value", "diff": ["-datetime.date(2026, 1, 1)", "+datetime.date(2026, 7, 1)"],
    }  # fmt: skip
    said = project.lake("plan", "--why", SHOP_TOKEN=_SECRET).did().out
    assert "flows.shop.hops.LAST changed" in said
    assert "+datetime.date(2026, 7, 1)" in said
    project.lake("run", "--no-prefect", SHOP_TOKEN=_SECRET).did()
    assert project.tables()["gold.shop.totals"] == 0
    with project.store() as store:
        kept = [store.get(blob.path).decode() for blob in store.walk("system/code")]
    assert len(kept) == 3
    assert all(_SECRET not in text for text in kept)


def test_a_changed_function_is_shown_as_a_diff(project: Project) -> None:
    """A helper that another file has now: what is shown is what changed in it, not that it moved."""
    project.edit("hops", '"customer", "amount", *PROVENANCE', '"customer", _net("amount"), *PROVENANCE')
    project.edit("hops", "\n\n@hop(tables.orders", "\n\ndef _net(name):\n    return pl.col(name)\n\n\n@hop(tables.orders")
    project.run().did()
    project.edit("hops", "def _net(name):\n    return pl.col(name)\n", "from flows.shop.prices import after_tax as _net\n")
    project.write("flows/shop/prices.py", '"""Prices."""\nimport polars as pl\n\n\ndef after_tax(name):\n    """Told."""\n    return pl.col(name)\n')
    assert {row["why"] for row in project.lake("plan", "--json").rows} == {"nothing new"}
    project.write("flows/shop/prices.py", "import polars as pl\n\n\ndef after_tax(name):\n    return pl.col(name).cast(pl.Float64) * 2\n")
    (row,) = [row for row in project.lake("plan", "--why", "--json").rows if row["code"]]
    assert [(change["name"].rpartition(".")[2], change["what"]) for change in row["code"]] == [("_net", "removed"), ("after_tax", "added")]
    assert "+    return pl.col(name).cast(pl.Float64) * 2" in row["code"][1]["diff"]


_LOGGED = """
import functools
def logged(function):
    @functools.wraps(function)
    def inner(*given): return function(*given){inner}
    return inner
@logged
def first(x): return x{first}
@logged
def second(x): return x * 5
def make(raw): return first(raw), second(raw)
"""
_HELD = """
import functools, operator
from types import SimpleNamespace
from typing import NamedTuple
class Limits(NamedTuple):
    most: int
    of: object
MAP = {{'old': lambda x: x, 'new': lambda x: x + {0}}}
LIST = [lambda x: x * {0}, lambda x: x]
CONF = SimpleNamespace(rate={0}, by=lambda x: x - {0})
LIMITS = Limits({0}, len)
ADD = functools.partial(operator.add, {0})
LEAST = {0}
def make(raw): return MAP, LIST, CONF.rate, LIMITS.most, ADD, LEAST
"""


def _shown(before: str, after: str, folder: Path) -> dict[str, tuple[str, ...]]:
    """What is shown of an edit of `hops.py`, by the names of the parts in it."""
    seen = [seen_of({"hops.py": text}, folder / name) for name, text in (("before", before), ("after", after))]
    was, now = ([replace(part, name=part.name.partition(".hops.")[2] or part.name) for part in one.parts] for one in seen)
    return {change.name: change.lines for change in changes_between(what_is_kept("", "make", was, {}), now, {})}


def test_each_part_that_changed_is_shown_by_where_it_is_reached(tmp_path: Path) -> None:
    """Lambdas in dicts, lists and fields, next to other values; values are in Python's own form."""
    shown = _shown(_HELD.format(5), _HELD.format(6), tmp_path)
    assert shown.keys() == {"MAP['new']", "LIST[0]", "CONF", "CONF.by", "LIMITS", "ADD", "LEAST"}
    assert shown["ADD"] == ("-functools.partial(operator.add, 5)", "+functools.partial(operator.add, 6)")
    assert shown["LIMITS"] == ("-Limits(most=5, of=len)", "+Limits(most=6, of=len)")


def test_what_wraps_makes_look_alike_is_told_apart(tmp_path: Path) -> None:
    """A decorator's inner function and the functions that it wraps have names of their own."""
    plain = _LOGGED.format(inner="", first="")
    assert _shown(plain, _LOGGED.format(inner="", first=" + 1"), tmp_path / "a").keys() == {"first"}
    assert "logged → inner" in _shown(plain, _LOGGED.format(inner=" + 1", first=""), tmp_path / "b")


def test_the_order_in_which_functions_are_held_is_shown(tmp_path: Path) -> None:
    """Where everything that is reached is as it was, what refers to it in another way is named."""
    code = "def a(x): return x\ndef b(x): return -x\nHELD = [{}]\ndef make(raw): return HELD\n"
    assert _shown(code.format("a, b"), code.format("b, a"), tmp_path).keys() == {"make"}


def test_a_hop_that_reads_files_is_refused_when_the_project_is_loaded(project: Project) -> None:
    """One line that names the hop, the function, the line and what to do."""
    project.edit("hops", "    spent = pl.col", "    orders = orders.join(pl.scan_csv('rates.csv').lazy(), on='customer')\n    spent = pl.col")
    project.lake("run", "--no-prefect").refused("hop flows.shop.hops:total", "reads data while it runs (polars.scan_csv)", "line", "land it")


def test_the_record_has_the_fingerprint_of_the_code_that_ran(tmp_path: Path, run: Run) -> None:
    """A file that is edited after it was imported, even before anything is planned, says nothing about the rows that the import makes."""
    folder = make_project(tmp_path / "shop").root
    settings = load_settings(root=folder, home=run.settings.home, env=run.settings.env)
    file = folder / "flows" / "shop" / "hops.py"
    pipeline = load_pipeline(settings, "shop")
    source = pipeline.sources["shop.orders"]
    for_test = Pipeline("shop", [type(source)(source.into, folder / "incoming", source.pattern)], pipeline.hops.values())
    was = {name: one.fingerprint for name, one in pipeline.hops.items()}
    fresh = {name: Hop(**{field: getattr(one, field) for field in one.__dataclass_fields__}) for name, one in pipeline.hops.items()}
    file.write_text("# edited\n\n\n" + file.read_text("utf-8").replace('pl.col("amount").sum()', 'pl.col("amount").max()'), "utf-8")
    assert {name: one.fingerprint for name, one in fresh.items()} == was, "asked for the first time after the edit"
    for_test.run(run).raise_failures()
    for name, mark in was.items():
        found = run.log(path_of(name)).last_record()
        assert found is not None
        assert found[1].code is not None
        assert found[1].code.fingerprint == mark
    (kept,) = [json.loads(run.store.get(f"system/code/{was['gold.shop.totals']}.json"))]
    assert any(".sum()" in part["text"] for part in kept["parts"])
    assert not any(".max()" in part["text"] for part in kept["parts"])


# ---- other versions of the engine


def _older(run: Run, *hops: Hop | Source, **code: Any) -> None:
    """Have the last records of the tables that these fill say another version of lake or Polars, or another scheme."""
    for one in hops:
        log = run.log(path_of((one.table if isinstance(one, Hop) else one.into).name))
        last = log.last_record()
        assert last is not None
        version, record = last
        assert record.code is not None
        told = record.model_copy(update={"code": record.code.model_copy(update=code)})
        actions = [action for action in log.commit_at(version) if "commitInfo" not in action]
        run.store.delete([log.name(version)])
        log.commit(version, actions, told)


def _code(run: Run, one: Hop) -> Code:
    found = last_record(run, one.table).code
    assert found is not None
    return found


def test_under_another_version_of_polars_a_share_is_verified_once(run: Run, tmp_path: Path) -> None:
    """The rows agree: a commit that moves no row says so, downstream hears of nothing, and the next run has nothing to do."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    _older(run, clean_orders, sum_orders, polars="2.0.0")
    plan = make_plan(run, clean_orders)
    assert (plan.mode, plan.needed) == ("verify", True)
    assert plan.reason == f"a share is verified, because Polars is {pl.__version__} (was 2.0.0)"
    before = rows_of(run, orders), last_record(run, orders)
    done = [execute(run, clean_orders), execute(run, sum_orders)]
    assert [(one.changed, one.mode, one.version) for one in done] == [(True, "verify", 1)] * 2
    assert done[0].reason == f"verified, because Polars is {pl.__version__} (was 2.0.0): order 1 … 3, 3 rows computed again: the same"
    assert (rows_of(run, orders), last_record(run, orders).content) == (before[0], before[1].content)
    assert _code(run, clean_orders).polars == pl.__version__
    assert [execute(run, one).reason for one in (clean_orders, sum_orders)] == ["nothing new"] * 2


def test_under_another_version_some_raw_files_are_read_again_once(run: Run, tmp_path: Path) -> None:
    """What agrees is a commit that moves no row; what is read otherwise now is told with its file, and stands as it was read."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    source = tiny.source_at(tmp_path)
    assert list(confirm_reading(run, source)) == []
    _older(run, source, lake="0.0.9")
    (done,) = confirm_reading(run, source)
    assert (done.changed, done.version, done.ledger.inserted, done.notices) == (True, 1, 0, ())
    assert re.fullmatch(r"verified, because lake is \S+ \(was 0.0.9\): a.csv read again, 3 rows: the same", done.reason)
    assert list(confirm_reading(run, source)) == []
    assert execute(run, clean_orders).reason == "nothing new"
    _older(run, source, polars="2.0.0")
    log = run.log(path_of(source.into.name))
    snapshot = run.snapshot(log.path, log.version())
    write_orders(tmp_path, "b.csv", [(4, "cem", "4.00", "2024-01-05")])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lake.raw_share.taken_in", lambda *_: snapshot.scan().with_columns(pl.lit("eve").alias("customer")))
        (done,) = confirm_reading(run, source)
    assert [line for line in done.notices if "a.csv" in line and "is read otherwise now" in line and "its rows stand as they were read" in line]
    land(run, source)
    (more,) = ingest(run, source)
    assert more.ledger.inserted == 1


def test_what_another_version_makes_of_rows_is_recomputed(run: Run, tmp_path: Path) -> None:
    """A share differs: the table is made anew, the output and the record say so, and it is not looked at again."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)

    def wrong(raw: pl.LazyFrame) -> pl.LazyFrame:
        """What an engine of before made of the rows."""
        return tiny.clean(raw).with_columns(pl.lit("eve").alias("customer"))

    execute(run, hop(orders, write="merge", raw=changes(bronze_orders))(wrong))
    _older(run, clean_orders, fingerprint=clean_orders.fingerprint, lake="0.0.9")
    outcome = execute(run, clean_orders)
    assert outcome.mode == "full"
    assert outcome.reason.startswith("full, because lake is ")
    assert "(was 0.0.9): order 1 … 3, recomputed: 0 more, 0 fewer, 3 other" in outcome.reason
    assert {row["customer"] for row in rows_of(run, orders)} == {"ann", "bob"}
    assert execute(run, clean_orders).reason == "nothing new"


def test_new_rows_come_in_once_a_share_agrees(run: Run, tmp_path: Path) -> None:
    """An increment under another version: first a share of what is there, then the increment, in one commit that tells both."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    _older(run, clean_orders, polars="2.0.0")
    write_orders(tmp_path, "b.csv", [(4, "cem", "4.00", "2024-01-05")])
    land(run, tiny.source_at(tmp_path))
    ingest(run, tiny.source_at(tmp_path))
    outcome = execute(run, clean_orders)
    assert (outcome.mode, outcome.ledger.inserted) == ("incremental", 1)
    assert "a share is verified first" in outcome.reason
    assert "3 rows computed again: the same" in outcome.reason
    assert _code(run, clean_orders).polars == pl.__version__
    assert rows_of(run, orders)[-1]["amount"] == Decimal("4.00")


def test_fingerprints_of_another_scheme_are_not_compared(run: Run, tmp_path: Path) -> None:
    """What was made when lake saw less of the code is made anew, and the reason does not claim that the code changed."""
    write_orders(tmp_path, "a.csv", _ROWS)
    bring(run, tmp_path)
    _older(run, clean_orders, fingerprint="0123456789abcdef", scheme=1)
    assert make_plan(run, clean_orders).reason == "full, because lake looks at more of the code than when it was made, so whether that changed is not known"
    execute(run, clean_orders)
    assert _code(run, clean_orders).scheme == SCHEME
    assert execute(run, clean_orders).reason == "nothing new"


def test_a_release_made_under_another_version_still_replays(run: Run, tmp_path: Path) -> None:
    """Verifying commits a version; what is released then is what replay computes."""
    write_orders(tmp_path, "a.csv", _ROWS)
    pipeline = Pipeline("shop", [tiny.source_at(tmp_path)], [clean_orders, sum_orders])
    pipeline.run(run).raise_failures()
    _older(run, clean_orders, sum_orders, polars="2.0.0")
    report = pipeline.run(run)
    report.raise_failures()
    assert report.released
    assert report.release is not None
    assert {one.verdict for one in replay(run, report.release, [pipeline])} == {"equal"}
    assert not pipeline.run(run).changed


def test_a_rule_with_a_function_in_it_counts_by_what_the_function_does() -> None:
    """The expressions of rules of a table and of a contract are seen like those that a hop reaches."""
    marks = []
    for most in (10, 11, 10):

        def least(values: pl.Series, most: int = most) -> pl.Series:
            return values < most

        rule = tiny.Table("gold.shop.totals", tiny.Total, rules=(expect("few", pl.col("orders").map_batches(least, return_dtype=pl.Boolean).all()),))
        marks.append(hop(rule, counts="orders", orders=orders)(tiny.total).fingerprint)
    assert marks[0] == marks[2] != marks[1]
    assert marks[0] != hop(totals, counts="orders", orders=orders)(tiny.total).fingerprint
