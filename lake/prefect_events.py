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
    address = api.rstrip("/")
    with httpx.Client(headers=headers, timeout=_TIMEOUT) as client:
        client.headers.update(_token(client, address))
        client.post(f"{address}/events", json=[body]).raise_for_status()


def _token(client: httpx.Client, address: str) -> dict[str, str]:
    """What a server that guards against requests of foreign pages wants beside the password; nothing where it does not ask for it."""
    caller = str(uuid.uuid4())
    told = client.get(f"{address}/csrf-token", params={"client": caller})
    if told.status_code != httpx.codes.OK:
        return {}
    return {"Prefect-Csrf-Token": str(told.json()["token"]), "Prefect-Csrf-Client": caller}
