"""Repairs tables, and compares the ranges that held a difference once more."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.errors import PgsnowError
from pgsnow.model.report import SKIPPED
from pgsnow.operations.command_sessions import CommandSessions, as_known
from pgsnow.operations.repair.plan import TableRepair, compare_again
from pgsnow.sync.engine import Engine
from pgsnow.sync.table.comparison.repair import RepairOrder


def repair_tables(
    engine: Engine,
    repairs: Sequence[TableRepair],
    *,
    content: bool = True,
    ghosts: bool = False,
    confirm_deletes: bool = False,
) -> None:
    """Repair what was found, as far as it can be, and note in `repairs` what was done and what is left. Idempotent.
    Raises what Engine.repair raises."""
    orders = {
        one.table: RepairOrder(one.found, ghosts=ghosts, target_rows=one.target_rows)
        for one in repairs
        if one.is_repairable
    }
    if not orders:
        note_certificates(engine, repairs)
        return
    reports = {
        report.table: report for report in engine.repair(orders, confirm_deletes=confirm_deletes).tables
    }
    with CommandSessions(engine.source, engine.settings.snowflake, "pgsnow:repair") as sessions:
        for one in repairs:
            report = reports.get(one.table)
            if report is None:
                continue
            one.events, one.status = report.events, str(report.status)
            one.error, one.advice = report.error, report.advice
            if not report.ok or report.status in SKIPPED:
                continue
            try:
                compare_again(engine, one, sessions, content=content)
            except PgsnowError as error:
                sessions.after(error)
                found = as_known(error, engine.settings.secrets(), one.table)
                one.error, one.advice = str(found), found.advice or None
    note_certificates(engine, repairs)


def note_certificates(engine: Engine, repairs: Sequence[TableRepair]) -> None:
    """Record in the ledger what was compared and repaired."""
    for one in repairs:
        certificate = one.final_certificate
        if certificate is not None and (one.error is None or one.left is not None):
            left = one.tally.open_differences(one.left) if one.tally else None
            engine.ledger.certificates.record(one.table, certificate, left)
