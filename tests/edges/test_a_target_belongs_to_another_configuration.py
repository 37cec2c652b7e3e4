"""The target belongs to another configuration.

Group: target
Danger: Two configurations load one target: two databases, each with its ledger, or two tables of one ledger. They
overwrite each other's rows, and a full refresh of one deletes those of the other.
Answer: The target's comment names its owner, behind any text of yours. Another configuration is refused before it
writes anything, with both names and the command that takes the target over. A source or ledger that was restored,
upgraded or moved is no other owner. Targets without an owner are adopted; that needs their ownership, and without
it a run says that they are not protected.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.errors import NotTheOwner, TargetAccessDenied
from pgsnow.operations.check.check import run_checks
from pgsnow.operations.plan.preview import preview
from pgsnow.snowflake.session import Session
from tests.edges.two_worlds import another, fill, tick
from tests.world import USERS_TABLE, MemoryWorld, World

PEOPLE = {**USERS_TABLE, "source": "public.people", "target": "analytics.users"}


@pytest.fixture
def other(
    postgres: EmbeddedPostgres, world_template: str, tmp_path: Path, memory_world: MemoryWorld
) -> Iterator[MemoryWorld]:
    """Another database with a ledger of its own, and the same target. Both have rows; the first one has loaded its."""
    with another(postgres, world_template, tmp_path, memory_world) as world:
        world.sql("update pgsnow_ledger set id = md5(id)")
        fill(memory_world, "first")
        fill(world, "other", 8)
        tick(memory_world)
        yield world


def database_of(world: World) -> str:
    return world.env["POSTGRES_DSN"].rpartition("/")[2]


def test_another_database_is_refused(memory_world: MemoryWorld, other: MemoryWorld) -> None:
    """Whatever is asked of it: nothing of it is written. The error has both names and the way out."""
    target = memory_world.target()
    before = [dict(row) for row in target.rows]
    for way in ("tick", "full_refresh", "resync", "reread", "duplicates_only", "load_every"):
        if way == "load_every":
            other.tables[0]["load_every"] = "1h"
        refused = tick(other, **{} if way in ("tick", "load_every") else {way: True})
        assert refused.error_type == "NotTheOwner", (way, refused)
        assert f"public.users of database {database_of(memory_world)}" in (refused.error or "")
        assert f"public.users of database {database_of(other)}" in (refused.error or "")
        assert "pgsnow run --select public.users --take-over" in (refused.advice or "")
        assert target.rows == before, way
    assert other.leftovers() == []
    memory_world.sql("update users set name = 'new', updated_at = now()")
    assert tick(memory_world).error is None
    memory_world.assert_equal()


def test_a_large_table_of_another_database_is_refused(memory_world: MemoryWorld, other: MemoryWorld) -> None:
    """By the run that would begin its backfill, and by a worker that takes a chunk of one that had begun."""
    other.tables[0] |= {"max_mb_per_chunk": 0.04, "batch_size": 200}
    other.sql("insert into users (id) select generate_series(100, 1100)")
    theirs = memory_world.target().comment
    memory_world.target().comment = ""
    with other.engine() as engine:
        assert engine.tick(leave_chunks=True).tables[0].chunks_left
        memory_world.target().comment = theirs
        rows = len(memory_world.target().rows)
        with pytest.raises(NotTheOwner, match=r"belongs to public\.users of database"):
            engine.take_chunk()
        [report] = engine.tick().tables
    assert report.error_type == "NotTheOwner"
    assert len(memory_world.target().rows) == rows


def test_the_target_is_taken_over_by_request(memory_world: MemoryWorld, other: MemoryWorld) -> None:
    """Everything is read, rows of the former owner are deleted, and it is refused from then on."""
    memory_world.sql("insert into users (id) values (99)")
    tick(memory_world)
    taken = tick(other, take_over=True)
    assert any("belonged to public.users of database" in event for event in taken.events), taken
    other.assert_equal()
    assert tick(memory_world, full_refresh=True).error_type == "NotTheOwner"
    assert tick(other).status == "idle"


def test_two_tables_of_one_ledger(memory_world: MemoryWorld) -> None:
    """One configuration may not list them; two configurations are refused like others."""
    world = memory_world
    fill(world, "first")
    tick(world)
    world.sql("create table people (like users including all); insert into people (id) values (77)")
    world.tables[:] = [PEOPLE]
    refused = tick(world)
    assert refused.error_type == "NotTheOwner"
    assert "public.users of database" in (refused.error or "")
    assert "name: public.users" in (refused.advice or "")
    world.tables[0]["name"] = "public.users"
    assert tick(world).error is None


def test_a_ledger_that_was_moved_or_lost_is_no_other_owner(
    postgres: EmbeddedPostgres, memory_world: MemoryWorld
) -> None:
    """A copy of its tables elsewhere has its id. One that is created again in its place gets the same."""
    world = memory_world
    fill(world, "first")
    world.sql("drop table pgsnow_ledger, pgsnow_migrations")  # of the database of which this one is a copy
    tick(world)
    [(id,)] = world.sql("select id from pgsnow_ledger")
    world.sql("create schema moved")
    for table in ("sync_watermarks", "pgsnow_ledger"):
        world.sql(f"alter table {table} set schema moved")
    world.sql(
        "drop table sync_errors, sync_logs, sync_horizon, sync_chunks, sync_backfills, pgsnow_migrations"
    )
    world.sql("update users set name = 'new', updated_at = now()")
    world.options["ledger_schema"] = "moved"
    assert tick(world).error is None
    assert world.sql("select id from moved.pgsnow_ledger") == [(id,)]
    world.sql("drop schema moved cascade")
    del world.options["ledger_schema"]
    [again, repaired] = [tick(world) for _ in range(2)]
    assert again.error_type in (None, "LedgerOutdated")  # the clock stands behind the fences of quick runs
    assert repaired.error is None
    assert world.sql("select id from pgsnow_ledger") == [(id,)]
    world.assert_equal()


def test_a_copy_of_source_and_ledger_may_not_both_go_on(
    postgres: EmbeddedPostgres, memory_world: MemoryWorld, tmp_path: Path
) -> None:
    """The copy looks like a source that was restored elsewhere, and goes on. The original has not moved."""
    world = memory_world
    fill(world, "first")
    tick(world)
    world.close()
    with another(postgres, database_of(world), tmp_path, world) as copy:
        names = database_of(world), database_of(copy)  # of one name, in a test on two servers
        world.target().comment = world.target().comment.replace(*names)
        renamed = (
            f"update sync_watermarks set places = replace(places::text, '{names[0]}', '{names[1]}')::jsonb"
        )
        copy.sql(renamed)
        copy.sql("update users set name = 'copy', updated_at = now()")
        moved = tick(copy)
        assert any("was filled from another server or database before" in event for event in moved.events), (
            moved
        )
        world.target().comment = world.target().comment.replace(names[1], names[0])
        original = MemoryWorld(world.env["POSTGRES_DSN"], tmp_path)
        original.warehouse = world.warehouse
        original.sql("update users set name = 'original', updated_at = now()")
        refused = tick(original)
        original.close()
        assert refused.error_type == "NotTheOwner"
        assert "copy of this ledger" in (refused.advice or "")


def statements_of(world: World) -> list[str]:
    """Those that name this world's database: other tests use the same emulator."""
    database = f'"{world.settings.snowflake.database}"'
    return [text for text in world.emulator.statements() if database in text]


def test_a_persons_text_stays_and_a_target_of_an_older_version_is_adopted(world: World) -> None:
    """Without a further statement once it is marked. The comment of a new target is part of its CREATE TABLE."""
    fill(world, "first")  # type: ignore[arg-type]
    with world.engine() as engine:
        engine.tick()
        [(created,)] = comments(world)
        assert created.startswith("[pgsnow-owner table=public.users database=")
        marking = [s for s in statements_of(world) if "pgsnow-owner" in s]
        assert {s.partition(" TABLE ")[0] for s in marking} == {"CREATE"}
        world.snowflake("comment on table analytics.users is 'It''s our \\\\ customers'")
        world.ten_minutes_pass()
        world.sql("update users set name = 'new', updated_at = now()")
        [adopted] = engine.tick().tables
        assert any("belongs to public.users of database" in event for event in adopted.events)
        assert comments(world) == [(f"It's our \\ customers {created}",)]
        for _ in range(2):
            world.sql("update users set name = name || '!', updated_at = now()")
            assert engine.tick().tables[0].events == ()
    assert len([s for s in statements_of(world) if "SET COMMENT" in s]) == 1
    world.assert_equal()


def test_a_role_without_the_ownership_goes_on_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator knows no rights: its error is the real service's."""
    fill(world, "first")  # type: ignore[arg-type]
    execute = Session.execute

    def denying(self: Session, sql: Any, params: Any = None) -> Any:
        if "SET COMMENT" in str(sql):
            raise TargetAccessDenied("003001: Insufficient privileges to operate on table 'USERS'")
        return execute(self, sql, params)

    with world.engine() as engine:
        engine.tick()
        world.snowflake("comment on table analytics.users is ''")
        world.ten_minutes_pass()
        world.sql("update users set name = 'new', updated_at = now()")
        monkeypatch.setattr(Session, "execute", denying)
        [report] = engine.tick().tables
    assert report.status == "ok"
    assert any("not protected" in event and "OWNERSHIP" in event for event in report.events)


def test_check_plan_and_verify_say_it_too(world: World) -> None:
    """As a run would: with both names and the command."""
    fill(world, "first")  # type: ignore[arg-type]
    with world.engine() as engine:
        engine.tick()
    theirs = comments(world)[0][0].replace("table=public.users", "table=public.people")
    world.snowflake(f"comment on table analytics.users is '{theirs}'")
    [found] = preview(world.config, world.settings)
    results = [result.detail for result in run_checks(world.config, world.settings)]
    [verdict] = world.verdicts()
    for text in (found.error, "\n".join(results), verdict.error):
        assert "belongs to public.people of database" in (text or "")


def comments(world: World) -> list[Any]:
    database = world.settings.snowflake.database
    return world.snowflake(
        f"select comment from {database}.information_schema.tables where table_name = 'USERS'"
    )
