"""Backups: a lake copied while runs go on, and restored elsewhere, is whole; killed half-way both are gone on with; nothing is lost in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

import lake
from lake.backup.copying import back_up, check_backup
from lake.backup.depot import FolderDepot, depot_at
from lake.backup.manifest import read_manifest
from lake.backup.restoring import restore
from lake.catalog import Catalog
from lake.cli import run_command
from lake.embedded import embedded_keys
from lake.errors import CommitConflict, DeclarationError, StoreError, UnknownName
from lake.pipeline import Pipeline, Report
from lake.release import Release, find_release
from lake.rename import planned, rename
from lake.replay import replay
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.store import Store, close_stores, open_store
from lake.verify import verify
from tests.conftest import ROOT, fresh_env
from tests.tiny import bronze_orders, clean_orders, orders, source_at, sum_orders, totals, write_orders

_PER_FILE = 6  # rows; one of them a test order, which is rejected
_TABLES = [bronze_orders.name, orders.name, totals.name]


class Shop:
    """A lake on SeaweedFS that a file a run goes into."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder, self.files = run, folder, 0
        self.flow = Pipeline("shop", [source_at(folder)], (clean_orders, sum_orders))

    def deliver(self) -> Release:
        """Another file, brought to gold: new orders, one corrected, one rejected."""
        first = 5 * self.files
        rows = [(first + n, f"c{n}", f"{first}.50", "2024-01-01") for n in range(4)] + [
            (max(0, first - 1), "c9", "9.99", ""),
            (10_000 + first, "test", "1", ""),
        ]
        write_orders(self.folder, f"orders-{self.files:03}.csv", rows)
        self.files += 1
        with begin_run(self.run.settings, "shop", "test") as another:  # a run of its own, as a worker's would be
            return done_of(self.flow.run(another))


def done_of(report: Report) -> Release:
    """The release that a run ended with."""
    report.raise_failures()
    assert report.release is not None
    return report.release


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Shop:
    """The lake after two runs."""
    made = Shop(run, tmp_path / "incoming")
    for _ in range(2):
        made.deliver()
    return made


def contents(settings: Settings, release: int | str = "latest") -> dict[str, list[Any]]:
    """Every table of a release by `lake.open()`, read whole."""
    with lake.open(**{name: getattr(settings, name) for name in settings.model_fields_set}, release=release) as opened:
        assert opened.release is not None
        return {
            name: opened[name].scan().collect().sort("_file" if name != totals.name else "customer", maintain_order=False).rows()
            for name in opened.release.tables
        }


def runs_meanwhile(shop: Shop, monkeypatch: pytest.MonkeyPatch, *, at: tuple[int, ...]) -> list[Release]:
    """Have a run go on while the lake is listed, and before each of the writes whose numbers are given. Returns the releases, as they come."""
    releases: list[Release] = []
    writes, busy = iter(range(1_000_000)), False
    real_walk, real_write = Store.walk, FolderDepot.write

    def deliver() -> None:
        nonlocal busy
        busy = True
        releases.append(shop.deliver())
        busy = False

    def walk(store: Store, prefix: str, **named: Any) -> Iterator[Any]:
        if prefix or busy or store.prefix != shop.run.store.prefix:
            yield from real_walk(store, prefix, **named)
            return
        for folder in store.children(""):  # as a large bucket is listed: part after part
            yield from real_walk(store, folder)
            if folder == "bronze":
                deliver()

    def write(depot: FolderDepot, key: str, content: Any) -> None:
        if next(writes) in at and not busy:
            deliver()
        real_write(depot, key, content)

    monkeypatch.setattr(Store, "walk", walk)
    monkeypatch.setattr(FolderDepot, "write", write)
    return releases


def brought_back(settings: Settings, depot: FolderDepot, number: int | None = None) -> None:
    """A backup restored to where the settings say."""
    with begin_run(settings, "restore", "test") as run:
        restore(run, depot, read_manifest(depot, number))


def test_a_backup_made_while_runs_go_on_is_whole(shop: Shop, moto_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restored into an empty bucket with a fresh home it reads as it did; verify and replay find all equal, and the next run goes on from there."""
    before = find_release(shop.run.store)
    assert before is not None
    expected = contents(shop.run.settings)
    depot = FolderDepot(tmp_path / "backups")
    with monkeypatch.context() as patch:
        meanwhile = runs_meanwhile(shop, patch, at=(0, 5))
        done = back_up(shop.run, depot)
    assert len(meanwhile) >= 3, "runs did go on"
    assert done.manifest.release == before.number
    brought_back(moto_settings, depot)
    store = open_store(moto_settings)
    found = find_release(store)
    store.close()
    assert found == before
    assert contents(moto_settings) == expected
    assert contents(moto_settings, 1) == contents(shop.run.settings, 1)
    with begin_run(moto_settings, "shop", "test") as restored:
        assert {one.table: one.verdict for one in replay(restored, found, [shop.flow])} == dict.fromkeys(_TABLES, "equal")
        assert {row["table"]: row["verdict"] for row in verify(restored, shop.flow, share=1.0)} == dict.fromkeys(_TABLES, "equal")
        after = done_of(shop.flow.run(restored))
    assert after.number == before.number + 1
    for table in (orders.name, totals.name):
        assert after.tables[table].content == meanwhile[-1].tables[table].content


def test_each_backup_copies_what_is_new(shop: Shop, moto_settings: Settings, tmp_path: Path) -> None:
    """Nothing new, nothing copied; after a run, what it made; every backup can be restored by its number."""
    depot = FolderDepot(tmp_path / "backups")
    expected = contents(shop.run.settings)
    first = back_up(shop.run, depot)
    assert first.copied > 20
    again = back_up(shop.run, depot)
    assert (again.manifest.number, again.copied, again.manifest.objects) == (2, 0, first.manifest.objects)
    shop.deliver()
    third = back_up(shop.run, depot)
    assert 0 < third.copied < first.copied
    assert third.manifest.objects.keys() > first.manifest.objects.keys() - {path for path in first.manifest.objects if "_last_checkpoint" in path}
    assert check_backup(depot, third.manifest) == []
    brought_back(moto_settings, depot, 1)
    assert contents(moto_settings) == expected


class Killed(BaseException):
    """As if the process had been killed there."""


def test_a_backup_that_is_killed_is_gone_on_with(shop: Shop, moto_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is finished there is no backup, and the second try copies only the rest."""
    depot = FolderDepot(tmp_path / "backups")
    real, writes = FolderDepot.write, iter(range(1_000_000))

    def dying(depot: FolderDepot, key: str, content: Any) -> None:
        if key.startswith("objects/") and next(writes) >= 12:
            raise Killed
        real(depot, key, content)

    with monkeypatch.context() as patch:
        patch.setattr(FolderDepot, "write", dying)
        with pytest.raises(Killed):
            back_up(shop.run, depot)
    with pytest.raises(UnknownName, match="no finished backup"):
        read_manifest(depot)
    kept = len(depot.keys("objects"))
    assert kept >= 12
    done = back_up(shop.run, depot)
    assert done.copied == len(depot.keys("objects")) - kept
    brought_back(moto_settings, depot)
    assert contents(moto_settings) == contents(shop.run.settings)


@pytest.mark.parametrize("after", [0, 10, 30])
def test_a_restore_that_is_killed_names_nothing_that_is_not_there(
    shop: Shop, moto_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Data come first, then logs, then releases. A second try finishes it; another backup is not mixed in."""
    depot = FolderDepot(tmp_path / "backups")
    back_up(shop.run, depot)
    expected = contents(shop.run.settings)
    shop.deliver()
    back_up(shop.run, depot)
    real, writes, stages = Store.put, iter(range(1_000_000)), []

    def dying(store: Store, path: str, data: bytes) -> None:
        if store.bucket == moto_settings.bucket and not path.startswith(("_probe", "system/restoring")):
            stages.append(2 if "/releases/" in path else 1 if "/_delta_log/" in path or path.startswith("system/") else 0)
            if next(writes) >= after:
                raise Killed
        real(store, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", dying)
        with pytest.raises(Killed):
            brought_back(moto_settings, depot, 1)
    assert stages == sorted(stages)
    store = open_store(moto_settings)
    assert find_release(store) is None
    with pytest.raises(CommitConflict, match="backup 1 was being restored"):
        brought_back(moto_settings, depot, 2)
    brought_back(moto_settings, depot, 1)
    assert store.head("system/restoring.json") is None
    store.close()
    assert contents(moto_settings) == expected


def test_nothing_is_restored_over_a_lake(shop: Shop, moto_settings: Settings, tmp_path: Path) -> None:
    """Where there is anything, nothing is written, and the sentence says what is there."""
    depot = FolderDepot(tmp_path / "backups")
    back_up(shop.run, depot)
    before = {blob.path: blob.etag for blob in shop.run.store.walk("")}
    with pytest.raises(CommitConflict, match="there is a lake already"):
        brought_back(shop.run.settings, depot)
    assert {blob.path: blob.etag for blob in shop.run.store.walk("")} == before


def test_a_damaged_backup_is_found_and_not_restored(shop: Shop, moto_settings: Settings, tmp_path: Path) -> None:
    """A byte of a content that changed, or a content that is gone: the check names it, restoring refuses, and the next backup mends it."""
    depot = FolderDepot(tmp_path / "backups")
    manifest = back_up(shop.run, depot).manifest
    path = next(path for path in manifest.objects if path.endswith(".parquet"))
    file = depot.folder / manifest.objects[path].key
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match="the backup is damaged"):
        brought_back(moto_settings, depot)
    assert path in check_backup(depot, manifest)
    assert back_up(shop.run, depot).copied == 1
    brought_back(moto_settings, depot, 1)
    assert contents(moto_settings) == contents(shop.run.settings)


def test_a_lake_that_lacks_what_its_release_needs_is_not_backed_up_as_whole(shop: Shop, tmp_path: Path) -> None:
    """A data file that is gone, and that a release names: no backup is finished, and the sentence names the file."""
    depot = FolderDepot(tmp_path / "backups")
    (last, _) = Catalog(shop.run.store).last(totals.name)
    file = Catalog(shop.run.store).snapshot(totals.name, last).files[0]
    shop.run.store.delete([f"gold/shop/totals/{file.path}"])
    with pytest.raises(StoreError, match=file.path):
        back_up(shop.run, depot)
    with pytest.raises(UnknownName):
        read_manifest(depot)


def test_what_upkeep_removes_meanwhile_does_not_stop_a_backup(shop: Shop, moto_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leftover that is listed and gone when its turn comes is passed over."""
    shop.run.store.put("gold/shop/totals/leftover.parquet", b"of a run that was killed")
    expected, real = contents(shop.run.settings), Store.get

    def getting(store: Store, path: str) -> bytes:
        if path.endswith("leftover.parquet"):
            store.delete([path])
        return real(store, path)

    depot = FolderDepot(tmp_path / "backups")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "get", getting)
        assert not [path for path in back_up(shop.run, depot).manifest.objects if path.endswith("leftover.parquet")]
    brought_back(moto_settings, depot)
    assert contents(moto_settings) == expected


def test_tables_that_were_renamed_come_back_by_their_names(shop: Shop, moto_settings: Settings, tmp_path: Path) -> None:
    """Objects stay in the places of the first name, in the backup too."""
    rename(shop.run, planned(shop.run, totals.name, "gold.shop.sums"))
    with begin_run(shop.run.settings, "shop", "test") as run:
        expected = run.log("gold/shop/sums").version()
        depot = FolderDepot(tmp_path / "backups")
        assert any(path.startswith("gold/shop/totals/") for path in back_up(run, depot).manifest.objects)
    brought_back(moto_settings, depot)
    with begin_run(moto_settings, "shop", "test") as run:
        assert run.log("gold/shop/sums").version() == expected
        assert run.snapshot("gold/shop/sums", expected).scan().collect().height > 0


def test_a_backup_goes_to_a_bucket_elsewhere(shop: Shop, moto_settings: Settings, tmp_path: Path) -> None:
    """LAKE_BACKUP_ENDPOINT and its keys are for the backup alone; the lake's own place is refused, with and without a prefix."""
    told = {name: getattr(shop.run.settings, name) for name in shop.run.settings.model_fields_set}
    settings = load_settings(**told, backup_endpoint=moto_settings.endpoint, backup_access_key_id="test", backup_secret_access_key="test")
    depot = depot_at(f"s3://{moto_settings.bucket}/copies/", settings, shop.run.store)
    done = back_up(shop.run, depot)
    assert len(depot.keys("backups")) == 1
    assert check_backup(depot, done.manifest) == []
    (other := tmp_path / "other").mkdir()
    fresh = load_settings(home=other, root=ROOT)
    with begin_run(fresh, "restore", "test") as run:
        restore(run, depot, read_manifest(depot))
        assert contents(fresh) == contents(shop.run.settings)
        run.store.close(wait=True)
    bucket, env = shop.run.store.bucket, shop.run.store.prefix
    for place in (f"s3://{bucket}", f"s3://{bucket}/{env}", f"s3://{bucket}/{env}/backups", str(shop.run.settings.state / "store" / "data" / "x")):
        with pytest.raises(DeclarationError):
            depot_at(place, shop.run.settings, shop.run.store)


def test_no_key_is_in_a_backup(shop: Shop, tmp_path: Path) -> None:
    """Neither the store's keys nor anything else of the home."""
    depot = FolderDepot(tmp_path / "backups")
    back_up(shop.run, depot)
    access, secret = embedded_keys(shop.run.settings.state / "store")
    for key in depot.keys(""):
        raw = b"".join(depot.read(key))
        plain = zstandard.ZstdDecompressor().decompress(raw, max_output_size=1 << 28) if key.endswith(".zst") else raw
        assert access.encode() not in plain
        assert secret.encode() not in plain


def test_the_commands_say_what_they_did(shop: Shop, moto_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`lake backup`, `lake backup --check` and `lake restore`, with exit codes: 1 where there is a lake, where there is no backup, and for a damaged one."""
    place = tmp_path / "the team's backups"
    monkeypatch.setenv("LAKE_HOME", str(shop.run.settings.home))
    monkeypatch.setenv("LAKE_ENV", shop.run.settings.env)
    monkeypatch.chdir(ROOT)

    def said(*arguments: str) -> tuple[int, str]:
        code = run_command(list(arguments))
        told = capsys.readouterr()
        return code, told.out + told.err

    code, told = said("restore", str(place))
    assert (code, "there is no finished backup" in told) == (1, True)
    code, told = said("backup", str(place))
    assert (code, told.startswith("Backup 1 in ")) == (0, True), told
    code, told = said("backup", str(place), "--json")
    assert (code, json.loads(told)[0]["copied"], json.loads(told)[0]["backup"]) == (0, 0, 2)
    assert said("backup", str(place), "--check")[0] == 0
    code, told = said("restore", str(place))
    assert (code, "there is a lake already" in told) == (1, True)
    monkeypatch.setenv("LAKE_ENV", fresh_env())
    code, told = said("restore", str(place))
    assert (code, "is restored to" in told) == (0, True), told
    next(file for file in (place / "objects").rglob("*") if file.is_file()).write_bytes(b"")
    code, told = said("backup", str(place), "--check")
    assert (code, "is damaged" in told) == (1, True)


def test_the_embedded_store_is_copied_as_a_folder(tmp_path: Path) -> None:
    """With lake down, `.lake/store` copied into a fresh home is the lake: data, keys and all."""
    home, other = tmp_path / "home", tmp_path / "other"
    settings = load_settings(home=home, root=ROOT)
    with begin_run(settings, "shop", "test") as run:
        Shop(run, tmp_path / "incoming").deliver()
        expected = contents(settings)
    close_stores(wait=True)
    shutil.copytree(home / "store", other / "store")
    assert contents(load_settings(home=other, root=ROOT)) == expected
    close_stores(wait=True)
