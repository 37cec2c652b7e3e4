"""A load unit, in each way: every row, once, the last version; a miscount stops it before any change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.errors import LoadMismatch, TargetMissing, WriteConflict
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.names import qualified
from pgsnow.snowflake.query import count_rows, select_all, select_rows
from pgsnow.snowflake.session import Session, connect
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.statement import EVENTS
from tests.integration.snowflake.units import (
    ID,
    NAME,
    OUTPUT,
    column,
    ensure_target,
    load,
    load_unit,
    rows_of,
    write_unit,
)

EACH_WAY = pytest.mark.parametrize("method", ["files", "bound", "stage"])


@EACH_WAY
def test_new_rows_are_inserted_and_known_ones_updated(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    first = load_unit(
        session, target, write_unit(tmp_path, OUTPUT, [(1, "a"), (2, "b")], fence=1), method=method
    )
    second = load_unit(
        session, target, write_unit(tmp_path, OUTPUT, [(2, "B"), (3, "c")], fence=2), method=method
    )
    assert (first.inserted, first.updated) == (2, 0)
    assert (second.inserted, second.updated) == (1, 1)
    assert rows_of(session, target) == [(1, "a"), (2, "B"), (3, "c")]


@EACH_WAY
def test_of_two_rows_with_one_key_the_later_one_stays(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    rows = [(1, "old"), (2, "x"), (1, "new"), (2, None)]
    unit = write_unit(tmp_path, OUTPUT, rows, fence=1, rows_per_part=3)
    assert load_unit(session, target, unit, method=method).inserted == 2
    assert rows_of(session, target) == [(1, "new"), (2, None)]


@EACH_WAY
def test_a_unit_loaded_again_changes_nothing(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    unit = write_unit(tmp_path, OUTPUT, [(n, str(n)) for n in range(10)], fence=1, rows_per_part=4)
    for _ in range(3):
        load_unit(session, target, unit, method=method)
    assert rows_of(session, target) == [(n, str(n)) for n in range(10)]


@pytest.mark.parametrize(
    ("method", "phases"),
    [
        ("files", ["put", "merge"]),
        ("bound", ["merge"]),
        ("stage", ["put", "copy", "merge"]),
        ("insert", ["insert", "merge"]),
    ],
)
def test_each_step_is_told_and_timed(
    session: Session, target: TargetName, tmp_path: Path, method: str, phases: list[str]
) -> None:
    told: list[str] = []
    unit = write_unit(tmp_path, OUTPUT, [(1, "a")], fence=1)
    result = load_unit(session, target, unit, method=method, notify=told.append)
    assert told == [EVENTS[phase] for phase in phases]
    assert list(result.seconds) == phases
    assert len(result.query_ids) == len([phase for phase in phases if phase != "put"])
    assert all(result.query_ids)


def test_a_unit_without_rows_asks_nothing(
    session: Session, target: TargetName, tmp_path: Path, emulator: EmbeddedSnowflake
) -> None:
    unit = write_unit(tmp_path, OUTPUT, [], fence=1)
    load(session, target, OUTPUT, (ID,), unit, method="stage", notify=lambda phase: None)
    assert emulator.statements(target.database) == []


def test_a_file_that_vanishes_from_the_stage_is_noticed_before_the_merge(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    unit = write_unit(tmp_path, OUTPUT, [(1, "a"), (2, "b")], fence=1, rows_per_part=1)

    def lose_a_file(phase: str) -> None:
        if phase == "put":
            session.execute(f"{sql.remove_batch(target, unit.batch)}part-0001.parquet")

    with pytest.raises(LoadMismatch, match="has 2 rows, Snowflake loaded 1"):
        load_unit(session, target, unit, notify=lose_a_file)
    assert rows_of(session, target) == []
    load_unit(session, target, unit)
    assert rows_of(session, target) == [(1, "a"), (2, "b")]


def test_a_stage_without_any_of_the_files_is_noticed(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    unit = write_unit(tmp_path, OUTPUT, [(1, "a")], fence=1)

    def lose_all(phase: str) -> None:
        if phase == "put":
            session.execute(sql.remove_batch(target, unit.batch))

    with pytest.raises(LoadMismatch, match="loaded 0"):
        load_unit(session, target, unit, notify=lose_all)


@EACH_WAY
def test_a_file_with_fewer_rows_than_were_written_is_noticed(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    unit = write_unit(tmp_path, OUTPUT, [(1, "a"), (2, "b")], fence=1)
    short = replace(unit, parts=(replace(unit.parts[0], rows=3),))
    with pytest.raises(LoadMismatch, match="has 3 rows, Snowflake loaded 2"):
        load_unit(session, target, short, method=method)
    assert rows_of(session, target) == []


def test_a_part_file_that_is_gone_is_a_mismatch(session: Session, target: TargetName, tmp_path: Path) -> None:
    unit = write_unit(tmp_path, OUTPUT, [(1, "a")], fence=1)
    unit.parts[0].path.unlink()
    with pytest.raises(LoadMismatch):
        load_unit(session, target, unit)


@EACH_WAY
def test_a_composite_key_of_mixed_types_is_one_key(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    tenant, day = column("TENANT", "text"), column("DAY", "date")
    output, key = (day, NAME, tenant, ID), (tenant, ID)
    rows = [(None, "one", "a", 1), (None, "two", "a", 2), (None, "three", "b", 1)]
    load_unit(
        session, target, write_unit(tmp_path, output, rows, fence=1), output=output, key=key, method=method
    )
    changed = write_unit(tmp_path, output, [(None, "TWO", "a", 2)], fence=2)
    result = load_unit(session, target, changed, output=output, key=key, method=method)
    assert (result.inserted, result.updated) == (0, 1)
    assert sorted(row[1] for row in rows_of(session, target, (tenant, NAME))) == ["TWO", "one", "three"]


@EACH_WAY
def test_a_table_that_is_all_key_can_be_loaded_again(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    for fence in (1, 2):
        unit = write_unit(tmp_path, (ID,), [(1,), (2,)], fence=fence)
        load_unit(session, target, unit, output=(ID,), method=method)
    assert rows_of(session, target, (ID,)) == [(1,), (2,)]


@EACH_WAY
def test_names_that_need_quotes_arrive_as_they_are(
    session: Session, target: TargetName, tmp_path: Path, method: str
) -> None:
    """The emulator's COPY fails for tables with a space in their name and columns with letters beyond ASCII."""
    stage = method == "stage"
    odd = target.sibling("OddTable" if stage else 'Odd "Täble"')
    output = (
        Field("Id", "Id", ID.type, key=True),
        Field("a b", 'a "b"' if stage else 'a "b" ünï', NAME.type),
        column("SELECT", "text"),
    )
    unit = write_unit(tmp_path, output, [(1, "x", "y")], fence=1)
    load_unit(session, odd, unit, output=output, key=output[:1], method=method)
    assert rows_of(session, odd, output) == [(1, "x", "y")]


def test_part_files_in_a_folder_with_spaces_and_quotes_are_found(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    unit = write_unit(tmp_path / "it's a folder", OUTPUT, [(1, "a")], fence=1)
    load_unit(session, target, unit)
    assert rows_of(session, target) == [(1, "a")]


def test_a_stale_runs_late_merge_overwrites_nothing_newer(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    stale = write_unit(tmp_path, OUTPUT, [(1, "stale"), (2, "only here")], fence=1)
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(1, "new")], fence=2))
    result = load_unit(session, target, stale)
    assert (result.inserted, result.updated) == (1, 0)
    assert rows_of(session, target) == [(1, "new"), (2, "only here")]


def test_a_row_whose_watermark_went_back_still_wins(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    """The guard is the run, not the row's own time."""
    output = (ID, column("UPDATED_AT", "date"))
    load_unit(session, target, write_unit(tmp_path, output, [(1, 20_000)], fence=1), output=output)
    load_unit(session, target, write_unit(tmp_path, output, [(1, 10)], fence=2), output=output)
    ((_, day),) = rows_of(session, target, output)
    assert str(day) == "1970-01-11"


def test_rows_that_were_there_before_the_fence_column_are_overwritten(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    session.execute(sql.create_schema(target))
    session.execute(f'CREATE TABLE {qualified(target)} ("ID" NUMBER(38,0), "NAME" VARCHAR)')
    session.execute(f"INSERT INTO {qualified(target)} VALUES (1, 'before'), (2, 'before')")
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(1, "after")], fence=1))
    assert rows_of(session, target) == [(1, "after"), (2, "before")]


def test_another_transaction_in_the_way_is_a_conflict_and_the_unit_goes_through_later(
    session: Session, target: TargetName, tmp_path: Path, snowflake_settings: SnowflakeSettings
) -> None:
    """Once the wait for the lock, 12 hours by default on the real service, is over."""
    session.execute("ALTER SESSION SET LOCK_TIMEOUT = 1")
    unit = write_unit(tmp_path, OUTPUT, [(1, "ours")], fence=2)
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(1, "first")], fence=1))
    with connect(snowflake_settings, query_tag="other") as other:
        other.execute("BEGIN")
        other.execute(f"UPDATE {qualified(target)} SET \"NAME\" = 'theirs'")
        with pytest.raises(WriteConflict) as caught:
            load_unit(session, target, unit)
        assert caught.value.transient
        other.execute("ROLLBACK")
    load_unit(session, target, unit)
    assert rows_of(session, target) == [(1, "ours")]


def test_a_target_dropped_behind_the_cache_is_told_apart_and_made_again(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    unit = write_unit(tmp_path, OUTPUT, [(1, "a")], fence=1)
    cached, _ = ensure_target(session, target, OUTPUT, (ID,), None)
    session.execute(f"DROP TABLE {qualified(target)}")
    assert ensure_target(session, target, OUTPUT, (ID,), cached) == (cached, ())
    with pytest.raises(TargetMissing):
        load(session, target, OUTPUT, (ID,), unit, method="stage", notify=lambda phase: None)
    load_unit(session, target, unit)
    assert rows_of(session, target) == [(1, "a")]


def test_rows_are_looked_up_by_their_keys(session: Session, target: TargetName, tmp_path: Path) -> None:
    code = Field("code", "CODE", mapping_named("text"), key=True)
    output, key = (ID, code, NAME), (ID, code)
    rows = [(n, f"it's \\{n}", str(n)) for n in range(20)]
    load_unit(session, target, write_unit(tmp_path, output, rows, fence=1), output=output, key=key)
    wanted = [row[:2] for row in rows[3:6]]
    assert sorted(select_rows(session, target, output, key, wanted)) == rows[3:6]
    assert select_rows(session, target, output, key, []) == []
    assert sorted(select_all(session, target, key)) == [row[:2] for row in rows]
    assert count_rows(session, target) == 20
