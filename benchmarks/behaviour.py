"""Cases in which other tools lose or alter rows: `python -m benchmarks.behaviour`. With default settings.

Each case has its own table. It is right if every row is loaded unchanged, or is reported with its key and the reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figures import Figures
from benchmarks.target import cursor
from pgsnow.embedded.snowflake import DATABASE
from pgsnow.embedded.stack import Stack
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.report import SyncReport
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.engine import Engine

ROWS = """
create table {table} (id bigint primary key, name text, updated_at timestamptz not null);
insert into {table} select g, 'n' || g, case
  when g <= 1800 then timestamptz '2025-01-01Z' + g * interval '1 second'
  when g <= 4300 then timestamptz '2025-02-01Z' else timestamptz '2025-03-01Z' + g * interval '1 second' end
from generate_series(1, 5000) g
"""
VALUES = """
create table {table} (id bigint primary key, v {kind}, updated_at timestamptz not null default now());
insert into {table} (id, v) values (1, {value}), (2, {plain})
"""
COPIED_STAMP = """
insert into later select 9000 + g, 'tie', (select max(updated_at) from later) from generate_series(1, 5) g
"""
COUNTED_AFTER = 11
"""Seconds after which the deletes of an idle session are in Postgres's statistics."""
Outcome = tuple[str, bool]


class Lab:
    """One stack, and a table list that gets one more table for each case."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.env = stack.env()
        self.folder = folder
        self.conn = psycopg.connect(self.env["POSTGRES_DSN"], autocommit=True)

    def make(self, text: str, table: str, **values: str) -> None:
        for statement in text.format(table=table, **values).split(";"):
            self.conn.execute(statement.encode())

    def settings(self, table: str) -> dict[str, Any]:
        named = {"source": f"public.{table}", "target": f"lab.{table}"}
        return {"tables": [{**named, "pk": "id", "watermark_column": "updated_at"}]}

    @contextmanager
    def engine(self, table: str, **more: object) -> Iterator[Engine]:
        settings = self.settings(table)
        settings["tables"][0] |= more
        config = parse_config(settings, file="behaviour", env={})
        with Engine(config, Settings.from_env(self.env)) as engine:
            yield engine

    def target(self, query: str) -> list[tuple[Any, ...]]:
        with cursor(self.stack.snowflake, DATABASE) as asked:
            return [tuple(row) for row in asked.execute(query).fetchall()]

    def count(self, table: str, where: str = "true") -> int:
        return int(self.target(f"select count(*) from LAB.{table} where {where}")[0][0])

    def verify(self, table: str) -> int:
        """The exit code of `pgsnow verify`: 4 if it finds a difference."""
        config = self.folder / f"{table}.yaml"
        entry = "\n".join(f"    {key}: {value}" for key, value in self.settings(table)["tables"][0].items())
        config.write_text(f"tables:\n  -\n{entry}\n")
        argv = [sys.executable, "-m", "pgsnow", "verify", "--config", str(config)]
        return subprocess.run(argv, env={**os.environ, **self.env}, capture_output=True).returncode


def ok(report: SyncReport) -> SyncReport:
    if report.failures:
        raise SystemExit(report.failures[0].error or "failed")
    return report


def ties(lab: Lab) -> Outcome:
    lab.make(ROWS, "ties")
    with lab.engine("ties") as engine:
        ok(engine.tick())
    there = lab.count("ties")
    return f"{there:,} of 5,000 rows", there == 5_000


def later_rows(lab: Lab) -> Outcome:
    """Rows with a watermark, set by hand, that is months older than the transaction that writes them."""
    lab.make(ROWS, "later")
    with lab.engine("later") as engine:
        ok(engine.tick())
        lab.conn.execute(COPIED_STAMP)
        ok(engine.tick())
        there, code = lab.count("later", "NAME = 'tie'"), lab.verify("later")
    events = audited(lab)
    after = lab.count("later", "NAME = 'tie'")
    told = f"`verify` exits with {code}; {after} of 5 once the audit (`audit_every`, 1 h) has run: {'; '.join(events)}"
    return f"{there} of 5 with the next tick; {told}", there == 5


def audited(lab: Lab) -> list[str]:
    """The events of the first audit that finds something; the audit is due each second."""
    with lab.engine("later", audit_every=1) as engine:
        for _ in range(50):
            events = list(ok(engine.tick()).tables[0].events)
            if events:
                return events
            time.sleep(0.1)
    return ["the audit found nothing"]


def stamped_alike(lab: Lab) -> Outcome:
    """Rows of a transaction that had begun before the newest row was written, with the same watermark."""
    lab.make(ROWS, "alike")
    with lab.engine("alike") as engine, psycopg.connect(lab.env["POSTGRES_DSN"]) as slow:
        row = slow.execute("select now()").fetchone()
        lab.conn.execute("insert into alike values (8000, 'newest', %s)", row)
        ok(engine.tick())
        slow.execute("insert into alike select 9000 + g, 'tie', now() from generate_series(1, 5) g")
        slow.commit()
        ok(engine.tick())
    there = lab.count("alike", "NAME = 'tie'")
    return f"{there} of 5", there == 5


def late_commit(lab: Lab) -> Outcome:
    lab.make(ROWS, "late")
    with lab.engine("late") as engine, psycopg.connect(lab.env["POSTGRES_DSN"]) as slow:
        ok(engine.tick())
        slow.execute("update late set name = 'slow', updated_at = now() where id = 10")
        lab.conn.execute("update late set name = 'quick', updated_at = clock_timestamp() where id = 20")
        ok(engine.tick())
        slow.commit()
        ok(engine.tick())
    there = lab.count("late", "NAME in ('slow', 'quick')")
    return "arrives with the next tick" if there == 2 else f"{there} of 2", there == 2


def hard_delete(lab: Lab) -> Outcome:
    """Three rows are deleted. Ticks come as long after it as Postgres may take to count them; the usual interval is two
    minutes."""
    lab.make(ROWS, "gone")
    with lab.engine("gone") as engine:
        ok(engine.tick())
        lab.conn.execute("delete from gone where id between 30 and 32")
        time.sleep(COUNTED_AFTER)
        report = ok(engine.tick())
        ghosts, others, code = (
            lab.count("gone", "ID between 30 and 32"),
            lab.count("gone"),
            lab.verify("gone"),
        )
    told = f"the next tick, {COUNTED_AFTER} s later: {'; '.join(report.tables[0].events)}; `verify` exits with {code}"
    return f"{ghosts} of 3 stay; {told}", ghosts == 0 and others == 4_997 and code == 0


def added_column(lab: Lab) -> Outcome:
    lab.make(ROWS, "wider")
    with lab.engine("wider") as engine:
        ok(engine.tick())
        lab.conn.execute("alter table wider add column note text")
        lab.conn.execute("update wider set note = 'hello', updated_at = now() where id <= 2")
        ok(engine.tick())
    there = lab.count("wider", "NOTE = 'hello'")
    return "added at the next tick" if there == 2 else f"{there} of 2 values", there == 2


def value(kind: str, given: str, plain: str, shown: str, exact: str) -> Callable[[Lab], Outcome]:
    """A case of one value. shown: an SQL expression for it in the target; exact: the expected result."""

    def case(lab: Lab) -> Outcome:
        table = f"value_{abs(hash((kind, given))) % 10**8}"
        lab.make(VALUES, table, kind=kind, value=given, plain=plain)
        with lab.engine(table) as engine:
            ok(engine.tick())
            rejected = engine.ledger.rejected_rows.listed(table=f"public.{table}")
        found = lab.target(f"select {shown} from LAB.{table} where ID = 1")
        others = lab.count(table, "ID = 2")
        if found:
            told = str(found[0][0])
            return f"`{told}`", told == exact and others == 1
        if not rejected:
            return "missing, without a report", False
        return f"rejected, the other row is loaded: {rejected[0].reason}", others == 1

    return case


CASES: dict[str, Callable[[Lab], Outcome]] = {
    "2,500 ties across the edge of a batch": ties,
    "5 later rows with the newest row's old stamp, copied by hand": later_rows,
    "5 later rows with the newest row's stamp, by a transaction that ran then": stamped_alike,
    "late commit under an older watermark": late_commit,
    "hard delete": hard_delete,
    "added column": added_column,
    "numeric 1e30+0.1": value(
        "numeric", "1e30::numeric + 0.1", "1.5", "V::VARCHAR", "1000000000000000000000000000000.1"
    ),
    "numeric NaN": value("numeric", "'NaN'", "1.5", "V::VARCHAR", "NaN"),
    "timestamptz infinity": value("timestamptz", "'infinity'", "now()", "V::VARCHAR", "infinity"),
    "44 BC date": value("date", "'0044-03-15 BC'", "'2024-02-29'", "V::VARCHAR", "-0043-03-15"),
    "jsonb 12345678901234567890.123": value(
        "jsonb",
        """'{"big": 12345678901234567890.123}'""",
        "'{}'",
        "V::VARCHAR",
        '{"big": 12345678901234567890.123}',
    ),
    "JSON null": value(
        "jsonb", "'null'", "null", "case when V is null then 'SQL NULL' else V::VARCHAR end", "null"
    ),
    "text[] with NULL": value("text[]", "array['a', null, 'b']", "'{}'", "V::VARCHAR", '["a",null,"b"]'),
}


def main() -> int:
    figures = Figures()
    figures.forget({"behaviour"})
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        lab = Lab(stack, Path(folder))
        for name, case in CASES.items():
            shown, right = case(lab)
            figures.add("behaviour", case=name, shown=shown.replace("|", "/"), right=right)
            wrong += not right
        lab.conn.close()
    return 0 if wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
