"""What stands before Prefect's server where lake starts it: the page calls nobody but its own server, and is entered without typing.

An ASGI application around another, which the variable LAKE_FRONT_OF names as `module:factory`; it knows nothing of what that is.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BEHIND = "LAKE_FRONT_OF"
ENTRANCE = "/lake/enter"
"""Takes the password that stands behind the `#` of its address, which no server and no log ever sees, and leads on to the page."""

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_SCRIPT = b"""const [password, next] = location.hash.slice(1).split("&").map(decodeURIComponent);
if (password) localStorage.setItem("prefect-password", btoa(password));
location.replace(next && next.startsWith("/") && !next.startsWith("//") ? next : "/");
"""
_PAGE = b'<!doctype html><meta charset="utf-8"><title>lake</title><script src="/lake/enter.js"></script>'
_OURS = {ENTRANCE: (b"text/html; charset=utf-8", _PAGE), f"{ENTRANCE}.js": (b"text/javascript; charset=utf-8", _SCRIPT)}


def create_app() -> Application:
    """The application that LAKE_FRONT_OF names, with this before it."""
    module, _, factory = os.environ[BEHIND].partition(":")
    return fronted(getattr(importlib.import_module(module), factory)())


def fronted(behind: Application) -> Application:
    """`behind`, with a content security policy on all it answers over HTTP, and the entrance beside it."""

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await behind(scope, receive, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        if scope["path"] in _OURS and scope["method"] in ("GET", "HEAD"):
            kind, body = _OURS[scope["path"]]
            headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
            await guarded({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})
        else:
            await behind(scope, receive, guarded)

    return front
