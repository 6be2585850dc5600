"""Secrets in every place that can hold one, and everything that lake says searched for them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from lake import confidential, telemetry
from lake.cli import run_command
from lake.confidential import HIDDEN, hidden, hidden_in, keep, keep_address, keep_environment, shown
from lake.errors import LakeError, SettingsError
from lake.logs import HidingRecord
from lake.settings import VARIABLES, Settings, load_settings
from tests.tiny import write_orders

PLANTED = "pl4nted"
OTHERS = {
    "HTTPS_PROXY": "http://{0}user:{0}word@127.0.0.1:9",
    "OPENLINEAGE_URL": "http://{0}user:{0}word@127.0.0.1:9",
    "OPENLINEAGE_API_KEY": "{0}lineage",
    "OPENLINEAGE__TRANSPORT": '{{"type": "http", "url": "http://127.0.0.1:9", "auth": {{"type": "api_key", "apiKey": "{0}transport"}}}}',
    "OTEL_EXPORTER_OTLP_HEADERS": "api-key={0}otel,Authorization=Basic%20{0}basic",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://{0}user:{0}word@127.0.0.1:9",
    "PREFECT_API_KEY": "{0}prefect",
    "PREFECT_API_AUTH_STRING": "admin:{0}-auth-string",
    "PREFECT_API_URL": "http://{0}user:{0}word@127.0.0.1:9/api",
    "PREFECT_UI_URL": "http://{0}user:{0}word@127.0.0.1:9",
    "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://{0}user:{0}word@127.0.0.1:9/prefect",
    "AWS_SECRET_ACCESS_KEY": "{0}aws",
    "AWS_SESSION_TOKEN": "{0}session",
}
SOURCES = """
from lake import Hints, Source, Table
orders = Source(Table("bronze.shop.orders"), "in", "*.csv")
web = Source(Table("bronze.shop.web"), "http://{0}user:{0}word@127.0.0.1:9/web.csv?X-Amz-Signature={0}signature&token={0}token#{0}fragment")
bucket = Source(Table("bronze.shop.bucket"), "s3://{0}user:{0}word@nowhere/prefix")
odd = Source(Table("bronze.shop.odd"), "http://{0}user:{0}word@[half/x?sig={0}signature")
ftp = Source(Table("bronze.shop.ftp"), "ftp://{0}user:{0}word@127.0.0.1/x")
def raising():
    raise RuntimeError("no https://{0}user:{0}word@host/x?sig={0}signature")
raises = Source(Table("bronze.shop.raises"), raising)
"""


@pytest.fixture(autouse=True)
def _forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test plants is not known to the next."""
    monkeypatch.setattr(confidential, "_known", set())
    monkeypatch.setattr(confidential, "_pattern", None)


def secret_for(name: str) -> str:
    """A secret of a setting, by which it is known where it turns up."""
    return f"{PLANTED}-{name.replace('_', '-')}"


def planted(name: str) -> str | None:
    """A value of the setting with secrets in it, where it can hold one: an address with a user, password and query, or itself where it is declared secret."""
    secret = secret_for(name)
    for value in (f"https://{secret}-user:{secret}%40word@127.0.0.1:9/x?sig={secret}-signature", f"{secret}-itself"):
        try:
            made = load_settings(**{name: value})
        except SettingsError as error:
            told = str(error)
            if PLANTED in told:
                raise AssertionError(f"setting {name} tells it: {told}") from None
            continue
        if secret in str(getattr(made, name)) or isinstance(getattr(made, name), SecretStr):
            return value
    return None


def test_every_setting_that_can_hold_a_secret_is_known_by_it() -> None:
    """By walking the settings: one that comes later is held to it too, whatever it is called. At least a dozen can."""
    found = {name: value for name in Settings.model_fields if name not in ("root", "home") and (value := planted(name)) is not None}
    assert len(found) >= 10
    for name, value in found.items():
        load_settings(**{name: value})
        for said in (value, f"it says {value}: no", json.dumps({"at": value}), secret_for(name) + "%40word", secret_for(name) + "@word"):
            if "://" in value or said == value:
                assert PLANTED not in hidden(said, addresses=False).replace(f"{PLANTED}-{name}", ""), (name, said)


@pytest.fixture
def project(tmp_path: Path, weed_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose settings, sources and surroundings are full of secrets."""
    flows = tmp_path / "flows" / "shop"
    flows.mkdir(parents=True)
    (flows / "sources.py").write_text(SOURCES.replace("{0}", PLANTED))
    write_orders(tmp_path / "in", "a.csv", [(1, "ann", "1.00", "2024-01-01")])
    (tmp_path / "pyproject.toml").write_text("[tool.lake]\n")
    monkeypatch.chdir(tmp_path)
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value.format(PLANTED))
    for name in ("docs_url", "watch_queue", "engine_address", "notify", "prefect_database", "region"):
        value = planted(name)
        assert value is not None, name
        monkeypatch.setenv(VARIABLES[name][0], value)
    monkeypatch.setenv("LAKE_REGION", "us-east-1")
    monkeypatch.setenv("LAKE_HOME", str(weed_settings.home))
    monkeypatch.setenv("LAKE_ENV", weed_settings.env)
    monkeypatch.setenv("LAKE_PATIENCE", "PT0S")
    monkeypatch.setenv("LAKE_LOG", "json")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")  # a provider of this process would outlive the test
    return tmp_path  # noqa: RET504


COMMANDS = (
    ["doctor"], ["doctor", "--json"], ["land", "shop"], ["plan", "shop"], ["run", "shop", "--no-prefect"], ["run", "shop", "--no-prefect", "--json"], ["ls"], ["ls", "--json"],
    ["show", "bronze.shop.orders"], ["history", "bronze.shop.orders", "--json"], ["lineage", "bronze.shop.orders"], ["lineage", "--export"], ["rejects", "bronze.shop.orders"],
    ["docs", "--out", "site"], ["metrics", "--once"], ["status"], ["deployments"], ["preview", "http://{0}user:{0}word@127.0.0.1:9/web.csv?sig={0}signature"],
)  # fmt: skip


def test_no_command_says_a_secret(project: Path, weed_settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Output, errors and log of each, the pages it writes, and every byte that it leaves in the bucket."""
    for arguments in COMMANDS:
        run_command([word.replace("{0}", PLANTED) for word in arguments])
        told = capfd.readouterr()
        for where, text in (("output", told.out), ("error", told.err)):
            assert PLANTED not in text, (arguments, where, [line for line in text.splitlines() if PLANTED in line])
    for page in (project / "site").rglob("*"):
        assert not page.is_file() or PLANTED.encode() not in page.read_bytes(), page
    from lake.store import open_store

    store = open_store(weed_settings)
    try:
        kept = [blob.path for blob in store.walk("")]
        assert any("landings" in path for path in kept)
        for path in kept:
            assert PLANTED.encode() not in store.get(path), path
            assert PLANTED not in path
    finally:
        store.close()


@pytest.mark.parametrize("name", ["endpoint", "bucket", "flows", "env"])
def test_a_setting_that_cannot_work_says_no_secret(project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str) -> None:
    """An endpoint where nobody listens, and names that are none."""
    secret = secret_for(name)
    monkeypatch.setenv(VARIABLES[name][0], f"http://{secret}user:{secret}word@127.0.0.1:9/x?sig={secret}signature"[: 200 if name == "endpoint" else 62])
    for arguments in (["doctor"], ["ls"], ["land", "shop"], ["status"]):
        assert run_command(arguments) in (0, 1)
        told = capfd.readouterr()
        assert PLANTED not in told.out + told.err, arguments


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("http://u:p@h/x?y=z#f", "http://h/x"), ("https://h/x", "https://h/x"), ("s3://b/p", "s3://b/p"), ("http://u:p/a@h/x", "http://h/x"),
        ("http://u:pa?ss@h/x", "http://h/x"), ("http://u:pa#ss@h/x", "http://h/x"), ("http://h:80/x@v1/y", "http://h:80/x@v1/y"), ("tcp://u@h:1", "tcp://h:1"),
        ("http://[::1]:80/x@y", "http://[::1]:80/x@y"), ("//u:p@h/x", "//h/x"), ("http://u:12@h/", "http://h/"), ("http://u:p@p@h/", "http://h/"),
        ("in/folder?", "in/folder?"), ("C:\\folder", "C:\\folder"), ("", ""), ("postgresql+asyncpg://u:p@db/x?ssl=1", "postgresql+asyncpg://db/x"),
    ],
)  # fmt: skip
def test_an_address_shows_where_it_leads_and_no_more(address: str, seen: str) -> None:
    """Short passwords that are known to nobody, and those that hold what ends a host, too; an error that quotes it shows no more."""
    assert shown(address) == seen
    told = str(LakeError(f"source x: {address} does not answer", f"Try {address}"))
    assert told.startswith(f"source x: {seen}")
    assert "u:p" not in told


def test_a_secret_is_known_however_it_is_spelled() -> None:
    """As it is, in an address, in JSON, in a header; short words and ordinary parts of addresses stay."""
    keep('we"ird/päss word')
    keep_address("https://user:corr%40ct-horse@h/data/2024?region=europe&sig=Zm9vYmFyYmF6")
    for text in (
        'we"ird/päss word',
        "we%22ird/p%C3%A4ss%20word",
        'we\\"ird/p\\u00e4ss word',
        "corr%40ct-horse",
        "corr@ct-horse",
        "dXNlcjpjb3JyQGN0LWhvcnNl",
        "Zm9vYmFyYmF6",
    ):
        assert hidden(f"<{text}>", addresses=False) == f"<{HIDDEN}>", text
    assert hidden("data/2024 in europe") == "data/2024 in europe"
    assert hidden_in({"a": ["Zm9vYmFyYmF6", 1], "Zm9vYmFyYmF6": None}) == {"a": [HIDDEN, 1], HIDDEN: None}
    keep_environment({"LAKE_X_TOKEN": "short", "HOME_KEY": "not-one-of-ours", "PREFECT_AUTH_FLAG": "true", "AWS_KEY_FILE": "/home/me/keys", "LAKE_TOKEN": ""})
    assert hidden("short not-one-of-ours true /home/me/keys") == "short not-one-of-ours true /home/me/keys"


def test_logs_and_spans_of_other_errors_tell_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of a library that quotes an address, with its traceback, in a log as Prefect keeps it and in a span."""
    address = f"https://u:{PLANTED}-word@h/x?sig={PLANTED}"
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(telemetry, "_tracer", lambda: provider.get_tracer("test"))
        with pytest.raises(ValueError, match="cannot open"), telemetry._telling("step", {}):
            raise ValueError(f"cannot open {address}")
    (span,) = exporter.get_finished_spans()
    assert "cannot open" in span.to_json()
    assert PLANTED not in span.to_json()
    assert trace.get_current_span() is trace.INVALID_SPAN
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(HidingRecord)
    try:
        logger = logging.getLogger("tests.security.secrets")
        logger.propagate = False
        lines: list[str] = []
        handler: Any = logging.StreamHandler()
        handler.emit = lambda record: lines.append(handler.format(record))
        logger.addHandler(handler)
        try:
            raise ValueError(f"cannot open {address}")
        except ValueError:
            logger.exception("asked %s", address)
    finally:
        logging.setLogRecordFactory(before)
    assert "Traceback" in lines[0]
    assert PLANTED not in lines[0]
