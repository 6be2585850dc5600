"""Traces: a span for each run, one for each step of it, and one for each phase of a step. By OpenTelemetry's API; sent only where OTEL_* says so.

Without those variables, and without a provider that the surrounding program set up, every span is the API's own no-op.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import ProxyTracerProvider, Span, Status, StatusCode, Tracer

from lake import meter
from lake.confidential import hidden
from lake.errors import LakeError, SettingsError
from lake.record import RunInfo
from lake.settings import traces_exporter
from lake.version import installing, version

Attributes = Mapping[str, str | int | float | bool]
_mutex = threading.Lock()


def start_traces() -> None:
    """Send spans where the standard OTEL_* variables say, from now on and until the process ends. Raises SettingsError where that cannot be.

    A provider that is set up already, by the surrounding program, stays.
    """
    wanted = traces_exporter()
    if wanted is None:
        return
    with _mutex:
        if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
            trace.set_tracer_provider(_provider(wanted))


def _provider(wanted: str) -> Any:
    """A provider of the SDK that exports as `wanted`; it flushes when the process ends. What else it does, OTEL_* variables say."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    except ImportError as error:
        raise SettingsError(f"OTEL_* asks for traces, but {error.name} is not installed", f"{installing('observe')}, or OTEL_TRACES_EXPORTER=none") from None
    if wanted not in ("otlp", "console"):
        raise SettingsError(f"lake does not send traces by {wanted}", "OTEL_TRACES_EXPORTER may be otlp (over http/protobuf), console or none")
    given = Resource.create()  # from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    named = not str(given.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    provider = TracerProvider(resource=given if named else given.merge(Resource({SERVICE_NAME: "lake"})))
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a collector that does not answer is worth one line, not one a retry
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter() if wanted == "otlp" else ConsoleSpanExporter()))
    return provider


@contextmanager
def run_span(info: RunInfo, env: str) -> Iterator[Span]:
    """A span for the run. Its steps name it as their parent, in whatever thread they are done."""
    attributes = {"lake.run": info.id, "lake.flow": info.flow, "lake.trigger": info.trigger, "lake.env": env}
    if info.prefect_flow_run:
        attributes["prefect.flow_run"] = info.prefect_flow_run
    with _telling(info.flow, attributes) as span:
        yield span


@contextmanager
def step_span(run: Span | None, info: RunInfo, name: str, kind: str) -> Iterator[Span]:
    """A span for one step of the run whose span is `run`, named after the table it fills; a span of Prefect's around it is linked."""
    around = trace.get_current_span().get_span_context()
    parent = trace.set_span_in_context(run) if run is not None else None
    links = [trace.Link(around)] if run is not None and around.is_valid and around != run.get_span_context() else []
    with _telling(name, {"lake.run": info.id, "lake.flow": info.flow, "lake.kind": kind}, parent, links) as span:
        yield span


def add_phases(phases: list[meter.Span]) -> None:
    """A span for each phase of the step whose span is open here."""
    if trace.get_current_span().is_recording():
        for phase in phases:
            _tracer().start_span(phase.name, start_time=phase.start).end(phase.end)


def describe(span: Span, facts: Mapping[str, Any]) -> None:
    """Have a step's span say what came of it: each fact as an attribute `lake.…`, those of a group as `lake.<group>.…`."""
    if span.is_recording():
        span.set_attributes({f"lake.{name}": value for name, value in facts.items() if isinstance(value, str | int | float)})
        groups = {name: value for name, value in facts.items() if isinstance(value, Mapping)}
        span.set_attributes({f"lake.{group}.{name}": value for group, entries in groups.items() for name, value in entries.items()})


def failed(errors: Mapping[str, LakeError]) -> None:
    """Have the span that is open here say that it failed, and of what."""
    span = trace.get_current_span()
    for error in errors.values():
        _record(span, error)
    span.set_status(Status(StatusCode.ERROR, "; ".join(f"{name}: {error.message}" for name, error in errors.items())))


@contextmanager
def _telling(name: str, attributes: Attributes, parent: Context | None = None, links: Sequence[trace.Link] = ()) -> Iterator[Span]:
    """A span around the block. An error that passes is recorded in its own words, and sets the status."""
    with _tracer().start_as_current_span(name, parent, attributes=attributes, links=links, record_exception=False, set_status_on_exception=False) as span:
        try:
            yield span
        except BaseException as error:
            _record(span, error)
            span.set_status(Status(StatusCode.ERROR, hidden(str(error)) or type(error).__name__))
            raise


def _record(span: Span, error: BaseException) -> None:
    """Have the span tell of the error without what is secret."""
    trace_of = hidden("".join(traceback.format_exception(error)))
    span.record_exception(error, attributes={"exception.message": hidden(str(error)), "exception.stacktrace": trace_of})


def _tracer() -> Tracer:
    return trace.get_tracer("lake", version())
