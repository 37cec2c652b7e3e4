"""Preconditions of a table's run at both ends, looked at by the functions with which the run does it. `check` and
`plan` say by them what the run would do; nothing is changed, and no row is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.model.checkpoint import Checkpoint, Horizon
from pgsnow.model.config.options import SchemaChanges
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.catalog.obstacles import try_read
from pgsnow.postgres.incremental.probe import Probe
from pgsnow.snowflake.privileges import VIEWS, Lack, Rights
from pgsnow.snowflake.schema.required_ddl import RequiredDdl, TargetInspector, require_approval
from pgsnow.sync.runtime.planner import Planner, Prepared
from pgsnow.sync.table.inspect import look_for_changes


@dataclass(frozen=True, slots=True)
class ReadyTable:
    """A table that a run can read now. checkpoint: where the run starts. probe: what it would find."""

    prepared: Prepared
    drift: Drift
    checkpoint: Checkpoint | None
    probe: Probe

    @property
    def plan(self) -> TablePlan:
        return self.drift.plan


def ready_to_read(
    conn: psycopg.Connection,
    planner: Planner,
    table: TableConfig,
    known: Remembered,
    horizon: Horizon,
) -> ReadyTable:
    """The table as a run would find it in Postgres: planned, readable with every right that the read needs, and
    probed. known: its state in the ledger. Raises the error with which a run would stop."""
    if known.unreadable is not None:
        raise known.unreadable
    prepared = planner.plan(conn, table, None, known.definition)
    try_read(conn, prepared.plan)
    checkpoint = known.checkpoint
    found = look_for_changes(conn, prepared, known.definition, checkpoint, checkpoint, horizon)
    return ReadyTable(prepared, *found)


def lacking(rights: Rights, inspector: TargetInspector, plan: TablePlan, required: RequiredDdl) -> list[Lack]:
    """Privileges that the role lacks for a run of this table: in its schema, where staging tables are created, and on
    the target, if that exists. None where the role's grants are not known."""
    if rights.grants is None:
        return []
    there = inspector.sees_schema(plan.target)
    found = [rights.lacking_in(plan.target, schema_there=there)]
    if there and plan.config.live_view:
        found.append(rights.lacks_in(plan.target, VIEWS))
    if required.exists:
        alters = any(statement.startswith("ALTER ") for statement in required.statements)
        found.append(rights.lacking_on(plan.target, alter=alters))
    return [lack for lack in found if lack is not None]


def ready_to_load(inspector: TargetInspector, drift: Drift, *, approved: bool = False) -> RequiredDdl:
    """The DDL that a run would send first. approved: as after a review by `pgsnow plan`. Raises the error with which a
    run would stop: TargetConflict, SchemaChangePending, TargetMissing, TargetAccessDenied …"""
    required = inspector.required(drift.plan, drift.all_actions, relaxed=drift.replace, storage=True)
    config = drift.plan.config
    if config.schema_changes is SchemaChanges.MANUAL and not approved:
        require_approval(config.name, required.statements)
    return required
