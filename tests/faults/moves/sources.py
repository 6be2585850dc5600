"""Where words on customers come from."""

from lake.source import Source

from . import tables

moves = Source(tables.bronze_moves, "incoming/moves", "*.csv", description="What was said of customers")
