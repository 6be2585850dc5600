"""The embedded store: SeaweedFS, a real S3 server that keeps its data on disk, on 127.0.0.1, for this project alone."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import secrets
import shutil
import socket
import stat
import sys
import sysconfig
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from lake.certificates import certified
from lake.confidential import keep
from lake.errors import HomeRefused, StoreError, of_system
from lake.patience import tell_people
from lake.service import Launch, Service, free_ports, is_free, last_port, listens, write_private_once

_PORTS = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
_LINGER = 3.0  # seconds; one command after another finds the store running
_STOPS_WITHIN = 3.0  # seconds; it takes one to two, but one stop in seven hangs in the volume server (4.48), and the next command waits for its end
_SOCKETS = Path("/tmp")  # noqa: S108  # where SeaweedFS puts them, and leaves them, whatever it is told
_ADMIN_GRPC_OFFSET = 10_000  # SeaweedFS adds this to the admin port whatever it is told


def embedded_service(folder: Path, bucket: str) -> Service:
    """The store whose data is in `folder`/data: shared by all processes that name the same folder, stopped by the last."""
    return Service(folder, lambda: _launch(folder, bucket), partial(_answers, folder, bucket), linger=_LINGER)


def embedded_keys(folder: Path) -> tuple[str, str]:
    """The key pair of the embedded store: made at first use, readable to the owner only."""
    file = folder / "s3.json"
    if not file.exists():
        access, secret = "lake" + secrets.token_hex(8), secrets.token_urlsafe(30)
        identity = {"name": "lake", "credentials": [{"accessKey": access, "secretKey": secret}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        folder.mkdir(parents=True, exist_ok=True)
        write_private_once(file, json.dumps({"identities": [identity]}))
    try:
        if file.stat().st_mode & 0o077:
            os.chmod(file, 0o600)
            tell_people(f"{file} could be read by others, and no longer can; if others work on this machine, remove it: the next start makes a new pair")
        pair = json.loads(file.read_text("utf-8"))["identities"][0]["credentials"][0]
        return str(pair["accessKey"]), str(pair["secretKey"])
    except (ValueError, LookupError, TypeError):
        raise HomeRefused(f"{file} is damaged: it holds no pair of keys", "Remove it, and the next start makes a new pair; the data stays as it is") from None
    except OSError as error:
        raise of_system(error, str(file)) or HomeRefused(f"{file} cannot be read", "Give it back to whoever runs lake, with mode 600") from None


def weed_binary() -> str:
    """The path of SeaweedFS's `weed`. Raises StoreError where its wheel is not installed."""
    name = "weed.exe" if sys.platform == "win32" else "weed"
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None or sys.platform == "win32":
        raise StoreError(
            f"there is no embedded store for {sys.platform}",
            "Give an S3-compatible endpoint: AWS_ENDPOINT_URL=https://… with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return found


def _launch(folder: Path, bucket: str) -> Launch:
    binary = weed_binary()
    embedded_keys(folder)
    data = folder / "data"
    if not data.exists() and (folder / "launch.json").exists():
        raise HomeRefused(
            f"{data} is gone, though a store ran here before: its tables and files were in it",
            f"Put it back from where it was moved to, or from a backup; to begin with an empty lake, remove {folder}",
        )
    data.mkdir(exist_ok=True)
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    before = last_port(folder, "endpoint")
    if before is not None and is_free(before):
        ports["s3.port"] = before  # whoever works with the store finds it again after it was restarted
    (ports["admin.port"],) = free_ports(1, below=65536 - _ADMIN_GRPC_OFFSET)
    ports["admin.port.grpc"] = ports["admin.port"] + _ADMIN_GRPC_OFFSET
    command = [
        binary, "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={bucket}", f"-s3.config={folder / 's3.json'}",
        "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-filer.disableDirListing=true", "-filer.exposeDirectoryData=false", "-volume.preStopSeconds=0",
        f"-s3.allowedOrigins=http://127.0.0.1:{ports['s3.port']}", f"-filer.allowedOrigins=http://127.0.0.1:{ports['s3.port']}",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    _sweep()
    sockets = [str(_SOCKETS / f"seaweedfs-{part}-{port}.sock") for part, port in _sockets(ports)]
    return Launch(command, {"endpoint": f"http://127.0.0.1:{ports['s3.port']}"}, certified(folder), cleanup=sockets, stops_within=_STOPS_WITHIN)


def _sweep(folder: Path = _SOCKETS, young: float = 60.0) -> None:
    """Remove sockets that SeaweedFS servers of this user left when they and their keepers were killed: of its names, old enough, and nobody listens."""
    for path in folder.glob("seaweedfs-*-[0-9]*.sock"):
        with contextlib.suppress(OSError):
            about = path.lstat()
            if stat.S_ISSOCK(about.st_mode) and about.st_uid == os.getuid() and time.time() - about.st_mtime > young and not listens(str(path)):
                path.unlink()


def _sockets(ports: dict[str, int]) -> list[tuple[str, int]]:
    return [(name.replace(".port.grpc", "-grpc").replace(".port", ""), port) for name, port in ports.items()]


def past_proxies() -> None:
    """Have all clients in this process talk to this machine without a proxy: the environment is the one way to tell every client at once."""
    beside = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    if "127.0.0.1" not in beside:
        os.environ["NO_PROXY"] = f"{beside},127.0.0.1".lstrip(",")


def embedded_options(folder: Path, endpoint: str) -> dict[str, str]:
    """How clients reach the embedded store at `endpoint`, whatever AWS_* variables and proxies the shell has for other stores."""
    access, secret = embedded_keys(folder)
    keep(secret)
    past_proxies()
    return {
        "aws_endpoint": endpoint, "aws_allow_http": "true", "aws_access_key_id": access, "aws_secret_access_key": secret,
        "aws_session_token": "", "aws_skip_signature": "false", "aws_s3_express": "false",
    }  # fmt: skip


def _answers(folder: Path, bucket: str, facts: dict[str, Any]) -> bool:
    """Whether S3 answers, knows our keys, and has made the bucket."""
    address = urlsplit(facts["endpoint"])
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=2).close()  # a client is not made in vain
    except OSError:
        return False
    options = embedded_options(folder, facts["endpoint"]) | {"aws_region": "us-east-1", "aws_virtual_hosted_style_request": "false"}
    del options["aws_allow_http"]  # a client option here
    try:
        retry = {"max_retries": 0, "retry_timeout": dt.timedelta(seconds=2)}
        store = S3Store(bucket, config=options, client_options={"allow_http": True, "timeout": "2s"}, retry_config=retry)  # type: ignore[arg-type]  # obstore takes plain dicts
        obstore.list_with_delimiter(store)
    except (BaseError, OSError):
        return False
    return True
