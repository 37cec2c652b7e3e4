"""Compares targets and sources, by digests of key ranges and, where these differ, row by row and column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.comparison.certificate import ComparisonMethod
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.errors import TargetMissing
from pgsnow.model.key_range import DifferenceKind
from pgsnow.operations.command_sessions import CommandSessions, as_known
from pgsnow.operations.verify.certify import tally_of
from pgsnow.operations.verify.differences import Differences, count_source, differences_of
from pgsnow.operations.verify.open_table import OpenTable, open_table
from pgsnow.operations.verify.row_difference import RowDifference
from pgsnow.operations.verify.verdict import Difference, Verdict
from pgsnow.snowflake.load.duplicates import identity_of
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.planner import target_of


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a table that is compared. content: whole rows, not their keys alone. sample: percent of the ranges
    (None: all)."""

    content: bool = True
    sample: float | None = None


EVERYTHING = Scope()


def verify(engine: Engine, tables: Sequence[str] | None = None, scope: Scope = EVERYTHING) -> list[Verdict]:
    """Compare these tables (all enabled ones by default). Writes nothing but the certificate of each table to the
    ledger; a table without differences is no longer `unverified` there, if everything of it was compared. A table that
    cannot be compared has its error; the others are compared.

    Raises ConfigError for an unknown table, and the error of an end that does not answer at all: SourceUnavailable,
    TargetUnavailable, LedgerUnavailable …
    """
    chosen = engine.config.select(tables)
    before: list[WatermarkRow] = unless_missing(engine.ledger.run_log.watermarks, [])
    doubts = {row.source_table: row.unverified for row in before}
    with CommandSessions(engine.source, engine.settings.snowflake, "pgsnow:verify") as sessions:
        sessions.postgres()
        sessions.session()
        verdicts = [_guarded(engine, table, sessions, scope) for table in chosen]
    rows: list[WatermarkRow] = unless_missing(engine.ledger.run_log.watermarks, [])
    waiting = {row.source_table: row.staged_rows for row in rows}
    for verdict in verdicts:
        verdict.staged = waiting.get(verdict.table, 0)
        is_loaded = verdict.table in waiting and not (verdict.staged and verdict.difference_count)
        if verdict.certificate is not None and is_loaded:
            engine.ledger.certificates.record(verdict.table, verdict.certificate, verdict.open_differences)
        if verdict.equal and scope == EVERYTHING and (why := doubts.get(verdict.table)):
            engine.ledger.checkpoints.verified(verdict.table, why)
            verdict.was_unverified = why
    return verdicts


def _guarded(engine: Engine, table: TableConfig, sessions: CommandSessions, scope: Scope) -> Verdict:
    """The table's verdict; with its error if it cannot be compared."""
    try:
        return verdict_of(open_table(engine, table, sessions), scope)
    except Exception as error:  # a failure of one table, of any kind, must not hide the result of the others
        sessions.after(error)
        known = as_known(error, engine.settings.secrets(), table.name)
        target = str(target_of(table, engine.settings.snowflake))
        return Verdict(table.name, target, error=str(known), advice=known.advice or None)


def verdict_of(table: OpenTable, scope: Scope = EVERYTHING) -> Verdict:
    """The comparison of one table. Raises what differences_of raises, except TargetMissing: that is a difference."""
    plan = table.plan
    verdict = Verdict(plan.config.name, str(plan.target), quarantined=len(table.rejected))
    verdict.identified, verdict.whole = bool(identity_of(plan)), plan.whole
    verdict.compared = "content" if scope.content or not plan.target_key else "keys"
    verdict.sample = scope.sample
    tally = tally_of(table)
    verdict.repairable = bool(plan.pk) and not plan.whole and bool(table.columns)
    verdict.ghosts_stay = bool(tally.keeps)
    found = differences_of(table, content=scope.content, sample=scope.sample, pending_deletes=True)
    try:
        if not table.columns:
            # A source that cannot be read is an error, whatever the target is.
            found.counts.source_rows = count_source(table)
            raise TargetMissing(str(plan.target))
        for one in found:
            _note(verdict, one)
            tally.note(one)
        method = ComparisonMethod.SAMPLE if scope.sample is not None else ComparisonMethod(verdict.compared)
        verdict.certificate = tally.certificate("verify", method, found)
        verdict.open_differences = tally.open_differences()
    except TargetMissing:
        verdict.note(Difference("missing", (str(plan.target),)))
    _count(verdict, found)
    return verdict


def _note(verdict: Verdict, one: RowDifference) -> None:
    if one.rejected is not None:
        verdict.stale += one.rows
        verdict.note(Difference("stale", one.values, reason=one.rejected), one.rows)
    elif one.kind is DifferenceKind.CHANGED:
        for cell in one.cells:
            verdict.note(Difference("value", one.values, cell.column, cell.source, cell.target))
    else:
        verdict.note(Difference(str(one.kind), one.values), one.rows)


def _count(verdict: Verdict, found: Differences) -> None:
    counts = found.counts
    verdict.source_rows, verdict.target_rows = counts.source_rows, counts.target_rows
    verdict.ranges, verdict.equal_ranges = counts.ranges, counts.equal_ranges
    verdict.statements, verdict.in_flight = counts.target_statements, found.in_flight
