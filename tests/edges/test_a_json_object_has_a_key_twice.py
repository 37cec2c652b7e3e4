"""A JSON object has the same key twice.

Group: values
Danger: Postgres keeps `{"a": 1, "a": 2}` in a column of type json as it was written. Snowflake rejects such an object,
and with it the statement that loads a whole batch, unless it is told which value to keep.
Answer: the last value is loaded, which is the one that Postgres itself finds under the key. A first load is copied
without that choice, because Snowflake documents it for queries only; a batch in which an object has a key twice is
rejected as a whole then, and merged. The run's events say so.
"""

from __future__ import annotations

from pgsnow.model.report import Status
from tests.world import World

NOTES = "create table {0} (id int primary key, doc json, at timestamptz not null default now())"
MANY = "insert into {0} select g, '{{\"n\": 1}}' from generate_series(1, 20) g"


def test_the_last_value_of_the_key_is_loaded(world: World) -> None:
    """A first load without such a key is copied; with one, the batch is merged, and nothing is lost."""
    for name in ("plain", "twice"):
        world.sql(NOTES.format(name))
        world.sql(MANY.format(name))
    world.sql("""update twice set doc = '{"n": 1, "m": 0, "n": 2}' where id = 7""")
    world.tables = [
        {"source": f"public.{name}", "target": f"analytics.{name}", "watermark_column": "at", "load": "stage"}
        for name in ("plain", "twice")
    ]
    with world.engine() as engine:
        reports = {table.table: table for table in engine.tick().tables}
    assert {table.status for table in reports.values()} == {Status.OK}
    assert not any("is merged" in event for event in reports["public.plain"].events)
    assert any("duplicate object attribute" in event for event in reports["public.twice"].events)
    world.assert_equal()
