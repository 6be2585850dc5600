"""Law 7: the store is trusted only after it proved itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lake import probe as probing
from lake.errors import StoreUnreachable, StoreUntrusted
from lake.probe import ensure_trusted, probe
from lake.run import begin_run
from lake.settings import Settings, load_settings
from lake.store import Blob, Store


def test_a_store_that_keeps_its_word_passes(store: Store) -> None:
    """SeaweedFS and moto pass every check, and the probe leaves nothing behind."""
    checks = probe(store)
    assert [check.name for check in checks if not check.ok] == []
    assert len(checks) == 6
    assert list(store.walk("")) == []


class _Overwriting(Store):
    """Takes conditional puts for plain ones, as S3-compatible stores of old did."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        self.put(path, data)
        return True


class _Stale(Store):
    """Reads what was there before the last write."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed through as they come
        self.old: dict[str, bytes] = {}

    def put(self, path: str, data: bytes) -> None:
        self.old[path] = self.get(path) if self.head(path) else data
        super().put(path, data)

    def get(self, path: str) -> bytes:
        return self.old.get(path) or super().get(path)


class _Forgetful(Store):
    """Lists all but the newest object."""

    def walk(self, prefix: str, *, after: str | None = None) -> Iterator[Blob]:
        yield from list(super().walk(prefix, after=after))[:-1]


class _Shuffled(Store):
    """Ignores where a listing should start."""

    def walk(self, prefix: str, *, after: str | None = None) -> Iterator[Blob]:
        yield from super().walk(prefix)


class _Cutting(Store):
    """Loses the end of what is uploaded in parts."""

    def upload(self, path: str, file: Path) -> None:
        self.put(path, file.read_bytes()[:-1])


class _Late(Store):
    """Its clock is an hour slow."""

    def head(self, path: str) -> Blob | None:
        found = super().head(path)
        return replace(found, modified=found.modified - dt.timedelta(hours=1)) if found else None


@pytest.mark.parametrize(
    ("kind", "failing"),
    [
        (_Overwriting, "conditional put"), (_Stale, "read after write"), (_Forgetful, "list after put"), (_Shuffled, "list after put"),
        (_Cutting, "multipart"), (_Late, "clock skew"),
    ],
)  # fmt: skip
def test_a_store_that_breaks_its_word_is_found_and_refused(moto_settings: Settings, kind: type[Store], failing: str) -> None:
    """Each way a store can be wrong fails its check, and lake then refuses to write."""
    store = _as(kind, moto_settings)
    assert failing in {check.name for check in probe(store) if not check.ok}
    with pytest.raises(StoreUntrusted, match="not safe to write"):
        ensure_trusted(store, moto_settings)
    assert not (moto_settings.state / "trusted.json").exists()


def _as(kind: type[Store], settings: Settings) -> Store:
    options = {
        "aws_endpoint": settings.endpoint or "", "aws_allow_http": "true", "aws_access_key_id": "test", "aws_secret_access_key": "test",
        "aws_region": "us-east-1", "aws_virtual_hosted_style_request": "false", "aws_conditional_put": "etag",
    }  # fmt: skip
    return kind(settings.bucket, settings.env, options)


def test_no_run_begins_on_a_store_that_was_refused(moto_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run against an untrusted store stops before anything is written."""
    monkeypatch.setattr("lake.run.open_store", lambda settings: _as(_Overwriting, settings))
    with pytest.raises(StoreUntrusted), begin_run(moto_settings, "nyc", "test"):
        pytest.fail("the run began")
    assert list(_as(Store, moto_settings).walk("")) == []


def test_trust_is_remembered_for_a_day_and_for_one_store_only(moto_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe is not repeated while it is fresh, is repeated when it is old, and says nothing about another bucket."""
    asked: list[str] = []
    real = probing.probe
    monkeypatch.setattr(probing, "probe", lambda store: (asked.append(store.bucket), real(store))[1])
    store = _as(Store, moto_settings)
    for _ in range(3):
        ensure_trusted(store, moto_settings)
    assert len(asked) == 1
    monkeypatch.setattr(probing, "_TRUST_LASTS", dt.timedelta(0))
    ensure_trusted(store, moto_settings)
    assert len(asked) == 2
    monkeypatch.setattr(probing, "_TRUST_LASTS", dt.timedelta(days=1))
    ensure_trusted(_as(Store, moto_settings.model_copy(update={"env": "other"})), moto_settings)
    assert len(asked) == 3


def test_an_absent_store_is_unreachable_not_untrusted(tmp_path: Path) -> None:
    """Where nothing answers, the error says so."""
    settings = load_settings(endpoint="http://127.0.0.1:9", access_key_id="a", secret_access_key="b", home=tmp_path)
    with pytest.raises(StoreUnreachable, match=r"http://127\.0\.0\.1:9"), begin_run(settings, "nyc", "test"):
        pytest.fail("the run began")
