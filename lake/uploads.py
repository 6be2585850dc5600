"""Uploads in parts that were begun and never finished: what a killed run leaves where no listing shows it.

Written over botocore, because obstore can begin and finish such uploads and not list them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from lake.errors import StoreError
from lake.store import Store


@dataclass(frozen=True)
class Upload:
    """An upload in parts: its full key, its id, and when (UTC) it was begun."""

    key: str
    id: str
    started: dt.datetime


def unfinished(store: Store) -> list[Upload]:
    """The unfinished uploads under the store's prefix. Raises StoreError where the store does not list them."""
    try:
        pages = _client(store).get_paginator("list_multipart_uploads").paginate(Bucket=store.bucket, Prefix=f"{store.prefix}/" if store.prefix else "")
        return [Upload(one["Key"], one["UploadId"], one["Initiated"]) for page in pages for one in page.get("Uploads", [])]
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"{store.endpoint} does not list unfinished uploads: {' '.join(str(error).split())[:200]}") from None


def abort(store: Store, upload: Upload) -> None:
    """Forget an unfinished upload and free its room; one already gone is fine."""
    try:
        _client(store).abort_multipart_upload(Bucket=store.bucket, Key=upload.key, UploadId=upload.id)
    except (BotoCoreError, ClientError) as error:
        if "NoSuchUpload" not in str(error):
            raise StoreError(f"{store.endpoint} does not abort the upload of {upload.key}: {' '.join(str(error).split())[:200]}") from None


def _client(store: Store) -> Any:
    options = store.options
    keys = {name: options[name] for name in ("aws_session_token",) if name in options}
    keys |= {f"aws_{name}": options[f"aws_{name}"] for name in ("access_key_id", "secret_access_key") if f"aws_{name}" in options}
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 5})
    return get_session().create_client("s3", endpoint_url=store.endpoint or None, region_name=options.get("aws_region"), config=config, **keys)
