"""Compares target and source, row by row and column by column, in pages.

It uses other code than the sync: Postgres's own text of each value, and plain SELECTs in Snowflake, without
Arrow and Parquet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import psycopg

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.config.sync_config import TableConfig, TableMode
from pgsnow.model.errors import TargetMissing
from pgsnow.model.plan import TablePlan
from pgsnow.operations.command_sessions import CommandSessions, as_known
from pgsnow.operations.owners import ConfiguredOwners
from pgsnow.operations.verify.canonical import from_snowflake
from pgsnow.operations.verify.source_rows import Expected, Row, expected_rows
from pgsnow.operations.verify.target_rows import TargetRows
from pgsnow.operations.verify.verdict import Difference, Verdict
from pgsnow.postgres.catalog.obstacles import try_read
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.snowflake.load.duplicates import identity_of
from pgsnow.snowflake.query import select_all, select_columns
from pgsnow.snowflake.schema.length_limits import Limit, limits_of
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import Session
from pgsnow.sync.engine import Engine
from pgsnow.sync.pipeline.row_keys import items_of
from pgsnow.sync.runtime.planner import target_of

PAGE = 2_000
"""Rows compared at a time."""


class Comparison:
    """Comparison of one table. Rows that change in the source during the comparison count as differences."""

    def __init__(
        self, plan: TablePlan, expected: Expected, session: Session, limits: Sequence[Limit] = ()
    ) -> None:
        self._plan = plan
        by_source = {limit.source: limit for limit in limits if limit.changes}
        self._shortened = [
            (at, by_source[f.source]) for at, f in enumerate(plan.output) if f.source in by_source
        ]
        self._expected = expected
        self._session = session
        self._key_at = [plan.output.index(field) for field in plan.key]
        self.verdict = Verdict(plan.config.name, str(plan.target))

    def run(self, quarantined: Mapping[Row, str]) -> Verdict:
        """Compare rows by key. quarantined: keys of rejected rows, as loaded, and the reasons; the target may lack
        these rows, but not have others in their place."""
        matched = 0
        self._quarantined = quarantined
        self._target = TargetRows(self._session, self._plan)
        self.verdict.target_rows = self._target.count
        for page in self._expected(PAGE):
            self.verdict.source_rows += len(page)
            matched += self._compare({self._key(row): self._fit(row) for row in page})
        self._ghosts(matched)
        return self.verdict

    def of_bags(self) -> Verdict:
        """Compare rows without a key: the target must hold each row as often as the source (with mode append: at least
        as often, and no row with the identity of another). A difference holds the whole row. Both sides are held in
        memory."""
        plan = self._plan
        output, more = plan.output, plan.config.mode is TableMode.APPEND
        names = identity_of(plan) if more else ()
        wanted: Counter[Row] = Counter()
        for page in self._expected(PAGE):
            self.verdict.source_rows += len(page)
            wanted.update(self._fit(row) for row in page)
        known, seen = set(wanted), set[Row]()
        for row in select_columns(self._session, plan.target, [*(f.target for f in output), *names]):
            self.verdict.target_rows += 1
            value = tuple(from_snowflake(f, v) for f, v in zip(output, row, strict=False))
            identity = row[len(output) :]
            if more and identity in seen and None not in identity:
                self.verdict.note(Difference("duplicate", value))
                continue
            seen.add(identity)
            wanted[value] -= 1
            if wanted[value] < 0 and not more:
                self.verdict.note(Difference("duplicate" if value in known else "ghost", value))
        for row in wanted.elements():  # rows that the target holds less often
            self.verdict.note(Difference("missing", row))
        return self.verdict

    def _key(self, row: Row) -> Row:
        return tuple(row[at] for at in self._key_at)

    def _fit(self, row: Row) -> Row:
        """The row as the target's columns hold it, where they are shorter than the source's."""
        values = list(row)
        for at, limit in self._shortened:
            values[at] = limit.fit(values[at])
        return tuple(values)

    def _compare(self, source: dict[Row, Row]) -> int:
        target: dict[Row, Row] = {}
        for row in self._target.of(list(source)):
            if self._key(row) in target:
                self.verdict.note(Difference("duplicate", self._key(row)))
            target[self._key(row)] = row
        for key, row in source.items():
            if key not in target:
                if key not in self._quarantined:
                    self.verdict.note(Difference("missing", key))
            elif row != target[key] and key in self._quarantined:
                self._note_stale(key)
            elif row != target[key]:
                self._note_values(key, row, target[key])
        return len(target)

    def _note_values(self, key: Row, source: Row, target: Row) -> None:
        for at, f in enumerate(self._plan.output):
            if source[at] != target[at]:
                self.verdict.note(Difference("value", key, f.target, source[at], target[at]))

    def _note_stale(self, key: Row) -> None:
        self.verdict.stale += 1
        self.verdict.note(Difference("stale", key, reason=self._quarantined[key]))

    def _ghosts(self, matched: int) -> None:
        """Rows of the target that were not among the expected ones. (With a transform, rejected rows are not.)"""
        if self.verdict.target_rows == matched:
            return
        known = {self._key(row) for page in self._expected(PAGE) for row in page}
        key = self._plan.key
        for row in select_all(self._session, self._plan.target, key):
            value = tuple(from_snowflake(f, v) for f, v in zip(key, row, strict=True))
            if value in known:
                continue
            if value in self._quarantined:
                self._note_stale(value)
            else:
                self.verdict.note(Difference("ghost", value))


def verify(engine: Engine, tables: Sequence[str] | None = None) -> list[Verdict]:
    """Compare these tables (all enabled ones by default). Writes nothing, except that a table without differences is
    no longer `unverified` in the ledger. A table that cannot be compared has its error; the others are compared.

    Raises ConfigError for an unknown table, and the error of an end that does not answer at all: SourceUnavailable,
    TargetUnavailable, LedgerUnavailable …
    """
    chosen = engine.config.select(tables)
    before: list[WatermarkRow] = unless_missing(engine.ledger.run_log.watermarks, [])
    doubts = {row.source_table: row.unverified for row in before}
    with CommandSessions(engine.source, engine.settings.snowflake, "pgsnow:verify") as sessions:
        sessions.postgres()
        sessions.session()
        verdicts = [_guarded(engine, table, sessions) for table in chosen]
    rows: list[WatermarkRow] = unless_missing(engine.ledger.run_log.watermarks, [])
    waiting = {row.source_table: row.staged_rows for row in rows}
    for verdict in verdicts:
        verdict.staged = waiting.get(verdict.table, 0)
        if verdict.equal and (why := doubts.get(verdict.table)):
            engine.ledger.checkpoints.verified(verdict.table, why)
            verdict.was_unverified = why
    return verdicts


def _guarded(engine: Engine, table: TableConfig, sessions: CommandSessions) -> Verdict:
    """The table's verdict; with its error if it cannot be compared."""
    try:
        return _verify_one(engine, table, sessions.postgres(), sessions.session())
    except Exception as error:  # a failure of one table, of any kind, must not hide the result of the others
        sessions.after(error)
        known = as_known(error, engine.settings.secrets(), table.name)
        target = str(target_of(table, engine.settings.snowflake))
        return Verdict(table.name, target, error=str(known), advice=known.advice or None)


def _verify_one(engine: Engine, table: TableConfig, conn: psycopg.Connection, session: Session) -> Verdict:
    states: dict[str, Remembered] = unless_missing(engine.ledger.checkpoints.remembered, {})
    known = states.get(table.name, Remembered())  # with JSON that is damaged, no definition
    prepared = engine.planner.plan(conn, table, None, known.definition)
    plan = prepared.plan
    try_read(conn, plan)
    horizon, _ = take_horizon(conn)
    ConfiguredOwners.of(engine.config, engine.settings, engine.ledger, horizon).look(session, plan)
    reasons = engine.ledger.rejected_rows.open_reasons(table.name)
    bad = {items_of(key): reason for key, reason in reasons}
    expected, left_out = expected_rows(engine.source, conn, prepared, bad)
    there = describe(session, plan.target) or []
    limits = limits_of({column.name: column.kind for column in there}, plan.output)
    comparison = Comparison(plan, expected, session, limits)
    verdict = comparison.verdict
    verdict.identified, verdict.whole = bool(identity_of(plan)), plan.whole
    verdict.quarantined = len(bad)
    try:
        if plan.target_key:
            comparison.run(left_out)
        else:
            comparison.of_bags()
    except TargetMissing:
        verdict.note(Difference("missing", (str(plan.target),)))
    return verdict
