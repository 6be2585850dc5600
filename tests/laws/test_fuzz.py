"""Files of every format and packing, damaged at random: each is rejected with a reason or read, and then every record is a row or a reject. None ends the process that
reads it, none takes more than a gigabyte, and none takes for ever.

In `make test` some of always the same; in `make laws` others for LAKE_FUZZ_MINUTES (10) from LAKE_LAWS_SEED on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.laws.draws import FULL
from tests.laws.fuzzed import FORMATS, PACKINGS, drawn

_MINUTES = float(os.environ.get("LAKE_FUZZ_MINUTES", "10"))
_FIRST = int(os.environ.get("LAKE_LAWS_SEED", "0"))
_MOST_MEMORY = 1_000_000  # kilobytes
_A_BATCH, _A_FILE = 200, 200.0  # files, and seconds that one may take


def _memory(pid: int) -> Iterator[int]:
    """Kilobytes of a process and of those that it started."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            told = dict(line.split(":", 1) for line in status.read_text("utf-8", "replace").splitlines() if ":" in line)
        except OSError:
            continue  # gone meanwhile
        if int(told.get("Pid", 0)) == pid or int(told.get("PPid", 0)) == pid:
            yield int(told.get("VmHWM", "0 kB").split()[0])


def _checked(first: int, count: int, told: Path) -> None:
    most, seen, last = 0, 0, time.monotonic()
    with told.open("w") as handle:
        process = subprocess.Popen([sys.executable, "-m", "tests.laws.fuzzed", str(first), str(count)], cwd=ROOT, stdout=handle, stderr=subprocess.STDOUT)
    try:
        while process.poll() is None:
            if told.stat().st_size != seen:
                seen, last = told.stat().st_size, time.monotonic()
            most = max([most, *_memory(process.pid)])
            assert time.monotonic() - last < _A_FILE, f"stuck after {told.read_text().split()[-1:]}"
            assert most < _MOST_MEMORY, f"{most:,} kB of memory after {told.read_text().split()[-1:]}"
            time.sleep(0.05)
        assert process.returncode == 0, told.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up in /proc")
@pytest.mark.timeout(_MINUTES * 60 + 300)
def test_no_file_ends_fills_or_holds_up_who_reads_it(tmp_path: Path) -> None:
    """And no record of it is lost or comes twice."""
    if not FULL:
        _checked(0, 60, tmp_path / "told")
        return
    until, first = time.monotonic() + _MINUTES * 60, _FIRST
    while first == _FIRST or time.monotonic() < until:
        print(f"LAKE_LAWS_SEED={first}")  # noqa: T201  # says how to draw the same again
        _checked(first, _A_BATCH, tmp_path / "told")
        first += _A_BATCH


def test_every_format_and_packing_is_drawn() -> None:
    """Among a thousand files, undamaged ones too."""
    names = {drawn(number)[0] for number in range(1000)}
    assert {name + packing for name in FORMATS for packing in PACKINGS} <= names
