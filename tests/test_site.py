"""The lake as pages: what they tell is what the commits say, nothing in them runs, every link leads somewhere, and a browser can use them."""

from __future__ import annotations

import filecmp
import functools
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import dataframely as dy
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from lake.cards import table_card
from lake.catalog import Catalog
from lake.contract import PROVENANCE, Contract
from lake.errors import LakeError, UnknownName
from lake.hop import changes, hop
from lake.release import find_release, publish_release, rollback
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.site import build_site
from lake.site.gather import gather
from lake.table import Table
from tests import tiny
from tests.browser import chromium, page_of
from tests.conftest import ROOT, fresh_env
from tests.generated import generate
from tests.test_cli import run_lake

EVIL = "<script>document.title='owned'</script>"
WORSE = '"><img src=x onerror="document.title=\'owned\'">'
ORDERS, TOTALS = "silver.shop.orders", "gold.shop.totals"


class Order(Contract):
    __doc__ = f"An order. {EVIL}"

    order = dy.Int64(primary_key=True, description="Number of the order")
    customer = dy.String(nullable=False, metadata={"pii": True}, description="Who ordered")
    amount = dy.Float64(nullable=False, min=0, metadata={"unit": "EUR"}, description=f"What it costs {WORSE}")


class Longer(Order):
    __doc__ = f"An order with its day. {EVIL}"

    day = dy.String(nullable=True, description="When it was placed, as written")


class Total(Contract):
    """What each customer ordered."""

    customer = dy.String(primary_key=True, description="Who ordered")
    orders = dy.Int64(nullable=False, min=1, metadata={"unit": "orders"}, description="How many orders")
    amount = dy.Float64(nullable=False, metadata={"unit": "EUR"}, description="Their worth together")


def _orders(contract: type[Contract], *, sample: bool) -> Table:
    return Table(ORDERS, contract, owner=f"shop {WORSE}", max_rejected=1.0, sample=sample)


def _steps(run: Run, folder: Path, contract: type[Contract], *, sample: bool = True) -> None:
    table = _orders(contract, sample=sample)

    def clean(raw: pl.LazyFrame) -> pl.LazyFrame:
        return raw.select(*contract.column_names(), *PROVENANCE)

    def total(orders: pl.LazyFrame) -> pl.LazyFrame:
        return orders.group_by("customer").agg(pl.len().cast(pl.Int64).alias("orders"), pl.col("amount").sum())

    made = (hop(table, write="merge", raw=changes(tiny.bronze_orders))(clean), hop(Table(TOTALS, Total, owner="shop"), counts="orders", orders=table)(total))
    _, outcomes = tiny.bring(run, folder, *made)
    publish_release(run.store, run.info, outcomes)


@dataclass(frozen=True)
class Shop:
    """A lake with four releases, the last a rollback to the third, and its pages."""

    settings: Settings
    run: Run
    out: Path

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.run.store)

    def page(self, name: str) -> str:
        return (self.out / name).read_text("utf-8")


@pytest.fixture(scope="module")
def shop(weed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Orders land twice, with some that are rejected; then the contract gets a column. Texts and values try to be markup."""
    settings = load_settings(home=weed_home, root=ROOT, env=fresh_env())
    folder = tmp_path_factory.mktemp("orders")
    with begin_run(settings, f"shop {EVIL}", "test") as run:
        tiny.write_orders(folder, "one.csv", [(1, "ann", 5, EVIL), (2, "bob", -1, "monday"), (3, "secret-cid", 7, "2026-01-01")])
        _steps(run, folder, Order)
        tiny.write_orders(folder, "two.csv", [(4, "dee", 9, "friday"), (5, "dee", 9, ""), (6, "eve", "lots", "")])
        _steps(run, folder, Order)
        _steps(run, folder, Longer)
        rollback(run.store, run.info, 2)
        rollback(run.store, run.info, 3)
        out = tmp_path_factory.mktemp("site") / "pages of 'the' shop"
        build_site(Catalog(run.store), out, env=settings.env, release=find_release(run.store))
        yield Shop(settings, run, out)


class _Links(HTMLParser):
    """What a page links to, the names that can be linked to in it, and its scripts that are written into it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.inline: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [str(given[name]) for name in ("href", "src") if given.get(name) is not None]
        self.names.add(str(given.get("id")))
        if (tag == "script" and "src" not in given) or any(name.startswith("on") for name in given) or tag == "img":
            self.inline.append({"tag": tag, **given})


def text_of(page: str) -> str:
    """A page's words, one space between them."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def data_of(file: Path) -> Any:
    """What a data script hands over."""
    found = re.fullmatch(r'lakeData\("\w+",(.*)\);\n', file.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_a_table_page_tells_what_the_commits_say(shop: Shop) -> None:
    """Promises, units, where columns come from, rules and what they found, ledgers, schema versions and how to read it are on the page."""
    page = text_of(shop.page(f"tables/{ORDERS}.html"))
    version, record = shop.catalog.last(ORDERS)
    for told in (
        "One row for each order", "EUR", "Who ordered", f"Rows {record.rows} ", "orders.amount transformed", f'versionAsOf", {version}',
        f"version = {version}", "lake.open(release=5)", "column day added (String)", "amount|min", "sets the row aside", "clean", "personal",
    ):  # fmt: skip
        assert told in page, told
    assert record.ledger.inserted + record.ledger.unchanged + record.ledger.updated == 4
    assert re.search(r"2 of (\d+) rules are broken", page)
    assert "raw/shop.orders" in shop.page("tables/bronze.shop.orders.html")
    assert TOTALS in page


def test_a_bar_a_version_tells_how_a_rule_was_kept(shop: Shop) -> None:
    """Of the rule that two of three versions broke: a bar for each, as tall as its count, that says so in words; oldest first."""
    figure = next(part for part in shop.page(f"tables/{ORDERS}.html").split("<figure>") if "<span>amount|min</span>" in part)
    assert re.findall(r"<title>(\d rows?) · version (\d), ", figure) == [("1 row", "0"), ("0 rows", "1"), ("1 row", "2")]
    assert re.findall(r'class="bar (\w+)" .*? height="([\d.]+)"', figure) == [("bad", "56.0"), ("none", "2.0"), ("bad", "56.0")]
    assert "33.33%" in shop.page(f"tables/{ORDERS}.html")


def test_releases_tell_what_changed(shop: Shop) -> None:
    """Each release beside the one before: rows that came, and what a rollback took back, from manifests and ledgers alone."""
    steps = re.findall(r'<li id="release-(\d)".*?</li>', shop.page("releases.html"), re.DOTALL)
    assert steps == ["5", "4", "3", "2", "1"]
    second = text_of(re.split(r'id="release-[21]"', shop.page("releases.html"))[1])
    assert "gold.shop.totals 0 → 1 3 +1" in second
    assert "2 inserted" in second
    fourth = text_of(re.split(r'id="release-[43]"', shop.page("releases.html"))[1])
    assert "back at an earlier version" in fourth
    assert "as release 2" in fourth
    assert "held, rolled back from release 4 to 3" in text_of(shop.page("index.html"))
    assert "held, rolled back from release 4 to 3" in text_of(shop.page(f"tables/{ORDERS}.html"))
    assert "**Held, rolled back from release 4 to 3: readers see version 2**" in table_card(shop.catalog, ORDERS)


def test_schema_versions_are_those_of_the_whole_log(shop: Shop) -> None:
    """Searching the log for where each schema version began finds what reading all of it finds."""
    versions = {name: shop.catalog.log(name).version() for name in shop.catalog.names()}
    for told in gather(shop.catalog, versions):
        wanted = shop.catalog.schema_versions(told.name)
        assert [(row["number"], row["since"], row["class"], [what for _, what in row["diff"]]) for row in told.schemas] == [
            (row["schema_version"], row["since_version"], row["class"], row["changes"]) for row in wanted
        ]
    assert len(shop.catalog.schema_versions(ORDERS)) == 2


def test_rows_are_shown_only_where_the_table_allows_it(shop: Shop) -> None:
    """A sample is of the table that declares it, without what is marked as personal; no value of another table is on any page."""
    page = shop.page(f"tables/{ORDERS}.html")
    assert 'id="sample"' in page
    assert "monday" not in page  # rejected
    assert "friday" in page
    assert "withheld" in page
    assert 'id="sample"' not in shop.page(f"tables/{TOTALS}.html")
    for file in shop.out.rglob("*.*"):
        assert b"secret-cid" not in file.read_bytes(), file


def test_a_sample_that_is_no_longer_allowed_is_not_shown_of_older_releases(weed_settings: Settings, tmp_path: Path) -> None:
    """Once the declaration no longer allows it, pages of a release made before show no rows either."""
    with begin_run(weed_settings, "shop", "test") as run:
        tiny.write_orders(tmp_path / "in", "one.csv", [(1, "ann", 5, "monday")])
        _steps(run, tmp_path / "in", Order)
        one = find_release(run.store, 1)
        build_site(Catalog(run.store), tmp_path / "before", env="x", release=one)
        tiny.write_orders(tmp_path / "in", "two.csv", [(2, "bob", 5, "monday")])
        _steps(run, tmp_path / "in", Order, sample=False)
        build_site(Catalog(run.store), tmp_path / "after", env="x", release=one)
    assert 'id="sample"' in (tmp_path / "before" / f"tables/{ORDERS}.html").read_text("utf-8")
    assert 'id="sample"' not in (tmp_path / "after" / f"tables/{ORDERS}.html").read_text("utf-8")


def test_the_same_commits_give_the_same_pages(shop: Shop, tmp_path: Path) -> None:
    """Written again, every file is the same but for the one that holds the moment."""
    build_site(shop.catalog, tmp_path / "again", env=shop.settings.env, release=find_release(shop.run.store))
    names = sorted(str(file.relative_to(shop.out)) for file in shop.out.rglob("*") if file.is_file())
    assert names == sorted(str(file.relative_to(tmp_path / "again")) for file in (tmp_path / "again").rglob("*") if file.is_file())
    _, different, failed = filecmp.cmpfiles(shop.out, tmp_path / "again", names, shallow=False)
    assert set(different) | set(failed) <= {"data/moment.js"}


def test_a_folder_of_something_else_is_left_alone(shop: Shop, tmp_path: Path) -> None:
    """Only a new or empty folder, or one with pages of lake's, is written to; pages of tables that are gone are removed there."""
    (tmp_path / "precious.txt").write_text("mine", "utf-8")
    with pytest.raises(LakeError, match="holds no pages"):
        build_site(shop.catalog, tmp_path, env="x", release=None)
    assert [file.name for file in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(LakeError, match="is a file"):
        build_site(shop.catalog, tmp_path / "precious.txt", env="x", release=None)
    mine = tmp_path / "site"
    shutil.copytree(shop.out, mine)
    (mine / "tables" / "gold.shop.gone.html").write_text("", "utf-8")
    build_site(shop.catalog, mine, env="x", release=None)
    assert not (mine / "tables" / "gold.shop.gone.html").exists()
    assert (mine / f"tables/{TOTALS}.html").exists()


def test_every_link_leads_somewhere_on_the_site(shop: Shop) -> None:
    """Every address is relative, to a file that is there, and to a place in it that is there; nothing is written into pages that runs."""
    pages = {file: _Links(file.read_text("utf-8")) for file in shop.out.rglob("*.html")}
    graph = data_of(shop.out / "data" / "graph.js")
    nodes = {name for name, *_ in graph["tables"]} | {f"{name}.{column}" for name, *_, columns, _ in graph["tables"] for column in columns}
    assert len(pages) == 6
    for file, found in pages.items():
        assert found.inline == [], file
        for link in found.links:
            assert not re.match(r"[a-z]+:|//|/", link), f"{link} in {file}"
            address, fragment = urldefrag(urljoin(file.as_uri(), link))
            target = Path(unquote(address.removeprefix("file://")))
            assert target.is_file(), f"{link} in {file}"
            if fragment and target.name == "lineage.html" != file.name:
                assert unquote(fragment) in nodes, link
            elif fragment:
                assert fragment in pages[target].names, f"{link} in {file}"
    for script in (shop.out / "data").glob("*.js"):
        assert "<" not in script.read_text("utf-8")


def test_a_lake_without_a_release_or_a_table_still_has_pages(weed_settings: Settings, tmp_path: Path) -> None:
    """Nothing there: pages that say so. Committed and not released: the tables as they are."""
    with begin_run(weed_settings, "shop", "test") as run:
        build_site(Catalog(run.store), tmp_path / "empty", env="x", release=None)
        tiny.write_orders(tmp_path / "in", "one.csv", [(1, "ann", 5, "2026-01-01")])
        tiny.bring(run, tmp_path / "in")
        build_site(Catalog(run.store), tmp_path / "live", env="x", release=None)
    for page in ("index", "lineage", "releases"):
        assert 'class="empty"' in (tmp_path / "empty" / f"{page}.html").read_text("utf-8")
    assert "Nothing has been released yet" in (tmp_path / "live" / "index.html").read_text("utf-8")
    assert "lake.open(release=None)" in (tmp_path / "live" / f"tables/{TOTALS}.html").read_text("utf-8")


def test_the_command_writes_the_pages_of_a_release(shop: Shop, tmp_path: Path) -> None:
    """`lake docs` says where index.html is; --release pins an older one; a release that is not there is one line of error."""
    variables = {"LAKE_HOME": str(shop.settings.home)}
    said = run_lake("docs", "--out", str(tmp_path / "one"), "--env", shop.settings.env, "--release", "1", **variables)
    assert (said.code, said.out.strip()) == (0, str(tmp_path / "one" / "index.html"))
    assert "Release 1," in text_of((tmp_path / "one" / "index.html").read_text("utf-8"))
    assert "column day added" not in (tmp_path / "one" / f"tables/{ORDERS}.html").read_text("utf-8")
    wrong = run_lake("docs", "--out", str(tmp_path / "two"), "--env", shop.settings.env, "--release", "99", **variables)
    assert wrong.code == 1
    assert "there is no release 99" in wrong.err
    assert not (tmp_path / "two").exists()
    with pytest.raises(UnknownName):
        find_release(shop.run.store, 99)


def test_the_libraries_beside_the_pages_are_those_that_are_named() -> None:
    """Each library is there in the version that is written down, with its licence."""
    folder = ROOT / "lake" / "site" / "static" / "vendor"
    rows = re.findall(r"^\| `(\S+)` \| .*? \| (\S+) \| MIT, `(\S+)` \|$", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert {file for file, _, _ in rows} == {path.name for path in folder.glob("*.js")}
    for file, version, licence in rows:
        assert f'"{version}"' in (folder / file).read_text("utf-8")
        assert "Permission is hereby granted, free of charge" in (folder / licence).read_text("utf-8")


# ── in a browser ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(params=["from disk", "from a server"])
def address(request: pytest.FixtureRequest, shop: Shop) -> Iterator[str]:
    """The address of the pages, both ways they are read."""
    if request.param == "from disk":
        yield shop.out.as_uri()
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(shop.out)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A browser page in which nothing goes wrong, nothing is asked of elsewhere, and no text of the lake ran."""
    with page_of(browser) as opened:
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("requestfailed", lambda request: said.append(f"{request.url}: {request.failure}") if "ERR_ABORTED" not in str(request.failure) else None)
        opened.on("response", lambda answer: said.append(f"{answer.url}: {answer.status}") if answer.status >= 400 else None)
        asked: list[str] = []
        opened.on("request", lambda request: asked.append(request.url))
        yield opened
        assert said == []
        assert [url for url in asked if not url.startswith(("file://", "http://127.0.0.1:"))] == []
        assert opened.title() != "owned"


def test_search_finds_tables_columns_and_meanings_by_keyboard(page: Page, address: str) -> None:
    """/ goes to the search; arrows choose; Enter opens; Escape leaves. Names come before what is said of them."""
    page.goto(f"{address}/index.html")
    hits = page.locator("#found [role=option]")
    page.keyboard.press("/")
    page.keyboard.type("totals")
    expect(hits.first).to_contain_text(TOTALS)
    page.keyboard.press("Escape")
    expect(page.locator("#found")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("worth")  # only in the meaning of a column
    expect(hits).to_have_count(1)
    expect(hits.first).to_contain_text("in gold.shop.totals")
    page.locator("#search").fill("customer")
    expect(hits.nth(2)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(hits.nth(1)).to_have_attribute("aria-selected", "true")
    wanted = hits.nth(1).get_attribute("href")
    assert wanted is not None
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{wanted}")
    expect(page.locator("tr:target")).to_contain_text("customer")
    page.locator("#search").fill("no such thing")
    expect(page.locator("#found")).to_contain_text("Nothing here is called")


def test_markup_in_names_and_values_is_shown_not_run(page: Page, address: str) -> None:
    """Descriptions, owners, flows and values that are markup are words on the page."""
    for name in ("index.html", f"tables/{ORDERS}.html", "releases.html", f"lineage.html#{ORDERS}"):
        page.goto(f"{address}/{name}")
        expect(page.locator("main")).to_contain_text(EVIL)
        assert page.locator("main script, main img").count() == 0
        assert page.title() != "owned"
    page.keyboard.press("/")
    page.keyboard.type("onerror")
    expect(page.locator("#found [role=option]").first).to_contain_text("onerror")
    assert page.locator("#found img").count() == 0


def _click(page: Page, node: str) -> None:
    """A click on a box or a line of the graph, where it is on the screen."""
    place = page.evaluate("id => { const at = lakeLineage.cy.getElementById(id).renderedPosition(); return [at.x, at.y]; }", node)
    box = page.locator("#graph").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + place[0], box["y"] + place[1])


def _with(page: Page, mark: str, kind: str = "table") -> set[str]:
    """The names of the boxes (or labels of columns) that have a class."""
    ask = "([mark, kind]) => lakeLineage.cy.nodes(`.${kind}.${mark}`).map((node) => node.data('label'))"
    return set(page.evaluate(ask, [mark, kind]))


def _node(page: Page, name: str) -> str:
    return f"t{page.evaluate('name => lakeHeld.graph.tables.findIndex((table) => table[0] === name)', name)}"


def test_a_click_lights_up_what_feeds_a_table_and_what_it_feeds(page: Page, address: str) -> None:
    """Silver: raw and bronze above, gold below. A second click shows columns; one of them is followed both ways; the ground clears all."""
    page.goto(f"{address}/lineage.html")
    page.wait_for_function("window.lakeLineage !== undefined")
    assert page.evaluate("lakeLineage.cy.nodes('.table').length") == 4
    silver = _node(page, ORDERS)
    _click(page, silver)
    expect(page.locator("#panel h2")).to_have_text(ORDERS)
    assert page.evaluate("lakeLineage.cy.nodes('.table.up').map((n) => lakeHeld.graph.tables[n.data('at')][0]).sort()") == [
        "bronze.shop.orders",
        "raw/shop.orders",
    ]
    assert _with(page, "down") == {"totals"}
    assert page.evaluate("lakeLineage.cy.edges('.up').length") == 2
    _click(page, silver)
    amount = page.evaluate("at => lakeLineage.cy.nodes('.column').filter((n) => n.data('at') === at && n.data('label') === 'amount').id()", int(silver[1:]))
    _click(page, amount)
    expect(page.locator("#panel h2")).to_have_text("amount")
    assert page.evaluate("lakeLineage.cy.nodes('.column.up').length") == 2
    assert page.evaluate("lakeLineage.cy.nodes('.column.down').map((n) => n.data('label'))") == ["amount"]
    assert page.evaluate("lakeLineage.cy.edges('.derived').length") == 3
    expect(page.locator("#panel")).to_contain_text("aggregated")
    assert unquote(page.url).endswith(f"#{ORDERS}.amount")
    page.reload()
    expect(page.locator("#panel h2")).to_have_text("amount")
    page.mouse.click(300, 150)
    expect(page.locator("#panel h2")).to_have_text("Where does it come from?")
    assert _with(page, "away") == set()


def test_the_graph_is_walked_by_keyboard(page: Page, address: str) -> None:
    """Arrows go up and down the stream, Enter shows columns, O opens the page, Escape shows all."""
    page.goto(f"{address}/lineage.html#{TOTALS}")
    page.locator("#graph").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#panel h2")).to_have_text(ORDERS)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Hide columns")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#panel h2")).to_have_text("bronze.shop.orders")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(page.locator("#panel h2")).to_have_text("Where does it come from?")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("o")
    page.wait_for_url(f"**/tables/{TOTALS}.html")


def test_light_and_dark_follow_the_system_until_one_is_chosen(page: Page, address: str) -> None:
    """The page's ground is light or dark as the system says; the button turns it over, and the choice stays."""
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}/index.html")
    assert page.evaluate(ground) > 200
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) < 50
    page.locator("#theme").click()
    assert page.evaluate(ground) > 200
    page.goto(f"{address}/lineage.html")
    assert page.evaluate(ground) > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(page: Page, shop: Shop, scheme: str) -> None:
    """Each ink of both palettes has at least the contrast of 4.5 to 1 on each ground it is used on."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{shop.out.as_uri()}/index.html")
    pairs = [
        ("ink", "paper"),
        ("ink", "card"),
        ("muted", "paper"),
        ("muted", "card"),
        ("muted", "sunk"),
        ("accent", "paper"),
        ("accent", "card"),
        ("bad", "card"),
        ("plus", "card"),
    ]
    pairs = [("good" if one == "plus" else one, other) for one, other in pairs] + [
        (name, f"{name}-soft") for name in ("good", "bad", "warn", "accent", "gold", "silver", "bronze")
    ]
    for ink, ground in pairs:
        found = page.evaluate(
            "([ink, ground]) => [ink, ground].map((name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim())", [ink, ground]
        )
        assert _contrast(*found) >= 4.5, (ink, ground, found)


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_a_narrow_screen_needs_no_scrolling_sideways(page: Page, shop: Shop) -> None:
    """At 390 pixels each page is as wide as the screen, and the search is there."""
    page.set_viewport_size({"width": 390, "height": 844})
    for file in sorted(shop.out.rglob("*.html")):
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 390, file
        expect(page.locator("#search")).to_be_visible()


_BROKEN = """() => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const word of node.data.matchAll(/\\S{6,}/g)) {
      const range = document.createRange()
      range.setStart(node, word.index)
      range.setEnd(node, word.index + word[0].length)
      const lines = new Set([...range.getClientRects()].filter((box) => box.width > 0).map((box) => Math.round(box.top))).size
      if (lines > 1 && word[0].length / lines < 6) found.push(`${word[0]} in ${lines} lines: ${node.parentElement.outerHTML.slice(0, 200)}`)
    }
  }
  return found
}"""


def test_a_narrow_screen_breaks_no_word_into_pieces_of_a_few_letters(page: Page, shop: Shop) -> None:
    """At 400 pixels each word stands in lines of six letters at least: a column that would be narrower scrolls or stacks."""
    page.set_viewport_size({"width": 400, "height": 844})
    for file in sorted(shop.out.rglob("*.html")):
        page.goto(file.as_uri())
        assert page.evaluate(_BROKEN) == [], file


def test_what_was_fresh_is_stale_when_its_time_is_over(page: Page, tmp_path: Path, weed_settings: Settings) -> None:
    """Pages that were made while a table was fresh say that it is stale once its time has run out."""
    with begin_run(weed_settings, "generated", "test") as run:
        release = generate(run.store, 3, 2)
        build_site(Catalog(run.store), tmp_path / "site", env="x", release=release)
    page.clock.set_fixed_time("2026-11-02T11:00:00Z")
    page.goto((tmp_path / "site" / "index.html").as_uri())
    expect(page.locator(".fresh.stale")).to_have_count(0)
    page.clock.set_fixed_time("2026-11-02T13:00:00Z")
    page.reload()
    expect(page.locator(".fresh.stale")).to_have_count(3)
    expect(page.locator("#troubles")).to_have_text("3")
    page.locator("[data-layer=bronze].toggle").click()
    expect(page.locator(".card:visible")).to_have_count(2)


def test_how_to_read_it_is_shown_for_each_tool(page: Page, address: str) -> None:
    """Tabs are changed by click and by arrows."""
    page.goto(f"{address}/tables/{TOTALS}.html")
    page.get_by_role("tab", name="DuckDB").click()
    expect(page.locator("pre:visible")).to_contain_text("delta_scan(")
    page.keyboard.press("ArrowRight")
    expect(page.locator("pre:visible")).to_contain_text("versionAsOf")


def test_five_hundred_tables_are_found_and_followed(page: Page, tmp_path: Path, weed_settings: Settings) -> None:
    """The front page lists them all, search finds a column of one, and the graph draws what belongs to it."""
    with begin_run(weed_settings, "generated", "test") as run:
        release = generate(run.store, 500, 12)
        index = build_site(Catalog(run.store), tmp_path / "site", env="x", release=release)
    page.goto(index.as_uri())
    expect(page.locator(".card")).to_have_count(500)
    page.keyboard.press("/")
    page.keyboard.type("table_0444 column_7")
    expect(page.locator("#found [role=option]").first).to_contain_text("column_7")
    expect(page.locator("#found [role=option]")).to_have_count(1)
    page.goto(f"{index.parent.as_uri()}/lineage.html")
    expect(page.locator("#graph.blank")).to_be_visible()
    name = next(name for name in release.tables if name.endswith("table_0444"))
    page.goto(f"{index.parent.as_uri()}/lineage.html#{name}.column_7")
    expect(page.locator("#panel h2")).to_have_text("column_7")
    assert page.evaluate("lakeLineage.cy.nodes('.column.up').length") >= 2
    page.get_by_role("button", name="All tables").click()
    page.wait_for_function("lakeLineage.cy.nodes('.table').length === 600")
