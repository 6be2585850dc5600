"""Structured logs: what a run does, one event a line, over the standard library's logging. Off unless LAKE_LOG says json or text.

The logger is called `lake`. A program around lake that has handlers of its own gets the events too, each with its fields as `record.lake`.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Any, Literal, TextIO

from lake.confidential import hidden, hidden_in
from lake.plain_text import STEERING, in_line
from lake.record import RunInfo
from lake.spelling import finite

_logger = logging.getLogger("lake")
_logger.addHandler(logging.NullHandler())  # silence is the default: without it, errors would go to standard error twice


class _Hiding(logging.Filter):
    """Takes what is secret out of an event and its fields, whoever writes it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is to be written: always."""
        record.msg, record.args = hidden(record.getMessage()), None
        if fields := getattr(record, "lake", None):
            record.lake = hidden_in(fields)
        return True


_logger.addFilter(_Hiding())


class HidingRecord(logging.LogRecord):
    """A record of any logger that is told without what is secret, its traceback too: `logging.setLogRecordFactory(HidingRecord)` in processes of lake's."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if isinstance(self.exc_info, tuple) and self.exc_info[1] is not None:
            self.exc_text = hidden(logging.Formatter().formatException(self.exc_info))

    def getMessage(self) -> str:  # noqa: N802  # the name the base has
        """The message, which whoever shows it asks for."""
        return hidden(super().getMessage())


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to standard error, whatever that is at the moment."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, message, then the event's fields, those that are empty left out."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        fields: dict[str, Any] = getattr(record, "lake", {})
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        said = {"time": at, "level": record.levelname.lower(), "event": fields.get("event", "message"), "message": record.getMessage()}
        told = said | {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
        text = json.dumps(finite(told), default=str, ensure_ascii=False, allow_nan=False)
        return STEERING.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


class TextFormatter(logging.Formatter):
    """The same as a plain line: time, level, event, run, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields: dict[str, Any] = getattr(record, "lake", {})
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        words = [at, record.levelname, fields.get("event", ""), fields.get("run", ""), fields.get("step", "")]
        return in_line(" ".join([*(str(word) for word in words if word), " ".join(record.getMessage().split())]))


def start_logs(kind: Literal["off", "text", "json"]) -> None:
    """Write events to standard error from now on, as JSON or as text; or no more. Safe to repeat."""
    for handler in [handler for handler in _logger.handlers if isinstance(handler, _Handler)]:
        _logger.removeHandler(handler)
    _logger.propagate = kind == "off"  # what is written here is not written by Prefect's handlers too
    if kind != "off":
        _logger.addHandler(_Handler(JsonFormatter() if kind == "json" else TextFormatter()))
        _logger.setLevel(logging.INFO)


def tell(event: str, message: str, info: RunInfo | None = None, *, error: BaseException | None = None, **fields: Any) -> None:
    """One event of a run, with its fields; at level ERROR where there is an `error`."""
    about: dict[str, Any] = {"event": event}
    if info is not None:
        about |= {"run": info.id, "flow": info.flow, "trigger": info.trigger, "prefect_flow_run": info.prefect_flow_run}
    if error is not None:
        about["error"] = type(error).__name__
    _logger.log(logging.INFO if error is None else logging.ERROR, "%s", message, extra={"lake": about | fields})
