"""A source's folder gives the files in it and nothing else: no link leads out of it, no pipe or device is waited for, whatever takes a file's place."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from lake.errors import SourceError
from lake.inbox import chunks_of
from lake.landed import landed_line
from lake.landing import land
from lake.receipts import LANDINGS
from lake.run import Run
from lake.source import Source, offered
from lake.table import Table

TABLE = Table("bronze.test.files")


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "good.csv").write_text("a\n1\n")
    (folder / "sub" / "inner.csv").write_text("a\n2\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key.csv").write_text("secret\n1\n")
    return folder


def test_what_is_no_plain_file_of_the_folder_is_not_read_and_said(run: Run, tmp_path: Path) -> None:
    """Links out of it (to a file, to a folder, by a relative path, to the process's environment), to nothing, in circles; pipes, sockets and devices."""
    folder = _folder(tmp_path)
    (folder / "out.csv").symlink_to(tmp_path / "outside" / "key.csv")
    (folder / "relative.csv").symlink_to("../outside/key.csv")
    (folder / "dir").symlink_to(tmp_path / "outside")
    (folder / "environ.csv").symlink_to("/proc/self/environ")
    (folder / "zero.csv").symlink_to("/dev/zero")
    (folder / "nothing.csv").symlink_to(folder / "nowhere.csv")
    (folder / "circle.csv").symlink_to(folder / "circle.csv")
    (folder / "up").symlink_to(folder)
    (folder / "same.csv").symlink_to("sub/inner.csv")
    os.mkfifo(folder / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(folder)  # the path of a socket is short
        try:
            one.bind("socket.csv")
        finally:
            os.chdir(here)
        started = time.monotonic()
        landed = land(run, Source(TABLE, folder))
    assert time.monotonic() - started < 30
    assert sorted([*landed.new, *landed.duplicates]) == ["good.csv", "same.csv", "sub/inner.csv"]
    assert landed.problems == []
    out = "it is a link out of the source's folder, and not followed"
    assert landed.passed == {
        "out.csv": out, "relative.csv": out, "environ.csv": out, "zero.csv": out,
        "dir": "it is a link to a folder outside of the source's folder, and not followed",
        "nothing.csv": "it is a link to nothing", "circle.csv": "it is a link that leads back to itself",
        "pipe.csv": "it is a named pipe, and not read", "socket.csv": "it is a socket, and not read",
    }  # fmt: skip
    assert f"passed over: circle.csv (it is a link that leads back to itself), dir ({landed.passed['dir']})" in landed_line(landed)
    record = run.log(LANDINGS).last_record()
    assert record is not None
    assert {notice.file: notice.detail for notice in record[1].notices if notice.what == "passed"} == landed.passed
    assert "out.csv is passed over" in " ".join(notice.line() for notice in record[1].notices)


@pytest.mark.parametrize("swap", ["link", "pipe", "device", "folder", "parent"])
def test_what_takes_a_files_place_after_the_folder_was_listed_is_not_read(run: Run, tmp_path: Path, swap: str) -> None:
    """No byte of it, and nobody waits for it; the others are read."""
    folder = _folder(tmp_path)
    offer = offered(Source(TABLE, folder), run.store, tmp_path)
    victim = folder / "sub" / "inner.csv"
    victim.unlink()
    if swap == "link":
        victim.symlink_to(tmp_path / "outside" / "key.csv")
    elif swap == "pipe":
        os.mkfifo(victim)
    elif swap == "device":
        victim.symlink_to("/dev/zero")
    elif swap == "folder":
        victim.mkdir()
    else:
        (folder / "sub").rmdir()
        (tmp_path / "outside" / "inner.csv").write_text("secret\n1\n")
        (folder / "sub").symlink_to(tmp_path / "outside")
    read, refused = dict[str, bytes](), dict[str, str]()
    for name in offer.names:
        try:
            read[name] = b"".join(offer.chunks(name))
        except SourceError as error:
            refused[name] = error.message
    assert read == {"good.csv": b"a\n1\n"}
    assert list(refused) == ["sub/inner.csv"]
    assert "is not" in refused["sub/inner.csv"]


def test_a_link_that_is_declared_itself_is_followed(run: Run, tmp_path: Path) -> None:
    """Whoever writes `at` says which file is meant; what it leads to must be a plain file all the same."""
    folder = _folder(tmp_path)
    (folder / "current.csv").symlink_to(tmp_path / "outside" / "key.csv")
    assert land(run, Source(TABLE, folder / "current.csv")).new == ["current.csv"]
    (folder / "zero").symlink_to("/dev/zero")
    with pytest.raises(SourceError, match="no plain file"):
        b"".join(chunks_of(folder, "zero", linked=True))
