"""`lake metrics`: the lake's metrics for Prometheus, served or printed."""

from __future__ import annotations

from pathlib import Path

import click
from prometheus_client import start_http_server

from lake.cli.render import env_option
from lake.cli.supervised import ready_option, say_ready, until_parent_ends
from lake.errors import LakeError
from lake.existing import check_there
from lake.logs import start_logs
from lake.metrics import LakeCollector, exposition, registry_of
from lake.settings import load_settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at; anything but this machine's own opens it to others.")
@click.option("--port", type=click.IntRange(0, 65535), default=9464, show_default=True, help="The port to listen at; 0 takes a free one.")
@click.option("--elsewhere", is_flag=True, help="Where the port is taken, take another.")
@click.option("--once", is_flag=True, help="Print the metrics and end.")
@env_option
@ready_option
def metrics(host: str, port: int, elsewhere: bool, once: bool, env: str | None, ready: Path | None) -> None:
    """Serve metrics for Prometheus, all derived from commits: freshness, releases, runs, rows, rejects, seconds, requests. Stop it with Ctrl-C."""
    settings = load_settings(env=env)
    check_there(settings)
    start_logs(settings.log)
    if once:
        click.echo(exposition(settings), nl=False)
        return
    registry = registry_of(LakeCollector(settings))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        if not elsewhere:
            raise LakeError(f"cannot listen at {host}:{port}: {error.strerror or error}", "Give another --port or --host") from None
        server, thread = start_http_server(0, host, registry)
    url = f"http://{host}:{server.server_port}/metrics"
    click.echo(f"Metrics of {settings.env}: {url}")
    say_ready(ready, url)
    with until_parent_ends(ready):
        thread.join()
