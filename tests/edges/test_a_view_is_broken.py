"""A view is broken.

Group: discovery
Danger: The advice for an error is made for tables: a person who follows it corrects a configuration that is right, or
runs a statement that Postgres refuses.
Answer: An error inside of a view, of a function or of a foreign table is named as such, with the place; statements that
are advised are those that the kind of relation takes.
"""

from __future__ import annotations

import psycopg
import pytest

from pgsnow.model.report import TableReport
from pgsnow.operations.check.tables import check_table
from pgsnow.postgres.connection import Source
from tests.world import MemoryWorld

VIEW = {"source": "public.v", "target": "analytics.v", "mode": "full"}
FUNCTION = """
create table parts (id int primary key, n int);
insert into parts values (1, 1);
create function numbers() returns table (id int, n int) language plpgsql
    as $$ begin return query select p.id, p.n from parts p; end $$;
create view v as select * from numbers();
"""


def tick(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        return engine.tick().tables[0]


@pytest.mark.parametrize("change", ["alter table parts rename n to m", "alter table parts rename to pieces"])
def test_an_error_inside_of_a_view_is_not_blamed_on_the_configuration(
    memory_world: MemoryWorld, change: str
) -> None:
    """Neither `source:` nor a column's name is wrong: the function that the view reads is."""
    memory_world.sql(FUNCTION)
    memory_world.tables = [dict(VIEW)]
    assert tick(memory_world).ok
    memory_world.sql(change)
    report = tick(memory_world)
    assert report.error_type == "SourceQueryFailed"
    assert "PL/pgSQL function numbers()" in (report.error or "")
    assert "correct" in (report.advice or "")
    assert "sync_config.yaml" not in (report.advice or "")


def test_an_error_in_where_names_where(memory_world: MemoryWorld) -> None:
    """The only place where the configuration can name a column that was not looked up before."""
    memory_world.tables[0]["where"] = "nothing = 1"
    report = tick(memory_world)
    assert report.error_type == "ColumnMissing"
    assert "`where:`" in (report.advice or "")


RELATIONS = """
create table t (k int not null, at timestamptz not null);
create view v as select * from t;
create materialized view m as select * from t;
create table p (k int not null, at timestamptz, unique (k)) partition by range (k);
"""


@pytest.mark.parametrize("name", ["v", "m", "p"])
def test_what_check_advises_can_be_run(memory_world: MemoryWorld, name: str) -> None:
    """Every statement in an advice is accepted by Postgres for this kind of relation."""
    memory_world.sql(RELATIONS)
    late_rows = {} if name == "p" else {"late_rows": "off"}
    memory_world.tables = [
        {
            "source": f"public.{name}",
            "target": "analytics.x",
            "pk": "k",
            "watermark_column": "at",
            **late_rows,
        }
    ]
    with Source(memory_world.settings.source).connect() as conn:
        results, prepared = check_table(conn, memory_world.config.tables[0], memory_world.settings.snowflake)
    assert prepared is not None
    advised = [result.fix for result in results if result.fix]
    assert advised
    for statement in advised:
        if statement.endswith(";"):
            with psycopg.connect(memory_world.env["POSTGRES_DSN"], autocommit=True) as admin:
                admin.execute(statement.encode())
