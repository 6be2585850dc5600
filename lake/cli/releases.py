"""Commands about releases: list, show, compare, roll back, lift a hold."""

from __future__ import annotations

import click

from lake.catalog import Catalog
from lake.cli.asking import agreed, yes_option
from lake.cli.groups import WholeSentences
from lake.cli.render import console, env_option, json_option, print_json, print_table, say
from lake.compared import compare_releases
from lake.existing import open_existing
from lake.marks import release_rows, unreleased
from lake.moved import moved, moved_in_words
from lake.release import release_before, release_meant, resume, rollback
from lake.rollback import Prospect, awaiting, foresee_rollback
from lake.run import begin_run
from lake.settings import load_settings
from lake.wording import counted, several


@click.group(cls=WholeSentences)
def release() -> None:
    """Releases: what readers open."""


@release.command("ls")
@env_option
@json_option
def release_ls(env: str | None, as_json: bool) -> None:
    """List the releases, newest first, and the tables that readers of the newest do not see as they are now."""
    store = open_existing(load_settings(env=env))
    catalog = Catalog(store)
    rows = release_rows(catalog)
    if as_json:
        print_json(rows)
        return
    columns = {"release": "release", "at": "at (UTC)", "flow": "flow", "run": "run", "tables": "tables", "note": "note"}
    print_table(rows, columns, empty="Nothing has been released yet.")
    if behind := unreleased(catalog):
        say(f"Not released as {several(len(behind), 'it is', 'they are')} now: {'; '.join(f'{name} ({words})' for name, words in behind.items())}.")


@release.command("show")
@click.argument("number", default="latest")
@env_option
@json_option
def release_show(number: str, env: str | None, as_json: bool) -> None:
    """Show the table versions that a release (a number, a date or latest) pins."""
    store = open_existing(load_settings(env=env))
    found = release_meant(store, number)
    went = {one.table: one.words for one in moved(release_before(store, found), found)}
    rows = [{"table": name, "release": found.number, **pin.model_dump(), "what": went.get(name, "as before")} for name, pin in found.tables.items()]
    if as_json:
        print_json(rows)
        return
    click.echo(f"Release {found.number} of {found.at:%Y-%m-%d %H:%M:%S} UTC, by run {found.run.id} of {found.run.flow}")
    for subject, why in found.held.items():
        say(f"{subject} is held: {why}")
    columns = {"table": "table", "version": "version", "schema_version": "schema", "rows": "rows", "content": "content", "what": "since the one before"}
    print_table(rows, columns, empty="It pins no table.")


@release.command("diff")
@click.argument("before")
@click.argument("after", default="latest")
@env_option
@json_option
def release_diff(before: str, after: str, env: str | None, as_json: bool) -> None:
    """Compare two releases: the rows of each table that were added, removed and changed from one to the other."""
    store = open_existing(load_settings(env=env))
    old, new = release_meant(store, before), release_meant(store, after)
    with console(stderr=True).status("comparing") as status:
        rows = compare_releases(store, old, new, lambda name: status.update(f"comparing {name}"))
    if as_json:
        print_json(rows)
        return
    alike = len(old.tables.keys() | new.tables.keys()) - len(rows)
    click.echo(
        f"From release {old.number} to release {new.number}: {', '.join([*([told] if (told := moved_in_words(moved(old, new))) else []), f'{alike} pinned alike'])}"
    )
    columns = {
        "table": "table", "version_before": "was version", "version_after": "is version", "rows_before": "rows were", "rows_after": "rows are",
        "added": "added", "removed": "removed", "changed": "changed", "columns": "in columns", "what": "in words",
    }  # fmt: skip
    print_table(rows, columns, empty="No table differs.")


@release.command("rollback")
@click.argument("number", type=int)
@click.option("--subject", "subjects", multiple=True, help="Only the tables of this subject; may be given several times.")
@click.option("--without-later", is_flag=True, help="Also take out tables that were first released later; else they stay as readers see them now.")
@click.option("--dry-run", is_flag=True, help="Say what readers would see; change nothing.")
@yes_option
@env_option
@json_option
def release_rollback(number: int, subjects: tuple[str, ...], without_later: bool, dry_run: bool, yes: bool, env: str | None, as_json: bool) -> None:
    """Make release NUMBER what readers open again: a new release with its tables. Their subjects release nothing until `lake release resume`."""
    with begin_run(load_settings(env=env), "release", "cli", new=False) as run:
        seen = foresee_rollback(run.store, number, subjects, without_later=without_later)
        if as_json:
            print_json(seen.rows())
        else:
            _tell_prospect(seen)
        if dry_run or not seen.moved:
            return
        what = f"Show readers {', '.join(seen.subjects)} as of release {number}, and hold {'it' if len(seen.subjects) == 1 else 'them'}?"
        agreed(what, yes=yes, look="`--dry-run` says what readers would see")
        made = rollback(run.store, run.info, number, subjects, without_later=without_later, seen=seen.last.number)
    if not as_json:
        say(f"release {made.number}: {made.note}")


def _tell_prospect(seen: Prospect) -> None:
    """What readers see now, and would see."""
    if not seen.moved:
        say(f"Nothing to do: of what is meant, readers see the tables as release {seen.wanted.number} pins them already (release {seen.last.number}).")
        if seen.stays:
            say(f"First released later, and staying: {', '.join(seen.stays)}; --without-later takes them out.")
        return
    say(f"From release {seen.last.number} to the tables of release {seen.wanted.number}, of {seen.wanted.at:%Y-%m-%d %H:%M:%S} UTC:")
    columns = {"table": "table", "version_now": "readers see", "version_then": "would see", "rows_now": "rows now", "rows_then": "rows then", "what": "what"}
    print_table(seen.rows(), columns, empty="")
    for remark in seen.remarks:
        say(f"Mind: {remark}.")
    if rest := len(seen.tables.keys() - {row["table"] for row in seen.rows()}):
        say(f"{counted(rest, 'other table')} {several(rest, 'stays as it is', 'stay as they are')}.")
    for subject in seen.subjects:
        say(f"{subject} is held then: its runs go on and release nothing until `lake release resume {subject}`.")


@release.command("resume")
@click.argument("subjects", nargs=-1)
@env_option
@json_option
def release_resume(subjects: tuple[str, ...], env: str | None, as_json: bool) -> None:
    """Lift the hold that a rollback put on SUBJECTS (or on all): their next run releases again. Says what readers see until then."""
    with begin_run(load_settings(env=env), "release", "cli", new=False) as run:
        before = release_meant(run.store)
        made = resume(run.store, run.info, subjects)
        lifted = sorted(before.held.keys() - made.held.keys())
        rows = awaiting(run.store, made, lifted) if lifted else []
    if as_json:
        print_json(rows)
        return
    say(f"release {made.number}: " + (f"{', '.join(made.held)} still held" if made.held else "nothing is held"))
    if lifted:
        say(f"Readers see what they saw before; the next run of {' or '.join(lifted)} (`lake run {lifted[0]}`) releases what is live:")
        columns = {"table": "table", "released": "readers see", "live": "live version", "rows_released": "rows seen", "rows_live": "rows live"}
        print_table(rows, columns, empty="No table of theirs is in the lake.")
