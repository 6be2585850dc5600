"""Sending an event to Prefect from a process that does not import it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import httpx

_TIMEOUT = 10.0  # seconds


def post_event(api: str, event: str, resource: dict[str, str], payload: dict[str, Any], headers: dict[str, str]) -> None:
    """Post one event to the API at `api`, with `headers` that let it in. Raises httpx.HTTPError where it does not arrive."""
    body = {"id": str(uuid.uuid4()), "occurred": dt.datetime.now(dt.UTC).isoformat(), "event": event, "resource": resource, "related": [], "payload": payload}
    httpx.post(f"{api.rstrip('/')}/events", json=[body], headers=headers, timeout=_TIMEOUT).raise_for_status()
