"""What a hop may not do or hold, since no fingerprint could see it: read files, ask the network or the environment, look itself up, keep locks and streams."""

from __future__ import annotations

import abc
import asyncio
import builtins
import contextvars
import glob
import inspect
import io
import mmap
import os
import pathlib
import pkgutil
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

from lake.code.libraries import library_name
from lake.errors import DeclarationError

_DATA = "Read it at module level, where its value is part of the fingerprint, or land it as a file of a source and name its table as an input"
_SAID = "Name what is meant, so that the fingerprint can see it"
_ASKED = "Read it at module level by a literal name (NAME = os.environ['NAME']), so that its value is part of the fingerprint"
_CONSTANT = "Keep a plain value at module level instead, or make it inside the function"

_READS: tuple[Any, ...] = (
    open, io.open, os.open, os.popen, os.system, os.listdir, os.scandir, os.walk, os.stat, input, glob.glob, glob.iglob, pkgutil.get_data, tempfile.mkstemp,
    tempfile.mkdtemp, tempfile.NamedTemporaryFile, tempfile.TemporaryFile, tempfile.TemporaryDirectory, shutil.copy, shutil.copyfile, io.FileIO,
)  # fmt: skip
_FRAME = "_getframe"
_LOOKS_UP: tuple[Any, ...] = (
    eval, exec, globals, compile, sys.modules, getattr(sys, _FRAME), inspect.currentframe, inspect.stack, builtins.breakpoint,
)  # fmt: skip
_PACKAGES = frozenset(
    {"requests", "httpx", "urllib3", "aiohttp", "socket", "ftplib", "smtplib", "sqlite3", "psycopg", "psycopg2", "boto3", "botocore", "obstore", "fsspec", "s3fs", "subprocess", "sqlalchemy", "pymysql", "connectorx"}
)  # fmt: skip
_FILE_METHODS = frozenset({"read_text", "read_bytes", "iterdir", "rglob"})  # what is only written cannot change a row
_ALSO_OF_PATHS = frozenset({"open", "glob", "stat", "exists", "is_file", "is_dir"})
_PATHS = (pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath)
_STATEFUL: tuple[type, ...] = (
    Iterator, AsyncIterator, Coroutine, io.IOBase, type(threading.Lock()), type(threading.RLock()), threading.Thread, threading.local, threading.Event, threading.Condition,
    threading.Semaphore, weakref.ref, socket.socket, sqlite3.Connection, subprocess.Popen, types.FrameType, types.TracebackType, contextvars.ContextVar, asyncio.AbstractEventLoop,
    mmap.mmap, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet,
)  # fmt: skip


def is_environment(thing: Any) -> bool:
    """Whether it is the environment, or what reads it."""
    return thing is os.environ or thing is os.getenv or thing is getattr(os, "environb", None) or thing is getattr(os, "getenvb", None)


def why_not_asked(thing: Any, rest: tuple[str, ...], *, writes: frozenset[int]) -> tuple[str, str] | None:
    """Why a function may not use a thing from outside that it names, with `rest` of attributes asked of it, and what to do; None if it may.

    `writes` says at which place a mode is named that does nothing but write: what a function leaves behind does not change its rows.
    """
    if any(thing is one for one in _LOOKS_UP):
        return f"uses {_called(thing)}, which can reach anything", _SAID
    if (thing is open and 1 in writes) or (isinstance(thing, pathlib.PurePath) and rest == ("open",) and 0 in writes):
        return None
    if any(thing is one for one in _READS):
        return f"reads or writes files while it runs ({_called(thing)})", _DATA
    if isinstance(thing, pathlib.PurePath) and rest and rest[0] in _FILE_METHODS | _ALSO_OF_PATHS:
        return f"reads or writes files while it runs ({rest[0]} of a path)", _DATA
    if thing is pathlib.Path and rest and rest[0] in ("cwd", "home"):
        return f"asks this machine for a folder (Path.{rest[0]})", _DATA
    if isinstance(thing, types.FunctionType | types.BuiltinFunctionType | type):
        module = str(getattr(thing, "__module__", "") or "")
        top, name = module.partition(".")[0], str(getattr(thing, "__name__", ""))
        if top in ("polars", "pandas", "pyarrow") and name.startswith(("read_", "scan_")):
            return f"reads data while it runs ({library_name(thing)[0]}.{name})", _DATA
        if top == "numpy" and name in ("load", "loadtxt", "genfromtxt", "fromfile", "memmap"):
            return f"reads data while it runs (numpy.{name})", _DATA
        if top in _PACKAGES or module.startswith(("urllib.request", "http.client")):
            return f"asks something outside while it runs ({top}.{name})", _DATA
    return None


def why_not_method(name: str, begins: Any) -> tuple[str, str] | None:
    """Why a function may not call a method of this name on what is computed from `begins`, as far as that is known."""
    of_path = begins in _PATHS if isinstance(begins, type) else isinstance(begins, pathlib.PurePath)
    if name in ("read_text", "read_bytes") or (of_path and name in _FILE_METHODS | _ALSO_OF_PATHS):
        return f"reads or writes files while it runs ({name} of a path)", _DATA
    return None


def why_not_held(value: Any) -> tuple[str, str] | None:
    """Why no fingerprint can be made of a value, and what to do; None if there is no such reason."""
    if isinstance(value, type | abc.ABCMeta):
        return None
    if value is os.environ:
        return "the whole environment", _ASKED
    if isinstance(value, _STATEFUL):
        return f"{_kind(value)}, which is no value but the state of something", _CONSTANT
    return None


def refused(who: str, why: str, hint: str) -> DeclarationError:
    """The error that names what cannot be seen, where, and what to do."""
    return DeclarationError(f"{who} {why}", hint)


ENVIRONMENT_HINT = _ASKED
CONSTANT_HINT = _CONSTANT
NAMED_HINT = _SAID


def _kind(value: Any) -> str:
    name = type(value).__qualname__
    module = type(value).__module__
    return f"a {name}" if module == "builtins" else f"a {module.removeprefix('_')}.{name}"


def _called(thing: Any) -> str:
    name = str(getattr(thing, "__name__", "sys.modules"))
    module = str(getattr(thing, "__module__", "") or "")
    return name if module in ("", "builtins", "_io", "io") else f"{module}.{name}"
