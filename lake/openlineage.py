"""Commits told as OpenLineage events. Derived from what is committed, so the past can be told again: the same commit gives the same events.

A hop's commit is a run of a job named after the table, its parent the flow's run. The START is when the work began, the COMPLETE the commit;
a FAIL leaves no commit, and is known only while the run lasts. Tables are datasets by their place on the store, as OpenLineage names them.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from openlineage.client import event_v2 as ol
from openlineage.client.client import OpenLineageClient
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    data_quality_metrics_dataset,
    dataset_version_dataset,
    documentation_job,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    ownership_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
)  # fmt: skip
from openlineage.client.serde import Serde
from openlineage.client.transport import Transport

from lake.catalog import Catalog
from lake.descent import Descent, raw_name
from lake.dtypes import stored_type_name
from lake.edges import AS_ROWS, ROWS, UNKNOWN, Edge
from lake.log import schema_of_record
from lake.receipts import LANDINGS
from lake.record import Record, RunInfo
from lake.settings import Settings, lineage_is_wanted
from lake.store import Store
from lake.table import path_of
from lake.wording import counted

_TOLD = ("ingest", "hop", "migration")
_NAMES = uuid.UUID("6f1b9f0e-6f3c-5d1e-9d58-4d0f3f2b7a11")
_TRANSFORMATIONS = {
    "copied": ("DIRECT", "IDENTITY", ""), "transformed": ("DIRECT", "TRANSFORMATION", ""), "aggregated": ("DIRECT", "AGGREGATION", ""),
    "opaque": ("DIRECT", "TRANSFORMATION", "opaque: may use all of it"), "filter": ("INDIRECT", "FILTER", ""), "join": ("INDIRECT", "JOIN", ""),
    "group": ("INDIRECT", "GROUP_BY", ""), "sort": ("INDIRECT", "SORT", ""), "key": ("INDIRECT", "FILTER", "decides which row of a key stays"),
    "rule": ("INDIRECT", "FILTER", "a rule turns rows away by it"),
}  # fmt: skip


def events(catalog: Catalog, settings: Settings, *, table: str | None = None, since: dt.datetime | None = None) -> Iterator[ol.RunEvent]:
    """A START and a COMPLETE for each commit that made rows, of one table or all, at or after `since`; oldest first."""
    found = [
        (record.at, name, version)
        for name in ([table] if table else catalog.names())
        for version, record in catalog.log(name).records()
        if record.kind in _TOLD and (since is None or record.at >= since)
    ]
    for _, name, version in sorted(found):
        yield from events_of(catalog, settings, name, version)


def events_of(catalog: Catalog, settings: Settings, table: str, version: int) -> Iterator[ol.RunEvent]:
    """The START and the COMPLETE of one commit. Raises UnknownName if there is no such version."""
    at, record = catalog.last(table, version=version)
    told = _Told(catalog, settings, table, at, record)
    began = record.at - dt.timedelta(seconds=sum(record.seconds.values())) if record.seconds else record.run.started
    yield told.event(ol.RunState.START, began, [ol.InputDataset(given.namespace, given.name) for given in told.inputs()], [told.output(bare=True)])
    yield told.event(ol.RunState.COMPLETE, record.at, told.inputs(), [told.output()])


def events_of_run(catalog: Catalog, settings: Settings, info: RunInfo, tables: Iterable[str]) -> Iterator[ol.RunEvent]:
    """What one run committed to these tables. Reads no further back than the run began."""
    for name in tables:
        versions = []
        until: int | None = None
        while (last := catalog.log(name).last_record(until=until)) is not None and last[1].at >= info.started:
            at, record = last
            if record.run.id == info.id and record.kind in _TOLD:
                versions.append(at)
            if at == 0:
                break
            until = at - 1
        for version in reversed(versions):
            yield from events_of(catalog, settings, name, version)


def failure_of(store: Store, settings: Settings, info: RunInfo, table: str, why: str) -> Iterator[ol.RunEvent]:
    """The START and the FAIL of a step that published nothing."""
    run = str(uuid.uuid5(_NAMES, f"{info.id} {table} failed"))
    output = ol.OutputDataset(*_dataset(store, path_of(table)))
    failed = {"errorMessage": error_message_run.ErrorMessageRunFacet(message=why, programmingLanguage="PYTHON", producer=_producer())}
    for state, at, more in ((ol.RunState.START, info.started, {}), (ol.RunState.FAIL, dt.datetime.now(dt.UTC), failed)):
        facets: dict[str, Any] = {"parent": _parent(settings, info)} | more
        yield _event(state, at, ol.Run(run, facets), ol.Job(_jobs(settings), table, _job_facets("")), [], [output])


def transport() -> Transport | None:
    """The transport that OpenLineage's own configuration names; None where nothing is configured."""
    return OpenLineageClient().transport if lineage_is_wanted() else None


def as_dict(event: ol.RunEvent) -> dict[str, Any]:
    """The event as it goes over the wire."""
    return Serde.to_dict(event)


class _Told:
    """One commit, in the words of OpenLineage."""

    def __init__(self, catalog: Catalog, settings: Settings, table: str, version: int, record: Record) -> None:
        self.catalog, self.settings, self.table, self.version, self.record = catalog, settings, table, version, record

    def event(self, state: ol.RunState, at: dt.datetime, inputs: list[ol.InputDataset], outputs: list[ol.OutputDataset]) -> ol.RunEvent:
        record = self.record
        facets: dict[str, Any] = {"parent": _parent(self.settings, record.run)}
        if record.code is not None and record.code.polars:
            facets["processing_engine"] = processing_engine_run.ProcessingEngineRunFacet(
                record.code.polars, "polars", record.code.lake or None, producer=_producer()
            )
        run = ol.Run(str(uuid.uuid5(_NAMES, f"{record.run.id} {self.table} {self.version} {record.batch}")), facets)
        return _event(state, at, run, ol.Job(_jobs(self.settings), self.table, _job_facets(record.summary)), inputs, outputs)

    def inputs(self) -> list[ol.InputDataset]:
        """What was read, at the versions that were; raw files under the name of their source."""
        found = []
        for given in self.record.inputs:
            if given.table == LANDINGS:
                found.append(ol.InputDataset(*_dataset(self.catalog.store, raw_name(self.table))))
                continue
            facets: dict[str, Any] = {"version": dataset_version_dataset.DatasetVersionDatasetFacet(str(given.end), producer=_producer())}
            last = self.catalog.log(given.table).last_record(until=given.end)
            more: dict[str, Any] = {}
            if last is not None:
                facets |= self._schema(given.table, last[1])
                if tests := _assertions(last[1]):
                    more["dataQualityAssertions"] = tests
            found.append(ol.InputDataset(*_dataset(self.catalog.store, path_of(given.table)), inputFacets=more, facets=facets))
        return found

    def output(self, *, bare: bool = False) -> ol.OutputDataset:
        """The table at the version that the commit made."""
        record, producer = self.record, _producer()
        place = _dataset(self.catalog.store, path_of(self.table))
        if bare:
            return ol.OutputDataset(*place)
        facets: dict[str, Any] = self._schema(self.table, record)
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(self.version), producer=producer)
        facets["dataQualityMetrics"] = data_quality_metrics_dataset.DataQualityMetricsDatasetFacet(
            {}, rowCount=record.rows, bytes=record.bytes, fileCount=record.data_files, producer=producer
        )
        if tests := _assertions(record):
            facets["dataQualityAssertions"] = tests
        if record.owner:
            facets["ownership"] = ownership_dataset.OwnershipDatasetFacet([ownership_dataset.Owner(record.owner)], producer=producer)
        if lineage := self._columns():
            facets["columnLineage"] = lineage
        written = record.ledger.inserted + record.ledger.updated
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=written, producer=producer)
        return ol.OutputDataset(*place, outputFacets={"outputStatistics": statistics}, facets=facets)

    def _schema(self, table: str, record: Record) -> dict[str, Any]:
        known = schema_of_record(self.catalog.store, self.catalog.log(table), record)
        if known is None:
            return {}
        fields = [
            schema_dataset.SchemaDatasetFacetFields(column["name"], stored_type_name(column["type"]), column["description"] or None, ordinal_position=i)
            for i, column in enumerate(known[2]["columns"], 1)
        ]
        return {"schema": schema_dataset.SchemaDatasetFacet(fields, producer=_producer())}

    def _columns(self) -> Any:
        """Column lineage; None where only the tables are known."""
        columns: dict[str, list[Any]] = {}
        rows = []
        for edge in Descent(self.catalog, {self.table: self.version}).edges(self.table):
            if edge.kind == UNKNOWN:
                return None
            if edge.kind == AS_ROWS:
                continue
            field = self._field(edge)
            if edge.target[1] == ROWS:
                rows.append(field)
            else:
                columns.setdefault(edge.target[1], []).append(field)
        fields = {name: column_lineage_dataset.Fields(inputFields) for name, inputFields in columns.items()}
        return column_lineage_dataset.ColumnLineageDatasetFacet(fields, rows, producer=_producer()) if fields or rows else None

    def _field(self, edge: Edge) -> Any:
        table, column = edge.source
        kind, subtype, description = _TRANSFORMATIONS[edge.kind]
        path = table if table.startswith("raw/") else path_of(table)
        how = column_lineage_dataset.Transformation(kind, subtype, description or None)
        return column_lineage_dataset.InputField(*_dataset(self.catalog.store, path), column, [how])


def _event(state: ol.RunState, at: dt.datetime, run: ol.Run, job: ol.Job, inputs: list[ol.InputDataset], outputs: list[ol.OutputDataset]) -> ol.RunEvent:
    return ol.RunEvent(eventTime=at.isoformat(), run=run, job=job, producer=_producer(), eventType=state, inputs=inputs, outputs=outputs)


def _assertions(record: Record) -> Any:
    """What the rules of a table found in one commit; None where it has none to tell."""
    tests = [
        data_quality_assertions_dataset.Assertion(
            check.name, check.holds, severity="warn" if check.severity == "warn" else "error", expected=check.limit, actual=check.value
        )
        for check in record.checks
    ]
    for severity, counts in (("error", record.rules), ("warn", record.warned)):
        for rule, count in counts.items():
            column = rule.split("|")[0] if "|" in rule else None
            tests.append(data_quality_assertions_dataset.Assertion(rule, False, column=column, severity=severity, actual=f"{counted(count, 'row')}"))
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(tests, producer=_producer()) if tests else None


def _dataset(store: Store, path: str) -> tuple[str, str]:
    """Namespace and name of what is at a path of the store: `s3://bucket` and the path in it."""
    scheme, _, rest = store.uri(path).partition("://")
    bucket, _, name = rest.partition("/")
    return f"{scheme}://{bucket}", name


def _parent(settings: Settings, info: RunInfo) -> Any:
    run = parent_run.Run(str(uuid.uuid5(_NAMES, info.id)))
    return parent_run.ParentRunFacet(run, parent_run.Job(_jobs(settings), info.flow), producer=_producer())


def _jobs(settings: Settings) -> str:
    """The namespace of this lake's jobs."""
    return f"lake/{settings.bucket}/{settings.env}"


def _job_facets(summary: str) -> dict[str, Any]:
    facets: dict[str, Any] = {"jobType": job_type_job.JobTypeJobFacet("BATCH", "LAKE", "HOP", producer=_producer())}
    return facets | ({"documentation": documentation_job.DocumentationJobFacet(summary, producer=_producer())} if summary else {})


def _producer() -> str:
    return "urn:lake"
