"""Where the columns of a hop's output come from, and how: derived from the plan that Polars resolves, never declared by hand.

`trace` answers for a hop and the columns of what it reads; `remember` keeps the answer in the store, once for each code fingerprint.
"""

from lake.origins.alone import looks_across_rows
from lake.origins.stored import Document, document_of, recall, remember
from lake.origins.trace import Origins, trace

__all__ = ["Document", "Origins", "document_of", "looks_across_rows", "recall", "remember", "trace"]
