"""What `lake doctor` says of the objects that the lake names, and what `lake doctor --repair` does about them."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import click

from lake.amounts import size
from lake.cli.render import console, print_json, print_table, say
from lake.errors import Damaged, RunFailed
from lake.pipeline import loaded
from lake.repair.looking import Seen, look
from lake.repair.mending import mend
from lake.run import begin_run
from lake.settings import Settings
from lake.store import Store
from lake.wording import counted, several

_READ = 256 << 20  # bytes of contents that are read without --deep
_SHOWN = 20  # findings that are listed


def looked(settings: Settings, store: Store, *, deep: bool) -> Seen:
    """What there is to be found in the lake; a damaged object is asked for once."""
    hasty = Store(store.bucket, store.prefix, store.options, patience=0.0)
    hasty.embedded = store.embedded
    with console(stderr=True).status("looking at what the lake names") as status:
        return look(hasty, contents=None if deep else _READ, every_release=deep, told=lambda what: status.update(f"looking: {what}"))


def finding_rows(seen: Seen) -> list[dict[str, Any]]:
    """A row for what was looked at, or one for each finding, shaped like what the store was asked."""
    if not seen.findings:
        return [{"check": "objects", "ok": True, "detail": _looked_at(seen), "seconds": 0.0}]
    return [{"check": f"object {one.path}", "ok": False, "detail": f"{one.wrong}; {one.named_by}", "seconds": 0.0} for one in seen.findings]


def tell_findings(seen: Seen) -> None:
    """The same in words."""
    if not seen.findings:
        click.echo(f"What the lake names is there: {_looked_at(seen)}.")
        return
    for one in seen.findings[:_SHOWN]:
        say(f"{one.line}.")
    if len(seen.findings) > _SHOWN:
        click.echo(f"… and {len(seen.findings) - _SHOWN:,} more; --json lists all.")


def raise_findings(seen: Seen) -> None:
    """Raise Damaged where there are any."""
    if not seen.findings:
        return
    first, many = seen.findings[0], len(seen.findings)
    told = f"{counted(many, 'object')} that the lake names {several(many, 'is', 'are')} missing or damaged; the first: {first.line}"
    raise Damaged(told, "`lake doctor --repair` makes again what can be made again, and says what is lost")


def repaired(settings: Settings, *, as_json: bool) -> None:
    """Look at everything, mend it, look again. Raises RunFailed where something is lost."""
    started = time.perf_counter()
    with begin_run(settings, "repair", "cli", new=False) as run, console(stderr=True).status("looking at what the lake names") as status:
        seen = looked(settings, run.store, deep=True)
        pipelines, refused = loaded(settings)
        run.store.patience = min(run.store.patience, dt.timedelta(seconds=1).total_seconds())
        done = list(mend(run, seen, pipelines, lambda what: status.update(f"mending: {what}")))
        left = looked(settings, run.store, deep=True) if seen.findings else seen
    rows = [{"what": one.what, "done": one.done, "how": one.how} for one in done]
    known = {one.what for one in done if one.done == "lost"}
    rows += [{"what": one.path, "done": "lost", "how": f"it {one.wrong}; {one.named_by}"} for one in left.findings if one.path not in known]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(f"Nothing to repair: {_looked_at(seen)} ({time.perf_counter() - started:.1f} s).")
    else:
        print_table(rows, {"what": "what", "done": "done", "how": "how"}, empty="")
    lost = [row for row in rows if row["done"] == "lost"]
    if lost:
        why = f"; {counted(len(refused), 'subject')} could not be loaded, so that nothing of theirs was computed" if refused else ""
        raise RunFailed(
            f"{counted(len(lost), 'thing')} {several(len(lost), 'is', 'are')} lost; the first is {lost[0]['what']}: {lost[0]['how']}{why}",
            "`lake restore` brings them back from a backup, into another place; what is mended stays mended",
        )
    if rows and not as_json:
        click.echo("Nothing is lost. `lake run` makes again what was cut off.")


def _looked_at(seen: Seen) -> str:
    return f"{counted(seen.objects, 'object')}, of which {size(seen.size)} were read"
