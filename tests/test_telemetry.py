"""Traces: what a real OTLP receiver gets of a run, what goes wrong included; and that nothing costs where nothing is asked for."""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from lake.errors import SettingsError
from lake.service import free_ports
from lake.settings import traces_exporter
from lake.telemetry import start_traces
from tests.conftest import ROOT, fresh_env
from tests.test_cli import Project, make_project

STEPS = {"land shop.orders": "land", "bronze.shop.orders": "ingest", "silver.shop.orders": "hop", "gold.shop.totals": "hop"}


class Receiver(ThreadingHTTPServer):
    """An OTLP collector: keeps every span that it is sent, decoded, and the service that sent it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.services: set[str] = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> Span:
        """The one span of that name."""
        (found,) = (span for span in self.spans if span.name == name)
        return found

    def below(self, parent: Span) -> list[Span]:
        """The spans whose parent is that one, as they began."""
        return sorted((span for span in self.spans if span.parent_span_id == parent.span_id), key=lambda span: span.start_time_unix_nano)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Take a batch of spans."""
        body = self.rfile.read(int(self.headers["content-length"]))
        sent = ExportTraceServiceRequest.FromString(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
        for resource in sent.resource_spans:
            self.server.services |= {told.value.string_value for told in resource.resource.attributes if told.key == "service.name"}
            self.server.spans += [span for scope in resource.scope_spans if scope.scope.name == "lake" for span in scope.spans]
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("content-type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(ExportTraceServiceResponse().SerializeToString())

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the name that the class has
        """Say nothing."""


def attributes(span: Span) -> dict[str, Any]:
    """A span's attributes."""
    return {told.key: getattr(told.value, told.value.WhichOneof("value")) for told in span.attributes}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A collector that gets the traces of two runs of a project: one that goes well, and one that fails half-way."""
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, weed_home: Path) -> Project:
    """A project with a lake of its own."""
    return make_project(tmp_path_factory.mktemp("traced"), LAKE_HOME=str(weed_home), LAKE_ENV=fresh_env())


@pytest.fixture(scope="module")
def traced(shop: Project, receiver: Receiver) -> list[dict[str, Any]]:
    """What `lake run` said of a run that was traced."""
    rows: list[dict[str, Any]] = json.loads(shop.lake("run", "--no-prefect", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url).did().out)
    return rows


def test_a_run_is_a_span_with_one_span_a_step(traced: list[dict[str, Any]], receiver: Receiver) -> None:
    """The run is the root; below it is exactly one span a step, named after its table, of one trace; nothing failed."""
    run = receiver.named("shop")
    assert run.parent_span_id == b""
    assert {span.name: attributes(span)["lake.kind"] for span in receiver.below(run)} == STEPS
    assert len(receiver.below(run)) == len(STEPS) == len(traced)
    assert {span.trace_id for span in receiver.spans} == {run.trace_id}
    assert {span.status.code for span in receiver.spans} == {Status.STATUS_CODE_UNSET}
    assert receiver.services == {"lake"}
    assert (attributes(run)["lake.flow"], attributes(run)["lake.trigger"]) == ("shop", "cli")


def test_a_steps_span_says_what_came_of_it(traced: list[dict[str, Any]], shop: Project, receiver: Receiver) -> None:
    """A step's span has the run, table, version, mode, ledger, rejects and requests that its commit record has."""
    (commit,) = shop.rows("history", "silver.shop.orders")
    told = attributes(receiver.named("silver.shop.orders"))
    expected = {"lake.run": commit["run"], "lake.flow": "shop", "lake.table": "silver.shop.orders", "lake.version": 0, "lake.mode": "full", "lake.rejects": 1}
    expected |= {f"lake.ledger.{entry}": count for entry, count in commit["ledger"].items() if count}
    assert told.items() >= expected.items()
    assert told["lake.ledger.rejected"] == 1
    assert told["lake.store.put"] > 0
    assert {row["step"] for row in traced} == STEPS.keys()


def test_each_phase_is_a_span_within_its_step(traced: list[dict[str, Any]], receiver: Receiver) -> None:
    """Below a step are its phases, one after the other, within its time, and as long as the commit record says."""
    step = receiver.named("silver.shop.orders")
    phases = receiver.below(step)
    assert [span.name for span in phases] == ["plan", "transform", "settle", "quarantine", "write", "commit"]
    assert step.start_time_unix_nano <= phases[0].start_time_unix_nano
    for one, following in itertools.pairwise(phases):
        assert one.end_time_unix_nano <= following.start_time_unix_nano + 5_000_000
    seconds = next(row for row in traced if row["step"] == step.name)["seconds"]
    assert (phases[1].end_time_unix_nano - phases[1].start_time_unix_nano) / 1e9 == pytest.approx(seconds["transform"], abs=1e-4)


def test_what_failed_has_the_error(traced: list[dict[str, Any]], shop: Project, receiver: Receiver) -> None:
    """The step that failed and its run have status error with the message, and the exception is recorded; what needs the step has no span."""
    receiver.spans.clear()
    shop.edit("hops", 'raw.select("order"', 'raw.select("ordre"')
    shop.write("incoming/tuesday.csv", "order,customer,amount\n9,zoe,1\n")
    said = shop.lake("run", "--no-prefect", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SERVICE_NAME="the shop")
    assert said.code == 1
    run, step = receiver.named("shop"), receiver.named("silver.shop.orders")
    assert {span.name for span in receiver.below(run)} == STEPS.keys() - {"gold.shop.totals"}
    for span in (run, step):
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert "ordre" in span.status.message
        (event, *_) = span.events
        assert event.name == "exception"
        assert {told.key: told.value.string_value for told in event.attributes}["exception.type"].endswith("HopFailed")
    assert receiver.named("bronze.shop.orders").status.code == Status.STATUS_CODE_UNSET
    assert "the shop" in receiver.services


def test_a_collector_that_is_away_fails_nothing(shop: Project, traced: list[dict[str, Any]]) -> None:
    """A run whose spans nobody takes goes well; that they were lost is one line."""
    (port,) = free_ports(1)
    said = shop.lake("land", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert said.code == 0
    assert len(said.err.splitlines()) == 1
    assert traced


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where traces are asked for and the extra is not installed, or a way of sending is not ours, that is said before anything runs."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SettingsError, match="otlp over grpc"):
        start_traces()
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_PROTOCOL")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"pip install 'ledgerlake\[observe\]'"):
        start_traces()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, None),
    ],
)
def test_the_standard_variables_decide(variables: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces go out where OTEL_* says so, and nowhere else."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert traces_exporter() == expected


def test_nothing_is_imported_that_is_not_asked_for(tmp_path: Path) -> None:
    """`import lake` brings no OpenTelemetry, the engine only its API, and a lake that is opened no SDK either."""
    code = """
import sys, lake
assert not [name for name in sys.modules if name.startswith(("opentelemetry", "prometheus_client"))]
import lake.pipeline
from lake.telemetry import start_traces
start_traces()
print(sorted({name.split(".")[1] for name in sys.modules if name.startswith("opentelemetry.")} & {"sdk", "exporter"}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
