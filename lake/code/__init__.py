"""Which code made a table: a fingerprint of all that a hop's function reaches, which changes when the rows may, and not with how or where the code is written.

Start with `walk`, which follows what a function refers to; `syntax` spells code, `spelling`, `frames` and `classes` spell values, `sources` has the text
of what was imported, `refusals` says what no fingerprint can see, and `kept` puts what made a fingerprint into the store.
"""

from lake.code.checkout import code_of, engine_versions
from lake.code.kept import Change, changes_between, keep, recall
from lake.code.parts import SCHEME, Part, Seen, digest_of
from lake.code.sources import keeping_loader, keeping_sources
from lake.code.walk import seen_from, spelled_alone

__all__ = [
    "SCHEME", "Change", "Part", "Seen", "changes_between", "code_of", "digest_of", "engine_versions", "keep", "keeping_loader", "keeping_sources", "recall", "seen_from", "spelled_alone",
]  # fmt: skip
