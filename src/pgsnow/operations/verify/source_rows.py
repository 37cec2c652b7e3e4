"""Expected rows of a target, in canonical values.

Without a transform they come from Postgres's own text, so that the sync's reader does not check itself. With
one, rows are read and transformed as in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import psycopg

from pgsnow.model.batch import Page
from pgsnow.model.plan import TablePlan
from pgsnow.operations.verify.canonical import from_postgres, from_snowflake
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.postgres.read.as_text import read_text
from pgsnow.postgres.read.reader import open_reader
from pgsnow.sync.pipeline.confidential import ConfidentialColumns
from pgsnow.sync.pipeline.row_keys import Items, items_of, key_of
from pgsnow.sync.runtime.planner import Prepared

Row = tuple[Any, ...]
Expected = Callable[[int], Generator[list[Row]]]
"""Function of a page size that yields pages of rows, with a value for each output field. May be called
again."""
KeyItems = Mapping[Items, str]
"""The items of source keys with an open error, and the reasons."""


def expected_rows(
    source: Source, conn: psycopg.Connection, prepared: Prepared, bad: KeyItems
) -> tuple[Expected, dict[Row, str]]:
    """The pages, and by key, as loaded, the reasons why rows were rejected that the target may therefore lack. With a
    transform, such rows are not in the pages. (Rows without a key are read as in a run, and rejected again.)"""
    plan, transform = prepared.plan, prepared.transform
    rejected: dict[Row, str] = {}
    if plan.pk and transform.changes.isdisjoint(plan.pk):
        fields = {field.source: field for field in plan.output}
        rejected = {
            tuple(from_postgres(fields[name], dict(key)[name]) for name in plan.pk): reason
            for key, reason in bad.items()
            if {name for name, _ in key} == set(plan.pk)
        }
    if transform.steps or (bad and not plan.pk):
        return lambda page: _transformed(source, conn, prepared, bad, page), rejected
    return lambda page: _as_text(conn, plan, page), rejected


def _as_text(conn: psycopg.Connection, plan: TablePlan, size: int) -> Generator[list[Row]]:
    for page in read_text(conn, plan, plan.output, size):
        yield [tuple(from_postgres(f, v) for f, v in zip(plan.output, row, strict=True)) for row in page]


def _transformed(
    source: Source, conn: psycopg.Connection, prepared: Prepared, bad: KeyItems, size: int
) -> Generator[list[Row]]:
    plan = prepared.plan
    horizon, _ = take_horizon(conn)
    with open_reader(source, plan, None, horizon, full=True) as reading:
        for page in reading.pages():
            rows = prepared.transform.apply(_without(page, plan, bad)).rows
            values = [
                [from_snowflake(f, v) for v in c.to_pylist()]
                for f, c in zip(plan.output, rows.columns, strict=True)
            ]
            found = list(zip(*values, strict=True))
            yield from (found[at : at + size] for at in range(0, len(found), size))


def _without(page: Page, plan: TablePlan, bad: KeyItems) -> Any:
    if not bad or not plan.pk:
        return page.rows
    pk, rule = plan.pk, plan.config.transform
    stored = (lambda key: key) if rule is None else ConfidentialColumns(rule).key
    good = [at for at in range(page.rows.num_rows) if items_of(stored(key_of(page.rows, at, pk))) not in bad]
    return page.rows.take(good)
