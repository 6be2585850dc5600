"""Being stopped: SIGINT, SIGTERM and SIGHUP end a command with one line and 128 + their number, wherever it is. Standard library alone, so that it is there first.

The main thread is interrupted as by Ctrl-C, so that what it has open is closed. Where it cannot be, because it is inside of a library that does
not look, the process ends after some seconds all the same: what it did not publish does not exist.
"""

import contextlib
import os
import signal
import threading
import time
from types import FrameType

PATIENCE = 6.0  # seconds
_HEEDED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_received: list[int] = []  # by the main thread
_seen: list[int] = []  # by the thread that watches, which hears of them at once
_pipe: list[int] = []
_said = threading.Lock()


def heed() -> None:
    """From now on they end this process so. Called once, in the main thread, before anything is started. What is told to ignore one (nohup) goes on to."""
    for sign in _HEEDED:
        if signal.getsignal(sign) != signal.SIG_IGN:
            signal.signal(sign, _interrupt)
    if not _pipe:
        _pipe.extend(os.pipe())
        os.set_blocking(_pipe[1], False)
        threading.Thread(target=_watch, name="signals", daemon=True).start()
    signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)


def leave_to_others() -> None:
    """Somebody else sees to them from now on, and takes the time it takes."""
    signal.set_wakeup_fd(-1)


def received() -> int:
    """The exit code for what came: 128 and the number of the first signal; 130 where none did, and somebody interrupted in another way."""
    return 128 + next(iter(_received + _seen), int(signal.SIGINT))


def interrupted() -> bool:
    """Whether one came: what is raised from then on may be the interrupt in the words of a library that caught it."""
    return bool(_received or _seen)


def say_stopped() -> None:
    """The one line, once."""
    if _said.acquire(blocking=False):
        with contextlib.suppress(OSError):
            os.write(2, b"lake: stopped. What was published stands; run again to go on from there\n")


def _interrupt(sign: int, _: FrameType | None) -> None:
    _received.append(sign)
    if len(_received) > 1:  # asked twice: at once
        say_stopped()
        os._exit(received())
    raise KeyboardInterrupt


def _watch() -> None:
    while not _seen:
        _seen.extend(sign for sign in os.read(_pipe[0], 64) if sign in _HEEDED)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.1)
    say_stopped()
    os._exit(received())
