"""Queries of the source's side of a comparison: digests of key ranges, their rows, and keys that cut them.

Ranges are disjoint and ascending. Adjacent ones are read by one scan, and where an index has the key's order, each run
of adjacent ranges by a scan of that part of the index alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.key_range import KeyRange
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.compare.keys import ROW_HASH, SourceKey

WHOLE_SCAN = (
    "set local enable_sort = off",
    "set local max_parallel_workers_per_gather = 0",
    "set local jit = off",
)
"""Settings for a scan of the whole table: no sort, one process."""
INDEX_SCAN = (*WHOLE_SCAN, "set local enable_seqscan = off", "set local enable_bitmapscan = off")
"""Settings for scans of parts of an index, whose price the planner overestimates without statistics."""
AFTERWARDS = "; ".join(
    f"set local {name} to default"
    for name in (
        "enable_sort",
        "max_parallel_workers_per_gather",
        "jit",
        "enable_seqscan",
        "enable_bitmapscan",
    )
)
BUCKET = Identifier("__pgsnow_range")


@dataclass(frozen=True, slots=True)
class SourceRows:
    """The rows that are compared. content: integer expressions over a row, whose sums replace those of its key.
    row_hash: an expression of type text that is computed once for each row, and which `content` may use by the name
    ROW_HASH. conditions: on the rows, besides the table's own `where`."""

    plan: TablePlan
    key: SourceKey
    content: tuple[Composable, ...] = ()
    row_hash: Composable | None = None
    conditions: tuple[Composable, ...] = ()

    @property
    def pieces(self) -> tuple[Composable, ...]:
        """The expressions that are summed up."""
        return self.content or self.key.pieces

    def table(self, within: Composable | None, sample: Composable | None = None) -> Composed:
        """A FROM clause with its WHERE: the rows for which `within` holds."""
        present = [SQL("{} is not null").format(name) for name in self.key.nullable]
        own = [sql.where_given(self.plan), *self.conditions, *present]
        table = SQL("{}{}").format(sql.table(self.plan), sample or SQL(""))
        if self.row_hash is None:
            return SQL("from {} where {}").format(table, sql.both([within, *own]))
        # OFFSET keeps Postgres from computing the hash once for each use of it.
        return SQL("from (select *, {} as {} from {} where {} offset 0) as hashed where {}").format(
            self.row_hash,
            ROW_HASH,
            table,
            sql.both([self._early(within), *own]),
            sql.both([self._late(within)]),
        )

    def _early(self, within: Composable | None) -> Composable | None:
        return within if self.plan.key else None

    def _late(self, within: Composable | None) -> Composable | None:
        return None if self.plan.key else within


def digests(rows: SourceRows, ranges: Sequence[KeyRange]) -> Composed:
    """A query for (index of the range, number of rows, sum of each piece) of each range that has rows; the index is
    NULL for rows between two ranges."""
    spans = runs(ranges) if rows.key.served else [(0, list(ranges))]
    return SQL("\nunion all ").join(_digest(rows, at, span) for at, span in spans)


def _digest(rows: SourceRows, at: int, span: Sequence[KeyRange]) -> Composed:
    sums = [SQL("sum({})").format(piece) for piece in rows.pieces]
    within = rows.key.within(KeyRange(span[0].first, span[-1].end))
    return SQL("(select {}, {} {} group by 1)").format(
        bucket_of(rows.key, span, at), SQL(", ").join([SQL("count(*)"), *sums]), rows.table(within)
    )


def bucket_of(key: SourceKey, span: Sequence[KeyRange], at: int = 0) -> Composable:
    """An expression: the index of the range that holds the row, `at` for the first one; NULL for a row between two
    ranges. A tree of comparisons, as deep as the logarithm of their number."""
    parts: list[tuple[KeyRange, int | None]] = []
    for number, range_ in enumerate(span, at):
        if parts and range_.first != parts[-1][0].end:
            parts.append((KeyRange(parts[-1][0].end, range_.first), None))
        parts.append((range_, number))
    return _tree(key, parts)


def _tree(key: SourceKey, parts: Sequence[tuple[KeyRange, int | None]]) -> Composable:
    if len(parts) == 1:
        number = parts[0][1]
        return SQL("null::int") if number is None else Literal(number)
    middle = len(parts) // 2
    bound = parts[middle][0].first
    if bound is None:
        raise ValueError("only the first range may have no first key")
    return SQL("case when {} then {} else {} end").format(
        key.before(bound), _tree(key, parts[:middle]), _tree(key, parts[middle:])
    )


def runs(ranges: Sequence[KeyRange]) -> Iterator[tuple[int, list[KeyRange]]]:
    """Runs of adjacent ranges, each with the index of its first one."""
    start, span = 0, list[KeyRange]()
    for at, range_ in enumerate(ranges):
        if span and (range_.first is None or range_.first != span[-1].end):
            yield start, span
            span = []
        start = at if not span else start
        span.append(range_)
    if span:
        yield start, span


def rows_of(rows: SourceRows, ranges: Sequence[KeyRange]) -> Composed:
    """A query for the texts of the key (k0, k1, …) and the pieces of the content (p0, p1, …) of the rows in these
    ranges."""
    texts = [(text, f"k{at}") for at, text in enumerate(rows.key.texts)]
    pieces = [(piece, f"p{at}") for at, piece in enumerate(rows.content)]
    chosen = sql.named([*texts, *pieces])
    spans = [rows.key.within(KeyRange(span[0].first, span[-1].end)) for _, span in runs(ranges)]
    if not rows.key.served:
        spans = [SQL("({})").format(SQL(" or ").join(s or SQL("true") for s in spans))]
    return SQL("\nunion all ").join(SQL("(select {} {})").format(chosen, rows.table(s)) for s in spans)


def bounds(rows: SourceRows, ranges: Sequence[KeyRange], steps: Sequence[int]) -> Composed:
    """A query for (index of the range, place, texts of the key) of every steps[i]-th key of the i-th range, without its
    first."""
    return SQL("\nunion all ").join(
        _every(rows, rows.key.within(range_), Literal(at), Literal(step))
        for at, (range_, step) in enumerate(zip(ranges, steps, strict=True))
    )


def sampled_bounds(rows: SourceRows, percent: float, parts: int) -> Composed:
    """A query for (number of sampled rows, place, texts of the key) of at most parts - 1 keys that cut a sample of the
    table into parts of the same size.

    https://www.postgresql.org/docs/current/sql-select.html#SQL-FROM (TABLESAMPLE SYSTEM: some of the blocks)"""
    sample, within = None, None
    if percent < 100 and rows.plan.source.relkind in ("r", "p", "m"):
        sample = SQL(" tablesample system ({})").format(Literal(percent))
    elif percent < 100:
        within = SQL("random() < {}").format(Literal(percent / 100))
    step = SQL("((total + {} - 1) / {})").format(Literal(parts), Literal(parts))
    return _every(rows, within, SQL("total"), step, sample)


def sampled_keys(rows: SourceRows, condition: Composable, percent: float, most: int) -> Composed:
    """A query for the texts of the keys of at most so many rows for which the condition holds, in a sample of this
    share of the table."""
    texts = sql.named([(text, f"k{at}") for at, text in enumerate(rows.key.texts)])
    sample = None
    if percent < 100 and rows.plan.source.relkind in ("r", "p", "m"):
        sample = SQL(" tablesample system ({})").format(Literal(percent))
    return SQL("select {} {} limit {}").format(texts, rows.table(condition, sample), Literal(most))


def _every(
    rows: SourceRows,
    within: Composable | None,
    first: Composable,
    step: Composable,
    sample: Composable | None = None,
) -> Composed:
    """(first, place, texts of the key) of every step-th of these rows, without the first. `step` may use `total`, the
    number of the rows."""
    texts = sql.named([(text, f"k{at}") for at, text in enumerate(rows.key.texts)])
    total = SQL("count(*) over () as total, ") if isinstance(step, Composed) else SQL("")
    return SQL(
        "(select {}, place, {} from (select {}{}, row_number() over (order by {}) as place {}) as keys"
        " where place > 1 and (place - 1) % {} = 0)"
    ).format(
        first,
        SQL(", ").join(Identifier(f"k{at}") for at in range(len(rows.key.texts))),
        total,
        texts,
        rows.key.order,
        rows.table(within, sample),
        step,
    )


def extremes(rows: SourceRows) -> Composed:
    """A query for the smallest and the largest value of a key of one column. (Without `where`, which an index would not
    serve: they only bound ranges.)"""
    order = rows.key.order
    return SQL("select min({})::text, max({})::text from {}").format(order, order, sql.table(rows.plan))
