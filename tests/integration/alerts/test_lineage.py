"""OpenLineage events: what a run reads and writes, in the terms of the specification, and never instead of a sync."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest

from pgsnow.integrations.notify.after_tick import AfterTick
from tests.inbox import Inbox
from tests.world import MemoryWorld

REQUIRED = {
    "schema": {"fields"},
    "columnLineage": {"fields"},
    "outputStatistics": set(),
    "errorMessage": {"message", "programmingLanguage"},
    "jobType": {"processingType", "integration"},
    "processing_engine": {"version"},
}
"""Facet → the keys that its schema requires."""


@pytest.fixture
def traced(memory_world: MemoryWorld, receiver: Inbox) -> MemoryWorld:
    """A world whose lineage goes to the receiver."""
    memory_world.options |= {
        "openlineage_url": f"{receiver.url}/api/v1/lineage",
        "openlineage_api_key": "k3y",
    }
    return memory_world


def tick(world: MemoryWorld) -> None:
    """A tick as in a worker: with its observer, and everything sent at the end."""
    after = AfterTick(world.config, world.settings)
    assert after.observer is not None
    with world.engine(after.observer) as engine:
        after.tick_ended(engine.ledger, engine.tick())
        after.close()


def assert_valid(event: dict[str, Any]) -> None:
    """As https://openlineage.io/spec/2-0-2/OpenLineage.json requires."""
    assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    uuid.UUID(event["run"]["runId"])
    assert event["producer"].startswith("urn:pgsnow:")
    assert event["schemaURL"].endswith("#/$defs/RunEvent")
    assert {"namespace", "name"} <= event["job"].keys()
    facets = {**event["run"]["facets"], **event["job"]["facets"]}
    for dataset in (*event["inputs"], *event["outputs"]):
        assert {"namespace", "name"} <= dataset.keys()
        facets |= {**dataset.get("facets", {}), **dataset.get("outputFacets", {})}
    for name, facet in facets.items():
        assert {"_producer", "_schemaURL", *REQUIRED[name]} <= facet.keys()


def test_a_run_that_loads_reports_its_beginning_and_its_end_with_columns_and_counts(
    traced: MemoryWorld, receiver: Inbox
) -> None:
    """Both have the same run id, and the names of the datasets are those of the specification. A run without changes
    reports nothing."""
    traced.tables[0]["transform"] = {"hash": ["name"], "salt": "s", "rename": {"balance": "amount"}}
    traced.sql("insert into users values (1, 'a', 1, null), (2, 'b', 2, null)")
    tick(traced)
    tick(traced)
    start, end = receiver.bodies
    for event in (start, end):
        assert_valid(event)
    assert [event["eventType"] for event in receiver.bodies] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["eventTime"] <= end["eventTime"]
    assert end["job"]["name"] == "public.users"
    port = traced.env["POSTGRES_DSN"].split(":")[-1].split("/")[0]
    database = traced.env["POSTGRES_DSN"].rpartition("/")[2]
    [source], [target] = end["inputs"], end["outputs"]
    assert (source["namespace"], source["name"]) == (
        f"postgres://127.0.0.1:{port}",
        f"{database}.public.users",
    )
    assert (target["namespace"], target["name"]) == ("snowflake://none", "NONE.ANALYTICS.USERS")
    assert {"name": "balance", "type": "numeric(12,2)"} in source["facets"]["schema"]["fields"]
    assert {"name": "AMOUNT", "type": "NUMBER(12,2)"} in target["facets"]["schema"]["fields"]
    lineage = target["facets"]["columnLineage"]["fields"]
    [amount], [name] = lineage["AMOUNT"]["inputFields"], lineage["NAME"]["inputFields"]
    assert (amount["field"], amount["namespace"]) == ("balance", source["namespace"])
    assert amount["transformations"][0]["subtype"] == "IDENTITY"
    assert name["transformations"][0]["masking"] is True
    assert target["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert {headers["Authorization"] for headers in receiver.headers} == {"Bearer k3y"}


def test_a_run_that_fails_reports_the_error(traced: MemoryWorld, receiver: Inbox) -> None:
    """With its beginning, although it failed before anything was read."""
    traced.sql("alter table users rename to people")
    tick(traced)
    start, end = receiver.bodies
    for event in (start, end):
        assert_valid(event)
    assert (start["eventType"], end["eventType"]) == ("START", "FAIL")
    assert "public.users" in end["run"]["facets"]["errorMessage"]["message"]


def test_a_receiver_that_refuses_or_is_silent_concerns_no_sync(traced: MemoryWorld, receiver: Inbox) -> None:
    receiver.answers.extend([(500, {})] * 2)
    receiver.hold.clear()
    traced.sql("insert into users values (1, 'a', 1, null)")
    after = AfterTick(traced.config, traced.settings)
    assert after.observer is not None
    with traced.engine(after.observer) as engine:
        report = engine.tick()
        after.tick_ended(engine.ledger, report)
        assert [table.status for table in report.tables] == ["ok"]
        receiver.hold.set()
        after.close()
    traced.assert_equal()
    assert len(receiver.bodies) == 2
