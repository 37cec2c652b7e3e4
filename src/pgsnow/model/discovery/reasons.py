"""The reasons for a proposal, and the warnings about what it costs, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.discovery.watermark_choice import Candidate
from pgsnow.model.sentences import counted
from pgsnow.model.table import SourceTable
from pgsnow.model.table_key import key_problem

_KINDS = {
    "v": "it is a view, whose rows do not show which transaction wrote them",
    "m": "it is a materialized view, where a refresh writes all rows again",
    "f": "it is a foreign table, whose rows do not show which transaction wrote them",
}
HUGE_BYTES = 8 * 1024**3
HUGE_ROWS = 20_000_000
"""Size from which on a scan in each tick is worth a warning."""
LARGE_BYTES = 1024**3
LARGE_ROWS = 2_000_000
"""Size from which on loading the whole table again is worth one, also where a person has chosen it."""


def untraceable(table: SurveyedTable, best: Candidate | None) -> str:
    """The reason why changed rows of this relation cannot be found; '' if they can. best: its watermark, if any."""
    if best is None and table.source.relkind in "rp" and not table.source.may_read("xmin"):
        return f"it has no watermark, and role {table.role} may not read xmin ({table.source.grant_on(['xmin'])})"
    if table.foreign_partitions:
        return (
            "some of its partitions are foreign tables, whose rows do not show which transaction wrote them"
        )
    return _KINDS.get(table.source.relkind, "")


def reasons_of(
    table: SurveyedTable,
    key: tuple[str, ...] | None,
    best: Candidate | None,
    candidates: Sequence[Candidate],
) -> tuple[str, ...]:
    notes = [] if key is None else [_key_reason(table, key)]
    notes.append(f"mode: {_mode_reason(table, candidates, key, best)}")
    if key is not None and best is not None and best.type_name in ("timestamp", "date"):
        notes.append("watermark_timezone: unknown; name the time zone that the application writes in")
    if why := worth_the_log(table, key, best):
        notes.append(why)
    if table.source.unreadable:
        closed = [c.name for c in table.source.columns if not table.source.may_read(c.name)]
        notes.append(f"columns: role {table.role} may not read {', '.join(closed) or 'system columns'}")
    if table.source.relkind == "p":
        notes.append(f"partitioned: {counted(table.partitions, 'partition')}, read with it")
    if table.children:
        notes.append("where: only its own rows; its child tables are synced as tables of their own")
    return tuple(notes)


OFTEN_DELETED = 10_000
"""Deletes counted from which on the log may be worth it, if they are a tenth of all changes."""


def worth_the_log(table: SurveyedTable, key: tuple[str, ...] | None, best: Candidate | None) -> str:
    """The reason why reading the table from the log would be worth it; '' if nothing shows that."""
    if key is None or table.source.relkind not in "rp" or table.foreign_partitions or table.children:
        return ""
    changes = table.inserts + table.updates + table.deletes
    if is_huge(table.source) and (best is None or best.column not in table.source.indexed_first):
        why = "no scan of this large table in each tick"
    elif table.deletes >= OFTEN_DELETED and table.deletes * 10 >= changes:
        why = f"its deletes ({table.deletes:,} counted) would arrive with the other changes"
    else:
        return ""
    needs = "" if table.logical else " after `ALTER SYSTEM SET wal_level = 'logical'` and a restart"
    return f"`mode: log` is worth considering{needs}: {why}"


def _key_reason(table: SurveyedTable, key: tuple[str, ...]) -> str:
    primary = table.has_primary_key and key == table.source.unique_keys[0]
    return f"pk: {'primary key' if primary else 'unique, never NULL'}"


def _mode_reason(
    table: SurveyedTable, candidates: Sequence[Candidate], key: tuple[str, ...] | None, best: Candidate | None
) -> str:
    """Why the entry has its mode, which is the decision that matters most."""
    if reason := untraceable(table, best):
        return f"full, because {reason}"
    if key is None:
        keys = [f"[{', '.join(k)}]: {key_problem(table.source, k)}" for k in table.source.unique_keys]
        notes = f" ({'; '.join(keys)})" if keys else ""
        return (
            f"full, because there is no primary key, nor a unique index of columns that are never NULL{notes}"
        )
    if best is not None:
        return f"watermark, by {best.column}: {', '.join(best.reasons)}"
    grouped: dict[str, list[str]] = {}
    for candidate in candidates:
        grouped.setdefault(candidate.reasons[0], []).append(candidate.column)
    notes = "; ".join(f"{', '.join(columns)}: {reason}" for reason, columns in grouped.items())
    return (
        f"xmin, because no column shows reliably that a row has changed{f' ({notes})' if notes else ''};"
        " changed rows are found by transaction id, with one scan per tick"
    )


def warnings_of(table: SurveyedTable, key: tuple[str, ...] | None, best: Candidate | None) -> Iterator[str]:
    size = size_text(table.source.estimated_rows, table.source.total_bytes)
    if key is None:
        yield f"{read_whole(size)}; {instead_of_whole(table)}"
    elif is_huge(table.source) and (best is None or best.column not in table.source.indexed_first):
        yield f"each tick scans the whole table ({size}): {instead_of_scan(table, best.column if best else None)}"


def read_whole(size: str) -> str:
    """The cost of a table that is read as a whole."""
    return (
        f"it is read as a whole ({size}): each inspection reads all rows, and each change loads all of them"
    )


def instead_of_scan(table: SurveyedTable, watermark: str | None) -> str:
    """How to have a table of this size read by an index."""
    if watermark is not None:
        return f"CREATE INDEX CONCURRENTLY ON {table.quoted} ({_quoted(watermark)});"
    return (
        "add a column with an index that a BEFORE UPDATE trigger sets to now() and name it in `watermark_column:`,"
        " or run the table less often (`every:`)"
    )


def is_huge(source: SourceTable) -> bool:
    """True for a table that should not be scanned in each tick."""
    return source.total_bytes >= HUGE_BYTES or source.estimated_rows >= HUGE_ROWS


def is_large(source: SourceTable) -> bool:
    """True for a table that should not be loaded again as a whole."""
    return source.total_bytes >= LARGE_BYTES or source.estimated_rows >= LARGE_ROWS


def size_text(rows: int, size: int) -> str:
    """`about 12,000 rows, 3 MB`; both are estimates, and may be unknown."""
    texts = (
        [f"about {rows:,} row{'s' * (rows != 1)}"]
        if rows >= 0
        else ["number of rows unknown, never analyzed"]
    )
    for unit, each in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if size >= each:
            return ", ".join([*texts, f"{size / each:.1f} {unit}"])
    return texts[0]


def _key_of_the_root(table: SurveyedTable) -> str:
    """The statement that gives a partitioned table the key that its partitions have. It must hold the columns that rows
    are partitioned by; a partition that has another primary key keeps it beside a UNIQUE one."""
    columns = tuple(dict.fromkeys([*table.partitions_key, *table.partitioned_by]))
    nullable = {column.name for column in table.source.columns if not column.not_null}
    actions = [f"ALTER COLUMN {_quoted(name)} SET NOT NULL" for name in columns if name in nullable]
    kind = "PRIMARY KEY" if columns == table.partitions_key else "UNIQUE"
    actions.append(f"ADD {kind} ({', '.join(map(_quoted, columns))})")
    return f"ALTER TABLE {table.quoted} {', '.join(actions)};"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def instead_of_whole(table: SurveyedTable) -> str:
    """How to have only changed rows read."""
    if table.source.relkind in ("v", "m"):
        return "sync the tables that it reads instead, or choose how often (`every:`)"
    if table.source.relkind == "f" or table.foreign_partitions:
        return "sync it from the server that has its rows, or choose how often (`every:`)"
    if table.partitions_key:
        return (
            f"each partition has the primary key [{', '.join(table.partitions_key)}], the partitioned table has none:"
            f" {_key_of_the_root(table)}"
        )
    return f"ALTER TABLE {table.quoted} ADD PRIMARY KEY (…); or choose how often (`every:`)"
