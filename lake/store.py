"""The one seam to object storage: a bucket and a prefix on any S3-compatible endpoint.

Built on obstore, the same Rust client that delta-rs and Polars carry, so that one set of options configures all three and a
store that passes the probe here behaves the same there. Paths are relative to the environment's prefix.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store

from lake.embedded import embedded_options, embedded_service
from lake.errors import NotFound, StoreError, StoreRefused, StoreUnreachable
from lake.held import Held
from lake.meter import count
from lake.service import Service
from lake.settings import Settings

_PART = 16 * 1024 * 1024
_services: dict[Path, Service] = {}
_open: list[Store] = []  # what close_stores closes


@dataclass(frozen=True)
class Blob:
    """One stored object: its path under the prefix, its size in bytes, when it was last written (UTC) and its entity tag."""

    path: str
    size: int
    modified: dt.datetime
    etag: str


class Store:
    """Objects under one bucket and prefix. Every method may raise StoreUnreachable, StoreRefused or StoreError.

    `requests` by verb and `bytes` (`bytes_read`, `bytes_written`) count what went through this object, and so does the meter of the step that
    asked. Scans by Polars and the client's own repeats go past it. `held` has local copies of what the run wrote itself, where one goes on.
    """

    def __init__(self, bucket: str, prefix: str, options: dict[str, str], *, service: Service | None = None) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.options = options
        self.embedded = service is not None
        self.held: Held | None = None
        self._service = service
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._mutex = threading.Lock()
        retry = {"max_retries": 6, "retry_timeout": dt.timedelta(seconds=30)}
        client = {"timeout": "120s", "connect_timeout": "5s", **({"allow_http": True} if options.get("aws_allow_http") else {})}
        config = {key: value for key, value in options.items() if key != "aws_allow_http"}
        self._bucket = S3Store(bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retry)  # type: ignore[arg-type]  # obstore takes plain dicts

    @property
    def endpoint(self) -> str:
        """The endpoint's URL."""
        return self.options.get("aws_endpoint", "")

    def uri(self, path: str) -> str:
        """`path` as an s3:// address, for Polars and delta-rs with `options`."""
        return f"s3://{self.bucket}/{self.prefix}/{path}" if self.prefix else f"s3://{self.bucket}/{path}"

    def put(self, path: str, data: bytes) -> None:
        """Store `data` at `path`, replacing what was there. Atomic. Meant for small objects: one request."""
        with self._errors("put", path):
            obstore.put(self._bucket, path, data, use_multipart=False)
            self._is_other(path)
            self._moved("bytes_written", len(data))

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Store `data` at `path` unless something is there: True if this call wrote it, False if not. One request.

        After a lost answer the retry of the very same write can come back False: compare what is there.
        """
        with self._errors("put", path):
            self._moved("bytes_written", len(data))
            try:
                obstore.put(self._bucket, path, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def upload(self, path: str, file: Path) -> None:
        """Store the local `file` at `path`, in parts of 16 MiB when it is larger. Nobody sees a half of it."""
        with self._errors("put", path):
            size = file.stat().st_size
            obstore.put(self._bucket, path, file, chunk_size=_PART, max_concurrency=4)
            self._is_other(path)
            self._asked("put", -(-size // _PART) + 1 if size > _PART else 0)  # begun, each part, finished
            self._moved("bytes_written", size)

    def get(self, path: str) -> bytes:
        """The whole object. Raises NotFound."""
        with self._errors("get", path):
            data = bytes(obstore.get(self._bucket, path).bytes())
            self._moved("bytes_read", len(data))
            return data

    def stream(self, path: str) -> Iterator[bytes]:
        """The object in chunks of about a megabyte, so that memory does not grow with it. Raises NotFound."""
        with self._errors("get", path):
            for chunk in obstore.get(self._bucket, path).stream(min_chunk_size=1 << 20):
                self._moved("bytes_read", len(chunk))
                yield bytes(chunk)

    def head(self, path: str) -> Blob | None:
        """What is stored at `path`, or None. One request, no content."""
        with self._errors("head", path):
            try:
                return _blob(obstore.head(self._bucket, path))
            except FileNotFoundError:
                return None

    def walk(self, prefix: str, *, after: str | None = None) -> Iterator[Blob]:
        """Everything under the folder `prefix`, past `after` if given; names of one folder in their order. One request per thousand."""
        with self._errors("list", prefix):
            for number, batch in enumerate(obstore.list(self._bucket, prefix or None, offset=after, chunk_size=1000)):
                self._asked("list", 1 if number else 0)
                yield from (_blob(meta) for meta in batch)

    def children(self, prefix: str) -> list[str]:
        """The names directly under the folder `prefix` that are folders themselves, sorted."""
        with self._errors("list", prefix):
            found = obstore.list_with_delimiter(self._bucket, prefix or None)["common_prefixes"]
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects; those already gone are fine."""
        for path in paths:
            with self._errors("delete", path):
                try:
                    obstore.delete(self._bucket, path)
                except FileNotFoundError:
                    continue

    def close(self, *, wait: bool = False) -> None:
        """Let go of the embedded server, which stops with its last user; with `wait`, after it has. Nothing to do for others."""
        with contextlib.suppress(ValueError):
            _open.remove(self)
        if self._service is not None:
            service, self._service = self._service, None
            service.release(wait=wait)

    def _asked(self, verb: str, number: int = 1) -> None:
        with self._mutex:
            self.requests[verb] += number
        count(verb, number)

    def _is_other(self, path: str) -> None:
        """A copy of what was at `path` before is no longer one."""
        if self.held is not None:
            self.held.drop(path)

    def _moved(self, direction: str, size: int) -> None:
        with self._mutex:
            self.bytes[direction] += size
        count(direction, size)

    @contextmanager
    def _errors(self, verb: str, path: str) -> Iterator[None]:
        self._asked(verb)
        try:
            yield
        except FileNotFoundError as error:  # what obstore raises for an absent object
            if "NoSuchBucket" in str(error):
                raise StoreError(f"there is no bucket {self.bucket!r} at {self.endpoint}", "Create it, or set LAKE_BUCKET") from None
            raise NotFound(f"nothing is stored at {self.uri(path)}") from None
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StoreRefused(f"{self.endpoint} refused to {verb} {self.uri(path)}: {_reason(error)}", "Check the AWS_* keys and what they may do") from None
        except OSError as error:
            raise StoreError(f"cannot read or write {error.filename or path}: {error.strerror or error}") from None
        except Exception as error:
            if not type(error).__module__.startswith("obstore"):
                raise
            raise self._translate(verb, path, error) from None

    def _translate(self, verb: str, path: str, error: Exception) -> StoreError:
        text = str(error)
        if "NoSuchBucket" in text:
            return StoreError(f"there is no bucket {self.bucket!r} at {self.endpoint}", "Create it, or set LAKE_BUCKET")
        if "169.254.169.254" in text or "CredentialNotLoaded" in text:
            return StoreRefused(f"no keys for {self.endpoint}", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if re.search(r"error sending request|client error \(Connect\)|operation timed out|dns error", text, re.IGNORECASE):
            return StoreUnreachable(f"no store answers at {self.endpoint}", "Start it, or correct AWS_ENDPOINT_URL")
        if re.search(r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|credential", text, re.IGNORECASE):
            return StoreRefused(f"{self.endpoint} refused to {verb} {self.uri(path)}: {_reason(error)}", "Check the AWS_* keys and what they may do")
        return StoreError(f"{self.endpoint} could not {verb} {self.uri(path)}: {_reason(error)}")


def open_store(settings: Settings) -> Store:
    """The store these settings name. Without an endpoint, the embedded one, started if it does not run, and held until closed."""
    options = {"aws_region": settings.region, "aws_virtual_hosted_style_request": "false", "aws_conditional_put": "etag"}
    service = None
    if settings.embedded:
        folder = settings.state / "store"
        service = _services.setdefault(folder, embedded_service(folder, settings.bucket))
        facts = service.hold()
        options |= embedded_options(folder, facts["endpoint"])
    else:
        endpoint = settings.endpoint or ""
        options["aws_endpoint"] = endpoint
        if endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
        for name in ("access_key_id", "secret_access_key", "session_token"):
            value = getattr(settings, name)
            if value is not None:
                options[f"aws_{name}"] = value.get_secret_value()
    store = Store(settings.bucket, settings.env, options, service=service)
    _open.append(store)
    return store


def close_stores(*, wait: bool = True) -> None:
    """Close every store this process opened."""
    while _open:
        _open.pop().close(wait=wait)


def _blob(meta: obstore.ObjectMeta) -> Blob:
    return Blob(meta["path"], meta["size"], meta["last_modified"], meta["e_tag"] or "")


def _reason(error: Exception) -> str:
    """The part of a client error worth showing: the server's own message if there is one, on one line, without signatures."""
    text = str(error)
    found = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL) or re.search(r"status code: (\d{3}[^:]*)", text)
    return " ".join((found.group(1) if found else text.split("\n")[0]).split())[:300]
