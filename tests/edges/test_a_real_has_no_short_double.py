"""A `real` such as 3.4145 has no double of the same value that is as short.

Group: values
Danger: 3.4145 arrives in Snowflake as 3.4144999980926514, so that a filter `= 3.4145` finds nothing, and an array of
the same values disagrees with the column.
Answer: a `real` is loaded as the shortest decimal that Postgres prints. `real_values: exact` loads the double of the
same value, in arrays too. A target that an older version filled is read again once, so that it never holds both forms.
"""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.report import Status
from pgsnow.postgres.connection import Source
from tests.world import MemoryWorld

TABLE = """
create domain fee as money;
create table things (
    id int primary key, r real, rs real[], m money, ms money[], fees fee[], c char(4), cs char(4)[],
    at timestamptz not null default now()
);
insert into things values (1, 3.4145, '{3.4145,NaN}', 1001.01, '{{1001.01},{-2}}', array[3.5::money::fee], 'ab', '{ab}')
"""


@pytest.fixture
def world(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.sql(TABLE)
    memory_world.tables = [
        {"source": "public.things", "target": "analytics.things", "watermark_column": "at"}
    ]
    return memory_world


def loaded(world: MemoryWorld) -> dict[str, object]:
    """The target's only row."""
    [row] = world.target("analytics.things").rows
    return {name: json.loads(v) if name in ("RS", "MS", "FEES", "CS") else v for name, v in row.items()}


def test_real_and_money_arrive_as_they_are_written_in_arrays_too(world: MemoryWorld) -> None:
    """A column and an array of the same type hold the same values."""
    with world.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
    row = loaded(world)
    assert (row["R"], row["RS"]) == (3.4145, [3.4145, "NaN"])
    assert (row["M"], row["MS"], row["FEES"]) == ("1001.01", [[1001.01], [-2]], [3.5])
    assert (row["C"], row["CS"]) == ("ab  ", ["ab  "])
    world.assert_equal(cells={"fees": "to_json(fees::numeric[])"})


def test_the_exact_double_and_trimmed_padding_are_options(world: MemoryWorld) -> None:
    """`defaults:` may ask for the exact double of each real, and for char(n) without its padding; a change of either is
    followed at the next tick by a full read, whose reason names the column."""
    with world.engine() as engine:
        engine.tick()
    world.options = {"defaults": {"real_values": "exact", "char_padding": "trim"}}
    with world.engine() as engine:
        report = engine.tick().tables[0]
        assert report.full_read == "column r is loaded in another form: as Postgres stores it"
        assert engine.tick().tables[0].status is Status.IDLE
    row = loaded(world)
    assert row["R"] == 3.4144999980926514
    assert row["RS"] == [3.4144999980926514, "NaN"]
    assert (row["C"], row["CS"]) == ("ab", ["ab"])


def test_a_target_that_an_older_version_filled_is_read_again_once(world: MemoryWorld) -> None:
    """No target holds both forms: rows that an older version loaded are loaded again, although nothing changed."""
    with world.engine() as engine:
        engine.tick()
        world.target("analytics.things").rows[0]["R"] = 3.4144999980926514
        world.sql(
            "update sync_watermarks set source_schema = jsonb_set(source_schema, '{columns}', ("
            "  select jsonb_agg(c - 'conversion') from jsonb_array_elements(source_schema -> 'columns') c))"
        )
        assert engine.tick().tables[0].full_read == "column r is loaded in another form: shortest decimal"
        assert loaded(world)["R"] == 3.4145
        assert engine.tick().tables[0].status is Status.IDLE


def test_the_shortest_decimal_is_the_same_real(world: MemoryWorld) -> None:
    """Nothing is lost: each loaded double casts back to the real that it stands for, and is what Postgres prints."""
    source = Source(world.settings.source)
    with source.connect() as conn:

        @given(st.lists(st.floats(width=32), min_size=1, max_size=50))
        def holds(values: list[float]) -> None:
            rows = conn.execute(
                "select r::text, r::text::float8, float4send(r), float4send((r::text::float8)::float4)"
                " from unnest(%s::float8[]::real[]) r",
                [values],
            ).fetchall()
            for text, double, sent, back in rows:
                assert sent == back
                assert math.isnan(double) or float(text) == double

        holds()
