"""`lake doctor`: what is configured, and whether the store can be trusted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click
import httpx

from lake.catalog import Catalog
from lake.cli.render import console, env_option, json_option, print_json, print_table
from lake.cli.repair import finding_rows, looked, raise_findings, repaired, tell_findings
from lake.cli.runs import tell_unfilled
from lake.clock import SKEW_ALLOWED, apart, spelled
from lake.confidential import hidden, shown
from lake.disk import disks
from lake.errors import DiskFull, LakeError, StoreRefused, StoreUntrusted
from lake.existing import open_existing
from lake.marks import unfilled, why_unfilled
from lake.pipeline import loaded, raise_refused, subjects
from lake.prefect_server import allows, configured
from lake.probe import Check, probe
from lake.repair.looking import Seen
from lake.retired import retired
from lake.settings import VARIABLES, Settings, load_settings
from lake.store import Store

_SECRET = {"access_key_id", "secret_access_key", "session_token", "backup_access_key_id", "backup_secret_access_key"}


@click.command()
@click.option("--deep", is_flag=True, help="Read every content, not the newest 256 MB alone, and look at what every release names.")
@click.option("--repair", "mends", is_flag=True, help="Make again what is damaged and can be made again, and say what is lost. Looks as deep.")
@env_option
@json_option
def doctor(deep: bool, mends: bool, env: str | None, as_json: bool) -> None:
    """Print what is configured, probe the store, and look at all that the lake names: whether it is there as it was written.

    Probing asks for everything lake relies on, and leaves nothing behind. Looking holds commits, data files and raw files to a listing, and reads
    the newest of them; exit code 1 where something is missing or damaged.
    """
    settings = load_settings(env=env)
    if mends:
        repaired(settings, as_json=as_json)
        return
    about_disks = _room(settings)
    store = open_existing(settings)
    configured = [
        {
            "setting": name,
            "value": "set" if name in _SECRET and getattr(settings, name) else hidden(str(getattr(settings, name) or "")),
            "variables": " or ".join(variables),
        }
        for name, variables in VARIABLES.items()
    ]
    if not as_json:
        print_table(configured, {"setting": "setting", "value": "value", "variables": "variable"}, empty="")
        where = f"the embedded SeaweedFS, data in {settings.state / 'store'}" if store.embedded else store.endpoint
        click.echo(f"\nstore: {where}, {store.uri('').rstrip('/')}\n")
    with console(stderr=True).status("probing the store"):
        checks = [*about_disks, *(_clock(store) or probe(store))]
    rows = [{"check": check.name, "ok": check.ok, "detail": check.detail, "seconds": round(check.seconds, 3)} for check in checks]
    about_prefect = _prefect_rows()
    pipelines, refused = loaded(settings)
    failed = [check for check in checks if not check.ok]
    seen = looked(settings, store, deep=deep) if not failed else Seen()
    names = Catalog(store).names() if subjects(settings) and not failed else []
    left = unfilled(names, pipelines, retired(store), refused) if names else []
    if as_json:
        print_json([*rows, *finding_rows(seen), *about_prefect, *_project_rows(left, refused)])
    else:
        print_table(rows, {"check": "asked", "ok": "ok", "detail": "seen", "seconds": "seconds"}, empty="")
    if failed and failed[0].name.startswith("room"):
        raise DiskFull(f"too little room: {failed[0].detail}", "Make room, or set LAKE_HOME (or TMPDIR) to another disk: nothing that writes is begun before")
    if failed and failed[0].name == "clock":
        raise StoreRefused(failed[0].detail, "Set it by a time server, then ask again: with a clock that is 15 min off the store refuses everything")
    if failed:
        raise StoreUntrusted(f"{store.endpoint} is not safe to write to: {failed[0].name}: {failed[0].detail}", "lake will read from it, and not write")
    if not as_json:
        click.echo("\nThe store can be trusted.")
        tell_findings(seen)
        for row in about_prefect:
            click.echo(f"Prefect: {row['detail']}.")
        tell_unfilled(left)
    raise_findings(seen)
    raise_refused(refused)


def _project_rows(left: list[str], refused: Mapping[str, LakeError]) -> list[dict[str, Any]]:
    """The tables that no flow fills, and the subjects that cannot be loaded, shaped like what the store was asked."""
    said = [(f"table {name}", why_unfilled(name)) for name in left] + [(f"subject {name}", str(error)) for name, error in refused.items()]
    return [{"check": check, "ok": False, "detail": detail, "seconds": 0.0} for check, detail in said]


def _room(settings: Settings) -> list[Check]:
    """Each disk that lake writes to: whether more is free than the reserve."""
    return [Check(f"room, {disk.what}", disk.free >= min(settings.reserve, disk.total // 2), disk.told, 0.0) for disk in disks(settings)]


def _clock(store: Store) -> list[Check]:
    """That the clocks do not agree, asked without a key; nothing where they do, or the store does not say: the probe asks again in its way."""
    by = None if store.embedded else apart(store.endpoint)
    if by is None or abs(by) <= SKEW_ALLOWED:
        return []
    return [Check("clock", False, f"this machine's clock is {spelled(by)} of the clock of {store.endpoint}", 0.0)]


def _prefect_rows() -> list[dict[str, Any]]:
    """What a Prefect that the user named lets strangers do, a row each, shaped like those of the store; lake changes nothing about it."""
    address, started = configured("PREFECT_API_URL").rstrip("/"), time.perf_counter()
    if not address:
        return []
    try:
        found = allows(address)
    except httpx.HTTPError as error:
        found = [f"{shown(address)} does not answer ({type(error).__name__}): start it, or correct PREFECT_API_URL"]
    said = [(False, line) for line in found] or [(True, f"{shown(address)} asks for a password, and answers pages of its own origin alone")]
    seconds = round(time.perf_counter() - started, 3)
    return [{"check": "prefect", "ok": ok, "detail": detail, "seconds": seconds} for ok, detail in said]
