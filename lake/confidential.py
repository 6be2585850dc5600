"""What is never shown: users and passwords in addresses, signed queries, keys and tokens. The one place that knows them, and takes them out of text.

Values are known from when a setting or an address is read (`keep`, `keep_address`). Text is told without them by `hidden`, wherever it leaves this
process: errors when they are made, what commands print, log records, commit records, spans, events. `shown` is an address as people may see it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

HIDDEN = "•••"
"""What stands where a secret was."""
_SHORTEST = 8  # characters: what is shorter is part of many words, and is hidden where it stands in an address alone
_USER = re.compile(r"""((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)(?:[^\s/?#'"<>]*@|[^\s/?#'"<>:@\[]+:(?!\d*(?:[/?#\s'"<>]|$))[^\s'"<>]*@)""")
_QUERY = re.compile(r"""((?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://[^\s?#'"<>]*)[?#][^\s'"<>]*[^\s'"<>.,;:)\]]""")
_SOUNDS_SECRET = re.compile(r"key|secret|token|passw|pwd|credential|auth|headers|dsn|connection_url", re.IGNORECASE)
_OF_OTHERS = re.compile(r"(?:PREFECT|OPENLINEAGE|OTEL|AWS|LAKE)_|.*_PROXY$", re.IGNORECASE)
_FIELD = re.compile(r"""["']?([\w.-]+)["']?\s*[:=]\s*["']?([^"',;\s{}]+)""")
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def shown(address: str) -> str:
    """An address as it may be seen: without user and password, query and fragment."""
    bare = _USER.sub(r"\1", address)
    return re.split(r"[?#]", bare, maxsplit=1)[0] if "//" in bare else bare


def keep(*secrets: str | None) -> None:
    """Know these texts as secrets from now on, in the ways that they are spelled in addresses, JSON and headers."""
    global _pattern  # noqa: PLW0603  # what is known is the process's
    found = {spelled for secret in secrets if secret for spelled in _spellings(secret) if len(spelled) >= _SHORTEST}
    if found <= _known:
        return
    _known.update(found)
    _pattern = re.compile("|".join(re.escape(one) for one in sorted(_known, key=len, reverse=True)))


def keep_address(address: str) -> None:
    """Know what an address carries as secrets: its user and password, and the values in its query and fragment. Text that is no address carries none."""
    if (user := _USER.search(address)) is not None:
        inside = user.group()[user.end(1) - user.start() : -1]
        name, _, password = inside.partition(":")
        keep(inside, password, unquote(password), name if password == "" else None)
        if password:
            keep(base64.b64encode(unquote(inside).encode()).decode())
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    if parts.netloc and parts.scheme:
        for told in (parts.query, parts.fragment):
            keep(told, *(value for _, value in parse_qsl(told) if _may_be_secret(value)))


def keep_whole(address: str) -> None:
    """Know an address as a secret as a whole, its path with it: those of webhooks carry their key there."""
    keep(address)
    keep_address(address)
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    if parts.netloc:
        keep(parts.path.strip("/"), *(part for part in parts.path.split("/") if _may_be_secret(part)))


def keep_environment(variables: Mapping[str, str]) -> None:
    """Know what variables of lake, and of those it works with, hold as secrets: what is called so, and what addresses carry."""
    for name, value in variables.items():
        if not value or not _OF_OTHERS.match(name):
            continue
        keep_address(value)
        if _SOUNDS_SECRET.search(name.partition("_")[2]) and not value.startswith("/") and value.lower() not in ("true", "false"):
            keep(value)
            if "://" not in value and ":" in value and not value.startswith("{"):
                keep(value.partition(":")[2], base64.b64encode(value.encode()).decode())
        for field, told in _FIELD.findall(unquote(value)):
            if _SOUNDS_SECRET.search(field) or "headers" in name.lower():
                keep(told, *told.split(" ")[1:])
        if "headers" in name.lower():
            keep(*(part for pair in unquote(value).split(",") for part in pair.partition("=")[2].split(" ") if _may_be_secret(part)))


def hidden(text: str, *, addresses: bool = True) -> str:
    """The text without what is known as secret and, of `addresses` in it, without users, passwords and queries, known or not."""
    if _pattern is not None:
        text = _pattern.sub(HIDDEN, text)
    if addresses and "//" in text:
        text = _QUERY.sub(rf"\1?{HIDDEN}", _USER.sub(r"\1", text))
    return text


def hidden_in(value: Any) -> Any:
    """Plain data with each text in it, keys of mappings too, without what is known as secret."""
    if isinstance(value, str):
        return hidden(value, addresses=False)
    if _pattern is None:
        return value
    if isinstance(value, dict):
        return {hidden_in(key): hidden_in(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [hidden_in(one) for one in value]
    return value


def _may_be_secret(value: str) -> bool:
    """Whether a part of an address is worth hiding everywhere: words and dates stand in addresses too, and keys are longer."""
    return len(value) >= 12 or (len(value) >= 8 and bool(re.search(r"\d", value)) and bool(re.search(r"[A-Za-z]", value)))  # noqa: PLR2004


def _spellings(secret: str) -> Iterable[str]:
    yield from (secret, unquote(secret), quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
