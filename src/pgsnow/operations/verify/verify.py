"""Compares target and source, row by row and column by column, in pages.

It uses other code than the sync: Postgres's own text of each value, and plain SELECTs in Snowflake, without
Arrow and Parquet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.config.sync_config import TableConfig, TableMode
from pgsnow.model.errors import TargetMissing
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.operations.verify.canonical import from_snowflake
from pgsnow.operations.verify.source_rows import Expected, Row, expected_rows
from pgsnow.operations.verify.target_rows import TargetRows
from pgsnow.postgres.catalog.obstacles import try_read
from pgsnow.snowflake.query import select_all
from pgsnow.snowflake.schema.length_limits import Limit, limits_of
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import Session, connect
from pgsnow.sync.engine import Engine
from pgsnow.sync.pipeline.row_keys import items_of

PAGE = 2_000
"""Rows compared at a time."""
SHOWN = 20
"""Differences kept for each table; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. kind: missing (not in the target), ghost (not in the source), duplicate (twice in the
    target), value (`column` differs) or stale (the target has an older version of a rejected row; `reason`: why it was
    rejected)."""

    kind: str
    key: tuple[Any, ...]
    column: str | None = None
    source: Any = None
    target: Any = None
    reason: str | None = None


@dataclass(slots=True)
class Verdict:
    """Result of the comparison of one table."""

    table: str
    target: str
    source_rows: int = 0
    target_rows: int = 0
    quarantined: int = 0
    """Rows with an open entry in sync_errors. They are not expected in the target."""
    stale: int = 0
    """Those of which the target has an older version, which are differences."""
    staged: int = 0
    """Rows that are staged and not loaded yet, which count as differences."""
    difference_count: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return self.difference_count == 0

    def note(self, difference: Difference) -> None:
        self.difference_count += 1
        if len(self.differences) < SHOWN:
            self.differences.append(difference)


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
        """Compare rows without a key: the target must hold each row as often as the source (with mode append:
        at least as often). A difference holds the whole row. Both sides are held in memory."""
        output, more = self._plan.output, self._plan.config.mode is TableMode.APPEND
        wanted: Counter[Row] = Counter()
        for page in self._expected(PAGE):
            self.verdict.source_rows += len(page)
            wanted.update(self._fit(row) for row in page)
        for row in select_all(self._session, self._plan.target, output):
            self.verdict.target_rows += 1
            value = tuple(from_snowflake(f, v) for f, v in zip(output, row, strict=True))
            wanted[value] -= 1
            if wanted[value] < 0 and not more:
                self.verdict.note(Difference("ghost", value))
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
    no longer `unverified` in the ledger.

    Raises the error that stops a comparison: SourceUnavailable, TargetUnavailable, SourceTableMissing …
    """
    chosen = engine.config.select(tables)
    tag = "pgsnow:verify"
    before: list[WatermarkRow] = unless_missing(engine.ledger.run_log.watermarks, [])
    doubts = {row.source_table: row.unverified for row in before}
    with engine.source.connect() as conn, connect(engine.settings.snowflake, query_tag=tag) as session:
        verdicts = [_verify_one(engine, engine.config.table(table.name), conn, session) for table in chosen]
    rows: list[WatermarkRow] = unless_missing(engine.ledger.run_log.watermarks, [])
    waiting = {row.source_table: row.staged_rows for row in rows}
    for verdict in verdicts:
        verdict.staged = waiting.get(verdict.table, 0)
        if verdict.equal and (why := doubts.get(verdict.table)):
            engine.ledger.checkpoints.verified(verdict.table, why)
    return verdicts


def _verify_one(engine: Engine, table: TableConfig, conn: psycopg.Connection, session: Session) -> Verdict:
    sources: dict[str, SourceDefinition] = unless_missing(engine.ledger.checkpoints.source_definitions, {})
    prepared = engine.planner.plan(conn, table, None, sources.get(table.name))
    try_read(conn, prepared.plan)
    reasons = engine.ledger.rejected_rows.open_reasons(table.name)
    bad = {items_of(key): reason for key, reason in reasons}
    expected, left_out = expected_rows(engine.source, conn, prepared, bad)
    there = describe(session, prepared.plan.target) or []
    limits = limits_of({column.name: column.kind for column in there}, prepared.plan.output)
    comparison = Comparison(prepared.plan, expected, session, limits)
    try:
        verdict = comparison.run(left_out) if prepared.plan.target_key else comparison.of_bags()
    except TargetMissing:
        comparison.verdict.note(Difference("missing", (str(prepared.plan.target),)))
        return comparison.verdict
    verdict.quarantined = len(bad)
    return verdict
