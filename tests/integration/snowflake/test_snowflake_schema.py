"""The target is made, widened, and refused before anything is altered."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.errors import TargetConflict, TargetMissing
from pgsnow.model.plan import FENCE_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.names import qualified
from pgsnow.snowflake.schema.length_limits import limits_of
from pgsnow.snowflake.schema.target_table import target_state
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from tests.integration.snowflake.units import (
    ID,
    NAME,
    OUTPUT,
    column,
    ensure_target,
    load_unit,
    rows_of,
    write_unit,
)

KEY = (ID,)


def create(session: Session, target: TargetName, columns: str) -> None:
    session.execute(sql.create_schema(target))
    session.execute(f"CREATE TABLE {qualified(target)} ({columns})")


def test_a_missing_schema_and_table_are_made_and_told(session: Session, target: TargetName) -> None:
    columns, events = ensure_target(session, target, OUTPUT, KEY, None)
    assert columns == {"ID": "NUMBER(38,0)", "NAME": "VARCHAR(16777216)", FENCE_COLUMN: "NUMBER(38,0)"}
    assert events == (f"created table {target}",)


def test_what_is_there_is_left_alone(session: Session, target: TargetName) -> None:
    first, _ = ensure_target(session, target, OUTPUT, KEY, None)
    assert ensure_target(session, target, OUTPUT, KEY, None) == (first, ())


def test_a_sufficient_cache_sends_no_statement(
    session: Session, target: TargetName, emulator: EmbeddedSnowflake
) -> None:
    columns, _ = ensure_target(session, target, OUTPUT, KEY, None)
    before = emulator.noted()
    assert ensure_target(session, target, OUTPUT, KEY, columns) == (columns, ())
    assert emulator.noted() == before


def test_a_column_new_at_the_source_is_added_and_older_rows_stay(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(1, "a"), (2, "b")], fence=1))
    cached, _ = ensure_target(session, target, OUTPUT, KEY, None)
    wider = (*OUTPUT, column("DOC", "jsonb"), column("PRICE", "numeric(10,2)"))
    columns, events = ensure_target(session, target, wider, KEY, cached)
    assert events == (f"added column DOC VARIANT to {target}", f"added column PRICE NUMBER(10,2) to {target}")
    assert columns["PRICE"] == "NUMBER(10,2)"
    load_unit(session, target, write_unit(tmp_path, wider, [(2, "B", "[1]", None)], fence=2), output=wider)
    assert rows_of(session, target, wider) == [(1, "a", None, None), (2, "B", [1], None)]


def test_a_table_made_by_hand_gets_the_fence_column(session: Session, target: TargetName) -> None:
    create(
        session,
        target,
        '"ID" NUMBER(19,0) NOT NULL, "NAME" VARCHAR(20), "NOTE" VARCHAR NOT NULL DEFAULT \'x\'',
    )
    columns, events = ensure_target(session, target, OUTPUT, KEY, None)
    assert events == (f"added column {FENCE_COLUMN} NUMBER(38,0) to {target}",)
    assert [limit.length for limit in limits_of(columns, OUTPUT)] == [20]


def test_all_conflicts_are_told_at_once_and_nothing_is_altered(session: Session, target: TargetName) -> None:
    create(session, target, '"ID" VARCHAR, "name" VARCHAR, "OWNER" VARCHAR NOT NULL, "AT" TIMESTAMP_NTZ(9)')
    output = (*OUTPUT, column("AT", "timestamptz"), column("MORE", "text"))
    with pytest.raises(TargetConflict) as caught:
        ensure_target(session, target, output, KEY, None)
    message = str(caught.value)
    assert str(target) in message
    assert "column ID is VARCHAR(16777216) and cannot take id, which is int8 (needs NUMBER(38,0))" in message
    assert "column NAME would differ from name in case alone" in message
    assert "column OWNER is NOT NULL, has no default" in message
    assert "column AT is TIMESTAMP_NTZ(9) and cannot take at, which is timestamptz" in message
    assert caught.value.advice
    names = session.execute(sql.describe_table(target)).column("name")
    assert names == ["ID", "name", "OWNER", "AT"]


def test_a_target_without_the_key_is_refused(session: Session, target: TargetName) -> None:
    create(session, target, '"NAME" VARCHAR')
    with pytest.raises(TargetConflict, match="no column ID, which belongs to the key"):
        ensure_target(session, target, OUTPUT, KEY, None)


def test_a_source_column_whose_type_has_changed_is_compared_with_the_real_target(
    session: Session, target: TargetName
) -> None:
    cached, _ = ensure_target(session, target, OUTPUT, KEY, None)
    changed = (ID, Field("name", "NAME", mapping_named("jsonb")))
    with pytest.raises(TargetConflict, match="column NAME is VARCHAR"):
        ensure_target(session, target, changed, KEY, cached)
    session.execute(f'ALTER TABLE {qualified(target)} DROP COLUMN "NAME"')
    columns, events = ensure_target(session, target, changed, KEY, cached)
    assert columns["NAME"] == "VARIANT"
    assert len(events) == 1


def test_a_missing_database_is_told(session: Session) -> None:
    with pytest.raises(TargetMissing):
        ensure_target(session, TargetName("NO_SUCH_DB", "S", "T"), OUTPUT, KEY, None)


def test_a_name_is_not_a_way_into_the_statement(session: Session, target: TargetName) -> None:
    create(session, target, '"KEEP" NUMBER')
    evil = target.sibling('X" (A INT); DROP TABLE "USERS')
    ensure_target(session, evil, (ID, Field("n", 'n" INT, "m', NAME.type)), KEY, None)
    names = session.execute(sql.describe_table(evil)).column("name")
    assert names == ["ID", 'n" INT, "m', FENCE_COLUMN]
    assert session.execute(sql.describe_table(target)).column("name") == ["KEEP"]


def test_the_state_of_a_target(session: Session, target: TargetName) -> None:
    """Its creation is that of the table; its rows are exact; a name that differs in case is not its name."""
    assert target_state(session, target) is None
    assert target_state(session, TargetName(target.database, "NO_SUCH_SCHEMA", "T")) is None
    create(session, target, '"ID" NUMBER')
    session.execute(f"INSERT INTO {qualified(target)} SELECT 1")
    first = target_state(session, target)
    assert first is not None
    assert (first.rows, first.comment, first.kind) == (1, "", "TABLE")
    session.execute(f"CREATE OR REPLACE TABLE {qualified(target)} CLONE {qualified(target)}")
    second = target_state(session, target)
    assert second is not None
    assert second.created_on > first.created_on
    assert target_state(session, target.sibling(target.table.lower())) is None
