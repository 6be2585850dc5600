"""The keys of a bucket as they are: also those that are no path of folders and files, which the store's usual client refuses to list, with all that is on their page."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lake.errors import StoreError
from lake.store import Store
from lake.uploads import client_of
from lake.wording import in_words

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Key:
    """One object of a bucket."""

    path: str
    size: int
    modified: dt.datetime
    etag: str


def key_beyond(name: str) -> str | None:
    """Why a key is no path of folders and files; None where it is one."""
    parts = name.split("/")
    if name.endswith("/"):
        return "its key is the mark of a folder"
    if "" in parts:
        return "its key has an empty part (//)"
    if "." in parts or ".." in parts:
        return "its key has a part that means another folder (. or ..)"
    return "its key has control signs" if _CONTROL.search(name) else None


def keys_under(store: Store, prefix: str) -> Iterator[Key]:
    """Every object of the store's bucket whose key begins with `prefix`, in the order of keys. A request per thousand. Raises StoreError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        pages = client_of(store).get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", ()):
                yield Key(found["Key"], found["Size"], found["LastModified"], found.get("ETag", ""))
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"some of its keys are no paths, and the others cannot be told: {in_words(error)}", "Rename those objects") from None
