"""A watermark that a person has set in the ledger, so that rows are read again from there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
from psycopg.sql import SQL, Literal

from pgsnow.model.checkpoint import Checkpoint, ReadMode
from pgsnow.model.errors import LedgerRowUnreadable
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.window import Window


def follow_reset(
    conn: psycopg.Connection[Any], plan: TablePlan, checkpoint: Checkpoint, value: str
) -> tuple[Checkpoint, str]:
    """The checkpoint to read from, and the event to report ('': the value is the one that pgsnow wrote).

    value: what was written in place of the last watermark, '' for NULL. A later watermark is not followed, because rows
    before it would never be read. The ledger has its own value again when the checkpoint moves. Raises
    LedgerRowUnreadable for a text that is no value of the column, SourceUnavailable."""
    name = plan.config.name
    if plan.watermark is None or plan.whole:
        return checkpoint, (
            f"last_watermark in sync_watermarks was set by hand, but {name} is not read by a watermark: to read it"
            f" again, run pgsnow resync {name}"
        )
    if not value:
        return checkpoint.evolve(reset_to=""), ""
    text, order = _compared(conn, plan, value, checkpoint.last_watermark)
    if order > 0:
        return checkpoint, (
            f"last_watermark in sync_watermarks was set forward to {text} by hand, which is ignored: the rows between"
            f" {checkpoint.last_watermark} and {text} would not be read"
        )
    if order == 0:
        return checkpoint, ""
    event = (
        f"last_watermark in sync_watermarks was set back to {text} by hand: rows from there on are read again"
    )
    if checkpoint.mode is ReadMode.CURSOR:
        return checkpoint.evolve(cursor=(text,)), event
    return checkpoint.evolve(reset_to=text), event


def from_watermark(window: Window, value: str) -> Window:
    """The window with all rows of this watermark or a later one, whatever their xid."""
    literal = SQL("{}::{}").format(Literal(value), SQL(window.plan.watermark_column.type_name))
    bound = None if window.bound is None else SQL("least({}, {})").format(window.bound, literal)
    if window.always_from is not None:
        literal = SQL("least({}, {})").format(window.always_from, literal)
    return replace(window, bound=bound, always_from=literal)


def _compared(
    conn: psycopg.Connection[Any], plan: TablePlan, value: str, last: str | None
) -> tuple[str, int]:
    """The value as Postgres writes it, and -1, 0 or 1: it is before, equal to, or after the last one that was read."""
    column = plan.watermark_column
    kind = SQL(column.type_name)
    order = "case when v = w then 0 when v > w then 1 else -1 end"
    query = SQL(f"select v::text, {order} from (select {{}}::{{}} v, {{}}::{{}} w) c")  # noqa: S608
    statement = sql.text_of(query.format(Literal(value), kind, Literal(last), kind)).encode()
    with translating(str(plan.source.name)):
        try:
            [(text, order)] = conn.execute(statement).fetchall()
        except psycopg.DataError as error:
            raise _no_watermark(plan, value, error) from None
    return str(text), int(order)


def _no_watermark(plan: TablePlan, value: str, error: psycopg.DataError) -> LedgerRowUnreadable:
    column = plan.watermark_column
    return LedgerRowUnreadable(
        f"{plan.config.name}: watermark_text in sync_watermarks is {value!r}, but {column.name} is {column.type_text}:"
        f" {error.diag.message_primary}",
        advice=f"Write a value of {column.name} into watermark_text: rows from it on are read again. Or set"
        " last_watermark and watermark_text to NULL: then everything is.",
    )
