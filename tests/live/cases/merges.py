"""Statements that change the rows of a target."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pgsnow.model.batch import KeyBounds
from pgsnow.model.config.options import Deletes
from pgsnow.model.log.changes import MOVED_PREFIX, OPERATION_COLUMN, UNCHANGED_COLUMN, ChangeKinds
from pgsnow.model.metadata_columns import ORDER_COLUMN
from pgsnow.snowflake.load.changes import ChangeLoad
from pgsnow.snowflake.names import stage_path
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.direct_copy import copy_into_target
from pgsnow.snowflake.sql.replace import overwrite, overwrite_from
from pgsnow.snowflake.sql.staged import ExpectedTarget, guarded, staged_source
from tests.live.cases.rows import DOC, FIELDS, ID, KEY, LATEST, at, held, merge, part, with_table
from tests.live.contract import Account, Case, Failed, answers

MERGE, INSERT, COPY = "MERGE", "INSERT", "COPY INTO <table>"
NOT_A_NUMBER = Failed("100038")
FENCED = (("_PGSNOW_FENCE", "7"),)


def merged(account: Account) -> Any:
    """Two folders of one file each, into a target of one row."""
    with_table(account, "MERGED", (1, "before"))
    places = [account.stage_rows(f"merged/5-{at}", part(LATEST)) for at in (1, 10)]
    counts = account.rows(merge(account, "MERGED", places[:1], 3, 1))
    return counts, account.rows(merge(account, "MERGED", places, 6, 2)), held(account, "MERGED")


def guard_fails(rows: int, there: int, batch: str) -> Any:
    """Ask for a MERGE whose guard expects these numbers; the files have 3 rows, the target 1."""

    def ask(account: Account) -> Any:
        name = f"G_{rows}_{there}"
        with_table(account, name, (1, "before"))
        account.stage_rows("guarded/5-1", part(LATEST))
        place = stage_path(account.schema, batch)
        return account.try_to(merge(account, name, [place], rows, there)), held(account, name)

    return ask


def older_target(account: Account) -> Any:
    """A person restored an older state with as many rows."""
    with_table(account, "OLDER", (1, "before"))
    target, place = account.target("OLDER"), account.stage_rows("older/5-1", part(LATEST))
    source = staged_source(target, FIELDS, [place], counted=True)
    guard = guarded("5", 3, ExpectedTarget(1, 4))
    statement = sql.merge_from(target, source, FIELDS, KEY, guard)
    return account.try_to(statement), held(account, "OLDER")


def bound_rows(account: Account) -> Any:
    with_table(account, "BOUND", (1, "before"))
    target = account.target("BOUND")
    source = staged_source(target, FIELDS, bound=2, counted=True)
    binds = [("FIXED", "1"), ("TEXT", "a"), ("FIXED", "0"), ("FIXED", "2"), ("TEXT", None), ("FIXED", "1")]
    statement = sql.merge_from(target, source, FIELDS, KEY, guarded("5", 2, at(1)))
    return account.rows(statement, binds=binds), held(account, "BOUND")


def bounds(account: Account) -> Any:
    """The bounds hold for the rows of the batch, and the target has others."""
    with_table(account, "BOUNDS", (1, "before"), (900, "far"))
    place = account.stage_rows("bounds/5-1", part(LATEST))
    target = account.target("BOUNDS")
    source = staged_source(target, FIELDS, [place])
    statement = sql.merge_from(target, source, FIELDS, KEY, guarded("5", 3), bounds=KeyBounds("ID", 1, 2))
    return account.rows(statement), held(account, "BOUNDS")


def stale(account: Account) -> Any:
    """A MERGE with fence 5 meets a row that fence 9 wrote."""
    with_table(account, "STALE", (1, "newer"))
    account.session.execute('UPDATE STALE SET "_PGSNOW_FENCE" = 9')
    place = account.stage_rows("stale/5-1", part([(1, "late")]))
    return account.rows(merge(account, "STALE", [place], 1)), held(account, "STALE")


def changed(account: Account) -> Any:
    """Deletes, a column that did not change, and rows that exchange their keys; then a mark instead of a delete."""
    with_table(account, "CHANGED", (1, "a"), (2, "b"), (3, "c"), (4, "d"))
    rows = pa.table({
        "ID": pa.array([1, 2, 3, 4, 9], pa.int64()),
        "NAME": pa.array([None, None, None, "D", None], pa.string()),
        OPERATION_COLUMN: ["U", "U", "D", "U", "U"],
        UNCHANGED_COLUMN: [".1.", ".1.", None, None, ".1."],
        f"{MOVED_PREFIX}ID": pa.array([2, 1, None, None, None], pa.int64()),
        ORDER_COLUMN: pa.array(range(5), pa.int64()),
    })  # fmt: skip
    place, target = account.stage_rows("changed/5-1", rows), account.target("CHANGED")
    kinds = ChangeKinds(deletes=True, unchanged=True, moved=True)
    load = ChangeLoad(target, FIELDS, KEY, 5, 5, kinds, Deletes.HARD, bounds=KeyBounds("ID", 1, 9))
    source = load.from_files([place], counted=True)
    assert load.settled(account.session, source) is load
    merge = load.merge(source, not_after=5, expected=at(4))
    [counts] = [result.rows for result in merge.send(account.session)]
    repeated = load.settled(account.session, source).kinds.moved
    lacking = load.incomplete(account.session, source, with_moved=False)
    return counts, repeated, lacking, held(account, "CHANGED")


def truncated(account: Account) -> Any:
    """Rows of earlier runs are removed; those of this run and of a later one stay."""
    with_table(account, "TRUNCATED", (1, "a"), (2, "b"), (3, "c"))
    account.session.execute('UPDATE TRUNCATED SET "_PGSNOW_FENCE" = 4 + ID WHERE ID > 1')
    load = ChangeLoad(
        account.target("TRUNCATED"), FIELDS, KEY, 6, 0, ChangeKinds(truncates=True), Deletes.HARD
    )
    removed = [result.rows for step in load.truncation() for result in step.send(account.session)]
    return removed, held(account, "TRUNCATED")


def ambiguous(account: Account) -> Any:
    with_table(account, "AMBIGUOUS", (1, "before"))
    source = "(SELECT 1 AS ID, 'a' AS NAME UNION ALL SELECT 1, 'b')"
    into = f"MERGE INTO AMBIGUOUS AS t USING {source} AS s ON t.ID = s.ID"
    return account.try_to(f"{into} WHEN MATCHED THEN UPDATE SET t.NAME = s.NAME")


def replaced(account: Account) -> Any:
    """INSERT OVERWRITE from the stage, then with a guard that fails, then after a later run."""
    with_table(account, "REPLACED", (1, "before"), (8, "gone"))
    place = account.stage_rows("replaced/7-1", part(LATEST))
    target = account.target("REPLACED")
    source = staged_source(target, FIELDS, [place])

    def statement(rows: int, fence: int) -> str:
        filled = (("_PGSNOW_FENCE", str(fence)),)
        return overwrite_from(target, source, FIELDS, KEY, filled, fence, guarded(str(fence), rows))

    account.session.execute(statement(3, 7))
    return account.try_to(statement(4, 7)), account.try_to(statement(3, 6)), held(account, "REPLACED")


def replaced_by_table(account: Account) -> Any:
    """A COPY into a staging table, then INSERT OVERWRITE with QUALIFY and UNION ALL, which reads its own target."""
    with_table(account, "BY_TABLE", (8, "gone"))
    target, batch = account.target("BY_TABLE"), "by_table/7-1"
    place = account.stage_rows(batch, part(LATEST))
    account.session.execute(sql.create_staging(target, batch, FIELDS))
    loaded = account.columns(sql.copy_into_staging(target, batch, place), "rows_loaded", "errors_seen")
    account.session.execute(overwrite(target, batch, FIELDS, KEY, FENCED, (), 7))
    return loaded, held(account, "BY_TABLE")


def copied(account: Account) -> Any:
    """COPY of a list of expressions, twice: FORCE loads again."""
    fields = (ID, DOC)
    target = account.target("COPIED")
    account.session.execute(sql.create_table(target, fields, KEY))
    rows = pa.table({"ID": pa.array([1, 2], pa.int64()), "DOC": ['{"a": [1, null]}', None]})
    place = account.stage_rows("copied/7-1", rows)
    for _ in range(2):
        account.session.execute(copy_into_target(target, fields, FENCED, place))
    return account.rows("SELECT COUNT(*), SUM(DOC:a[0]), MIN(_PGSNOW_FENCE) FROM COPIED")


CASES = (
    Case("MERGE from staged files applies the last row of each key; several folders are one source", MERGE,
         ([(1, 1)], [(0, 2)], [(1, "a", 5), (2, "b", 5)]), merged),
    Case("MERGE from no file fails by its guard and changes nothing", MERGE,
         (NOT_A_NUMBER, [(1, "before", 1)]), guard_fails(30, 1, "guarded/5-2")),
    Case("MERGE that reads too few rows fails by its guard and changes nothing", MERGE,
         (NOT_A_NUMBER, [(1, "before", 1)]), guard_fails(4, 1, "guarded/5-1")),
    Case("MERGE into a target with another number of rows fails by its guard and changes nothing", MERGE,
         (NOT_A_NUMBER, [(1, "before", 1)]), guard_fails(3, 2, "guarded/5-1")),
    Case("MERGE into a target whose highest fence is lower than expected fails by its guard and changes nothing",
         MERGE, (NOT_A_NUMBER, [(1, "before", 1)]), older_target),
    Case("MERGE of bound values FROM VALUES", MERGE, ([(1, 1)], [(1, "a", 5), (2, None, 5)]), bound_rows),
    Case("MERGE with literal bounds of its keys in ON", MERGE,
         ([(1, 1)], [(1, "a", 5), (2, "b", 5), (900, "far", 1)]), bounds),
    Case("MERGE leaves a row that a run with a higher fence wrote", MERGE,
         ([(0, 0)], [(1, "newer", 9)]), stale),
    Case("MERGE of changes deletes, keeps columns that did not change, and lets rows exchange their keys", MERGE,
         ([(0, 3, 1)], False, [("9",)], [(1, "b", 5), (2, "a", 5), (4, "D", 5)]), changed),
    Case("DELETE of the rows of earlier runs", "DELETE", ([[(1,)]], [(2, "b", 6), (3, "c", 7)]), truncated),
    Case("MERGE with two source rows of one key is refused", MERGE, Failed("100090"), ambiguous),
    Case("INSERT OVERWRITE from staged files with QUALIFY; a failing guard or a later fence changes nothing", INSERT,
         (NOT_A_NUMBER, NOT_A_NUMBER, [(1, "a", 7), (2, "b", 7)]), replaced),
    Case("INSERT OVERWRITE with QUALIFY and UNION ALL of its own target", INSERT,
         ([(3, 0)], [(1, "a", 7), (2, "b", 7)]), replaced_by_table),
    Case("COPY of a list of expressions with PARSE_JSON, and again with FORCE", COPY, [(4, 2, 7)], copied),
    Case("DELETE and UPDATE count their rows", "DELETE", [(2,)],
         answers("CREATE TABLE DELETED AS SELECT 1 AS I UNION ALL SELECT 2", "DELETE FROM DELETED")),
)  # fmt: skip
