"""The rows of a table as streams that are compared on our side: whole rows of a table whose transform computes values,
or the key and the documents of each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg.sql import SQL, Composable, Identifier

from pgsnow.model.key_range import KeyRange
from pgsnow.operations.verify.exact_rows import ExactRows
from pgsnow.operations.verify.open_table import OpenTable, Row
from pgsnow.operations.verify.source_rows import Expected
from pgsnow.operations.verify.streamed import document_form, plain_form
from pgsnow.postgres import sql
from pgsnow.postgres.compare.digests import runs
from pgsnow.postgres.compare.keys import SourceKey
from pgsnow.postgres.read.as_text import stream_text
from pgsnow.snowflake.names import quote
from pgsnow.snowflake.sql import compare_content, statements
from pgsnow.snowflake.sql.compare import TargetKey

PAGE = 5_000
"""Rows that are read at a time."""
RANGES = 2
"""First ranges that one statement reads from the target: an answer that does not come in parts stays small."""


def source_rows(pages: Expected, exact: ExactRows) -> Iterator[tuple[Row, Row]]:
    """Key and content of each row that the target should hold."""
    for page in pages(PAGE):
        for values in page:
            row = plain_form(exact.fitted(values))
            yield exact.key_of(row), row


def target_rows(table: OpenTable, exact: ExactRows) -> Iterator[tuple[Row, Row]]:
    """Key and content of each row of the target."""
    for page in table.session.stream(
        statements.select(table.plan.target, table.plan.output, table.unmarked), PAGE
    ):
        for values in page:
            row = plain_form(exact.loaded(values))
            yield exact.key_of(row), row


def source_documents(
    table: OpenTable, key: SourceKey, ranges: Sequence[KeyRange]
) -> Iterator[tuple[Row, Row]]:
    """The key's texts and the documents of each row in these ranges, in a form that is equal for equal documents."""
    width, forms = len(key.columns), [document_form(f, of_target=False) for f in table.documents]
    texts: list[Composable] = [SQL(f.type.text).format(c=Identifier(f.source)) for f in table.documents]
    within = [key.within(KeyRange(span[0].first, span[-1].end)) for _, span in runs(ranges)]
    some = SQL("({})").format(SQL(" or ").join(w or SQL("true") for w in within))
    present = [SQL("{} is not null").format(name) for name in key.nullable]
    query = SQL("select {} from {} where {}").format(
        SQL(", ").join([*key.texts, *texts]),
        sql.table(table.plan),
        sql.both([some, sql.where_given(table.plan), *present]),
    )
    for page in stream_text(table.conn, table.plan, query, PAGE):
        for row in page:
            yield row[:width], tuple(form(text) for form, text in zip(forms, row[width:], strict=True))


def target_documents(
    table: OpenTable, key: TargetKey, ranges: Sequence[KeyRange]
) -> Iterator[tuple[Row, Row]]:
    """Rows as `source_documents` yields them, of the target, a few ranges of keys at a time."""
    width, forms = len(key.columns), [document_form(f, of_target=True) for f in table.documents]
    chosen = [*key.texts, *(quote(f.target) for f in table.documents)]
    for span in _spans(ranges):
        within = key.within(KeyRange(span[0].first, span[-1].end))
        where = " AND ".join(filter(None, (within, table.unmarked)))
        statement = compare_content.select(table.plan.target, chosen, where)
        for page in table.session.stream(statement, PAGE):
            for row in page:
                yield row[:width], tuple(form(value) for form, value in zip(forms, row[width:], strict=True))


def statements_for(ranges: Sequence[KeyRange]) -> int:
    """The number of statements that `target_documents` sends for these ranges."""
    return len(_spans(ranges))


def _spans(ranges: Sequence[KeyRange]) -> list[Sequence[KeyRange]]:
    """Adjacent ranges that one statement reads."""
    return [span[at : at + RANGES] for _, span in runs(ranges) for at in range(0, len(span), RANGES)]
