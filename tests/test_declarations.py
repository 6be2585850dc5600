"""Declarations that do not fit together are refused when they are loaded, with the places of all that do not fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lake.errors import DeclarationError
from lake.pipeline import Pipeline
from tests.folders import HOPS, SOURCES, TABLES, line_of, load, write_project

_SHOP_TABLES = TABLES + 'raw = Table("bronze.shop.things")\nthings = Table("silver.shop.things", Thing)\ncounts = Table("gold.shop.counts", Count)\n'
_SHOP_SOURCES = SOURCES + 'from flows.shop import tables\n\nthings = Source(tables.raw, "inbox")\n'
_CLEAN = """
@hop(tables.things, write="merge", raw=changes(tables.raw))
def clean(raw):
    return raw.select("thing", "said", "at", *PROVENANCE)
"""
_COUNT = """
@hop(tables.counts, counts="things", things=tables.things)
def count(things):
    return things.group_by("said").agg(pl.len().cast(pl.Int64).alias("things"))
"""
_SHOP_HOPS = HOPS + "from flows.shop import tables\n" + _CLEAN + _COUNT
SHOP = {"shop/tables.py": _SHOP_TABLES, "shop/sources.py": _SHOP_SOURCES, "shop/hops.py": _SHOP_HOPS}


def _refused(root: Path, subject: str, *words: str) -> str:
    """What loading the subject is refused with; `words` are all in it."""
    with pytest.raises(DeclarationError) as refused:
        load(root, subject)
    for word in words:
        assert word in str(refused.value)
    return str(refused.value)


def test_what_fits_is_loaded(tmp_path: Path) -> None:
    """A subject whose declarations fit is loaded, its steps in order."""
    pipeline = load(write_project(tmp_path, SHOP), "shop")
    assert [step.name for step in pipeline.steps] == ["land shop.things", "bronze.shop.things", "silver.shop.things", "gold.shop.counts"]


def test_two_sources_into_one_bronze_table(tmp_path: Path) -> None:
    """Two sources into one bronze table are refused, with both lines."""
    root = write_project(tmp_path, SHOP | {"shop/sources.py": _SHOP_SOURCES + 'more = Source(tables.raw, "inbox/more")\n'})
    places = [line_of(root, "shop/sources.py", f"{name} = Source") for name in ("things", "more")]
    _refused(root, "shop", "bronze.shop.things is filled by two sources", *places, "bronze table of its own")


def test_two_sources_of_two_subjects_into_one_bronze_table(tmp_path: Path) -> None:
    """The same, of two subjects, whichever is loaded."""
    other = {"post/sources.py": SOURCES + 'from flows.shop import tables\n\nletters = Source(tables.raw, "letters")\n'}
    root = write_project(tmp_path, SHOP | other)
    for subject in ("shop", "post"):
        _refused(root, subject, "two sources", line_of(root, "shop/sources.py", "things = Source"), line_of(root, "post/sources.py", "letters = Source"))


def test_two_hops_that_fill_one_table(tmp_path: Path) -> None:
    """Two hops that fill one table are refused, with both names and lines."""
    root = write_project(tmp_path, SHOP | {"shop/hops.py": _SHOP_HOPS + _COUNT.replace("def count", "def again")})
    lines = [line_of(root, "shop/hops.py", "@hop(tables.counts"), "flows/shop/hops.py:14"]
    _refused(root, "shop", "gold.shop.counts is filled by two hops", "hop count", "hop again", *lines)


def test_two_subjects_that_fill_one_table(tmp_path: Path) -> None:
    """Two subjects that fill one table are refused, with both files and lines, whichever is loaded."""
    root = write_project(tmp_path, SHOP | {"rival/hops.py": HOPS + "from flows.shop import tables\n\n" + _COUNT.replace("def count", "def rival_count")})
    for subject in ("shop", "rival"):
        _refused(root, subject, "gold.shop.counts is filled by two hops of", line_of(root, "shop/hops.py", "@hop(tables.counts"), "flows/rival/hops.py:7")


def test_a_hop_that_is_imported_belongs_where_it_is_declared(tmp_path: Path) -> None:
    """Another subject may import a hop to call its function: it does not fill the table because of that."""
    mine = HOPS + "from flows.shop import tables\nfrom flows.shop.hops import clean\nfrom flows.copy import tables as own\n"
    hops = mine + '\n@hop(own.copies, things=tables.things)\ndef copy(things):\n    return clean(things).drop("_landed")\n'
    tables = TABLES + 'copies = Table("silver.copy.things", Thing)\n'
    root = write_project(tmp_path, SHOP | {"copy/tables.py": tables, "copy/hops.py": hops})
    assert list(load(root, "copy").hops) == ["silver.copy.things"]
    assert "silver.shop.things" in load(root, "shop").hops


def _looped(tmp_path: Path) -> Path:
    tables = 'a = Table("gold.{0}.a", Thing)\n'
    hops = HOPS + "from flows.one import tables as one\nfrom flows.two import tables as two\n\n\n@hop({0}.a, given={1}.a)\ndef make(given):\n    return given\n"
    pairs = (("one", "two"), ("two", "one"))
    return write_project(
        tmp_path, SHOP | {f"{a}/tables.py": TABLES + tables.format(a) for a, _ in pairs} | {f"{a}/hops.py": hops.format(a, b) for a, b in pairs}
    )


def test_hops_in_a_circle_across_subjects(tmp_path: Path) -> None:
    """Hops of two subjects that read each other are refused with the circle drawn; a third subject is loaded all the same."""
    root = _looped(tmp_path)
    _refused(root, "one", "gold.one.a → gold.two.a → gold.one.a", "flows/one/hops.py:8", "flows/two/hops.py:8")
    _refused(root, "two", "gold.two.a → gold.one.a → gold.two.a", "flows/one/hops.py:8", "flows/two/hops.py:8")
    assert load(root, "shop").name == "shop"


def test_hops_in_a_circle_within_a_subject(tmp_path: Path) -> None:
    """So are those of one subject, and one that reads its own table."""
    tables = TABLES + "".join(f'{name} = Table("silver.loop.{name}", Thing)\n' for name in "abc")
    made = "".join(f"\n@hop(tables.{name}, given=tables.{read})\ndef make_{name}(given):\n    return given\n" for name, read in ("ab", "bc", "ca"))
    root = write_project(tmp_path / "three", {"loop/tables.py": tables, "loop/hops.py": HOPS + "from flows.loop import tables\n" + made})
    _refused(root, "loop", "silver.loop.a → silver.loop.c → silver.loop.b → silver.loop.a", "flows/loop/hops.py:6")
    own = "\n@hop(tables.a, given=tables.a)\ndef make_a(given):\n    return given\n"
    root = write_project(tmp_path / "own", {"loop/tables.py": tables, "loop/hops.py": HOPS + "from flows.loop import tables\n" + own})
    _refused(root, "loop", "silver.loop.a → silver.loop.a", "flows/loop/hops.py:6")


@pytest.mark.parametrize("read", ["silver.shop.thing", "bronze.shop.thinks"])
def test_a_table_that_nobody_fills(tmp_path: Path, read: str) -> None:
    """A hop that reads a table that nobody fills is refused by name, with the names that are near."""
    contract = "" if read.startswith("bronze") else ", Thing"
    hops = (
        _SHOP_HOPS
        + f'\n@hop(tables.extra, given=tables.Table("{read}"{contract and ", tables.Thing"}))\ndef extra(given):\n    return given.select("thing", "said", "at")\n'
    )
    root = write_project(tmp_path, SHOP | {"shop/tables.py": _SHOP_TABLES + 'extra = Table("silver.shop.extra", Thing)\n', "shop/hops.py": hops})
    near = "silver.shop.things" if contract else "bronze.shop.things"
    _refused(root, "shop", f"reads {read}", "fills it", "Did you mean", near, line_of(root, "shop/hops.py", "@hop(tables.extra"))


@pytest.mark.parametrize("broken", ["import nonesuch\n", "= =\n", 'raise ValueError("later")\n', "raise SystemExit\n"])
def test_a_subject_that_is_broken_stops_no_other(tmp_path: Path, broken: str) -> None:
    """A subject whose files cannot be imported keeps no other from being loaded, not even one that reads what it may fill."""
    reads = "\n@hop(tables.extra, given=tables.theirs)\ndef extra(given):\n    return given\n"
    more = 'extra = Table("silver.shop.extra", Thing)\ntheirs = Table("gold.broken.things", Thing)\n'
    root = write_project(tmp_path, SHOP | {"shop/tables.py": _SHOP_TABLES + more, "shop/hops.py": _SHOP_HOPS + reads, "broken/hops.py": broken})
    assert load(root, "shop").name == "shop"
    _refused(root, "broken", "flows/broken/hops.py")


@pytest.mark.parametrize(
    ("again", "differing"),
    [
        ('Table("silver.shop.things", Thing, owner="post")', "owner"),
        ('Table("silver.shop.things", Count)', "contract"),
        ('Table("silver.shop.things", Count, sequence=("things",), max_rejected=0.5)', "contract and sequence and max_rejected"),
    ],
)
def test_a_table_declared_twice_differently(tmp_path: Path, again: str, differing: str) -> None:
    """One name declared twice with different contracts or options is refused, with what differs and both lines; declared alike it is not."""
    extra = f'\nmine = {again}\nextra = Table("gold.post.extra", Thing)\n'
    hops = HOPS + "from flows.post import tables\n\n@hop(tables.extra, given=tables.mine)\ndef extra(given):\n    return given\n"
    root = write_project(tmp_path / "differs", SHOP | {"post/tables.py": TABLES + extra, "post/hops.py": hops})
    for subject in ("shop", "post"):
        places = line_of(root, "shop/tables.py", "things = Table"), line_of(root, "post/tables.py", "mine = ")
        _refused(root, subject, f"silver.shop.things is declared twice, with different {differing}", *places)
    same = extra.replace(again, 'Table("silver.shop.things", Thing)')
    root = write_project(tmp_path / "alike", SHOP | {"post/tables.py": TABLES + same, "post/hops.py": hops})
    assert load(root, "post").name == "post"


def test_subjects_that_differ_by_capital_letters(tmp_path: Path) -> None:
    """Two subjects whose names differ by capital letters only are refused, both named."""
    root = write_project(tmp_path, SHOP | {f"Shop/{name.partition('/')[2]}": text for name, text in SHOP.items()})
    _refused(root, "shop", "flows/shop", "flows/Shop", "capital letters")


@pytest.mark.parametrize(
    ("hops", "words"),
    [
        (_CLEAN.replace("raw=changes(tables.raw)", "raw=tables"), ["hop clean", "raw", "is no table"]),
        (_CLEAN + _COUNT.replace("things=tables.things", "things=clean"), ["hop count", "things", "silver.shop.things", "changes"]),
        (_CLEAN.replace("raw=", "by="), ["hop clean", "by", "option of @hop"]),
        (_CLEAN.replace("@hop(tables.things", "@hop(tables.Thing"), ["hop clean", "fills", "Table"]),
    ],
)
def test_an_input_that_is_no_table(tmp_path: Path, hops: str, words: list[str]) -> None:
    """What is given in place of a table is refused in words: a module, another hop, a parameter called like an option, a contract."""
    root = write_project(tmp_path, SHOP | {"shop/hops.py": HOPS + "from flows.shop import tables\n" + hops})
    _refused(root, "shop", *words)


def test_places_in_python_alone() -> None:
    """A pipeline that is made in Python refuses the same, and says where: here in this file."""
    from tests.tiny import bronze_orders, clean_orders, source_at

    with pytest.raises(DeclarationError, match=r"bronze\.shop\.orders is filled by two sources: tests/tiny\.py:\d+ and tests/tiny\.py:\d+"):
        Pipeline("shop", [source_at(Path("a")), source_at(Path("b"))], [])
    with pytest.raises(DeclarationError, match=re.escape(bronze_orders.name)):
        Pipeline("shop", [source_at(Path("a")), source_at(Path("b"))], [clean_orders])
