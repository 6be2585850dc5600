"""Commands on a damaged lake: each says in a sentence what is damaged and what to do, none calls it a defect of lake's."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl
import pytest

from lake.cli import run_command
from lake.settings import Settings
from lake.store import open_store
from tests.cuts import bucket_with
from tests.laws.draws import FULL
from tests.test_cli import Project, make_project

GOLD = "gold.shop.totals"
QUICK = (("ls",), ("show", "gold.shop.totals"), ("release", "ls"), ("plan",), ("verify",), ("doctor",))
COMMANDS = (
    ("ls",), ("show", GOLD), ("history", GOLD), ("schema", "show", GOLD), ("lineage", GOLD), ("rejects", "silver.shop.orders"), ("profile", GOLD),
    ("trace", GOLD, "customer=ann"), ("plan",), ("release", "ls"), ("release", "show"), ("release", "diff", "1", "latest"), ("replay",), ("verify",),
    ("maintain", "--dry-run"), ("metrics", "--once"), ("doctor",), ("doctor", "--deep"), ("run", "shop", "--no-prefect"),
)  # fmt: skip
DAMAGE = {
    "a release": "system/releases/", "a commit of gold": "gold/shop/totals/_delta_log/", "a commit of bronze": "bronze/shop/orders/_delta_log/", "gold": "gold/shop/totals/part-",
    "silver": "silver/shop/orders/part-", "bronze": "bronze/shop/orders/part-", "rejects": "quarantine/silver/shop/orders/part-", "receipts": "system/landings/part-",
    "the log of receipts": "system/landings/_delta_log/", "raw": "raw/", "schemas": "system/schemas/", "code": "system/code/", "columns": "system/columns/", "structure": "system/structure/",
}  # fmt: skip

SOME = (("a release", "torn"), ("a commit of gold", "torn"), ("bronze", "missing"), ("the log of receipts", "torn"), ("structure", "missing"))
DRAWN = [(name, fate) for name in DAMAGE for fate in ("missing", "torn")] if FULL else SOME
REPAIRED = (("doctor", "--repair"), ("doctor",), ("ls",))


@pytest.fixture(scope="module")
def made(moto_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, bytes]]:
    """The project of the shop, and all objects of its lake after two runs."""
    folder = tmp_path_factory.mktemp("made")
    settings = bucket_with(moto_endpoint, folder / "home", {})
    project = make_project(folder / "shop", **variables(settings))
    with pytest.MonkeyPatch.context() as patch:
        entered(project, settings, patch)
        assert run_command(["run", "shop", "--no-prefect"]) == 0
        project.write("incoming/tuesday.csv", "# the till in the hall\norder,customer,amount\n5,ann,1.5\n6,bob,2\n7,cem,3\n8,dan,x\n1,ann,4.5\n")
        assert run_command(["run", "shop", "--no-prefect"]) == 0
        store = open_store(settings)
        objects = {f"dev/{blob.path}": store.get(blob.path) for blob in store.walk("")}
        store.close()
    return project, objects


def variables(settings: Settings) -> dict[str, str]:
    """What a shell would say."""
    return {
        "LAKE_HOME": str(settings.home), "LAKE_ENV": "dev", "LAKE_BUCKET": settings.bucket, "AWS_ENDPOINT_URL": str(settings.endpoint),
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "LAKE_PATIENCE": "PT0S",
    }  # fmt: skip


def entered(project: Project, settings: Settings, patch: pytest.MonkeyPatch) -> None:
    """Work in the project's folder, on that lake."""
    for name, value in variables(settings).items():
        patch.setenv(name, value)
    patch.chdir(project.root)


@pytest.mark.parametrize(("wanted", "fate"), [(DAMAGE[name], fate) for name, fate in DRAWN], ids=[f"{name} {fate}" for name, fate in DRAWN])
def test_no_command_calls_damage_a_defect(
    made: tuple[Project, dict[str, bytes]],
    moto_endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wanted: str,
    fate: str,
) -> None:
    """Every command ends with 0, or with 1 and one sentence that has a next step; `lake doctor` finds it and ends with 1, and `--repair` says what is lost."""
    project, whole = made
    newest = max(path for path in whole if wanted in path)
    objects = {path: content for path, content in whole.items() if path != newest}
    if fate == "torn":
        objects[newest] = whole[newest][: len(whole[newest]) // 2]
    settings = bucket_with(moto_endpoint, tmp_path / "home", objects)
    entered(project, settings, monkeypatch)
    for command in (*(COMMANDS if FULL else QUICK), *REPAIRED):
        code = run_command(list(command))
        told = capsys.readouterr()
        said = " ".join(told.err.split())
        assert code in (0, 1), (command, said)
        assert "unexpected" not in said, (command, said)
        assert "Traceback" not in said, (command, said)
        if code:
            assert "lake: " in said, command


def test_doctor_finds_and_repairs(
    made: tuple[Project, dict[str, bytes]], moto_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and the object's name before, 0 after; what was made again is a row of the answer."""
    project, whole = made
    gone = next(path for path in whole if "gold/shop/totals/part-" in path)
    settings = bucket_with(moto_endpoint, tmp_path / "home", {path: content for path, content in whole.items() if path != gone})
    entered(project, settings, monkeypatch)
    assert run_command(["doctor"]) == 1
    told = capsys.readouterr()
    assert gone.removeprefix("dev/") in told.out
    assert "lake doctor --repair" in told.err
    assert run_command(["doctor", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["check"] for row in rows if not row["ok"]] == [f"object {gone.removeprefix('dev/')}"]
    code = run_command(["doctor", "--repair", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert (GOLD, "made again") in {(row["what"], row["done"]) for row in rows} or code == 1
    assert run_command(["doctor"]) == 0
    assert "What the lake names is there" in capsys.readouterr().out
    assert run_command(["doctor", "--repair"]) == 0
    assert "Nothing to repair" in capsys.readouterr().out


@pytest.mark.parametrize("fate", ["missing", "torn"])
def test_structural_lines_are_read_from_raw_again(
    made: tuple[Project, dict[str, bytes]], moto_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fate: str
) -> None:
    """The object has the same lines as before, under the same name; where the raw file is gone too, it is said to be lost."""
    project, whole = made
    hit = max(path for path in whole if "system/structure/" in path)
    torn = {hit: whole[hit][:40]} if fate == "torn" else {}
    objects = {path: content for path, content in whole.items() if path != hit} | torn
    settings = bucket_with(moto_endpoint, tmp_path / "home", objects)
    entered(project, settings, monkeypatch)
    assert run_command(["doctor", "--deep"]) == 1
    assert hit.removeprefix("dev/") in capsys.readouterr().out
    assert run_command(["doctor", "--repair", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"what": hit.removeprefix("dev/"), "done": "made again", "how": "the same lines, read from raw"} in rows
    store = open_store(settings)
    assert pl.read_parquet(io.BytesIO(store.get(hit.removeprefix("dev/")))).equals(pl.read_parquet(io.BytesIO(whole[hit])))
    store.close()
    assert run_command(["doctor", "--deep"]) == 0


@pytest.mark.parametrize("fate", ["missing", "torn"])
def test_changes_of_a_table_are_told_again(
    made: tuple[Project, dict[str, bytes]], moto_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fate: str
) -> None:
    """What a hop reads that follows a table: the same rows of the same kinds, from the versions before and after."""
    project, whole = made
    hit = max(path for path in whole if "/_change_data/" in path)
    objects = {path: content for path, content in whole.items() if path != hit} | ({hit: whole[hit][:40]} if fate == "torn" else {})
    settings = bucket_with(moto_endpoint, tmp_path / "home", objects)
    entered(project, settings, monkeypatch)
    assert run_command(["doctor", "--deep"]) == 1
    assert hit.removeprefix("dev/") in capsys.readouterr().out
    assert run_command(["doctor", "--repair", "--json"]) == 0
    assert (hit.removeprefix("dev/"), "made again") in {(row["what"], row["done"]) for row in json.loads(capsys.readouterr().out)}
    store = open_store(settings)
    again, before = (pl.read_parquet(io.BytesIO(body)) for body in (store.get(hit.removeprefix("dev/")), whole[hit]))
    store.close()
    order = [name for name in before.columns if before[name].dtype != pl.Null]
    assert again.select(before.columns).sort(order).equals(before.sort(order))
    assert run_command(["doctor", "--deep"]) == 0
    assert run_command(["backup", str(tmp_path / "kept")]) == 0


def test_structural_lines_without_their_raw_file_are_lost(
    made: tuple[Project, dict[str, bytes]], moto_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read again is said to be, with what to do, and the exit code tells."""
    project, whole = made
    hit = {max(path for path in whole if "system/structure/" in path), *(path for path in whole if path.startswith("dev/raw/"))}
    settings = bucket_with(moto_endpoint, tmp_path / "home", {path: content for path, content in whole.items() if path not in hit})
    entered(project, settings, monkeypatch)
    for name in ("monday.csv", "tuesday.csv"):
        kept = project.root / "incoming" / name
        kept.rename(tmp_path / name)
    try:
        assert run_command(["doctor", "--repair", "--json"]) == 1
    finally:
        for name in ("monday.csv", "tuesday.csv"):
            (tmp_path / name).rename(project.root / "incoming" / name)
    rows = json.loads(capsys.readouterr().out)
    assert {row["done"] for row in rows if "system/structure/" in row["what"]} == {"lost"}
