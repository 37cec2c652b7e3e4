"""Finds out what a repair of a table would do: its differences by kind, or why it cannot be repaired row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.comparison.certificate import Certificate, ComparisonMethod
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.key_range import DifferenceKind, KeyDifference, KeyRange
from pgsnow.model.plan import TablePlan
from pgsnow.model.sentences import counted
from pgsnow.operations.command_sessions import CommandSessions, as_known
from pgsnow.operations.verify.certify import Tally, tally_of, wanted
from pgsnow.operations.verify.differences import differences_of
from pgsnow.operations.verify.open_table import OpenTable, open_table
from pgsnow.operations.verify.verdict import MOST_REPAIRED
from pgsnow.postgres.read.snapshot import open_snapshot
from pgsnow.sync.compare.ranges import first_ranges
from pgsnow.sync.compare.sides import SourceSide
from pgsnow.sync.engine import Engine
from pgsnow.sync.runtime.planner import target_of
from pgsnow.sync.table.comparison.key_order import holding


@dataclass(slots=True)
class TableRepair:
    """The repair of one table: what was found, and what was done about it.

    tally: what was counted. refused: why nothing can be repaired row by
    row, with the command that helps as advice. error, advice: why the comparison failed.
    """

    table: str
    target: str
    found: list[KeyDifference] = field(default_factory=list)
    tally: Tally | None = None
    source_rows: int = 0
    target_rows: int = 0
    in_flight: int = 0
    refused: str | None = None
    error: str | None = None
    advice: str | None = None
    events: tuple[str, ...] = ()
    status: str | None = None
    """How the run that repaired the table ended; None: it was not repaired."""
    left: dict[str, int] | None = None
    """Kind → rows that still differ after the repair; None: that was not looked at."""
    ranges: list[KeyRange] | None = None
    """The first ranges that hold a difference."""
    certificate: Certificate | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Kind → rows that differed."""
        return dict(self.tally.counts) if self.tally else {}

    @property
    def keeps(self) -> str:
        """Why rows that only the target has stay; '': they are removed."""
        return self.tally.keeps if self.tally else ""

    @property
    def still_different(self) -> dict[str, int]:
        """Kind → rows that differ now, as far as it is known, without those that stay on purpose."""
        return wanted(self.counts if self.left is None else self.left, keeps=bool(self.keeps))

    @property
    def is_repairable(self) -> bool:
        """True if a repair would change rows."""
        return bool(self.still_different) and self.refused is None and self.error is None

    @property
    def final_certificate(self) -> Certificate | None:
        """The comparison, with what was repaired."""
        if self.certificate is None or self.left is None:
            return self.certificate
        repaired = max(0, self.certificate.differences - sum(self.still_different.values()))
        return replace(self.certificate, repaired=repaired)


def find_repairs(
    engine: Engine, tables: Sequence[str] | None, *, content: bool = True, ghosts: bool = False
) -> list[TableRepair]:
    """Compare these tables (all enabled ones by default). Writes nothing. content: whole rows, not their keys alone.
    ghosts: remove rows that only the target has also where `deletes: off` keeps them. A table that cannot be compared
    has its error; the others are compared. Raises ConfigError for an unknown table, and the error of an end that does
    not answer at all."""
    rows: list[WatermarkRow] = unless_missing(engine.ledger.run_log.watermarks, [])
    known = {row.source_table: row for row in rows}
    with CommandSessions(engine.source, engine.settings.snowflake, "pgsnow:repair") as sessions:
        sessions.postgres()
        sessions.session()
        return [
            _guarded(engine, table, known.get(table.name), sessions, content=content, ghosts=ghosts)
            for table in engine.config.select(tables)
        ]


def _guarded(
    engine: Engine,
    table: TableConfig,
    row: WatermarkRow | None,
    sessions: CommandSessions,
    *,
    content: bool,
    ghosts: bool,
) -> TableRepair:
    repair = TableRepair(table.name, str(target_of(table, engine.settings.snowflake)))
    if (why := under_way(row)) is not None:
        repair.refused, repair.advice = why
        return repair
    try:
        opened = open_table(engine, table, sessions)
        repair.tally = tally_of(opened)
        repair.tally.keeps = "" if ghosts else repair.tally.keeps
        compare_table(opened, repair, repair.tally, content=content)
        if repair.still_different and (why := without_rows(opened.plan)) is not None:
            repair.refused, repair.advice = why
    except Exception as error:  # a failure of one table, of any kind, must not hide the result of the others
        sessions.after(error)
        found = as_known(error, engine.settings.secrets(), table.name)
        repair.error, repair.advice = str(found), found.advice or None
    return repair


def under_way(row: WatermarkRow | None) -> tuple[str, str | None] | None:
    """Why a table in this state cannot be repaired now, and advice; None: it can."""
    if row is None or row.read_mode is None:
        if row is not None and row.chunks is not None:
            return f"a full read is under way: {row.chunks_done} of {row.chunks} chunks are loaded", None
        return "it has not been loaded yet, or everything is read again at its next run", "pgsnow run"
    return None


def without_rows(plan: TablePlan) -> tuple[str, str | None] | None:
    """Why rows of this table cannot be repaired one by one, and the command that helps."""
    resync = f"pgsnow resync {plan.config.name}"
    if not plan.pk:
        return "its rows have no key, so that single rows cannot be read again", resync
    if plan.whole:
        return f"with mode {plan.config.mode}, its content is loaded as a whole", resync
    return None


def compare_table(opened: OpenTable, repair: TableRepair, tally: Tally, *, content: bool) -> None:
    """Find the differences of a table, and the ranges that hold them."""
    ranges = ranges_of(opened)
    differences = differences_of(opened, content=content, ranges=ranges)
    for one in differences:
        tally.note(one)
        if len(repair.found) <= MOST_REPAIRED:
            repair.found.append(KeyDifference(one.kind, one.key, one.rows))
    repair.in_flight = differences.in_flight
    repair.source_rows = differences.counts.source_rows
    repair.target_rows = differences.counts.target_rows
    method = ComparisonMethod.CONTENT if content else ComparisonMethod.KEYS
    repair.certificate = tally.certificate("repair", method, differences)
    if len(repair.found) > MOST_REPAIRED:
        rows = counted(sum(tally.counts.values()), "row")
        repair.refused = f"{rows} differ, more than are repaired one by one ({MOST_REPAIRED})"
        reread = f"pgsnow run --select {repair.table} --reread"
        repair.advice = f"pgsnow resync {repair.table}" if tally.counts[DifferenceKind.GHOST] else reread
    elif ranges is not None:
        repair.ranges = holding(opened.plan, ranges, [one.key for one in repair.found])


def compare_again(engine: Engine, repair: TableRepair, sessions: CommandSessions, *, content: bool) -> None:
    """After a repair: compare the ranges that held a difference once more."""
    opened = open_table(engine, engine.config.table(repair.table), sessions)
    counts: Counter[str] = Counter()
    for one in differences_of(opened, content=content, ranges=repair.ranges):
        counts[str(one.kind)] += one.rows
    repair.left = dict(counts)


def ranges_of(opened: OpenTable) -> list[KeyRange] | None:
    """The first ranges of the table's keys; None if they are compared in another way."""
    rule, plan = opened.plan.config.transform, opened.plan
    if without_rows(plan) is not None:
        return None
    if rule is not None and (rule.function or set(plan.pk) & {*rule.sensitive, *rule.cast}):
        return None
    with opened.source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        return first_ranges(SourceSide(snap, plan), plan)
