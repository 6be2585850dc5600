"""`lake doctor`: what is configured, and whether the store can be trusted."""

from __future__ import annotations

import click

from lake.cli.render import console, env_option, json_option, print_json, print_table
from lake.errors import StoreUntrusted
from lake.probe import probe
from lake.settings import VARIABLES, load_settings
from lake.store import open_store

_SECRET = {"access_key_id", "secret_access_key", "session_token"}


@click.command()
@env_option
@json_option
def doctor(env: str | None, as_json: bool) -> None:
    """Print what is configured and probe the store: everything lake relies on is asked for, and nothing is left behind."""
    settings = load_settings(env=env)
    store = open_store(settings)
    configured = [
        {
            "setting": name,
            "value": "set" if name in _SECRET and getattr(settings, name) else str(getattr(settings, name) or ""),
            "variables": " or ".join(variables),
        }
        for name, variables in VARIABLES.items()
    ]
    if not as_json:
        print_table(configured, {"setting": "setting", "value": "value", "variables": "variable"}, empty="")
        where = f"the embedded SeaweedFS, data in {settings.state / 'store'}" if store.embedded else store.endpoint
        click.echo(f"\nstore: {where}, {store.uri('').rstrip('/')}\n")
    with console(stderr=True).status("probing the store"):
        checks = probe(store)
    rows = [{"check": check.name, "ok": check.ok, "detail": check.detail, "seconds": round(check.seconds, 3)} for check in checks]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, {"check": "asked of the store", "ok": "ok", "detail": "seen", "seconds": "seconds"}, empty="")
    if failed := [check for check in checks if not check.ok]:
        raise StoreUntrusted(f"{store.endpoint} is not safe to write to: {failed[0].name}: {failed[0].detail}", "lake will read from it, and not write")
    if not as_json:
        click.echo("\nThe store can be trusted.")
