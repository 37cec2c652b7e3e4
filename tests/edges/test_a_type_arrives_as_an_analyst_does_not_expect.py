"""A numeric column has no precision, and Snowflake's NUMBER needs one.

Group: discovery
Danger: Money in `numeric` without precision arrives as text, and so do intervals and enums; nobody knows until the
    first sum in Snowflake fails, when the columns have their types already.
Answer: `pgsnow discover`, `plan` and `check` show every such decision before the first load. `discover --profile`
    proposes a NUMBER with head room from the data, and `numeric_type` under `defaults:` sets one for all columns. A
    later value that does not fit rejects its row.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from pgsnow.model.discovery.advice import advice_for
from pgsnow.model.discovery.proposal import Proposal
from pgsnow.model.report import Status
from pgsnow.operations.check.result import Level
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.discover.discover import Choice, discover
from tests.world import MemoryWorld


@pytest.fixture
def sales(memory_world: MemoryWorld) -> MemoryWorld:
    memory_world.sql(
        """
        create type mood as enum ('ok');
        create domain euros as numeric;
        create table sales (id numeric primary key, amount euros, tiny numeric, odd numeric, huge numeric,
                            "none" numeric, fixed numeric(10,2), wide numeric(50,2), tags text[], mood mood,
                            took interval, paid money, code char(3), day timetz, flags bit(3), note text,
                            doc jsonb, ref uuid);
        insert into sales (id, amount, tiny, odd, huge, wide, tags, code) values
            (1, 12345.67, 0.001, 'NaN', 1e40, 1, '{a}', 'x'), (2, -3.5, 0.25, 1.5, 1, 2, '{}', 'y');
        """
    )
    return memory_world


def proposal(world: MemoryWorld, *, scan: bool) -> Proposal:
    [found] = discover(world.settings.source, Choice(include=("sales",)), scan=scan, target_schema="shop")
    return found


def test_a_scan_proposes_numbers_with_head_room_and_they_arrive_as_numbers(sales: MemoryWorld) -> None:
    """All present values fit, larger ones too; what no NUMBER can hold stays text. A value beyond rejects its row."""
    entry = dict(proposal(sales, scan=True).entry or {})
    casts = {"id": "NUMBER(18,2)", "amount": "NUMBER(18,4)", "tiny": "NUMBER(18,5)"}
    assert entry["transform"] == {"cast": casts}, "a NaN is no number in Snowflake"
    sales.tables = [entry]
    with sales.engine() as engine:
        assert engine.tick().tables[0].status is Status.OK
        rows = {row["ID"]: row for row in sales.target("shop.sales").rows}
        assert (rows[1]["AMOUNT"], rows[2]["TINY"]) == (Decimal("12345.67"), Decimal("0.25"))
        assert rows[1]["HUGE"] == "1" + 40 * "0"
        sales.sql("insert into sales (id, amount) values (3, 99999999999), (4, 1e20), (5, 0.123456)")
        report = engine.tick().tables[0]
    assert (report.status, report.rows_rejected) == (Status.PARTIAL, 2)
    assert {row["ID"] for row in sales.target("shop.sales").rows} == {1, 2, 3}


def test_numeric_type_is_a_number_for_all_of_them(sales: MemoryWorld) -> None:
    """One line under `defaults:` serves every table; a column's own `cast`, or `text` for a table, takes precedence."""
    sales.sql("delete from sales where id = 1")
    sales.options["defaults"] = {"numeric_type": "NUMBER(30, 6)"}
    sales.tables = [
        {"source": "sales", "target": "shop.sales", "mode": "xmin", "transform": {"cast": {"huge": "text"}}},
        {
            "source": "sales",
            "name": "as text",
            "target": "shop.texts",
            "mode": "xmin",
            "numeric_type": "text",
        },
    ]
    with sales.engine() as engine:
        assert {table.status for table in engine.tick().tables} == {Status.OK}
    [row] = sales.target("shop.sales").rows
    assert (row["ID"], row["AMOUNT"], row["ODD"], row["HUGE"]) == (2, Decimal("-3.5"), Decimal("1.5"), "1")
    assert sales.target("shop.texts").rows[0]["AMOUNT"] == "-3.5"


UNEXPECTED = {
    "amount, tiny, odd, huge, none: numeric without precision → VARCHAR, because it may have more digits than NUMBER",
    "wide: numeric(50,2) → VARCHAR, because NUMBER has at most 38 digits",
    "tags: text[] → VARIANT",
    "mood: enum mood → VARCHAR, its label",
    "took: interval → VARCHAR, Postgres's own text; it cannot be added to a timestamp",
    "code: char(n) → VARCHAR, padded with blanks as in Postgres",
    "day: timetz → VARCHAR, because Snowflake has no time with a time zone",
    "flags: bit → VARCHAR",
}


def test_each_decision_is_shown_before_the_first_load(sales: MemoryWorld) -> None:
    """In `discover`, `check` and `plan`, one line for all columns; what is expected is not listed."""
    shown = {str(decision).replace("id, ", "") for decision in proposal(sales, scan=False).types}
    assert shown >= UNEXPECTED
    assert not {word for word in ("note", "doc", "ref", "fixed") if any(f"{word}:" in line for line in shown)}
    sales.tables = [{"source": "sales", "target": "shop.sales", "mode": "xmin"}]
    results, prepared = check_table(sales.source, sales.config.tables[0], sales.settings.snowflake)
    assert prepared is not None
    [warning] = [result for result in results if result.level is Level.WARNING]
    assert "numeric without precision" in warning.detail
    assert [str(each) for each in advice_for(prepared.plan, None)] == [f"{warning.detail} → {warning.fix}"]
    [types] = [result.detail for result in results if result.detail.startswith("types: ")]
    assert all(line in types for line in UNEXPECTED if "without precision" not in line)


def test_what_the_list_decides_is_not_shown_again(sales: MemoryWorld) -> None:
    """A column that is cast, hashed or left out needs no remark."""
    sales.tables = [
        {"source": "sales", "target": "shop.sales", "mode": "xmin", "numeric_type": "NUMBER(38, 9)",
         "columns": {"include": ["amount", "took"]}, "transform": {"cast": {"took": "text"}}}
    ]  # fmt: skip
    results, _ = check_table(sales.source, sales.config.tables[0], sales.settings.snowflake)
    assert [result.level for result in results] == [Level.OK]
