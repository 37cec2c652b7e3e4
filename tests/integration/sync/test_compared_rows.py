"""A table without a key is compared by the hash of its rows, and contents are compared with their keys."""

from __future__ import annotations

from collections import Counter

from psycopg.sql import SQL

from pgsnow.model.key_range import DifferenceKind, KeyRange
from pgsnow.postgres.read.snapshot import open_snapshot
from pgsnow.snowflake.session import connect
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.ranges import first_ranges
from pgsnow.sync.compare.sides import SourceSide, TargetSide
from tests.world import World

HASHED = SQL("md5(a || ',' || coalesce(b, 'null'))")
"""Stands for the hash of contents, which is tested where it is made."""
SAME = "MD5(TO_VARCHAR(\"A\") || ',' || COALESCE(\"B\", 'null'))"


def test_rows_without_a_key_are_counted_and_contents_are_compared(world: World) -> None:
    """Equal rows count each. With a key, a row whose content differs is changed, on whichever level it is found."""
    world.sql(
        "create table alike (a int, b text); create table keyed (a int primary key, b text);"
        "insert into alike select g / 2, 'x' from generate_series(2, 61) g;"
        "insert into keyed select g, 'x' || g from generate_series(1, 60) g"
    )
    world.tables = [{"source": name, "target": f"k.{name}", "mode": "full"} for name in ("alike", "keyed")]
    with world.engine() as engine:
        assert all(table.ok for table in engine.tick().tables)
        world.snowflake("INSERT INTO K.ALIKE (A, B) VALUES (7, 'x'), (99, 'y')")
        world.snowflake("UPDATE K.KEYED SET B = 'other' WHERE A = 7")
        world.sql("insert into alike values (8, 'x')")
        found = {}
        for config in engine.config.tables:
            with (
                engine.source.connect() as conn,
                connect(world.settings.snowflake, query_tag="test") as session,
                engine.source.copy_connection() as connection,
            ):
                plan = engine.planner.plan(conn, config, None).plan
                with open_snapshot(connection, plan) as snap:
                    source = SourceSide(snap, plan, row_hash=HASHED)
                    target = TargetSide(session, plan, row_hash=SAME)
                    first = first_ranges(source, plan, 20_000)
                    assert len(first) == (1 if plan.key else 4)
                    result = compare(source, target, plan, first or [KeyRange()], leaf=5)
                    found[plan.source.name.table] = Counter(difference.kind for difference in result)
    assert found == {
        "alike": {DifferenceKind.DUPLICATE: 1, DifferenceKind.GHOST: 1, DifferenceKind.MISSING: 1},
        "keyed": {DifferenceKind.CHANGED: 1},
    }
