"""Partitions on several hosts: network namespaces with nothing between them but a bridge, one of which is cut off half-way."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lake.embedded import embedded_keys, weed_binary
from lake.service import free_ports
from tests.outside import outside
from tests.test_cli import Project
from tests.test_spread import FILES, shop, told
from tests.town import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(290)]

_CLEAN = outside()
_PREFECT_PORT, _S3_PORT, _DASK_PORT = 4200, 8333, 8786


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


@dataclass
class Net:
    """A bridge of this machine's with an address, and hosts behind it. `processes` are what was started."""

    name: str
    address: str
    hosts: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def host(self, number: int) -> str:
        """A further host; its name."""
        name, near, far = f"{self.name}h{number}", f"{self.name}n{number}", f"{self.name}f{number}"
        _ip("netns", "add", name)
        self.hosts[name] = f"{self.address.rsplit('.', 1)[0]}.{number + 1}"
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("link", "set", near, "master", self.name, "up")
        _ip("-n", name, "addr", "add", f"{self.hosts[name]}/24", "dev", far)
        _ip("-n", name, "link", "set", far, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return name

    def plug(self, host: str, state: str) -> None:
        """Its cable: `up`, or `down`."""
        _ip("link", "set", f"{self.name}n{host.rsplit('h', 1)[1]}", state)

    def start(self, log: Path, *command: str, host: str | None = None, **variables: str) -> subprocess.Popen[bytes]:
        """A process, on this machine or on a host."""
        there = ["ip", "netns", "exec", host] if host else []
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            self.processes.append(subprocess.Popen([*there, *command], cwd=log.parent, env=_CLEAN | variables, stdout=out, stderr=out))
        return self.processes[-1]


@pytest.fixture
def net() -> Iterator[Net]:
    """A network of the test's own; skipped where it may not be made."""
    made = Net(f"lk{secrets.token_hex(2)}", f"10.213.{os.getpid() % 250}.1")
    if shutil.which("ip") is None:
        pytest.skip("there is no ip(8) here: apt-get install iproute2")
    try:
        _ip("link", "add", made.name, "type", "bridge")
    except subprocess.CalledProcessError as refused:
        pytest.skip(f"networks may not be made here: {refused.stderr.decode().strip()}")
    try:
        _ip("addr", "add", f"{made.address}/24", "dev", made.name)
        _ip("link", "set", made.name, "up")
        yield made
    finally:
        for process in reversed(made.processes):
            process.terminate()
        for process in made.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        for host in made.hosts:
            _ip("netns", "del", host)
        _ip("link", "del", made.name)


def _store(net: Net, place: Path) -> dict[str, str]:
    """SeaweedFS on the bridge, as a store of somebody else's; how it is reached."""
    folder = place / "seaweedfs"
    key, secret = embedded_keys(folder)
    ports = dict(
        zip(("s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"), free_ports(7), strict=True)
    )
    (ports["admin.port"],) = free_ports(1, below=55_000)
    net.start(
        folder / "log", weed_binary(), "mini", f"-dir={folder}", f"-ip={net.address}", f"-ip.bind={net.address}", "-bucket=lake", f"-s3.config={folder / 's3.json'}",
        f"-s3.port={_S3_PORT}", f"-admin.port.grpc={ports['admin.port'] + 10_000}", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false", *(f"-{name}={port}" for name, port in ports.items()),
    )  # fmt: skip
    return {"LAKE_ENDPOINT": f"http://{net.address}:{_S3_PORT}", "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "LAKE_BUCKET": "lake"}


def _prefect(net: Net, place: Path) -> dict[str, str]:
    """A Prefect server on the bridge; how it is reached."""
    known = {"PREFECT_HOME": str(place / "prefect"), "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = ["-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", "--host", net.address, "--port", str(_PREFECT_PORT)]
    net.start(place / "prefect" / "log", sys.executable, *command, PREFECT__SERVER_FINAL="1", **known)
    return {"PREFECT_API_URL": f"http://{net.address}:{_PREFECT_PORT}/api"}


def _answers(url: str) -> None:
    """Wait for a server. This process may talk to 127.0.0.1 alone, another may not be so strict."""
    asks = f"""
import time, urllib.error, urllib.request
for _ in range(1000):
    try:
        urllib.request.urlopen({url!r}, timeout=5)
    except urllib.error.HTTPError:
        break
    except OSError:
        time.sleep(0.1)
    else:
        break
"""
    subprocess.run([sys.executable, "-c", asks], check=True, timeout=120)


def _until(said: str, log: Path) -> None:
    until(lambda: said in log.read_text("utf-8", "replace"), 60, f"{log} says: {said}")


def _cluster(net: Net, project: Project, known: dict[str, str]) -> dict[str, str]:
    """A Dask scheduler here, and on each of three hosts a worker with a copy of the project, as it would be checked out there; how it is reached."""
    address = f"tcp://{net.address}:{_DASK_PORT}"
    short = {
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "8s",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "5",
    }
    logs = project.root.parent / "dask"
    net.start(
        logs / "log",
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        net.address,
        "--port",
        str(_DASK_PORT),
        "--no-dashboard",
        "--no-show",
        **short,
    )
    for number in (1, 2, 3):
        host = net.host(number)
        there = project.root.parent / host
        shutil.copytree(project.root, there, ignore=shutil.ignore_patterns("home", "incoming"))
        (there / "marks").mkdir()
        command = ["-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", net.hosts[host]]
        net.start(there / "log", sys.executable, *command, host=host, **known | short, LAKE_HOME=str(there / "home"))
    for host in net.hosts:
        _until("Starting established connection", project.root.parent / host / "log")
    return {"LAKE_ENGINE": "dask", "LAKE_ENGINE_ADDRESS": address}


def test_a_host_that_is_cut_off_half_way_changes_nothing(net: Net, tmp_path: Path) -> None:
    """Three hosts that share the store and nothing else; the cable of one is pulled while it does a partition. The run ends with the tables of a run without any."""
    alone = shop(tmp_path / "alone", "a shop")
    alone.run().did()
    expected = told(alone)
    known = _store(net, tmp_path) | _prefect(net, tmp_path)
    _until("running and ready", tmp_path / "seaweedfs" / "log")
    _answers(f"{known['PREFECT_API_URL']}/health")
    project = shop(tmp_path / "together", "a shop", **known)
    engine = _cluster(net, project, known | {"LAKE_ENV": "dev", "HOME": str(tmp_path)})
    run = net.start(project.root / "run.log", sys.executable, "-m", "lake", "run", **dict(project.variables), **engine)
    cut = ""
    deadline = time.monotonic() + 100
    while not cut and run.poll() is None and time.monotonic() < deadline:
        cut = next((host for host in net.hosts if len(list((project.root.parent / host / "marks").iterdir())) > 1), "")
        time.sleep(0.02)
    assert cut
    net.plug(cut, "down")
    run.wait(150)
    said = (project.root / "run.log").read_text("utf-8")
    assert run.returncode == 0, said
    begun = {host: len(list((project.root.parent / host / "marks").iterdir())) for host in net.hosts}
    assert all(marks > 1 for marks in begun.values())
    assert sum(begun.values()) > FILES + len(begun)  # what the host had begun was begun again elsewhere
    assert told(project) == expected
    net.plug(cut, "up")  # and what it does now comes too late
    time.sleep(3)
    assert told(project) == expected
