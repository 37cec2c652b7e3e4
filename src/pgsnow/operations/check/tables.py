"""Check of a table: whether it can be read, and how much must be read in each tick."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.config.sync_config import LateRows, TableConfig, TableMode
from pgsnow.model.discovery.advice import advice_for, type_decisions
from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.duration import format_duration
from pgsnow.model.errors import PgsnowError
from pgsnow.model.plan import TablePlan
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import KINDS, Column, SourceName, SourceTable, shown_name
from pgsnow.model.types.key_forms import is_comparable, key_form
from pgsnow.operations.check.result import CheckResult, failed, ok, warning
from pgsnow.operations.deletes import doubts, rule_of
from pgsnow.operations.preconditions import ReadyTable, ready_to_read
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.sync.compare.continuous import obstacle
from pgsnow.sync.runtime.planner import Planner

UNKNOWN = Remembered()
INTEGERS = frozenset({"int2", "int4", "int8"})


def check_table(
    conn: psycopg.Connection[Any],
    table: TableConfig,
    settings: SnowflakeSettings,
    known: Remembered = UNKNOWN,
    surveyed: SurveyedTable | None = None,
    horizon: Horizon | None = None,
) -> tuple[list[CheckResult], ReadyTable | None]:
    """The table's results, and what a run would find, unless it could not read the table. known: its state in
    the ledger. surveyed: its survey, if it has one. horizon: None: it is taken now. Raises an error that
    pgsnow does not know."""
    try:
        horizon = horizon or take_horizon(conn)[0]
        ready = ready_to_read(conn, Planner(settings), table, known, horizon)
    except PgsnowError as error:
        return [failed(table.name, str(error), error.advice)], None
    results = [*_results(table, ready.plan), *_before_the_first_load(ready.plan, surveyed)]
    rule = rule_of(ready.plan, known)
    results.extend(warning(table.name, each.warning, each.fix) for each in doubts(ready.plan, rule))
    if table.verify_every and (why := obstacle(ready.plan)) is not None:
        text = f"verify_every does not compare this table: {why}"
        results.append(
            warning(table.name, text, "Run `pgsnow verify` from time to time, and remove `verify_every`.")
        )
    return results, ready


def _before_the_first_load(plan: TablePlan, surveyed: SurveyedTable | None) -> Iterator[CheckResult]:
    name = plan.config.name
    for advice in advice_for(plan, surveyed):
        yield warning(name, advice.warning, advice.fix)
    others = [str(decision) for decision in type_decisions(plan) if not decision.is_unbounded_numeric]
    if others:
        yield ok(name, f"types: {'; '.join(others)}")


def _results(table: TableConfig, plan: TablePlan) -> Iterator[CheckResult]:
    watermark = plan.watermark
    for name, now in plan.followed:
        text = f"column {name} was renamed to {now}, and is followed"
        yield warning(table.name, text, f"Write {now} instead of {name} in sync_config.yaml.")
    estimate = plan.source.estimated_rows
    rows = f"about {estimate:,} row{'s' * (estimate != 1)}" if estimate >= 0 else "size unknown"
    key = f"pk {', '.join(map(partial(_key_column, plan), plan.pk))}" if plan.pk else "no key"
    if watermark is None:
        yield ok(table.name, f"{rows}, {key}, mode {table.mode}")
        yield from _key_columns(table, plan)
        return
    yield ok(table.name, f"{rows}, {key}, watermark {watermark.name} ({watermark.type_name})")
    yield from _key_columns(table, plan)
    if not plan.has_xmin and table.late_rows is LateRows.LOSSLESS:
        yield warning(
            table.name,
            f"role {plan.source.role} may not read xmin: {watermark.name} alone shows which rows changed, so some are"
            f" read again, and {_without_audit(table)}",
            plan.source.grant_on(["xmin"]),
        )
    if watermark.name not in plan.source.indexed_first:
        yield warning(
            table.name,
            f"no index on {watermark.name}: each tick reads the whole {KINDS[plan.source.relkind].lower()}",
            _index_advice(plan.source, watermark.name),
        )
    if not watermark.not_null:
        yield warning(
            table.name,
            f"{watermark.name} may be NULL: rows without a watermark are read in each tick",
            _not_null_advice(plan.source, watermark.name),
        )
    if watermark.type_name == "timestamp" and table.watermark_timezone is None:
        yield warning(
            table.name,
            f"{watermark.name} has no time zone: rows of one day are read again to be safe",
            "Set watermark_timezone: to the zone that the application writes in.",
        )
    yield from _sequence(table, plan, watermark)


def _key_column(plan: TablePlan, name: str) -> str:
    """The column, and the form in which it is loaded where equal keys may be written in several ways."""
    column = plan.source.column(name)
    form = key_form(column) if column is not None and plan.target_key else ""
    return f"{name} (loaded in the form {form!r}, because Postgres calls other texts equal)" if form else name


def _without_audit(table: TableConfig) -> str:
    if table.audit_every <= 0:
        return "rows whose watermark is set to the past are not found (audit_every: 0)"
    every = format_duration(table.audit_every)
    return f"the whole table is read every {every} (audit_every) if any row has changed"


def _key_columns(table: TableConfig, plan: TablePlan) -> Iterator[CheckResult]:
    for name in plan.pk:
        column = plan.source.column(name)
        if column is not None and not column.not_null:
            yield warning(
                table.name,
                f"pk column {name} may be NULL: such rows are rejected, because no key identifies them",
                _not_null_advice(plan.source, name),
            )
        if column is not None and not is_comparable(column):
            yield warning(
                table.name,
                f"pk column {name} has type {column.type_name}, which pgsnow knows by its text only:"
                " a key that changes to an equal one with another text becomes a second row",
                "Nothing, if the type compares values by their text; else name another unique key in `pk`.",
            )


def _sequence(table: TableConfig, plan: TablePlan, watermark: Column) -> Iterator[CheckResult]:
    by_order = table.late_rows is LateRows.LOSSLESS and table.mode is TableMode.WATERMARK
    if by_order and plan.source.is_subscribed:
        yield warning(
            table.name,
            f"a subscription writes the table, later than another server gave {watermark.name} its values: rows are"
            " found by transaction id, and each tick reads the whole table",
            "Point POSTGRES_DSN at the publisher, or use `mode: log` (its slot is on the subscriber).",
        )
    elif (
        by_order and watermark.type_name in INTEGERS and not plan.source.is_numbered_in_order(watermark.name)
    ):
        yield warning(
            table.name,
            f"nothing shows that values of {watermark.name} are given out in order: rows are found by transaction id,"
            " and each tick reads the whole table",
            "Make the column GENERATED ALWAYS AS IDENTITY, from a sequence with INCREMENT 1 and CACHE 1, or name a"
            " timestamptz column.",
        )


def _index_advice(source: SourceTable, column: str) -> str:
    """https://www.postgresql.org/docs/current/sql-createindex.html: a partitioned table's index cannot be built
    concurrently, and views and foreign tables have none of their own."""
    if source.relkind in ("v", "f"):
        return f"Create an index on the column of the table that {shown_name(column)} comes from."
    concurrently = "" if source.relkind == "p" else " CONCURRENTLY"
    return f"CREATE INDEX{concurrently} ON {_name(source.name)} ({_quoted(column)});"


def _not_null_advice(source: SourceTable, column: str) -> str:
    """Columns of views cannot be declared NOT NULL."""
    if source.relkind in ("v", "m"):
        return f"Nothing to do if it never is; else leave such rows out by `where: {_quoted(column)} is not null`."
    return f"ALTER TABLE {_name(source.name)} ALTER COLUMN {_quoted(column)} SET NOT NULL;"


def _name(source: SourceName) -> str:
    return f"{_quoted(source.schema)}.{_quoted(source.table)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
