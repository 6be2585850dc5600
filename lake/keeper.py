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


def _is_alive(folder: str) -> bool:
    if not os.path.isdir(folder):  # removed under the server: it goes on living without
        return True
    with open(os.path.join(folder, "alive.lock"), "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _start(folder: str) -> tuple[int, list[str]]:
    with open(os.path.join(folder, "launch.json")) as file:
        launch = json.load(file)
    with open(os.path.join(folder, "server.log"), "ab") as log, open(os.path.join(folder, "alive.lock"), "a") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        server = subprocess.Popen(
            launch["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder,
            env={**os.environ, **launch["environment"]}, pass_fds=[alive.fileno()], start_new_session=True,
        )  # fmt: skip
    threading.Thread(target=_reap, args=(server, folder), daemon=True).start()
    state = {"pid": server.pid, "facts": launch["facts"], "cleanup": launch["cleanup"]}
    temporary = os.path.join(folder, f"state.json.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(state, file)
    os.replace(temporary, os.path.join(folder, "state.json"))
    return server.pid, launch["cleanup"]


def _reap(server: "subprocess.Popen[bytes]", folder: str) -> None:
    """The server ended by itself: say so by taking its state away, and end too."""
    server.wait()
    if _stopping.is_set():
        return
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, "state.json"))
    os._exit(0)


def _watch(folder: str) -> None:
    """As _reap, for a server that is nobody's child: look twice a second whether it lives."""
    while _is_alive(folder):
        time.sleep(0.5)
    if not _stopping.is_set():
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, "state.json"))
        os._exit(0)


def _stop(folder: str, pid: int) -> None:
    for sign, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        if not _is_alive(folder):
            return
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and _is_alive(folder):
            time.sleep(0.02)


def main(verb: str, folder: str) -> None:
    """Keep the server of `folder` until nobody needs it: `start` it first, or `adopt` one that lost its keeper."""
    if os.fork():
        return
    with open(os.path.join(folder, "keeper.lock"), "a") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        if verb == "start":
            pid, cleanup = _start(folder)
        else:
            with open(os.path.join(folder, "state.json")) as file:
                state = json.load(file)
            pid, cleanup = state["pid"], state["cleanup"]
            threading.Thread(target=_watch, args=(folder,), daemon=True).start()
        with open(os.path.join(folder, "holders.lock"), "a") as holders:
            _wait_until_abandoned(holders, folder)
            _stopping.set()
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(folder, "state.json"))
            _stop(folder, pid)
            for path in cleanup:
                with contextlib.suppress(OSError):
                    os.remove(path)


def _wait_until_abandoned(holders: IO[str], folder: str) -> None:
    """Return with `holders` locked alone, after nobody held it for the time the launch says (or somebody said to hurry)."""
    with open(os.path.join(folder, "launch.json")) as file:
        linger = json.load(file)["linger"]
    while True:
        fcntl.flock(holders, fcntl.LOCK_EX)
        deadline = time.monotonic() + linger
        taken = False
        while time.monotonic() < deadline and not taken and not os.path.exists(os.path.join(folder, "hurry")):
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
