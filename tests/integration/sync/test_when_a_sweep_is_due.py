"""When deleted rows are searched for: what the source shows, what the ledger knows, and what must wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from pgsnow.model.table import SourceName
from pgsnow.operations.check.source import check_source
from pgsnow.operations.status.summary import status_of
from pgsnow.postgres.catalog.describe import catalog_marks
from pgsnow.sync.runtime.context import RunOptions
from tests.world import MemoryWorld

DELETE = "delete from {} where id = 3"
DELETED, LATE = (
    "rows were deleted in the source",
    "a statement of an earlier run may have inserted them again",
)
REWRITTEN, TIME = "the table was truncated or rewritten", "sweep_every has passed since the last search"
AGAIN = "the statistics of the source began again"
LEASE = "update sync_watermarks set {} where source_table = 'public.{{}}'"
KILLED = LEASE.format("lease_run_id = 'killed', lease_expires = now()")
UNCLEAN = LEASE.format("open_batches = '{{session:1}}'")


@dataclass(frozen=True)
class Case:
    """A table of ten rows that pgsnow has loaded. Then `change` happens, the ledger remembers another last search, and
    the configuration changes. why: the reason of the search that the next tick does; None: it does none."""

    promise: str
    why: str | None
    change: str = DELETE
    memory: str = "{}"
    config: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "quiet": Case("A first load leaves the rows of one snapshot: there is nothing to search for.", None, ""),
    "deleted": Case("A delete is due, though the watermark does not move.", DELETED),
    "back": Case("So is one whose key came back.", DELETED, f"{DELETE}; insert into {{}} values (3)"),
    "rolled_back": Case("One that was rolled back counts, too.", DELETED, f"begin; {DELETE}; rollback"),
    "truncated": Case("TRUNCATE counts no rows, but the file is another one.", REWRITTEN, "truncate {}"),
    "rewritten": Case("A rewrite may be a TRUNCATE with rows loaded again.", REWRITTEN, "vacuum full {}"),
    "emptied": Case("TRUNCATE of a partition.", REWRITTEN, "truncate {}_2"),
    "cut": Case("A delete in a partition.", DELETED, "delete from {}_2 where id = 4"),
    "grown": Case("A new partition is not due.", None, "create table {}_3 partition of {} for values in (3)"),
    "old": Case("sweep_every has passed.", TIME, "", '{"swept_at": 1}'),
    "timeless": Case("With 0, time alone makes nothing due.", None, "", '{"swept_at": 1}', {"sweep_every": 0}),
    "expensive": Case("The last search took a minute: the next one waits for 20.", None, memory='{"seconds": 60}'),
    "allowed": Case("Its share is over.", DELETED, memory='{"seconds": 60, "swept_at": 1}'),
    "interval": Case("With load_every, once in each of its intervals.", None, config={"load_every": "900d"}),
    "off": Case("deletes: off", None, config={"deletes": "off"}),
    "kept": Case("on_detach: keep leaves rows that the source lacks.", None, config={"on_detach": "keep"}),
    "older": Case("The ledger does not know who created the target.", None),
    "older_hard": Case("Unless `deletes` is set.", DELETED, config={"deletes": "hard"}),
    "killed": Case("A statement of a killed run may commit late.", LATE, KILLED),
    "unclean": Case("So may one of a run that left batches open.", LATE, UNCLEAN),
    "ended": Case("Once it has certainly ended, once more.", LATE, "", '{"unsure_until": 5, "swept_at": 4}'),
}  # fmt: skip
PARTITIONED = ("emptied", "cut", "grown")


def due(world: MemoryWorld) -> dict[str, str | None]:
    """Why the next tick would search for deleted rows of each table. The server shows this session's counters now."""
    world.sql("select pg_stat_force_next_flush()")
    world.sql("select 1")
    with world.engine() as engine:
        tables = engine.config.tables
        with engine._claim(tables, due_only=False, requested=True, options=RunOptions()) as tick:
            found = tick._inspect_all()[1]
    return {
        each.claim.table.removeprefix("public."): each.sweep.why if each.sweep else None for each in found
    }


def create(world: MemoryWorld, name: str) -> None:
    if name not in PARTITIONED:
        world.sql(f"create table {name} (id int primary key)")
    else:
        world.sql(f"create table {name} (id int, at int, primary key (id, at)) partition by list (at)")
        for at in (1, 2):
            world.sql(f"create table {name}_{at} partition of {name} for values in ({at})")
    world.sql(
        f"insert into {name} select g{', 1 + g / 4' * (name in PARTITIONED)} from generate_series(1, 7) g"
    )


def test_each_sign_of_a_delete_makes_its_table_due_and_no_other(memory_world: MemoryWorld) -> None:
    """Each case says what it promises. What is due stays due until it is done; what waits is in the status."""
    world = memory_world
    world.tables = [
        {"source": f"public.{name}", "target": f"analytics.{name}", "mode": "xmin"} for name in CASES
    ]
    for name in CASES:
        create(world, name)
    with world.engine() as engine:
        assert not engine.tick().failures
    assert set(due(world).values()) == {None}
    world.sql("update sync_watermarks set created_target = null where source_table like 'public.older%'")
    for table, (name, case) in zip(world.tables, CASES.items(), strict=True):
        world.sql(
            f"update sync_watermarks set sweep = sweep || '{case.memory}' where source_table = 'public.{name}'"
        )
        for statement in filter(None, case.change.split("; ")):
            world.sql(statement.format(name, name))
        table |= case.config
    expected = {name: case.why for name, case in CASES.items()}
    assert due(world) == expected
    assert due(world) == expected
    with world.engine() as engine:
        engine.triage()
        tables = status_of(world.config, engine.ledger, datetime.now(UTC))["tables"]
    shown = {table["table"].removeprefix("public."): table for table in tables}
    assert [name for name, table in shown.items() if table["deletes_pending_since"]] == [
        "expensive",
        "interval",
    ]
    assert (
        f"deletes pending since {shown['expensive']['deletes_pending_since'][:10]}"
        in shown["expensive"]["why"]
    )
    assert DELETED in shown["expensive"]["why"]
    assert shown["quiet"]["deletes_compared"] is not None
    for reset in ("pg_stat_reset_single_table_counters('quiet'::regclass)", "pg_stat_reset()"):
        world.sql(f"select {reset}")
        assert due(world)["quiet"] == AGAIN
        world.sql("update sync_watermarks set sweep = sweep - 'statistics'")
        world.sql("update sync_watermarks set sweep = null where source_table <> 'public.quiet'")


def test_a_full_refresh_is_a_search_itself(memory_world: MemoryWorld) -> None:
    """It has removed what the source lacks, as of the counters that were read before it. A target that it creates again
    is still one that pgsnow has created. A row that is deleted while it reads is due."""
    world = memory_world
    world.sql("insert into users (id) select generate_series(1, 10)")
    with world.engine() as engine:
        assert not engine.tick().failures
    world.sql("delete from users where id = 3")
    assert due(world) == {"users": DELETED}
    with world.engine() as engine:
        assert not engine.tick(full_refresh=True).failures
    assert due(world) == {"users": None}
    world.assert_equal()
    world.drop()

    def observer(event: Any) -> None:
        if event.phase in ("merged", "copied"):
            world.sql("delete from users where id = 4")

    world.sql("insert into users (id) values (11)")
    with world.engine(observer) as engine:
        assert not engine.tick().failures
    assert due(world) == {"users": DELETED}


def test_every_role_may_read_the_counters(memory_world: MemoryWorld) -> None:
    """A role that sees no other session, and may select from one table only, sees deletes in it. If somebody has taken
    the right to call the server's functions away, the table is found without them."""
    world = memory_world
    world.sql("insert into users (id) values (1)")
    world.sql("delete from users")
    world.sql("create role counters_reader; grant select on users to counters_reader")
    try:
        world.sql("select pg_stat_force_next_flush()")
        world.sql("set role counters_reader")
        [mark] = catalog_marks(world.source, [SourceName("public", "users")]).values()
        assert mark.leaves is not None
        assert [count for _, count in mark.leaves.values()] == [1]
        assert mark.statistics
        world.sql("reset role")
        world.sql("revoke execute on function pg_stat_get_tuples_deleted(oid) from public")
        world.sql("set role counters_reader")
        [other] = catalog_marks(world.source, [SourceName("public", "users")]).values()
        assert (other.fingerprint, other.leaves) == (mark.fingerprint, None)
    finally:
        world.sql("reset role")
        world.sql("drop owned by counters_reader; drop role counters_reader")


def test_check_names_a_role_whose_deletes_are_not_counted(memory_world: MemoryWorld) -> None:
    """track_counts may be off for one role or database, and then no counter moves."""

    def names() -> set[str]:
        with psycopg.connect(memory_world.env["POSTGRES_DSN"], autocommit=True) as conn:
            return {result.name for result in check_source(conn, "here")}

    assert "track_counts" not in names()
    memory_world.sql("create role uncounted")
    memory_world.sql("alter role uncounted set track_counts = off")
    try:
        assert "track_counts" in names()
    finally:
        memory_world.sql("drop role uncounted")
