"""What tests share: stores of both kinds, a lake of a test's own, and the flights lake built once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lake.pipeline import Report, load_pipeline
from lake.run import Run, begin_run
from lake.settings import Settings, load_settings
from lake.store import Store, close_stores, open_store
from tests.environment import keep_what_others_read

ROOT = Path(__file__).resolve().parents[1]
keep_what_others_read()


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the machine's own configuration reaches a test, and a command run in this process closes no store but its own."""
    monkeypatch.setattr("lake.store._open", [])
    for name in list(os.environ):
        if name.startswith(("LAKE_", "AWS_", "PREFECT_", "OPENLINEAGE_")):
            monkeypatch.delenv(name)
    yield
    for name in list(os.environ):
        if name.startswith("OPENLINEAGE_"):  # its client writes there what it was told
            os.environ.pop(name)


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """An S3 server in memory, for whatever is not about concurrency."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def weed_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of one embedded store, kept running for the whole session; its path has spaces and quotes."""
    home = tmp_path_factory.mktemp('a home\'s "own" place')
    holder = open_store(load_settings(home=home, root=ROOT))
    yield home
    holder.close(wait=True)
    close_stores(wait=True)


_numbers = iter(range(1_000_000))
_numbers_lock = threading.Lock()


def fresh_env() -> str:
    """An environment name that no other test of this process uses: its own prefix in a shared store."""
    with _numbers_lock:
        return f"t{next(_numbers)}"


@pytest.fixture
def weed_settings(weed_home: Path) -> Settings:
    """Settings for an empty lake on SeaweedFS."""
    return load_settings(home=weed_home, root=ROOT, env=fresh_env())


@pytest.fixture
def moto_settings(moto_endpoint: str, tmp_path: Path) -> Settings:
    """Settings for an empty lake on moto, in a bucket of its own."""
    bucket = f"bucket-{fresh_env()}-{os.getpid()}"
    boto3.client("s3", endpoint_url=moto_endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1").create_bucket(Bucket=bucket)
    return load_settings(endpoint=moto_endpoint, access_key_id="test", secret_access_key="test", bucket=bucket, home=tmp_path / "home", root=ROOT)


@pytest.fixture(params=["seaweedfs", "moto"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings for an empty lake, on each kind of store in turn."""
    found: Settings = request.getfixturevalue("weed_settings" if request.param == "seaweedfs" else "moto_settings")
    return found


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """An empty store of each kind in turn."""
    opened = open_store(settings)
    yield opened
    opened.close()


@pytest.fixture
def run(weed_settings: Settings) -> Iterator[Run]:
    """A run on an empty lake on SeaweedFS."""
    with begin_run(weed_settings, "test", "test") as begun:
        yield begun


@dataclass(frozen=True)
class Built:
    """The flights lake, built: its settings, the run that built it, and what that run reported."""

    settings: Settings
    run: Run
    report: Report


@pytest.fixture(scope="session")
def flights_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The lake of flows/nyc, run once without Prefect on an embedded store. Tests only read it."""
    settings = load_settings(home=tmp_path_factory.mktemp("flights"), root=ROOT)
    with begin_run(settings, "nyc", "test") as begun:
        report = load_pipeline(settings, "nyc").run(begun)
        report.raise_failures()
        yield Built(settings, begun, report)
        begun.store.close(wait=True)
