"""What runs where a lake runs: each part with its command, its port, what it needs and what is in its environment.

`lake up` builds its processes from this. The units, the manifests and the compose file under `infra/` say the same for servers,
and the tests hold them to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lake.prefect_server import QUIET, server_environment
from lake.settings import Settings


@dataclass(frozen=True)
class Described:
    """One part.

    `command` is how it starts on a server; options that say where to listen may follow. `needs` are parts that must answer before it
    is of use: it waits for them itself, in whatever order they come. There is one of each in an environment.
    """

    name: str
    told: str
    command: tuple[str, ...] = ()
    port: int | None = None
    needs: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether it is a process of lake's own, rather than a server that lake starts for others too."""
        return self.command[:1] == ("lake",) and self.name != "prefect"

    def environment(self, settings: Settings) -> dict[str, str]:
        """What it has in its environment wherever it runs, apart from addresses and keys."""
        return server_environment(settings) if self.name == "prefect" else {**QUIET, "PYTHONUNBUFFERED": "1"}


PARTS = (
    Described("store", "holds everything: any S3-compatible store that passes `lake doctor`"),
    Described("prefect", "schedules runs and shows them", ("lake", "prefect"), port=4200),
    Described("worker", "registers deployments and automations with Prefect, and runs what is due", ("lake", "worker"), needs=("store", "prefect")),
    Described("watch", "looks at sources for files that arrive", ("lake", "watch"), needs=("store", "prefect")),
    Described("metrics", "serves metrics for Prometheus", ("lake", "metrics"), port=9464, needs=("store",)),
)


def part_called(name: str) -> Described:
    """The part of that name. Raises KeyError."""
    return {part.name: part for part in PARTS}[name]
