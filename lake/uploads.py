"""Uploads in parts that were begun and never finished: what a killed run leaves where no listing shows it.

Written over botocore, because obstore can begin and finish such uploads and not list them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from lake.answers import Answer
from lake.patience import persist
from lake.store import Store

Result = TypeVar("Result")


@dataclass(frozen=True)
class Upload:
    """An upload in parts: its full key, its id, and when (UTC) it was begun."""

    key: str
    id: str
    started: dt.datetime


def unfinished(store: Store) -> list[Upload]:
    """The unfinished uploads under the store's prefix. Raises StoreError where the store does not list them."""

    def ask() -> list[Upload]:
        pages = _client(store).get_paginator("list_multipart_uploads").paginate(Bucket=store.bucket, Prefix=f"{store.prefix}/" if store.prefix else "")
        return [Upload(one["Key"], one["UploadId"], one["Initiated"]) for page in pages for one in page.get("Uploads", [])]

    return _persist(store, "list unfinished uploads of", "", ask)


def abort(store: Store, upload: Upload) -> None:
    """Forget an unfinished upload and free its room; one already gone is fine."""

    def ask() -> None:
        try:
            _client(store).abort_multipart_upload(Bucket=store.bucket, Key=upload.key, UploadId=upload.id)
        except ClientError as error:
            if "NoSuchUpload" not in str(error):
                raise

    _persist(store, "abort the upload of", upload.key, ask)


def _persist(store: Store, verb: str, path: str, work: Callable[[], Result]) -> Result:
    """What `work` returns; trouble that may pass is waited out as the store does."""

    def once() -> Result:
        try:
            return work()
        except (BotoCoreError, ClientError) as error:
            said = getattr(error, "response", {})
            status, code, told = (
                said.get("ResponseMetadata", {}).get("HTTPStatusCode"),
                said.get("Error", {}).get("Code", ""),
                said.get("Error", {}).get("Message"),
            )
            text = f"status {status}: <Code>{code}</Code><Message>{told or code}</Message>" if status else "error sending request: connection closed"
            raise Answer(store.endpoint, verb, store.uri(path), Exception(text)).trouble(store.patience) from None

    return persist(once, where=store.endpoint, seconds=store.patience)


def _client(store: Store) -> Any:
    options = store.options
    keys = {name: options[name] for name in ("aws_session_token",) if name in options}
    keys |= {f"aws_{name}": options[f"aws_{name}"] for name in ("access_key_id", "secret_access_key") if f"aws_{name}" in options}
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2})
    return get_session().create_client("s3", endpoint_url=store.endpoint or None, region_name=options.get("aws_region"), config=config, **keys)


def client_of(store: Store) -> Any:
    """A client of botocore for the store, for what obstore cannot be asked."""
    return _client(store)
