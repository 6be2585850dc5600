"""OpenLineage events: derived from commits, the same every time, valid by the published schema; sent by the client's own configuration, and never in the way."""

from __future__ import annotations

import datetime as dt
import json
import socket
import time
from pathlib import Path
from typing import Any

import attr
import pytest
from jsonschema import Draft202012Validator
from openlineage.client import event_v2 as ol
from openlineage.client import facet_v2
from referencing import Registry, Resource

from lake.announce import announce
from lake.catalog import Catalog
from lake.cli import cli
from lake.errors import LakeError
from lake.openlineage import as_dict, events, failure_of
from lake.pipeline import Report
from tests.conftest import Built

GOLD = "gold.nyc.daily_delays"
FACETS = {
    "parent": facet_v2.parent_run.ParentRunFacet, "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet, "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "documentation": facet_v2.documentation_job.DocumentationJobFacet, "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet, "columnLineage": facet_v2.column_lineage_dataset.ColumnLineageDatasetFacet,
    "dataQualityMetrics": facet_v2.data_quality_metrics_dataset.DataQualityMetricsDatasetFacet,
    "dataQualityAssertions": facet_v2.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    "ownership": facet_v2.ownership_dataset.OwnershipDatasetFacet, "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
}  # fmt: skip
SUBTYPES = {"DIRECT": {"IDENTITY", "TRANSFORMATION", "AGGREGATION"}, "INDIRECT": {"JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL"}}


@pytest.fixture(autouse=True)
def _no_transport_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE_DISABLED"):
        monkeypatch.delenv(name, raising=False)


def told(built: Built, **kwargs: Any) -> list[dict[str, Any]]:
    """The events of the flights lake, as they go over the wire."""
    return [as_dict(event) for event in events(Catalog(built.run.store), built.settings, **kwargs)]


def test_each_commit_is_a_start_and_a_complete(flights_lake: Built) -> None:
    """One run a commit, its parent the run of the flow; told again it is the same to the letter."""
    found = told(flights_lake)
    assert found == told(flights_lake)
    by_run: dict[str, list[dict[str, Any]]] = {}
    for event in found:
        by_run.setdefault(event["run"]["runId"], []).append(event)
    names = Catalog(flights_lake.run.store).names()
    assert len(by_run) == len(names)
    assert sorted(one[0]["job"]["name"] for one in by_run.values()) == sorted(names)
    for start, complete in by_run.values():
        assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
        assert start["eventTime"] <= complete["eventTime"]
        assert start["run"]["facets"]["parent"]["job"]["name"] == "nyc"
    assert len({event["run"]["facets"]["parent"]["run"]["runId"] for event in found}) == 1


def test_a_complete_tells_schema_versions_quality_and_columns(flights_lake: Built) -> None:
    """The table at its version with its schema and where its columns come from; inputs at the versions that were read."""
    (event,) = [event for event in told(flights_lake, table=GOLD) if event["eventType"] == "COMPLETE"]
    (output,) = event["outputs"]
    assert output["name"].endswith("/gold/nyc/daily_delays")
    assert output["namespace"] == f"s3://{flights_lake.settings.bucket}"
    assert output["facets"]["version"]["datasetVersion"] == "0"
    assert [field["name"] for field in output["facets"]["schema"]["fields"]][:3] == ["flight_date", "carrier", "carrier_name"]
    assert output["facets"]["dataQualityMetrics"]["rowCount"] == output["outputFacets"]["outputStatistics"]["rowCount"] > 5000
    (source,) = output["facets"]["columnLineage"]["fields"]["mean_delay"]["inputFields"]
    assert (source["field"], source["transformations"][0]["type"], source["transformations"][0]["subtype"]) == ("departure_delay", "DIRECT", "AGGREGATION")
    chosen = {(field["field"], field["transformations"][0]["subtype"]) for field in output["facets"]["columnLineage"]["dataset"]}
    assert chosen == {("flight_date", "GROUP_BY"), ("carrier", "JOIN")}
    flights = next(given for given in event["inputs"] if given["name"].endswith("silver/nyc/flights"))
    assert flights["facets"]["version"]["datasetVersion"] == "0"
    broken = {test["assertion"] for test in flights["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert broken
    places = {(field["namespace"], field["name"]) for fields in output["facets"]["columnLineage"]["fields"].values() for field in fields["inputFields"]}
    assert places <= {(given["namespace"], given["name"]) for given in event["inputs"]}


def _published() -> tuple[Draft202012Validator, dict[str, Draft202012Validator]]:
    """What the specification says of events, and of each facet by its name."""
    folder = Path(__file__).parent / "published" / "openlineage"
    texts = {file.stem: json.loads(file.read_text("utf-8")) for file in folder.rglob("*.json")}
    registry: Registry[Any] = Registry().with_resources((text["$id"], Resource.from_contents(text)) for text in texts.values())

    def held_to(text: dict[str, Any]) -> Draft202012Validator:
        return Draft202012Validator(text, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER)

    facets = {name: held_to(texts[built.__name__]) for name, built in FACETS.items()}
    return held_to(texts["OpenLineage"]), facets


def _whole(built: type, value: Any, where: str) -> None:
    """The value has the fields of the client's class, and what that requires."""
    known = {field.name.lstrip("_") if field.name in ("producer", "schemaURL") else field.name: field for field in attr.fields(built)}
    unknown = {name for name in value if name not in known and name not in ("_producer", "_schemaURL")}
    assert not unknown, f"{where} has {unknown}"
    missing = {name for name, field in known.items() if field.default is attr.NOTHING and name not in value}
    assert not missing, f"{where} lacks {missing}"


def test_events_are_valid_by_the_published_schema(flights_lake: Built) -> None:
    """Each event and facet holds to the published JSON schema and names it, has no field that the client does not know, and uses the words that the specification lists."""
    events_schema, facet_schemas = _published()
    failed = [as_dict(event) for event in failure_of(flights_lake.run.store, flights_lake.settings, flights_lake.run.info, GOLD, "a rule stopped it")]
    seen = set()
    for event in [*told(flights_lake), *failed]:
        _whole(ol.RunEvent, event, "event")
        events_schema.validate(event)
        assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/")
        assert dt.datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        facets = {**event["run"]["facets"], **event["job"]["facets"]}
        groups = [facets, *(one[kind] for one in [*event["inputs"], *event["outputs"]] for kind in ("facets", "inputFacets", "outputFacets") if kind in one)]
        for name, facet in ((name, facet) for group in groups for name, facet in group.items()):
            seen.add(name)
            _whole(FACETS[name], facet, name)
            facet_schemas[name].validate({name: facet})
            assert facet["_producer"]
            assert FACETS[name].__name__ in facet["_schemaURL"]
            if name == "columnLineage":
                for field in [*facet["dataset"], *(one for fields in facet["fields"].values() for one in fields["inputFields"])]:
                    assert {how["subtype"] for how in field["transformations"]} <= SUBTYPES[field["transformations"][0]["type"]]
    assert seen == set(FACETS)


def test_the_past_is_told_from_an_instant_on(flights_lake: Built) -> None:
    """`since` leaves out what was committed before."""
    every = told(flights_lake)
    last = max(dt.datetime.fromisoformat(event["eventTime"]) for event in every)
    assert {event["eventType"] for event in told(flights_lake, since=last)} == {"START", "COMPLETE"}
    assert len(told(flights_lake, since=last)) == 2
    assert told(flights_lake, since=last + dt.timedelta(seconds=1)) == []


def test_export_prints_or_sends_by_the_client_s_own_configuration(
    flights_lake: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a transport, a JSON object a line; with a file transport, the same objects in its file."""
    monkeypatch.setenv("LAKE_HOME", str(flights_lake.settings.home))
    cli.main(["lineage", GOLD, "--export"], prog_name="lake", standalone_mode=False)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == told(flights_lake, table=GOLD)
    out = tmp_path / "events.ndjson"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps({"type": "file", "log_file_path": str(out), "append": True}))
    cli.main(["lineage", GOLD, "--export"], prog_name="lake", standalone_mode=False)
    assert capsys.readouterr().out.strip() == "2 events sent by OpenLineage's file transport"
    assert [json.loads(line) for line in out.read_text("utf-8").splitlines()] == printed


def test_a_finished_run_is_announced_with_what_failed(flights_lake: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where a transport is configured, the commits of a run and its failures are sent; where none is, nothing happens."""
    report = Report(dict(flights_lake.report.results), {GOLD: LakeError("a rule stopped it")})
    assert announce(flights_lake.run, report) is None
    out = tmp_path / "events.ndjson"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps({"type": "file", "log_file_path": str(out), "append": True}))
    assert announce(flights_lake.run, report, patience=60) is None
    sent = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert len(sent) == len(told(flights_lake)) + 2
    assert sent[-1]["eventType"] == "FAIL"
    assert sent[-1]["run"]["facets"]["errorMessage"]["message"] == "a rule stopped it"


def test_a_server_that_does_not_answer_holds_nothing_up(flights_lake: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport whose server hears and never answers costs a run no more than its patience, and the run is told how to send again."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.perf_counter()
        said = announce(flights_lake.run, flights_lake.report, patience=0.5)
        assert time.perf_counter() - started < 5
    assert said is not None
    assert "lake lineage --export --since" in said
