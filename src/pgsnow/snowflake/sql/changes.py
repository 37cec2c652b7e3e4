# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""The MERGE of changes that were read from the log, as text: rows, deletes, columns that did not change. Pure.

model/log/changes.py describes the columns of the files. docs/decisions/60-changes-are-merged-as-they-are-staged.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgsnow.model.batch import KeyBounds
from pgsnow.model.config.options import Deletes
from pgsnow.model.log.changes import DOUBTFUL, MOVED_PREFIX, OPERATION_COLUMN, UNCHANGED_COLUMN, ChangeKinds
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, FENCE_COLUMN, ORDER_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.types.canonical_text import canonical_text
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import qualified, quote
from pgsnow.snowflake.sql.bounds import within
from pgsnow.snowflake.sql.statements import NOW, Filled, staged_values

GONE = f"IFF(r.{quote(OPERATION_COLUMN)} = 'D', 1, 0)"
"""1 for a row that is deleted. A number, so that the guard of a statement, which is one, can take its place."""
READ_ONCE = f"COUNT(DISTINCT r.{quote(ORDER_COLUMN)}) OVER ()"
"""All rows that were read, even if the join to former keys has multiplied some: the target may have duplicates."""


def change_columns(kinds: ChangeKinds, key: Sequence[Field]) -> list[tuple[str, str]]:
    """The columns of the files that a statement reads in addition to the table's, with their types."""
    columns = [(OPERATION_COLUMN, "VARCHAR")] if kinds.deletes else []
    columns += [(UNCHANGED_COLUMN, "VARCHAR")] if kinds.unchanged else []
    former = [(MOVED_PREFIX + field.target, field.type.staged) for field in key]
    return columns + (former if kinds.moved else [])


def merge_changes(
    target: TargetName,
    source: str,
    output: Sequence[Field],
    key: Sequence[Field],
    fence: int,
    kinds: ChangeKinds,
    deletes: Deletes,
    *,
    guard: Mapping[str, str],
    audited: Sequence[Filled] = (),
    bounds: KeyBounds | None = None,
) -> str:
    """Merge the changes of any source. source: text for FROM, with the rows as `r`. guard: GONE, or the fence → the
    expression that takes its place, which every row needs. audited: further columns of the target, with their values;
    with `deletes: soft` also the mark, which a deleted row gets.

    One row per key is merged: the one read last. Columns that did not change keep the values of the target's row, or
    are taken from the row that has the former key. A row of which the target has no such row is not inserted. No row is
    changed that a run with a higher fence wrote.
    """
    former = _former_row(target, key) if kinds.moved else ""
    own = [(FENCE_COLUMN, guard.get(FENCE_COLUMN, str(fence))), *_marking(audited, kinds, deletes)]
    names = [*(f.target for f in output), *(name for name, _ in own)]
    values = [*_values(output, key, kinds), *own]
    if kinds.deletes:
        values.append((OPERATION_COLUMN, guard.get(OPERATION_COLUMN, GONE)))
    if kinds.unchanged:
        values.append((UNCHANGED_COLUMN, _still_unchanged(key, kinds)))
    return (
        f"MERGE INTO {qualified(target)} AS t USING ({_latest(values, source + former, key)}) AS s"
        f" ON {_matching(key, bounds)} "
        f"{_matched(output, key, own, kinds, deletes)} "
        f"WHEN NOT MATCHED{_insertable(kinds)} THEN INSERT ({', '.join(map(quote, names))}) "
        f"VALUES ({', '.join(f's.{quote(name)}' for name in names)})"
    )


def incomplete_rows(
    target: TargetName, source: str, key: Sequence[Field], kinds: ChangeKinds, *, with_moved: bool
) -> str:
    """The keys, as canonical texts, of rows that do not have all columns, and of which the target has no row after the
    MERGE, or one whose values are in doubt. with_moved: also of the rows that had another key before. source: as in
    `merge_changes`."""
    unchanged = f"s.{quote(UNCHANGED_COLUMN)}"
    values = [*staged_values(key), (UNCHANGED_COLUMN, f"r.{quote(UNCHANGED_COLUMN)}")]
    lacking = [f"t.{quote(key[0].target)} IS NULL"]
    lacking += [f"ENDSWITH({unchanged}, '{DOUBTFUL}')"] if kinds.doubtful else []
    if with_moved:
        values.append((MOVED_PREFIX + key[0].target, f"r.{quote(MOVED_PREFIX + key[0].target)}"))
        lacking.append(f"s.{quote(MOVED_PREFIX + key[0].target)} IS NOT NULL")
    return (
        f"SELECT {', '.join(map(_canonical, key))} FROM ({_latest(values, source, key)}) AS s"
        f" LEFT JOIN {qualified(target)} AS t ON {_matching(key, None)}"
        f" WHERE {unchanged} IS NOT NULL AND ({' OR '.join(lacking)})"
    )


def _canonical(field: Field) -> str:
    known, column = canonical_text(field), f"s.{quote(field.target)}"
    return column if known is None else known.target.format(c=column)


def moved_before(target: TargetName, source: str, key: Sequence[Field], fence: int) -> str:
    """How many rows that had another key before are in the target with this fence or a higher one: if any are, the
    changes may have been merged already, and the rows with the former keys may be other ones now."""
    former = f"r.{quote(MOVED_PREFIX + key[0].target)}"
    same = " AND ".join(f"t.{quote(name)} = {value}" for name, value in staged_values(key))
    return (
        f"SELECT COUNT(*) FROM {source} JOIN {qualified(target)} AS t ON {same}"
        f" WHERE {former} IS NOT NULL AND t.{quote(FENCE_COLUMN)} >= {fence}"
    )


def _latest(values: Sequence[Filled], source: str, key: Sequence[Field]) -> str:
    """The SELECT of these values of each key's row that was read last."""
    selected = ", ".join(f"{value} AS {quote(name)}" for name, value in values)
    partition = ", ".join(f"r.{quote(f.target)}" for f in key)
    newest = f"ROW_NUMBER() OVER (PARTITION BY {partition} ORDER BY r.{quote(ORDER_COLUMN)} DESC) = 1"
    return f"SELECT {selected} FROM {source} QUALIFY {newest}"


def _values(output: Sequence[Field], key: Sequence[Field], kinds: ChangeKinds) -> list[Filled]:
    """The loaded columns, those that did not change from the row with the former key, if there is one."""
    values = staged_values(output)
    if not kinds.moved:
        return values
    keys = {field.target for field in key}
    return [
        (
            name,
            value
            if name in keys
            else f"IFF({_is_unchanged('r', at)} AND {_found(key)}, o.{quote(name)}, {value})",
        )
        for at, (name, value) in enumerate(values)
    ]


def _still_unchanged(key: Sequence[Field], kinds: ChangeKinds) -> str:
    """The columns whose values are not known yet."""
    column = f"r.{quote(UNCHANGED_COLUMN)}"
    return f"IFF({_found(key)}, NULL, {column})" if kinds.moved else column


def _is_unchanged(rows: str, at: int) -> str:
    return f"CONTAINS(NVL({rows}.{quote(UNCHANGED_COLUMN)}, ''), '.{at}.')"


def _found(key: Sequence[Field]) -> str:
    """A condition: the target has a row with the former key."""
    return f"o.{quote(key[0].target)} IS NOT NULL"


def _former_row(target: TargetName, key: Sequence[Field]) -> str:
    """The join to the rows with the former keys, as they are before this statement."""
    same = " AND ".join(
        f"o.{quote(f.target)} = {f.type.merge.format(c='r.' + quote(MOVED_PREFIX + f.target))}" for f in key
    )
    return f" LEFT JOIN {qualified(target)} AS o ON {same}"


def _marking(audited: Sequence[Filled], kinds: ChangeKinds, deletes: Deletes) -> list[Filled]:
    """The audit columns; with `deletes: soft`, a deleted row gets the mark that others lose."""
    marks = kinds.deletes and deletes is Deletes.SOFT
    marked = f"IFF(r.{quote(OPERATION_COLUMN)} = 'D', {NOW}, NULL)"
    return [(name, marked if marks and name == DELETED_AT_COLUMN else value) for name, value in audited]


def _matching(key: Sequence[Field], bounds: KeyBounds | None) -> str:
    matching = " AND ".join(f"t.{quote(f.target)} = s.{quote(f.target)}" for f in key)
    kinds = {f.target: f.type.snowflake for f in key}
    condition = within(bounds, kinds) if bounds is not None else ""
    return f"{matching} AND {condition}" if condition else matching


def _matched(
    output: Sequence[Field],
    key: Sequence[Field],
    own: Sequence[Filled],
    kinds: ChangeKinds,
    deletes: Deletes,
) -> str:
    """The clauses for rows that the target has. A row is marked once only: the time of a mark does not change."""
    old, new = f"t.{quote(FENCE_COLUMN)}", f"s.{quote(FENCE_COLUMN)}"
    when = f"WHEN MATCHED AND ({old} IS NULL OR {old} <= {new})"
    gone = f"s.{quote(OPERATION_COLUMN)}"
    soft, keys = kinds.deletes and deletes is Deletes.SOFT, {field.target for field in key}
    updates = []
    for at, field in enumerate(output):
        if field.target in keys:
            continue
        column = quote(field.target)
        kept = [f"{gone} = 1"] if soft else []
        kept += [_is_unchanged("s", at)] if kinds.unchanged else []
        value = f"IFF({' OR '.join(kept)}, t.{column}, s.{column})" if kept else f"s.{column}"
        updates.append(f"t.{column} = {value}")
    updates += [f"t.{quote(name)} = s.{quote(name)}" for name, _ in own]
    then = f"THEN UPDATE SET {', '.join(updates)}"
    if not kinds.deletes:
        return f"{when} {then}"
    if soft:
        return f"{when} AND ({gone} = 0 OR t.{quote(DELETED_AT_COLUMN)} IS NULL) {then}"
    delete = f"{when} AND {gone} = 1 THEN DELETE " if deletes is Deletes.HARD else ""
    return f"{delete}{when} AND {gone} = 0 {then}"


def _insertable(kinds: ChangeKinds) -> str:
    conditions = [f"s.{quote(OPERATION_COLUMN)} = 0"] if kinds.deletes else []
    conditions += [f"s.{quote(UNCHANGED_COLUMN)} IS NULL"] if kinds.unchanged else []
    return "".join(f" AND {condition}" for condition in conditions)
