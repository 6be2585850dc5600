"""Power cuts, simulated: all that a lake wrote to its store, in order, and what of it a disk may have kept when the power went."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import obstore
import pytest

from lake.settings import Settings, load_settings
from lake.store import Store
from tests.conftest import ROOT, fresh_env

FATES = ("whole", "missing", "cut short", "zeros")


@dataclass(frozen=True)
class Write:
    """One object put, or removed where `content` is None; `settles` where all before it was on the disk first, and it with them when it was told."""

    path: str
    content: bytes | None
    settles: bool = False


@dataclass
class Journal:
    """What was written to one bucket, in order; `marks` are the numbers of writes at which something had been announced."""

    writes: list[Write] = field(default_factory=list)
    marks: list[tuple[int, Any]] = field(default_factory=list)

    def mark(self, what: Any) -> None:
        """From here on `what` was told to people."""
        self.marks.append((len(self.writes), what))

    def announced(self, until: int) -> Any:
        """The last that was told when so many writes were done."""
        return next((what for at, what in reversed(self.marks) if at <= until), None)

    def kept(self, until: int, chance: random.Random) -> dict[str, bytes]:
        """What a disk has after the power went in the middle of write number `until`: all up to the last that settled, and of the others what chance wills."""
        settled = max((number + 1 for number, write in enumerate(self.writes[:until]) if write.settles), default=0)
        if until < len(self.writes) and self.writes[until].settles:  # all before it had been waited for
            settled = until
        there: dict[str, bytes] = {}
        for number, write in enumerate(self.writes[: until + 1]):
            fate = "whole" if number < settled else chance.choice(FATES)
            if write.content is None:
                if fate == "whole":
                    there.pop(write.path, None)
            elif fate != "missing":
                there[write.path] = spoilt(write.content, fate, chance)
        return there


def spoilt(content: bytes, fate: str, chance: random.Random) -> bytes:
    """What is left of a content."""
    if fate == "whole" or not content:
        return content
    at = chance.randrange(len(content))
    return content[:at] if fate == "cut short" else content[:at] + bytes(len(content) - at)


@contextmanager
def journal_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """Everything that is written to the bucket of `store` meanwhile, by whatever client of lake's."""
    journal = Journal()
    real_put, real_delete = obstore.put, obstore.delete

    def mine(client: Any) -> bool:
        return bool(client.config.get("bucket") == store.bucket or client.config.get("aws_bucket") == store.bucket)

    def put(client: Any, path: str, content: Any, **named: Any) -> Any:
        body = content.read_bytes() if isinstance(content, Path) else bytes(content)
        done = real_put(client, path, content, **named)
        if mine(client):
            place = f"{client.prefix}/{path}" if client.prefix else path
            journal.writes.append(Write(str(place), body, settles=named.get("mode") == "create"))
        return done

    def delete(client: Any, path: str, *rest: Any) -> Any:
        done = real_delete(client, path, *rest)
        if mine(client):
            journal.writes.append(Write(f"{client.prefix}/{path}" if client.prefix else path, None))
        return done

    with monkeypatch.context() as patch:
        patch.setattr(obstore, "put", put)
        patch.setattr(obstore, "delete", delete)
        yield journal


def bucket_with(endpoint: str, home: Path, objects: dict[str, bytes]) -> Settings:
    """A bucket of its own that holds these objects, and the settings for a lake in it."""
    bucket = f"cut-{fresh_env()}-{random.randrange(1 << 40)}"
    client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    for path, content in objects.items():
        client.put_object(Bucket=bucket, Key=path, Body=content)
    home.mkdir(parents=True, exist_ok=True)  # the probe is not what is tested here, and the server in memory does not always pass it on a busy machine
    (home / "trusted.json").write_text(json.dumps({f"{endpoint}/{bucket}/dev": dt.datetime.now(dt.UTC).isoformat()}), "utf-8")
    return load_settings(endpoint=endpoint, access_key_id="test", secret_access_key="test", bucket=bucket, home=home, root=ROOT)
