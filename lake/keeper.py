"""The keeper of a shared server: starts it, waits until nobody holds it, stops it. Run as a script, with the standard library alone.

`keeper.py start FOLDER` runs the command in launch.json; `keeper.py adopt FOLDER` looks after a server whose keeper was killed.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO

_stopping = threading.Event()


def _is_alive(probe: IO[str]) -> bool:
    """Whether the server lives: `probe` is alive.lock, opened by the keeper for itself."""
    try:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(probe, fcntl.LOCK_UN)
    return False


def _began(pid: int) -> "str | None":
    """When a process began, where the system says so."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _start() -> tuple[int, list[str]]:
    with open("launch.json") as file:
        launch = json.load(file)
    with open("server.log", "ab") as log, open("alive.lock", "a") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        server = subprocess.Popen(
            launch["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, **launch["environment"]}, pass_fds=[alive.fileno()], start_new_session=True,
        )  # fmt: skip
    threading.Thread(target=_reap, args=(server, launch["cleanup"]), daemon=True).start()
    state = {"pid": server.pid, "began": _began(server.pid), "facts": launch["facts"], "cleanup": launch["cleanup"]}
    temporary = f"state.json.{os.getpid()}"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(state, file)
    os.replace(temporary, "state.json")
    return server.pid, launch["cleanup"]


def _forget() -> None:
    """Take the server's state away: nobody is to find it any more."""
    with contextlib.suppress(OSError):
        os.remove("state.json")


def _clean_up(cleanup: list[str]) -> None:
    """Remove what a server that has ended left elsewhere."""
    for path in cleanup:
        with contextlib.suppress(OSError):
            os.remove(path)


def _reap(server: "subprocess.Popen[bytes]", cleanup: list[str]) -> None:
    """The server ended by itself: say so, and end too."""
    server.wait()
    if not _stopping.is_set():
        _forget()
        _clean_up(cleanup)
        os._exit(0)


def _watch(probe: IO[str], cleanup: list[str]) -> None:
    """As _reap, for a server that is nobody's child: look twice a second whether it lives."""
    while _is_alive(probe):
        time.sleep(0.5)
    if not _stopping.is_set():
        _forget()
        _clean_up(cleanup)
        os._exit(0)


def _stop(probe: IO[str], pid: int, within: float, began: "str | None") -> None:
    if began is not None and _began(pid) != began:
        return  # another process has its number by now
    for sign, patience in ((signal.SIGTERM, within), (signal.SIGKILL, 5.0)):
        if not _is_alive(probe):
            return
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and _is_alive(probe):
            time.sleep(0.02)


def main(verb: str, folder: str) -> None:
    """Keep the server of `folder` until nobody needs it: `start` it first, or `adopt` one that lost its keeper.

    Everything is opened relative to the folder as it is now: where it is removed and made anew meanwhile, the new one has a server and
    a keeper of its own, and this one never touches it.
    """
    if os.fork():
        return
    os.chdir(folder)
    os.umask(0o077)  # whatever the server makes, sockets outside the folder among it, is its owner's alone
    with open("keeper.lock", "a") as mine, open("alive.lock", "a") as probe:
        fcntl.flock(mine, fcntl.LOCK_EX)
        if verb == "start":
            pid, cleanup = _start()
            began = _began(pid)
        else:
            with open("state.json") as file:
                state = json.load(file)
            pid, cleanup, began = state["pid"], state["cleanup"], state.get("began")
            threading.Thread(target=_watch, args=(probe, cleanup), daemon=True).start()
        with open("launch.json") as file:
            launch = json.load(file)
        with open("holders.lock", "a") as holders:
            _wait_until_abandoned(holders, launch["linger"])
            _stopping.set()
            _forget()
            _stop(probe, pid, launch["stops_within"], began)
            _clean_up(cleanup)


def _wait_until_abandoned(holders: IO[str], linger: float) -> None:
    """Return with `holders` locked alone, after nobody held it for `linger` seconds (or somebody said to hurry)."""
    while True:
        fcntl.flock(holders, fcntl.LOCK_EX)
        deadline = time.monotonic() + linger
        taken = False
        while time.monotonic() < deadline and not taken and not os.path.exists("hurry"):
            fcntl.flock(holders, fcntl.LOCK_UN)
            time.sleep(0.05)
            try:
                fcntl.flock(holders, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                taken = True
        if not taken:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
