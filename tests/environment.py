"""Variables of the environment that tests set and take away while threads of native libraries read them.

In the C library's own `setenv` the array of variables moves, and the old one is freed under whoever reads it: Polars looks for one of its own in a loop, and dies of that once in
some hundred runs. Here the array is made anew for each change, and none is ever freed.
"""

from __future__ import annotations

import ctypes
import os
import threading

_NOW = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ")
_WIDE = ctypes.sizeof(ctypes.c_void_p)
_kept: list[object] = []
_mutex = threading.Lock()


def keep_what_others_read() -> None:
    """Have `os.environ` of this process change the environment in this way from now on."""
    os.putenv = _put  # type: ignore[assignment]  # what `os.environ` calls
    os.unsetenv = _unset  # type: ignore[assignment]  # and this


def _put(key: bytes, value: bytes) -> None:
    text = ctypes.create_string_buffer(key + b"=" + value)
    with _mutex:
        _kept.append(text)
        _become([*_without(key), ctypes.addressof(text)])


def _unset(key: bytes) -> None:
    with _mutex:
        _become(_without(key))


def _without(key: bytes) -> list[int]:
    """Where the variables are written, but for `key`."""
    found = []
    at = _NOW.value or 0
    while at and (where := ctypes.c_void_p.from_address(at).value):
        if not ctypes.string_at(where).startswith(key + b"="):
            found.append(where)
        at += _WIDE
    return found


def _become(variables: list[int]) -> None:
    array = (ctypes.c_void_p * (len(variables) + 1))(*variables, None)
    _kept.append(array)
    _NOW.value = ctypes.addressof(array)
