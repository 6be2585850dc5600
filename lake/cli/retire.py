"""`lake retire`: tables whose code is gone are marked as given up, kept, and left out of proofs and upkeep."""

from __future__ import annotations

import click

from lake.catalog import Catalog
from lake.cli.asking import agreed, yes_option
from lake.cli.render import env_option, json_option, print_json, print_table, say
from lake.errors import LakeError, UnknownName
from lake.hop import Hop
from lake.loading import project_of, subjects
from lake.placing import told as told_place
from lake.release import subject_of
from lake.retired import bring_back, removed, retired
from lake.retired import retire as mark
from lake.run import Run, begin_run
from lake.settings import load_settings
from lake.source import Source


@click.command()
@click.argument("names", nargs=-1, metavar="[SUBJECT|TABLE]...")
@click.option("--why", default="", help="Kept with the mark.")
@click.option("--undo", is_flag=True, help="They are retired no more.")
@yes_option
@env_option
@json_option
def retire(names: tuple[str, ...], why: str, undo: bool, yes: bool, env: str | None, as_json: bool) -> None:
    """Give up a SUBJECT or TABLE that no flow fills any more: kept and readable, marked, left out of replay and upkeep. Without a name, lists them."""
    with begin_run(load_settings(env=env), "retire", "cli", new=False) as run:
        if names:
            meant = _meant(run, names, undo=undo)
            if undo:
                bring_back(run.store, meant)
            else:
                _check_unfilled(run, meant)
                kept = run.settings.retired
                told = f"kept for {kept.days} days, then removed by `lake maintain`" if kept is not None else "kept until LAKE_RETIRED says how long"
                agreed(f"Retire {', '.join(meant)}? They stay readable, {told}.", yes=yes, look="`lake ls` shows the tables")
                mark(run.store, run.info, meant, why)
        rows = [{"table": name, **one.model_dump(), "note": one.words} for name, one in retired(run.store).items()]
    if as_json:
        print_json(rows)
        return
    if undo and names:
        say(f"{', '.join(meant)}: retired no more")
    print_table(rows, {"table": "table", "note": "retired"}, empty="Nothing is retired.")


def _meant(run: Run, names: tuple[str, ...], *, undo: bool) -> list[str]:
    """The tables that the names say: tables by theirs, subjects by all of theirs."""
    gone = retired(run.store)
    known = list(gone) if undo else [name for name in Catalog(run.store).names() if name not in removed(gone)]
    found: list[str] = []
    for name in names:
        mine = [table for table in known if name in (table, subject_of(table))]
        if not mine:
            raise UnknownName.among("retired table or subject" if undo else "table or subject", name, {*known, *map(subject_of, known)})
        found += mine
    return list(dict.fromkeys(found))


def _check_unfilled(run: Run, meant: list[str]) -> None:
    """Raise LakeError where a flow fills one of the tables, or reads it."""
    for subject in subjects(run.settings):
        try:
            mine = project_of(run.settings, subject).of(subject)
        except LakeError as error:
            told = f"flows/{subject} cannot be loaded, so that nobody knows whether it reads {meant[0]}: {error.message}"
            raise LakeError(told, error.hint) from None
        for filler in mine.fillers:
            name = filler.into.name if isinstance(filler, Source) else filler.table.name
            if name in meant:
                raise LakeError(f"flows/{subject} still fills {name}", "Take its hop or source out of the code first; a run would bring it on")
            if isinstance(filler, Hop) and (reads := [up for up in filler.upstream() if up in meant]):
                where = told_place(filler.place, run.settings.root)
                raise LakeError(f"{name} is made from {reads[0]}, by {where}", f"Have it read another table; or take its code out, and retire {name} too")
