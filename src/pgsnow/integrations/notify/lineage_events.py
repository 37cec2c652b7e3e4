"""OpenLineage events of one table's run. Pure.

https://openlineage.io/docs/spec/object-model, names of datasets: https://openlineage.io/docs/spec/naming
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgsnow import __version__
from pgsnow.model.config.table_config import TableConfig
from pgsnow.model.evolution.source_definition import ColumnDefinition, SourceDefinition
from pgsnow.model.report import Status, TableReport
from pgsnow.model.settings.settings import Settings

PRODUCER = f"urn:pgsnow:{__version__}"
"""URI that names what made an event."""
EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "SchemaDatasetFacet": "1-2-0",
    "ColumnLineageDatasetFacet": "1-2-0",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "ErrorMessageRunFacet": "1-0-1",
    "JobTypeJobFacet": "2-0-3",
    "ProcessingEngineRunFacet": "1-1-1",
}
"""Facet → its version."""
NAMESPACE = "pgsnow"
"""Namespace of the jobs, which are named after their tables."""
_ENDS = {Status.ERROR: "FAIL", Status.STOPPED: "ABORT", Status.LOCKED: "ABORT"}
"""How a run ends that is not complete. Locked: other workers load the rest, or another run has taken the table."""
_RUNS = uuid.UUID("b6f2a3f0-6d0c-5d5a-9a55-6d5b1f3a7c10")
"""Namespace of the ids of runs."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table by its name in OpenLineage."""

    namespace: str
    name: str

    def to_json(self) -> dict[str, Any]:
        return {"namespace": self.namespace, "name": self.name}


@dataclass(frozen=True, slots=True)
class Datasets:
    """Source and target of one table."""

    source: Dataset
    target: Dataset

    @classmethod
    def of(cls, table: TableConfig, target: str, settings: Settings) -> Datasets:
        """target: the full name of the target."""
        get = settings.source.get
        host = (get("host") or get("hostaddr") or get("service") or "localhost").split(",")[0]
        port = (get("port") or "5432").split(",")[0]
        database = get("dbname") or get("user")
        name = f"{database}.{table.source.schema}.{table.source.table}"
        account = settings.snowflake.account or settings.snowflake.host
        return cls(Dataset(f"postgres://{host}:{port}", name), Dataset(f"snowflake://{account}", target))


def run_uuid(run_id: str, table: str) -> str:
    """The id of a table's run: the same for all events about it, whichever process sends them."""
    return str(uuid.uuid5(_RUNS, f"{run_id}/{table}"))


def start_event(table: str, run_id: str, datasets: Datasets, at: datetime) -> dict[str, Any]:
    """A run begins to read."""
    return _event("START", at, run_id, table, datasets.source.to_json(), datasets.target.to_json())


def end_event(
    report: TableReport,
    table: TableConfig,
    datasets: Datasets,
    definition: SourceDefinition | None,
    at: datetime,
) -> dict[str, Any]:
    """A run has ended: COMPLETE, FAIL or ABORT, with the schemas and the lineage of the columns if the ledger has the
    definition of the source."""
    source, target = datasets.source.to_json(), datasets.target.to_json()
    if definition is not None:
        loaded = [column for column in definition.columns if column.target is not None]
        source["facets"] = {
            "schema": _facet(
                "SchemaDatasetFacet",
                fields=[_field(c.name, c.type_text) for c in definition.columns if c.attnum is not None],
            )
        }
        target["facets"] = {
            "schema": _facet(
                "SchemaDatasetFacet", fields=[_field(str(c.target), c.holds or c.snowflake) for c in loaded]
            ),
            "columnLineage": _facet(
                "ColumnLineageDatasetFacet", fields=_lineage(loaded, table, datasets.source)
            ),
        }
    if report.status is not Status.ERROR:
        written = report.rows_inserted + report.rows_updated + report.rows_deleted
        target["outputFacets"] = {
            "outputStatistics": _facet(
                "OutputStatisticsOutputDatasetFacet", rowCount=written, size=report.bytes_staged
            )
        }
    return _event(
        _ENDS.get(report.status, "COMPLETE"), at, report.run_id, report.table, source, target, report.error
    )


def _event(
    event_type: str,
    at: datetime,
    run_id: str,
    table: str,
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    error: str | None = None,
) -> dict[str, Any]:
    engine = _facet("ProcessingEngineRunFacet", version=__version__, name="pgsnow")
    facets = {"processing_engine": engine}
    if error is not None:
        facets["errorMessage"] = _facet("ErrorMessageRunFacet", message=error, programmingLanguage="PYTHON")
    job_type = _facet("JobTypeJobFacet", processingType="BATCH", integration="PGSNOW", jobType="TABLE_SYNC")
    return {
        "eventType": event_type,
        "eventTime": at.isoformat(),
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
        "run": {"runId": run_uuid(run_id, table), "facets": facets},
        "job": {"namespace": NAMESPACE, "name": table, "facets": {"jobType": job_type}},
        "inputs": [dict(source)],
        "outputs": [dict(target)],
    }


def _facet(kind: str, /, **values: Any) -> dict[str, Any]:
    schema = f"https://openlineage.io/spec/facets/{_FACETS[kind]}/{kind}.json#/$defs/{kind}"
    return {"_producer": PRODUCER, "_schemaURL": schema, **values}


def _field(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind} if kind else {"name": name}


def _lineage(loaded: list[ColumnDefinition], table: TableConfig, source: Dataset) -> dict[str, Any]:
    """Target's column → the source's column that it is computed from. A column that a function adds may depend on any
    of them, so it has no entry."""
    transform = table.transform
    fields: dict[str, Any] = {}
    for column in loaded:
        if column.attnum is None:
            continue
        hidden = transform is not None and column.name in transform.sensitive
        changed = hidden or (transform is not None and (transform.function or column.name in transform.cast))
        transformation = {"type": "DIRECT", "subtype": "TRANSFORMATION" if changed else "IDENTITY"}
        entry = source.to_json() | {
            "field": column.name,
            "transformations": [{**transformation, "description": "", "masking": hidden}],
        }
        fields[str(column.target)] = {"inputFields": [entry]}
    return fields
