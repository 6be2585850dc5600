"""Whether a range of a table is computed already, by the code as it is and from the versions that the table has read."""

from __future__ import annotations

from lake.hop import Hop
from lake.plan import Range
from lake.run import Run
from lake.table import path_of


def is_done(run: Run, hop: Hop, part: Range) -> bool:
    """Whether the table holds, of `part`, just what computing it now would give.

    It does if a commit computed that very range by this code from the versions of the inputs that the table has read by now. Reads
    commits back to the last one that read other versions.
    """
    log = run.log(path_of(hop.table.name))
    last = log.last_record()
    read = [(given.table, given.end) for given in last[1].inputs] if last else []
    while last is not None:
        version, record = last
        if record.kind == "hop":
            if [(given.table, given.end) for given in record.inputs] != read:
                return False
            within = record.within
            made_by = within.fingerprint if within is not None else record.code.fingerprint if record.code else None
            if made_by != hop.fingerprint:
                return False
            if within is not None and (within.start, within.end, within.fingerprint) == (part.start, part.end, hop.fingerprint):
                return True
        last = log.last_record(until=version - 1)
    return False
