"""Tracing rows: from a row of any table down to the raw records it was made from, computed again from them; and from a raw record up."""

from lake.trace.reach import Reached, reach
from lake.trace.told import Trace
from lake.trace.tracing import LIMIT, trace

__all__ = ["LIMIT", "Reached", "Trace", "reach", "trace"]
