"""Putting old commits together, so that a log does not grow by an object a commit for ever. None is lost: each holds a record.

First they are kept together beside the log; only when that copy is as old as a version must stay readable are the single ones removed, so that no
backup that began before misses both. Who reads a log by lake sees no difference. Other engines can then open the versions after the oldest single commit.
"""

from __future__ import annotations

import datetime as dt
import itertools

from lake.errors import NotFound
from lake.log import CHECKPOINT_EVERY, TableLog
from lake.packed import PACKED, TOGETHER, pack, packed_path, unpack
from lake.run import Run
from lake.store import Blob

_CHECKPOINTS = 10
"""How many checkpoints after a thousand commits are looked for: one that failed was made up for by the next."""


def pack_commits(run: Run, path: str) -> int:
    """Put the commits of the table at `path` together that are older than the policy keeps them single, or remove single ones whose copy is old enough. Returns how many."""
    log = run.log(path)
    newest = log.version()
    if newest < TOGETHER:
        return 0
    now = dt.datetime.now(dt.UTC)
    copies = {blob.path: blob for blob in run.store.walk(f"{PACKED}/{path}")}
    done = 0
    for first in range(0, newest - TOGETHER + 1, TOGETHER):
        copy = copies.get(packed_path(path, first))
        if copy is None:
            done += _put_together(run, log, first, newest, before=now - run.settings.log_retention)
        elif copy.modified < now - run.settings.retention:
            done += _removed(run, log, first, copy)
    return done


def _put_together(run: Run, log: TableLog, first: int, newest: int, *, before: dt.datetime) -> int:
    """Keep a thousand commits from `first` on together, where the last is old enough and a later checkpoint has all that came of them."""
    last = first + TOGETHER - 1
    if log.committed(last) >= before or not _is_summed_up(run, log, last + 1, newest):
        return 0
    commits = log.texts(first, last)
    run.store.put_if_absent(packed_path(log.path, first), pack(commits))
    return len(commits)


def _is_summed_up(run: Run, log: TableLog, version: int, newest: int) -> bool:
    """Whether there is a checkpoint at `version` or soon after it."""
    ends = range(version, min(newest, version + _CHECKPOINTS * CHECKPOINT_EVERY) + 1, CHECKPOINT_EVERY)
    return any(run.store.head(f"{log.path}/_delta_log/{end:020d}.checkpoint.parquet") is not None for end in ends)


def _removed(run: Run, log: TableLog, first: int, copy: Blob) -> int:
    """Remove the single commits that are in the copy as they are; the copy is read back for it."""
    single = list(itertools.takewhile(lambda version: version < first + TOGETHER, log.single(first - 1)))
    if not single:
        return 0
    kept = unpack(run.store.get(copy.path))
    gone = []
    for version in single:
        try:
            if version in kept and run.store.get(log.name(version)).decode() == kept[version]:
                gone.append(log.name(version))
        except NotFound:  # by another upkeep
            continue
    run.store.delete(gone)
    return len(gone)
