"""A date or a timestamp lies before 1582.

Group: values
Danger: before October 1582 many programs count days by the Julian calendar. A date that is written by one calendar and
read by the other is off by up to twelve days, without an error.
Answer: such dates arrive as Postgres shows them. Postgres and Snowflake both count by the Gregorian calendar back to
year 1, and so do the files in between (Snowflake docs, "Date & time data types", supported calendar). Snowflake advises
against such years, because historical dates are usually meant by the Julian calendar; pgsnow does not convert them.
"""

from __future__ import annotations

from pgsnow.model.report import Status
from tests.world import World

DAYS = """
create table days (id int primary key, d date, t timestamp, z timestamptz, at timestamptz not null default now());
insert into days
select row_number() over (order by day), day, day + time '23:59:59.999999', day::timestamp at time zone 'UTC'
from (select d::date as day from unnest(array['0001-01-01', '0004-02-29', '1000-02-28', '1500-02-28', '1500-03-01',
    '1581-12-31', '1582-10-04', '1582-10-05', '1582-10-14', '1582-10-15', '1900-02-28']) as d) as listed
"""


def test_they_arrive_by_files_and_by_bound_values(world: World) -> None:
    """The days around leap years of the Julian calendar that are none of the Gregorian one, in one load from files and
    one of bound values."""
    world.sql(DAYS)
    table = {"source": "public.days", "pk": "id", "watermark_column": "at"}
    world.tables = [
        {**table, "target": "analytics.days", "load": "stage"},
    ]
    with world.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
    world.assert_equal()
    world.tables = [{**table, "target": "analytics.bound", "load": "insert"}]
    with world.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
    world.assert_equal()
    assert world.snowflake("SELECT COUNT(*) FROM ANALYTICS.DAYS WHERE D = '1582-10-05'::DATE") == [(1,)]
