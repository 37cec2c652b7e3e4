"""The key of a rejected row is confidential.

Group: values
Danger: `transform: {hash: [email]}` keeps e-mail addresses out of Snowflake. A row that is rejected has its address in
`sync_errors`, in `pgsnow errors list`, and in the text of the transform's exception, for everyone who may read those.
Answer: in `sync_errors` a hashed key column has its hash, the same as in Snowflake for texts and integers; hidden
columns are left out of the payload and of the reason. `errors replay` finds the row by comparing hashes. Entries from
before the rule are rewritten when the rule is set.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from pgsnow.model.report import Status, TableReport
from tests.world import MemoryWorld

SALT = "pepper"
HIDDEN = {"hash": ["email"], "mask": {"phone": "all"}, "salt": SALT}


def refuse_odd(row: dict[str, Any]) -> dict[str, Any]:
    """Raises an exception that shows what it should not."""
    if row["n"] % 2:
        raise ValueError(f"{row['email']} cannot be called at {row['phone']}")
    return row


@pytest.fixture
def people(memory_world: MemoryWorld) -> MemoryWorld:
    """Four people; those with an odd number are rejected."""
    memory_world.sql(
        "create table people (email text, tenant int, n int, phone text, updated_at timestamptz not null default now(),"
        " primary key (email, tenant));"
        "insert into people select 'p' || g || '@example.org', 1, g, '555-000' || g from generate_series(1, 4) g"
    )
    memory_world.tables = [
        {
            "source": "public.people",
            "target": "people",
            "watermark_column": "updated_at",
            "transform": {"function": f"{__name__}:refuse_odd", **HIDDEN},
        }
    ]
    return memory_world


def run(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick().tables
    return report


def replay(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        [report] = engine.replay([row.id for row in engine.ledger.rejected_rows.listed()]).tables
    return report


def hashed(email: str) -> str:
    return hmac.digest(SALT.encode(), email.encode(), "sha256").hex()


def everything(world: MemoryWorld) -> str:
    """All that the ledger shows of rejected rows and of runs."""
    rows = [world.sql(f"select to_jsonb(t) from {table} t") for table in ("sync_errors", "sync_logs")]
    return json.dumps(rows) + str(world.sql("select last_error from sync_watermarks"))


def test_nothing_is_shown_of_it(people: MemoryWorld) -> None:
    """Neither key nor payload nor reason; the hash is that of the target."""
    assert run(people).status is Status.PARTIAL
    shown = everything(people)
    assert "@example.org" not in shown
    assert "555-000" not in shown
    keys = people.sql("select key from sync_errors order by id")
    assert keys == [({"email": hashed(f"p{n}@example.org"), "tenant": "1"},) for n in (1, 3)]
    people.sql("update people set n = n + 1, updated_at = now()")
    run(people)
    [target] = people.warehouse.tables.values()
    assert {row["EMAIL"] for row in target.rows} == {hashed(f"p{n}@example.org") for n in (1, 2, 3, 4)}


def test_its_error_is_closed_when_it_is_accepted(people: MemoryWorld) -> None:
    """By an ordinary run: the row's own key is compared by its hash."""
    run(people)
    people.sql("update people set n = 8, updated_at = now() where n = 3")
    run(people)
    assert people.sql("select n from people order by 1") == [(1,), (2,), (4,), (8,)]
    states = dict(people.sql("select key ->> 'email', state from sync_errors"))
    assert states == {hashed("p1@example.org"): "open", hashed("p3@example.org"): "replayed"}


def test_replay_finds_the_row(people: MemoryWorld) -> None:
    """One is accepted now, one is rejected again."""
    run(people)
    people.sql("update people set n = 8 where n = 3")
    report = replay(people)
    assert (report.rows_read, report.rows_rejected) == (2, 1)
    assert people.sql("select state from sync_errors order by id") == [("open",), ("replayed",)]
    [target] = people.warehouse.tables.values()
    assert hashed("p3@example.org") in {row["EMAIL"] for row in target.rows}


def test_too_many_of_them_are_not_shown_in_the_error(people: MemoryWorld) -> None:
    """The run's error has no reason of a row."""
    people.tables[0]["max_rejected_rows"] = 1
    report = run(people)
    assert "more than 1 row" in (report.error or "")
    assert "@example.org" not in everything(people) + (report.error or "")


def test_entries_from_before_the_rule_are_rewritten(people: MemoryWorld) -> None:
    """Open, replayed and dismissed ones."""
    people.tables[0]["transform"] = {"function": f"{__name__}:refuse_odd"}
    run(people)
    people.sql("update sync_errors set state = 'dismissed' where key ->> 'email' like 'p1@%'")
    assert "@example.org" in everything(people)
    people.tables[0]["transform"] |= HIDDEN
    run(people)
    shown = everything(people)
    assert "@example.org" not in shown
    assert "555-000" not in shown
