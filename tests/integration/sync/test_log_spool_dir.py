"""`log_spool_dir`: changes are kept in a folder while Snowflake cannot be reached, and are loaded afterwards."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.deferred_batch import Layout, StagedBatch
from pgsnow.model.errors import LogSpoolUnusable, StagedRowsLost, TargetLoginRefused
from pgsnow.model.report import Status, TableReport
from pgsnow.model.table import TargetName
from pgsnow.operations.check.log import check_log
from pgsnow.operations.log.setup import set_up
from pgsnow.operations.status.log import log_of
from pgsnow.sync.stream.log_spool import MARKER, LogSpool, spool_of
from pgsnow.testing.faults import RaiseAt
from tests.world import MemoryWorld

MUCH = "select pg_logical_emit_message(false, 'noise', repeat('x', 300000))"
AWAY = TargetLoginRefused("Snowflake is away")


@pytest.fixture
def world(memory_world: MemoryWorld) -> Iterator[MemoryWorld]:
    """A table that is read from the log, with a folder that was set up."""
    world = memory_world
    world.sql("alter table users alter name set storage external")
    world.tables[0] |= {"mode": "log"}
    world.options["log_spool_dir"] = str(world.folder / "kept")
    set_up(world.config, world.settings, holder="me@here")
    world.sql("insert into users select i, repeat('long', 1000) || i from generate_series(1, 20) i")
    tick(world)
    world.sql("insert into users (id, name) values (21, 'joined')")
    tick(world)
    yield world
    world.close_engine()
    world.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"
    )


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick(requested=True).tables
    return report


def outage(world: MemoryWorld, number: int) -> TableReport:
    """A tick with changes, in which nothing can be staged."""
    world.sql(
        f"insert into users (id, name) values ({100 + number}, 'new'); delete from users where id = {number}"
    )
    world.sql("update users set balance = coalesce(balance, 0) + 1 where id > 15")
    world.sql(MUCH)
    world.warehouse.fail("put", AWAY)
    report = tick(world)
    assert report.error_type == "TargetLoginRefused"
    return report


def kept_files(world: MemoryWorld) -> list[Path]:
    return sorted((world.folder / "kept").rglob("*.parquet"))


def kept_batches(world: MemoryWorld) -> int:
    [(count,)] = world.sql(
        "select count(*) from sync_watermarks, jsonb_array_elements(staged) b where b ? 'kept'"
    )
    return int(count)


def checked(world: MemoryWorld) -> list[str]:
    """What `check` says about the folder."""
    with closing(Ledger(world.settings.ledger, "public")) as ledger:
        found = list(check_log(world.config, ledger, world.source))
    return [str(result.level) for result in found if "log_spool_dir" in result.detail]


def unread(world: MemoryWorld) -> int:
    """Bytes of log that the slot was not confirmed to."""
    [(size,)] = world.sql(
        "select pg_current_wal_insert_lsn() - confirmed_flush_lsn from pg_replication_slots"
        " where database = current_database()"
    )
    return int(size)


def test_changes_are_kept_while_snowflake_is_away_and_loaded_in_order(world: MemoryWorld) -> None:
    """The slot moves in each tick of the outage; afterwards everything is loaded from the log alone, and the folder is
    empty but for its marker."""
    assert checked(world) == ["ok"]
    for number in range(1, 4):
        report = outage(world, number)
        assert any("kept" in text for text in report.events)
        assert kept_batches(world) == len({path.parent for path in kept_files(world)}) == number
        assert unread(world) < 100_000
    assert {path.stat().st_mode & 0o777 for path in kept_files(world)} == {0o600}
    with closing(Ledger(world.settings.ledger, "public")) as ledger:
        log = log_of(world.config, ledger)
        assert log is not None
        assert log.record()["kept_batches"] == 3
        assert "3 batches" in log.sentence
    report = tick(world)
    assert report.error is None
    assert not [text for text in report.events if "without the log" in text]
    world.assert_equal()
    assert kept_files(world) == []
    assert [path.name for path in (world.folder / "kept").iterdir()] == [MARKER]
    assert world.warehouse.leftovers == []


def test_only_what_was_written_is_taken_from_the_folder(memory_world: MemoryWorld) -> None:
    """Any files come back byte by byte; with a byte altered, added or cut off, none is taken."""
    world, spool = memory_world, memory_world.folder / "kept"
    world.tables[0] |= {"mode": "log"}
    world.options["log_spool_dir"] = str(spool)
    set_up(world.config, world.settings, holder="me@here")
    part, (layout, number) = (
        world.folder / "part-0000.parquet",
        (Layout(TargetName("A", "B", "C"), ()), count()),
    )

    @settings(max_examples=25, deadline=None)
    @given(
        st.binary(max_size=2_000), st.integers(0), st.sampled_from(["", "altered", "added", "cut", "a link"])
    )
    def check(found: LogSpool, content: bytes, at: int, harm: str) -> None:
        part.write_bytes(content)
        batch = f"public.users/{next(number)}-0"
        kept = found.keep(batch, [part])
        [path] = spool.rglob("*.parquet")
        before = StagedBatch(batch, 1, 1, len(content), 0, "stage", layout, kept=kept)
        staged = StagedBatch.from_json(json.loads(json.dumps(before.to_json())))
        assert staged == before
        if harm == "altered" and content:
            place = at % len(content)
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        elif harm == "added":
            path.write_bytes(content + b"x")
        elif harm == "cut" and content:
            path.write_bytes(content[: at % len(content)])
        elif harm == "a link":
            path.unlink()
            path.symlink_to(part)
        else:
            assert [taken.read_bytes() for taken in found.parts_of(staged)] == [content]
            harm = ""
        if harm:
            with pytest.raises(StagedRowsLost):
                found.parts_of(staged)
        found.sweep(batch, ())

    with closing(Ledger(world.settings.ledger, "public")) as ledger:
        made = spool_of(world.config, ledger.slots, ledger.checkpoints.owners()[0])
        assert made is not None
        check(made)
    world.sql("select pg_drop_replication_slot(slot) from sync_slots")


@pytest.mark.thorough
@pytest.mark.parametrize("harm", ["missing", "altered"])
def test_a_kept_file_that_is_lost_costs_one_read_of_the_table(world: MemoryWorld, harm: str) -> None:
    """A file that is missing, or has other bytes, is noticed before it is uploaded; the table is read once without the
    log, and nothing is lost."""
    outage(world, 1)
    outage(world, 2)
    [first, _] = kept_files(world)
    if harm == "missing":
        first.unlink()
    else:
        content = bytearray(first.read_bytes())
        content[len(content) // 2] ^= 1
        first.write_bytes(content)
    report = tick(world)
    assert report.error is None
    assert [text for text in report.events if "not as it was written" in text]
    world.assert_equal()
    assert kept_files(world) == []
    world.sql("delete from users where id = 5")
    assert not [text for text in tick(world).events if "without the log" in text]
    world.assert_equal()


def test_a_volume_that_is_not_mounted_is_not_taken_for_an_empty_folder(world: MemoryWorld) -> None:
    """Without its marker nothing is kept in it, and nothing that waits in it is given up; set-up makes no other one in
    its place."""
    outage(world, 1)
    folder, volume = world.folder / "kept", world.folder / "volume"
    folder.rename(volume)
    folder.mkdir(mode=0o700)
    assert checked(world) == ["failed"]
    report = outage(world, 2)
    assert [text for text in report.events if "could not be kept" in text and MARKER in text]
    assert tick(world).error_type == "LogSpoolUnusable"
    with pytest.raises(LogSpoolUnusable, match=MARKER):
        set_up(world.config, world.settings, holder="me@here")
    folder.rmdir()
    volume.rename(folder)
    assert tick(world).error is None
    world.assert_equal()


@pytest.mark.thorough
def test_a_folder_that_is_lost_is_made_again_on_request(world: MemoryWorld) -> None:
    """The table whose changes were in the former one is read once without the log."""
    outage(world, 1)
    shutil.rmtree(world.folder / "kept")
    set_up(world.config, world.settings, holder="me@here", new_spool=True)
    report = tick(world)
    assert report.error is None
    assert [text for text in report.events if "given up" in text]
    world.assert_equal()


@pytest.mark.thorough
def test_a_folder_of_another_configuration_or_open_to_others_is_refused(world: MemoryWorld) -> None:
    """Its marker names the ledger and the slot; nobody else may read or replace the files."""
    folder = world.folder / "kept"
    marker = (folder / MARKER).read_text()
    (folder / MARKER).write_text(marker.replace('"slot": "', '"slot": "other_'))
    assert [text for text in outage(world, 1).events if "another ledger or configuration" in text]
    with pytest.raises(LogSpoolUnusable, match="another ledger or configuration"):
        set_up(world.config, world.settings, holder="me@here", new_spool=True)
    (folder / MARKER).write_text(marker)
    folder.chmod(0o755)
    assert [text for text in outage(world, 2).events if "has mode 755" in text]
    folder.chmod(0o700)
    assert kept_batches(world) == 0
    assert tick(world).error is None
    world.assert_equal()


@pytest.mark.parametrize("point", [pytest.param("put", marks=pytest.mark.thorough), "select"])
def test_a_bad_row_does_not_hold_the_log_while_snowflake_is_away(world: MemoryWorld, point: str) -> None:
    """Whether the target has an older version of a rejected row is asked when Snowflake answers again; meanwhile the
    good rows are kept, or are in the stage."""
    world.sql("update users set updated_at = 'infinity' where id = 2; delete from users where id = 1")
    world.sql(MUCH)
    world.warehouse.fail(point, AWAY)
    tick(world)
    assert unread(world) < 100_000
    if point == "put":
        assert world.sql("select stale from sync_errors") == [(None,)]
    tick(world)
    assert world.sql("select stale from sync_errors") == [(True,)]
    assert sorted(row["ID"] for row in world.target().rows) == list(range(2, 22))


@pytest.mark.thorough
def test_the_folder_has_a_limit(world: MemoryWorld) -> None:
    """What would exceed it waits on the source, as without a folder."""
    world.options["max_log_spool_dir"] = "1MB"
    held = world.folder / "kept" / "other"
    held.write_bytes(os.urandom(1 << 20))
    report = outage(world, 1)
    assert [text for text in report.events if "may hold 1 MB" in text]
    assert kept_batches(world) == 0
    held.unlink()
    outage(world, 2)
    assert kept_batches(world) == 1
    assert tick(world).error is None
    world.assert_equal()


@pytest.mark.parametrize("phase", ["kept", pytest.param("staged", marks=pytest.mark.thorough)])
def test_a_worker_that_dies_while_it_keeps_changes(world: MemoryWorld, phase: str) -> None:
    """Before the ledger knows of the files, they are removed by the next run, which reads the changes again; after it,
    they are loaded."""
    world.sql("insert into users (id, name) values (101, 'new'); delete from users where id = 1")
    world.close_engine()
    world.warehouse.fail("put", AWAY)
    with world.engine(RaiseAt(phase, KeyboardInterrupt())) as engine, pytest.raises(KeyboardInterrupt):
        engine.tick(requested=True)
    assert kept_files(world)
    world.sql("update sync_watermarks set lease_expires = now()")
    assert tick(world).error is None
    world.assert_equal()
    assert kept_files(world) == []


@pytest.mark.thorough
def test_changes_that_wait_need_the_folder_in_the_configuration(world: MemoryWorld) -> None:
    """A table whose changes wait in the folder fails by name while the configuration does not name it."""
    outage(world, 1)
    kept = world.options.pop("log_spool_dir")
    report = tick(world)
    assert report.error_type == "LogSpoolUnusable"
    assert "log_spool_dir" in (report.error or "")
    world.options["log_spool_dir"] = kept
    assert tick(world).error is None
    world.assert_equal()


@pytest.mark.thorough
def test_a_table_that_is_no_longer_read_from_the_log_leaves_nothing_in_the_folder(world: MemoryWorld) -> None:
    """In another mode it is read as a whole, deleted rows are searched for in time, and what was kept is not needed any
    more."""
    outage(world, 1)
    world.tables[0] |= {"mode": "xmin"}
    assert tick(world).status is Status.OK
    [found] = world.differences().values()
    assert {difference.kind for difference in found} <= {"extra"}
    assert kept_files(world) == []


@pytest.mark.thorough
def test_kept_changes_of_a_consistent_tick_are_loaded_together(world: MemoryWorld) -> None:
    """With `consistency: tick`, what was kept is uploaded before the transaction, and is part of it."""
    world.options["consistency"] = "tick"
    for number in range(1, 3):
        outage(world, number)
    assert kept_batches(world) == 2
    assert tick(world).error is None
    world.assert_equal()
    row, tables = list(world.warehouse.ticks.values())[-1]
    assert (row.together, tables) == (True, ["public.users"])
    assert kept_files(world) == []
