"""`lake backup` and `lake restore`: a copy of the lake elsewhere, and back."""

from __future__ import annotations

import click

from lake.amounts import size
from lake.backup.copying import back_up, check_backup
from lake.backup.depot import depot_at
from lake.backup.manifest import backup_numbers, read_manifest
from lake.backup.restoring import restore as restore_from
from lake.cli.render import console, env_option, json_option, print_json, say
from lake.errors import RunFailed
from lake.existing import check_there
from lake.run import begin_run, run_that_reads
from lake.settings import load_settings
from lake.store import open_store
from lake.wording import counted


@click.command()
@click.argument("dest")
@click.option("--check", is_flag=True, help="Copy nothing: read the newest backup in DEST and compare every digest.")
@env_option
@json_option
def backup(dest: str, check: bool, env: str | None, as_json: bool) -> None:
    """Copy the lake as it is at this moment to DEST, a folder or s3://bucket/prefix, while runs go on. What DEST has is not copied again.

    Every object is read back and compared by its SHA-256. A backup that was killed is gone on with. Keys, passwords and settings are not
    in it. Buckets are at LAKE_BACKUP_ENDPOINT with LAKE_BACKUP_ACCESS_KEY_ID and LAKE_BACKUP_SECRET_ACCESS_KEY, or where the lake is.
    """
    settings = load_settings(env=env)
    check_there(settings)
    store = open_store(settings)
    depot = depot_at(dest, settings, store)
    with console(stderr=True).status("looking") as status:

        def told(done: int, of: int, copied: int) -> None:
            status.update(f"{done:,} of {counted(of, 'object')}, {size(copied)}")

        if check:
            manifest = read_manifest(depot)
            bad = check_backup(depot, manifest, told)
            copied, copied_size = 0, 0
        else:
            done = back_up(run_that_reads(settings, store, "backup"), depot, told)
            manifest, bad, copied, copied_size = done.manifest, [], done.copied, done.size
    row = {
        "backup": manifest.number, "at": manifest.at, "release": manifest.release, "objects": len(manifest.objects), "bytes": manifest.size,
        "copied": copied, "bytes_copied": copied_size, "damaged": bad, "place": depot.told,
    }  # fmt: skip
    if as_json:
        print_json([row])
    elif not bad:
        what = f"{counted(len(manifest.objects), 'object')}, {size(manifest.size)}"
        say(
            f"Backup {manifest.number} in {depot.told}: release {manifest.release}, {what}"
            + (", all as they were copied." if check else f"; {copied:,} copied, {size(copied_size)}.")
        )
    if bad:
        raise RunFailed(
            f"backup {manifest.number} in {depot.told} is damaged: {counted(len(bad), 'object')}, the first {bad[0]}",
            "Back up again: what is missing or was damaged is copied anew",
        )


@click.command()
@click.argument("src")
@click.option("--number", default=None, type=int, help="An earlier backup than the newest.")
@env_option
@json_option
def restore(src: str, number: int | None, env: str | None, as_json: bool) -> None:
    """Put a backup in SRC, a folder or s3://bucket/prefix, where LAKE_BUCKET, LAKE_ENV and LAKE_HOME say. There must be no lake there.

    Every object is compared by its SHA-256. A restore that was killed is gone on with. Keys are not in a backup: set them as before.
    """
    settings = load_settings(env=env)
    with begin_run(settings, "restore", "cli") as run:
        depot = depot_at(src, settings, run.store)
        manifest = read_manifest(depot, number)
        with console(stderr=True).status("restoring") as status:
            done = restore_from(run, depot, manifest, lambda at, of, copied: status.update(f"{at:,} of {counted(of, 'object')}, {size(copied)}"))
        place = run.store.uri("").rstrip("/")
    if as_json:
        row = {"backup": manifest.number, "at": manifest.at, "release": manifest.release, "objects": len(manifest.objects), "bytes": manifest.size}
        print_json([row | {"written": done.written, "there_before": done.there, "place": place, "backups": backup_numbers(depot)}])
        return
    say(
        f"Backup {manifest.number} of {manifest.at:%Y-%m-%d %H:%M:%S} UTC is restored to {place}: {counted(len(manifest.objects), 'object')}, {size(manifest.size)}."
    )
    click.echo("`lake verify` computes it again in part, `lake replay` as a whole.")
