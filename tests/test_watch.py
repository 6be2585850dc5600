"""Watching sources: what waits is told once and then less and less often; what a bucket says only makes the watcher look sooner."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import httpx
import pytest

from lake import events
from lake.errors import SettingsError
from lake.landing import land
from lake.notifications import Bell, follow, listen
from lake.pipeline import Pipeline, do_step
from lake.run import Run
from lake.service import free_ports
from lake.settings import load_settings
from lake.source import Source
from lake.table import Table
from lake.watch import Watcher
from tests.conftest import ROOT
from tests.tiny import clean_orders, source_at, sum_orders, write_orders


class Clock:
    """A clock that goes when it is told."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Watched:
    """A watcher of one folder, with what it said."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder, self.clock = run, folder, Clock()
        self.source = Source(Table("bronze.test.files"), folder, "*.csv")
        self.pipeline = Pipeline("test", [self.source], [])
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.watcher = Watcher(run, [self.pipeline], lambda event, _, payload: self.said.append((event, payload)), self.clock)

    def drop(self, name: str, text: str = "a\n1\n") -> None:
        """A file arrives."""
        (self.folder / name).write_text(text, "utf-8")

    def look(self, after: float = 1.0) -> list[int]:
        """Look once, some seconds later; how many files each event that was sent names."""
        self.clock.now += after
        before = len(self.said)
        self.watcher.look()
        return [payload["files"] for event, payload in self.said[before:] if event == events.FILES_WAITING]


@pytest.fixture
def watched(run: Run, tmp_path: Path) -> Watched:
    """A watcher of an empty folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    return Watched(run, folder)


def test_nothing_waits_nothing_is_said(watched: Watched) -> None:
    """An empty source is looked at in silence."""
    assert watched.look() == []


def test_what_arrives_is_said_at_once(watched: Watched) -> None:
    """A file that arrives is told by the next look, with its name; another that joins it too."""
    watched.drop("a.csv")
    assert watched.look() == [1]
    assert watched.said[-1][1]["first"] == ["test.files: a.csv"]
    watched.drop("b.csv", "a\n2\n")
    assert watched.look() == [2]


def test_what_still_waits_is_said_again_less_and_less_often(watched: Watched) -> None:
    """As long as nobody takes the file in, it is told again: after half a minute, then after twice as long each time, at most an hour."""
    watched.drop("a.csv")
    told = [watched.clock.now for _ in range(3 * 360 + 30) if watched.look(after=10)]
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(told)]
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_what_landed_waits_until_it_is_in_bronze(watched: Watched) -> None:
    """A file that somebody landed without ingesting is told; once it is in bronze, nothing is."""
    watched.drop("a.csv")
    land(watched.run, watched.source)
    assert watched.look() == [1]
    (ingest,) = [step for step in watched.pipeline.steps if step.kind == "ingest"]
    do_step(watched.run, ingest)
    assert watched.look(60) == []


def test_a_corrected_file_waits_again(watched: Watched) -> None:
    """Other bytes under a known name are told like a new file."""
    watched.drop("a.csv")
    for step in watched.pipeline.steps:
        do_step(watched.run, step)
    assert watched.look() == []
    watched.drop("a.csv", "a\n3,000\n")
    assert watched.look() == [1]


def test_looking_where_nothing_changed_costs_next_to_nothing(watched: Watched) -> None:
    """With ten files known, a look asks the store for the newest landing and nothing else."""
    for number in range(10):
        watched.drop(f"{number}.csv", f"a\n{number}\n")
    for step in watched.pipeline.steps:
        do_step(watched.run, step)
    watched.look()
    watched.look()
    before = watched.run.store.requests.total()
    watched.look()
    assert watched.run.store.requests.total() - before <= 1


def test_what_a_killed_run_left_undone_is_told(run: Run, tmp_path: Path) -> None:
    """Rows that are in bronze and not in silver, with no run at them: told by the second look that finds them so, and no more once a run has carried them on."""
    write_orders(tmp_path, "monday.csv", [(1, "ann", "10.50", "2024-01-01"), (2, "bob", "7.00", "2024-01-01")])
    pipeline = Pipeline("shop", [source_at(tmp_path)], [clean_orders, sum_orders])
    said: list[dict[str, Any]] = []
    clock = Clock()
    watcher = Watcher(run, [pipeline], lambda _, __, payload: said.append(payload), clock)

    def look(after: float) -> list[str]:
        clock.now += after
        before = len(said)
        watcher.look()
        return [name for payload in said[before:] for name in payload["first"]]

    for step in pipeline.steps:
        if step.kind != "hop":
            do_step(run, step)
    assert look(1) == []
    assert look(10) == []
    told = look(60)
    assert [name.partition(":")[0] for name in told] == [step.name for step in pipeline.steps if step.kind == "hop"][: len(told)]
    assert told
    for step in pipeline.steps:
        do_step(run, step)
    assert look(60) == []
    assert look(600) == []


def test_a_source_that_cannot_be_listed_keeps_no_other_from_being_watched(watched: Watched, run: Run, tmp_path: Path) -> None:
    """One folder that is missing: the other's files are told."""
    gone = Source(Table("bronze.test.gone"), tmp_path / "nowhere")
    watched.watcher = Watcher(
        run, [Pipeline("test", [gone, watched.source], [])], lambda event, _, payload: watched.said.append((event, payload)), watched.clock
    )
    watched.drop("a.csv")
    assert watched.look() == [1]


def test_a_disk_that_is_nearly_full_is_told_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little room: one event until there is room again; then another one may come."""
    room = {"free": 1 << 20}
    monkeypatch.setattr("lake.disk.shutil.disk_usage", lambda _: SimpleNamespace(free=room["free"], total=1 << 40))
    for _ in range(3):
        watched.look()
    room["free"] = 1 << 39
    watched.look()
    room["free"] = 1 << 20
    watched.look()
    assert [event for event, _ in watched.said] == [events.DISK_LOW, events.DISK_LOW]
    assert "are free where" in watched.said[0][1]["message"]


@pytest.fixture
def bell() -> Bell:
    """A bell that has not rung."""
    return Bell()


def test_anything_posted_rings(bell: Bell) -> None:
    """A webhook's POST, whatever it says, ends the waiting; nothing posted, nothing rings."""
    (port,) = free_ports(1)
    server = listen(bell, port)
    try:
        assert bell.wait(0.05) is False
        for body in (json.dumps({"Records": []}), "no json", ""):
            assert httpx.post(f"http://127.0.0.1:{port}/any", content=body, trust_env=False).status_code == 204
            assert bell.wait(5) is True
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}"):
            listen(bell, port)
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def keys() -> dict[str, str]:
    """Keys that moto takes."""
    return {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


def test_what_a_bucket_tells_a_queue_rings(bell: Bell, moto_endpoint: str, keys: dict[str, str], tmp_path: Path) -> None:
    """An object put into a bucket whose notifications go to an SQS queue ends the waiting, and the message is taken out."""
    sqs = boto3.client("sqs", endpoint_url=moto_endpoint, **keys)
    queue = sqs.create_queue(QueueName="arrivals")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3 = boto3.client("s3", endpoint_url=moto_endpoint, **keys)
    s3.create_bucket(Bucket="arrivals")
    wanted = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket="arrivals", NotificationConfiguration=wanted)
    sqs.purge_queue(QueueUrl=queue)
    follow(bell, queue, load_settings(root=ROOT, home=tmp_path, endpoint=moto_endpoint, access_key_id="test", secret_access_key="test"))
    assert bell.wait(0.2) is False
    s3.put_object(Bucket="arrivals", Key="in/a.csv", Body=b"a\n1\n")
    assert bell.wait(30) is True
    left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == "0"


def test_an_address_that_is_no_queue_is_refused(bell: Bell, tmp_path: Path) -> None:
    """A name instead of a queue's address is told before anything is watched."""
    with pytest.raises(SettingsError, match="LAKE_WATCH_QUEUE"):
        follow(bell, "arrivals", load_settings(root=ROOT, home=tmp_path))
