"""How far this machine's clock and a server's are apart, by the Date that every answer of a web server carries: no key is needed to ask."""

from __future__ import annotations

import datetime as dt
import email.utils

SKEW_ALLOWED = dt.timedelta(minutes=5)
"""More than that is told. Signatures are refused at fifteen minutes."""


def apart(endpoint: str, timeout: float = 3.0) -> dt.timedelta | None:
    """How far this machine's clock is ahead of the server's at `endpoint` (negative: behind), to about a second; None where it does not say."""
    import httpx  # a tenth of a second to load

    try:
        before = now()
        answer = httpx.head(endpoint, timeout=timeout)
        told = email.utils.parsedate_to_datetime(answer.headers["date"]).astimezone(dt.UTC)
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, TypeError, ValueError):
        return None
    return before + (now() - before) / 2 - told


def spelled(by: dt.timedelta) -> str:
    """`apart` in words: 17 min 3 s ahead."""
    seconds = round(abs(by.total_seconds()))
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    parts = [f"{value} {unit}" for value, unit in ((days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s")) if value] or ["0 s"]
    return f"{' '.join(parts[:2])} {'ahead' if by >= dt.timedelta(0) else 'behind'}"


def now() -> dt.datetime:
    """This machine's time, UTC."""
    return dt.datetime.now(dt.UTC)
