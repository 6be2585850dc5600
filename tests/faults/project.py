"""The shop as a project of its own: files dropped in generations, `lake run` as a real process, and what the lake then holds."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lake.catalog import Catalog
from lake.contract import FILE, ROW
from lake.delta import open_snapshot
from lake.log import TableLog
from lake.probe import ensure_trusted
from lake.quarantine import REJECTED
from lake.record import Record
from lake.release import find_release
from lake.settings import load_settings
from lake.store import Store
from lake.table import path_of, quarantine_path_of
from tests.conftest import ROOT
from tests.faults.fault import Fault
from tests.faults.oracle import Delivery, Rows, expected
from tests.faults.proxy import Proxy
from tests.outside import outside

TABLES = ("bronze.shop.customers", "bronze.shop.orders", "silver.shop.customers", "silver.shop.orders", "gold.shop.totals")
_COLUMNS = {
    "bronze.shop.customers": [FILE, ROW, "customer", "country", "_rescued"],
    "bronze.shop.orders": [FILE, ROW, "order", "customer", "amount", "day", "_rescued"],
    "silver.shop.customers": ["customer", "country"],
    "silver.shop.orders": ["order", "customer", "country", "amount", "day"],
    "gold.shop.totals": ["country", "orders", "amount"],
}
_RUN = ("run", "shop", "--no-prefect")
_FIRST_DAY = 1_700_000_000  # seconds; files get ages by their number, whatever the clock says


@dataclass(frozen=True)
class Done:
    """How a process ended: its exit code (negative: the signal), and what it said."""

    code: int
    out: str
    err: str

    def went_well(self) -> None:
        """Assert that it did what it should without a word of complaint."""
        assert (self.code, self.err) == (0, ""), self.out + self.err

    def failed_clearly(self) -> None:
        """Assert exit code 1 with one line that says why."""
        assert self.code == 1, (self.code, self.out, self.err)
        assert self.err.startswith("lake: "), self.err
        assert len(self.err.strip().splitlines()) == 1, self.err
        assert "Traceback" not in self.out + self.err
        assert "unexpected" not in self.err
        assert "defect in lake" not in self.out + self.err


class Shop:
    """One shop: a project folder, an environment of its own in a store, and all files ever delivered."""

    flows = "shop"
    sources = ("orders", "customers")
    tables = TABLES

    def __init__(self, root: Path, store: Store, env: str, home: Path | None = None) -> None:
        self.root, self.env, self.home = root, env, home or root / "home"
        self.store = Store(store.bucket, env, store.options)
        self.deliveries: list[Delivery] = []
        self.columns = dict(_COLUMNS)
        shutil.copytree(ROOT / "tests/faults" / self.flows, root / "flows/shop")
        (root / "pyproject.toml").write_text("[tool.lake]\n", "utf-8")
        for source in self.sources:
            (root / "incoming" / source).mkdir(parents=True)

    def deliver(self, source: str, name: str, data: bytes) -> None:
        """Put one file into a source's folder at once, younger than all before it."""
        file, hidden = self.root / "incoming" / source / name, self.root / "incoming" / source / f".{name}"
        hidden.write_bytes(data)
        age = (_FIRST_DAY + len(self.deliveries)) * 10**9
        os.utime(hidden, ns=(age, age))
        hidden.replace(file)
        self.deliveries.append(Delivery(source, name, data))

    def deliver_generation(self, number: int) -> None:
        """New orders, corrected ones, a copy, an empty file, broken lines, a file that was only touched; and customers every other time."""
        first = 10 * number
        new = [(first + i, (first + i) % 7 + 1, f"{first + i}.50", "2024-01-01") for i in range(6)]
        new += [(first - 3, 1, f"{number}.25", "2024-02-02"), (first + 6, 99, "1.00", "2024-01-01"), (first + 7, 0, "1.00", "2024-01-01")]
        new += [(first + 8, 1, "many", "2024-01-01"), (first + 9, 1, "-1.00", "tomorrow")]
        if number % 2 == 0:
            who = [(i, "AT" if (i + number) % 3 else "CH") for i in range(8)] + [(number, "FR"), (8, "nowhere")]
            self.deliver("customers", f"customers-{number}.csv", _csv("customer,country", who))
        for touched in [one for one in self.deliveries if one.name.startswith("broken-")][-1:]:
            self.deliver("orders", touched.name, touched.data)
        if number:
            self.deliver("orders", f"orders-{number - 1}.csv", _csv("order,customer,amount,day", [(first - 10, 2, f"{number}.75", "2024-03-03")]))
        self.deliver("orders", f"orders-{number}.csv", _csv("order,customer,amount,day", new))
        self.deliver("orders", f"copy-{number}.csv", _csv("order,customer,amount,day", new))
        self.deliver("orders", f"empty-{number}.csv", b"")
        broken = f'order,customer,amount,day\n{first + 1},3,3.33,2024-04-04,more,"and, more"\n\n{first + 2},3,7.77\n'
        broken += f'{first + 3},"4,1.00,2024-04-04\n{first + 4},4,9.99,2024-04-04\n'
        self.deliver("orders", f"broken-{number}.csv", broken.encode())

    def deliver_extra(self, number: int) -> None:
        """One more file under a name of its own, with rows to reject on the way to bronze and to silver."""
        rows = f"{100_000 + number},5,5.55,2024-05-05\n\n{number},5,6.66,2024-05-06\n{200_000 + number},98,1.00,2024-05-07\n"
        self.deliver("orders", f"extra-{number}.csv", f"order,customer,amount,day\n{rows}".encode())

    def start(
        self, proxy: Proxy, fault: Fault | None = None, *, victim: int | None = None, command: Sequence[str] = _RUN, **settings: str
    ) -> subprocess.Popen[str]:
        """`lake run shop` (or another `command`) as a process that reaches the store through the proxy, with `fault` in its way; it is the victim unless another is."""
        proxy.arm(fault or Fault())
        options = self.store.options
        environment = outside() | {
            "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1", "LAKE_ENV": self.env, "LAKE_BUCKET": self.store.bucket,
            "LAKE_HOME": str(self.home), "AWS_ENDPOINT_URL": proxy.endpoint, "AWS_ACCESS_KEY_ID": options["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": options["aws_secret_access_key"], "LAKE_THREADS": "1", "LAKE_PATIENCE": "PT2S", **settings,
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "lake", *command], cwd=self.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        proxy.victim.set_result(process.pid if victim is None else victim)
        return process

    def moved_to(self, store: Store) -> None:
        """The store came up again, somewhere else."""
        self.store = Store(store.bucket, self.env, store.options)

    def prepare(self, proxy: Proxy) -> None:
        """Let the store prove itself, so that the first fault does not meet the probe."""
        ensure_trusted(Store(self.store.bucket, self.env, self.store.options | {"aws_endpoint": proxy.endpoint}), load_settings(root=self.root, home=self.home))

    def run(self, proxy: Proxy, fault: Fault | None = None, *, command: Sequence[str] = _RUN, **settings: str) -> Done:
        """Such a process, to its end."""
        return ended(self.start(proxy, fault, victim=None, command=command, **settings))

    def edit(self, module: str, old: str, new: str) -> None:
        """Change the shop's code: every `old` in one of its modules."""
        file = self.root / "flows/shop" / f"{module}.py"
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    def expected(self) -> dict[str, Rows]:
        """What the tables must hold now that every file delivered has landed."""
        return expected(self.deliveries)

    def released(self) -> dict[str, Rows] | None:
        """What a reader of the newest release sees, table by table, with rejects; None where there is no release yet."""
        release = find_release(self.store)
        if release is None:
            return None
        found: dict[str, Rows] = {}
        for name, pin in release.tables.items():
            record = self.record(name, pin.version)
            rows = open_snapshot(self.store, path_of(name), pin.version).scan().select(self.columns[name]).collect()
            assert rows.height == pin.rows == record.rows, f"{name} version {pin.version} is not whole"
            found[name] = _sorted(rows)
            if not name.startswith("gold"):
                found[f"rejects of {name}"] = self._rejects(name, record)
        return found

    def record(self, name: str, version: int | None = None) -> Record:
        """The record of one commit, its ledger checked."""
        record = Catalog(self.store).last(name, version=version)[1]
        record.ledger.check(name)
        return record

    def check_commits(self) -> None:
        """Assert that each table's newest version, released or not, is whole, and every ledger in its history closed."""
        catalog = Catalog(self.store)
        for name in catalog.names():
            for version, record in catalog.log(name).records():
                record.ledger.check(f"{name} version {version}")
            if catalog.log(name).version() < 0:
                continue  # a part was uploaded, and its run killed before the first commit
            newest, last = catalog.last(name)
            rows = open_snapshot(self.store, path_of(name), newest).scan().collect()
            assert rows.height == last.rows, f"{name} version {newest} is not whole"

    def versions(self) -> dict[str, int]:
        """The newest version of each table, quarantines and landings included."""
        found = {name: Catalog(self.store).log(name).version() for name in Catalog(self.store).names()}
        others = ["system/landings", *(quarantine_path_of(name) for name in self.tables)]
        return found | {path: TableLog(self.store, path).version() for path in others}

    def check_finished(self, proxy: Proxy) -> None:
        """Assert that the release holds what the files say, every ledger is closed, and one more run changes nothing."""
        assert_same(self.released(), self.expected())
        self.check_commits()
        self.run(proxy).went_well()
        assert proxy.writes == [], "there was nothing to do"

    def _rejects(self, name: str, record: Record) -> Rows:
        frame = pl.DataFrame(schema=REJECTED)
        if record.quarantine and record.rejects:
            frame = (
                open_snapshot(self.store, quarantine_path_of(name), int(record.quarantine["version"])).scan().filter(pl.col("resolved_at").is_null()).collect()
            )
        assert frame.height == record.rejects
        rows = [(_hash(row[FILE]), row[ROW], *([row["reason"]] if row["reason"] else sorted(row["rules"]))) for row in frame.iter_rows(named=True)]
        return sorted(rows, key=repr)


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a process."""
    try:
        out, err = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Done(process.returncode, out, err)


def assert_same(found: dict[str, Rows] | None, wanted: dict[str, Rows]) -> None:
    """Assert that all tables hold just these rows, naming those that are lost and those that are too many."""
    assert found is not None, "there is no release"
    assert found.keys() == wanted.keys()
    for name, rows in wanted.items():
        lost, surplus = list(rows), []
        for row in found[name]:
            if row in lost:
                lost.remove(row)
            else:
                surplus.append(row)
        assert (lost, surplus) == ([], []), f"{name}: lost {lost[:5]}, too many {surplus[:5]}"


@contextlib.contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """A proxy for one test."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()


def _csv(header: str, rows: list[tuple[Any, ...]]) -> bytes:
    return ("\n".join([header, *(",".join(str(value) for value in row) for row in rows)]) + "\n").encode()


def _hash(place: str) -> str:
    return place.split("/")[2]


def _sorted(rows: pl.DataFrame) -> Rows:
    if FILE in rows.columns:
        rows = rows.with_columns(pl.col(FILE).str.split("/").list.get(2))
    return sorted(rows.rows(), key=repr)
