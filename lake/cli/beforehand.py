"""What a command will need and what takes a second to come up is asked for before the command's own modules are loaded, which takes another."""

from __future__ import annotations

import contextlib
import threading

_OPENING = {
    "land", "plan", "run", "ls", "show", "history", "schema", "lineage", "trace", "docs", "profile", "rejects", "readmit", "accept", "release", "replay", "retire", "verify",
    "maintain",
}  # fmt: skip


def begin(arguments: list[str]) -> threading.Thread | None:
    """Have the embedded store come up, where the command opens it and it has run here before; the thread that does, if any.

    What is wrong with the store is said by the command, which opens it too.
    """
    if not arguments or arguments[0] not in _OPENING or {"-h", "--help"} & set(arguments):
        return None
    from lake.embedded import past_proxies
    from lake.errors import LakeError
    from lake.settings import load_settings
    from lake.store import open_store

    try:
        settings = load_settings()
    except LakeError:
        return None
    if not settings.embedded or not (settings.state / "store" / "data").is_dir():
        return None
    past_proxies()  # while nothing else runs: the environment must not change under those who read it

    def start() -> None:
        with contextlib.suppress(LakeError, OSError):
            open_store(settings)  # held until the command closes what is open

    thread = threading.Thread(target=start, name="store", daemon=True)
    thread.start()
    return thread
