"""How many files share a commit: so many that commits stay few, and so few that one has room on disk and is soon done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

FILES_A_COMMIT = 256
BYTES_A_COMMIT = 1 << 29


def fits(files: int, size: int) -> bool:
    """Whether so many files, of `size` bytes together, may share a commit."""
    return files <= FILES_A_COMMIT and size <= BYTES_A_COMMIT


def portions(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Files of these `sizes` (bytes), cut in their order into commits: start and end of each. A file too large to share one is alone."""
    start, size = 0, 0
    for at, more in enumerate(sizes):
        if at > start and not fits(at + 1 - start, size + more):
            yield start, at
            start, size = at, 0
        size += more
    if start < len(sizes):
        yield start, len(sizes)
