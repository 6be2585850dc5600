"""The one seam to object storage: a bucket and a prefix on any S3-compatible endpoint.

Built on obstore, the same Rust client that delta-rs and Polars carry, so that one set of options configures all three and a
store that passes the probe here behaves the same there. Paths are relative to the environment's prefix.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store

from lake.answers import Answer
from lake.barrier import Barrier
from lake.blob import Blob as Blob
from lake.confidential import shown
from lake.disk import STORE_NEEDS, cannot, full_disk
from lake.embedded import embedded_options, embedded_service
from lake.errors import DAMAGED_HINT, Damaged, LakeError, NotFound, StoreError, StoreUnreachable
from lake.held import Held
from lake.meter import count
from lake.names import NAMES, Names, is_renamed
from lake.patience import Trouble, persist
from lake.service import Service
from lake.settings import Settings

_PART = 16 * 1024 * 1024
_MANY = 1000  # tries: it is the time that ends them
_LONGEST_PAUSE = 5.0  # seconds
_answered: set[str] = set()  # endpoints that answered this process
_services: dict[Path, Service] = {}
_open: list[Store] = []  # what close_stores closes
Result = TypeVar("Result")


class Store:
    """Objects under one bucket and prefix. Every method may raise StoreUnreachable, StoreBusy, StoreRefused, DiskFull or StoreError.

    Trouble that may pass (no answer, 429, 5xx) is waited out for `patience` seconds, and people are told; a store that never answered this
    process is not waited for. An embedded server that died is started again. `requests` by verb and `bytes` (`bytes_read`, `bytes_written`)
    count what went through this object, and so does the meter of the step that asked. Scans by Polars and repeats go past it. `held` has
    local copies of what the run wrote itself, where one goes on.

    Paths are by the names that tables have now; of a table that was renamed, the objects are where its first name put them. By a name that a table
    has no more, every method raises UnknownName.
    """

    def __init__(self, bucket: str, prefix: str, options: dict[str, str], *, service: Service | None = None, patience: float = 60.0) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.options = options
        self.patience = patience
        self.embedded = service is not None
        self.held: Held | None = None
        self._service = service
        self._server = service
        self.barrier = Barrier(service.folder / "data" if service is not None else None)
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._mutex = threading.Lock()
        self._names: Names | None = None
        self._naming = threading.Lock()
        self._connect()

    def beside(self, bucket: str, prefix: str, *, names: Names | None = None) -> Store:
        """Another bucket or prefix of the same store, to be used no longer than this one; with `names`, by those."""
        other = Store(bucket, prefix, self.options, patience=self.patience)
        other._server, other.embedded, other.barrier = self._server, self.embedded, self.barrier
        inside = bool(prefix) and bucket == self.bucket and (not self.prefix or prefix.startswith(f"{self.prefix}/"))
        other._names = names if names is not None else self.names if inside else Names()
        return other

    @property
    def names(self) -> Names:
        """What tables were called before. A listing, and a request where any was renamed, the first time that it matters."""
        with self._naming:
            if self._names is None:
                self._names = self._register()
            return self._names

    def renewed_names(self) -> Names:
        """The same, as of now."""
        found = self._register()
        with self._naming:
            self._names = found
        return found

    def _register(self) -> Names:
        paths = [blob.path for blob in self.walk(NAMES) if blob.path.endswith(".json")]
        if not paths:
            return Names()
        newest = max(paths)
        try:
            return Names.read(int(newest.rsplit("/", 1)[-1].removesuffix(".json")), self.get(newest))
        except ValueError:
            raise Damaged(f"what tables were renamed to cannot be read: {self._address(newest)} is damaged", DAMAGED_HINT) from None

    def _place(self, path: str) -> str:
        return self.names.place(path) if is_renamed(path) else path

    def _path(self, place: str) -> str:
        return self.names.path(place) if is_renamed(place) else place

    def _connect(self) -> None:
        """Clients for the address as it is now: one that gives trouble back at once, and one for uploads in parts, which asks again for each part."""
        client = {"timeout": "120s", "connect_timeout": "5s", **({"allow_http": True} if self.options.get("aws_allow_http") else {})}
        config = {key: value for key, value in self.options.items() if key != "aws_allow_http"}

        def bucket(retries: int, seconds: float) -> S3Store:
            backoff = {"init_backoff": dt.timedelta(seconds=0.1), "max_backoff": dt.timedelta(seconds=_LONGEST_PAUSE), "base": 2}
            retry = {"max_retries": retries, "retry_timeout": dt.timedelta(seconds=seconds), "backoff": backoff}
            return S3Store(self.bucket, prefix=self.prefix or None, config=config, client_options=client, retry_config=retry)  # type: ignore[arg-type]  # obstore takes plain dicts

        self._bucket, self._stubborn = bucket(2 if self.patience else 0, 10), bucket(_MANY, max(1.0, self.patience))

    @property
    def endpoint(self) -> str:
        """The endpoint's URL as people may see it, without a user and password."""
        return shown(self.options.get("aws_endpoint", ""))

    @property
    def scanning(self) -> dict[str, Any]:
        """`options` for Polars, as patient as this is."""
        milliseconds = int(self.patience * 1000)
        pauses = {
            "retry_timeout_ms": milliseconds,
            "retry_init_backoff_ms": 100,
            "retry_max_backoff_ms": int(_LONGEST_PAUSE * 1000),
            "retry_base_multiplier": 2,
        }
        return {**self.options, "max_retries": _MANY, **pauses}

    @property
    def opening(self) -> dict[str, str]:
        """`options` for delta-rs, as patient as this is."""
        pauses = {"backoff_config.init_backoff": "100ms", "backoff_config.max_backoff": f"{_LONGEST_PAUSE:.0f}s", "backoff_config.base": "2"}
        return {**self.options, "max_retries": str(_MANY), "retry_timeout": f"{max(1, round(self.patience))}s", **pauses}

    def uri(self, path: str) -> str:
        """`path` as an s3:// address, for Polars with `scanning` and delta-rs with `opening`."""
        return self._address(self._place(path))

    def _address(self, path: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}/{path}" if self.prefix else f"s3://{self.bucket}/{path}"

    def put(self, path: str, data: bytes) -> None:
        """Store `data` at `path`, replacing what was there. Atomic. Meant for small objects: one request."""
        place = self._place(path)
        self._ask("put", place, lambda: obstore.put(self._bucket, place, data, use_multipart=False))
        self._is_other(path)
        self._moved("bytes_written", len(data))

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Store `data` at `path` unless something is there: True if this call wrote it, False if not. One request.

        After a lost answer the retry of the very same write can come back False: compare what is there. All that was stored before is on the disk first.
        """
        place = self._place(path)
        self.barrier.settle()

        def work() -> bool:
            try:
                obstore.put(self._bucket, place, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        self._moved("bytes_written", len(data))
        written = self._ask("put", place, work)
        self.barrier.settle()
        return written

    def upload(self, path: str, file: Path) -> None:
        """Store the local `file` at `path`, in parts of 16 MiB when it is larger. Nobody sees a half of it."""
        size, clients, place = 0, [self._stubborn, self._bucket], self._place(path)

        def work() -> None:
            nonlocal size
            size = file.stat().st_size
            obstore.put(clients.pop() if len(clients) > 1 else self._stubborn, place, file, chunk_size=_PART, max_concurrency=4)

        self._ask("put", place, work)
        self._is_other(path)
        self._asked("put", -(-size // _PART) + 1 if size > _PART else 0)  # begun, each part, finished
        self._moved("bytes_written", size)

    def copy(self, path: str, to: str) -> None:
        """Have the store copy the object at `path`, of at most 5 GB, to `to`. One request; raises NotFound."""
        place, target = self._place(path), self._place(to)
        self._ask("copy", place, lambda: obstore.copy(self._bucket, place, target))
        self._is_other(to)

    def get(self, path: str) -> bytes:
        """The whole object. Raises NotFound."""
        place = self._place(path)
        data = self._ask("get", place, lambda: bytes(obstore.get(self._bucket, place).bytes()))
        self._moved("bytes_read", len(data))
        return data

    def stream(self, path: str) -> Iterator[bytes]:
        """The object in chunks of about a megabyte, so that memory does not grow with it; one that breaks off goes on where it was. Raises NotFound."""
        self._asked("get")
        place = self._place(path)
        chunks: Iterator[Any] | None = None
        done, etag = 0, None

        def more() -> bytes | None:
            nonlocal chunks, etag
            try:
                if chunks is None:
                    options: Any = {"range": {"offset": done}, **({"if_match": etag} if etag else {})} if done else {}
                    found = obstore.get(self._bucket, place, options=options)
                    etag = found.meta["e_tag"]
                    chunks = iter(found.stream(min_chunk_size=1 << 20))
                chunk = next(chunks, None)
            except BaseException:
                chunks = None
                raise
            return None if chunk is None else bytes(chunk)

        while (chunk := self._persist("get", place, more)) is not None:
            done += len(chunk)
            self._moved("bytes_read", len(chunk))
            yield chunk

    def head(self, path: str) -> Blob | None:
        """What is stored at `path`, or None. One request, no content."""
        place = self._place(path)

        def work() -> Blob | None:
            try:
                return self._blob(obstore.head(self._bucket, place))
            except FileNotFoundError:
                return None

        return self._ask("head", place, work)

    def walk(self, prefix: str, *, after: str | None = None) -> Iterator[Blob]:
        """Everything under the folder `prefix`, past `after` if given; names of one folder in their order. One request per thousand."""
        folder = self._place(prefix)
        past = self._place(after) if after is not None else None
        self._asked("list")
        batches: Iterator[Any] | None = None
        seen: set[str] = set()

        def more() -> list[Blob] | None:
            nonlocal batches
            try:
                if batches is None:
                    batches = iter(obstore.list(self._bucket, folder or None, offset=past, chunk_size=1000))
                batch = next(batches, None)
            except BaseException:
                batches = None  # from the start, without what was told already: no two stores order folders alike
                raise
            return None if batch is None else [self._blob(meta) for meta in batch]

        while (batch := self._persist("list", folder, more)) is not None:
            self._asked("list", 1 if seen else 0)
            fresh = [blob for blob in batch if blob.path not in seen]
            seen.update(blob.path for blob in fresh)
            yield from fresh

    def children(self, prefix: str) -> list[str]:
        """The names directly under the folder `prefix` that are folders themselves, sorted."""
        found = set(self._folders(self._place(prefix)))
        return sorted(self.names.children(prefix, found, self._folders, self.children) if is_renamed(prefix) else found)

    def _folders(self, place: str) -> list[str]:
        found = self._ask("list", place, lambda: obstore.list_with_delimiter(self._bucket, place or None)["common_prefixes"])
        return [name.rstrip("/").rsplit("/", 1)[-1] for name in found]

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects; those already gone are fine."""
        for path in paths:
            with contextlib.suppress(NotFound):
                place = self._place(path)
                self._ask("delete", place, partial(obstore.delete, self._bucket, place))

    def close(self, *, wait: bool = False) -> None:
        """Let go of the embedded server, which stops with its last user; with `wait`, after it has. Nothing to do for others."""
        with contextlib.suppress(ValueError):
            _open.remove(self)
        if self._service is not None:
            service, self._service, self._server = self._service, None, None
            service.release(wait=wait)

    def _blob(self, meta: obstore.ObjectMeta) -> Blob:
        return Blob(self._path(meta["path"]), meta["size"], meta["last_modified"], meta["e_tag"] or "")

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

    def _ask(self, verb: str, path: str, work: Callable[[], Result]) -> Result:
        self._asked(verb)
        return self._persist(verb, path, work)

    def _persist(self, verb: str, path: str, work: Callable[[], Result]) -> Result:
        """What `work` returns, its errors understood; trouble that may pass is waited out."""

        def once() -> Result:
            try:
                result = work()
            except FileNotFoundError as error:  # what obstore raises for an absent object
                _answered.add(self.endpoint)
                if "NoSuchBucket" in str(error):
                    raise StoreError(f"there is no bucket {self.bucket!r} at {self.endpoint}", "Create it, or set LAKE_BUCKET") from None
                raise NotFound(f"nothing is stored at {self._address(path)}", "It was removed, or never written; `lake verify` looks at every table") from None
            except (PermissionDeniedError, UnauthenticatedError) as error:
                raise Answer(self.endpoint, verb, self._address(path), error).refused() from None
            except OSError as error:
                raise cannot(error, path) from None
            except Exception as error:
                if not type(error).__module__.startswith("obstore"):
                    raise
                raise self._understood(Answer(self.endpoint, verb, self._address(path), error)) from None
            _answered.add(self.endpoint)
            return result

        return persist(once, where=self._named, seconds=self.patience, meanwhile=self._mend)

    @property
    def _named(self) -> str:
        return "the embedded store" if self.embedded else self.endpoint

    def _understood(self, answer: Answer) -> Exception:
        """What is raised for an answer that is an error: a full disk of our own, trouble that may pass, or what it is."""
        if self._server is not None:
            if answer.passing is not None and (full := full_disk(self._server.folder / "data", STORE_NEEDS, "the embedded store's data")) is not None:
                return full
            if answer.lacks_content:
                return Trouble(answer.passing or "", Damaged(f"{answer.uri} is damaged: the embedded store lists it and cannot give its content", DAMAGED_HINT))
            if answer.passing == "does not answer":
                told = f"the embedded store in {self._server.folder} does not answer"
                hint = f"Run again: it is started with the next command. Why it stopped is in {self._server.folder / 'server.log'}; nothing published is lost"
                return Trouble("does not answer", StoreUnreachable(told, hint))
        if answer.nobody_listens and self.endpoint not in _answered:
            return answer.error()
        return answer.trouble(self.patience)

    def _mend(self) -> None:
        """Start the embedded server again if it died; its clients follow it."""
        if self._server is None:
            return
        with contextlib.suppress(LakeError):  # the next try says what is wrong
            facts = self._server.revive()
            if facts is not None and facts["endpoint"] != self.endpoint:
                self.options["aws_endpoint"] = facts["endpoint"]
                self._connect()


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
    store = Store(settings.bucket, settings.env, options, service=service, patience=settings.patience.total_seconds())
    _open.append(store)
    return store


def close_stores(*, wait: bool = True) -> None:
    """Close every store this process opened."""
    while _open:
        _open.pop().close(wait=wait)
