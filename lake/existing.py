"""A lake that is there: what only looks opens it, and never makes one."""

from __future__ import annotations

from obstore.store import MemoryStore

from lake.errors import UnknownName, of_system
from lake.settings import Settings
from lake.store import Store, open_store


def is_there(settings: Settings) -> bool:
    """Whether there is a lake: a store elsewhere always counts, one of this project's own if it was started before."""
    return not settings.embedded or (settings.state / "store" / "data").is_dir()


def check_there(settings: Settings) -> None:
    """Raise UnknownName where there is no lake; HomeRefused where what stands there is in its way, or may not be looked at."""
    if not is_there(settings):
        try:
            (settings.state / "store" / "data").stat()
        except OSError as error:
            if refused := of_system(error):
                raise refused from None
        flows = settings.root / settings.flows
        missing = "" if flows.is_dir() else f", and no folder {flows} with flows that make one"
        made = "`lake run` makes it" if flows.is_dir() else "Go to the folder of a project, or begin one: `lake init FOLDER --from FILE` makes it"
        raise UnknownName(f"no lake here: there is none in {settings.state}{missing}", f"{made}; LAKE_HOME or AWS_ENDPOINT_URL name one that is elsewhere")


def open_existing(settings: Settings) -> Store:
    """The store these settings name, opened as open_store does. Raises UnknownName, and makes and starts nothing, where there is no lake."""
    check_there(settings)
    return open_store(settings)


class _Nothing(Store):
    """A store in which there is nothing, and which keeps nothing."""

    def _connect(self) -> None:
        self._bucket = self._stubborn = MemoryStore()  # type: ignore[assignment]  # it takes what an S3Store does


def nothing_stored(settings: Settings) -> Store:
    """What a project that has no lake yet has stored: nothing. For saying what a run would do."""
    return _Nothing(
        settings.bucket, settings.env, {"aws_region": settings.region, "aws_endpoint": "http://127.0.0.1:9", "aws_allow_http": "true"}, patience=0.0
    )
