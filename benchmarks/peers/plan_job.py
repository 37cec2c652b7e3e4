"""The original plan, implemented literally with psycopg and the connector, run by path: `plan_job.py TABLE`.

Rows above the watermark are inserted in its order, 1,000 at a time, by executemany into a temporary table; then one
MERGE, and the watermark is saved. Values of psycopg are passed to the connector, JSON as text. Environment:
POSTGRES_DSN, SNOWFLAKE_PORT, STATE (a file).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import psycopg
import snowflake.connector

BATCH = 1_000
TYPES = {
    "bigint": "NUMBER(19,0)",
    "text": "VARCHAR",
    "boolean": "BOOLEAN",
    "jsonb": "VARIANT",
    "ARRAY": "VARIANT",
    "timestamp with time zone": "TIMESTAMP_TZ",
    "date": "DATE",
}
COLUMNS = """
select column_name, data_type, numeric_precision, numeric_scale from information_schema.columns
where table_schema = 'public' and table_name = %s order by ordinal_position
"""


class Job:
    def __init__(self, table: str) -> None:
        self.table = table
        self.state = Path(os.environ["STATE"])
        self.postgres = psycopg.connect(os.environ["POSTGRES_DSN"], autocommit=True)
        self.snowflake = snowflake.connector.connect(
            user="u", password="p", account="pgsnow", host="localhost", port=int(os.environ["SNOWFLAKE_PORT"]),
            protocol="http", database="BENCH", schema="PUBLIC",
        )  # fmt: skip
        self.cursor = self.snowflake.cursor()
        self.columns = [
            (name, _type(kind, precision, scale))
            for name, kind, precision, scale in self.postgres.execute(COLUMNS, [table]).fetchall()
        ]
        self.names = [name.upper() for name, _ in self.columns]
        self.target = f"{table}_plan".upper()

    def run(self) -> None:
        self._make_tables()
        last = json.loads(self.state.read_text()) if self.state.exists() else None
        while rows := self._read(last):
            self._stage([tuple(map(_plain, row)) for row in rows])
            self.cursor.execute(self._merge())
            self.cursor.execute(f"truncate table {self.target}_STAGING")
            last = str(rows[-1][self.names.index("UPDATED_AT")])
            self.state.write_text(json.dumps(last))
            if len(rows) < BATCH:
                break

    def _make_tables(self) -> None:
        listed = ", ".join(f"{name.upper()} {kind}" for name, kind in self.columns)
        self.cursor.execute(f"create table if not exists {self.target} ({listed})")
        self.cursor.execute(
            f"create temporary table {self.target}_STAGING ({listed.replace('VARIANT', 'VARCHAR')})"
        )

    def _read(self, last: str | None) -> list[tuple[Any, ...]]:
        after = "where updated_at > %s" if last else ""
        query = f"select * from public.{self.table} {after} order by updated_at limit {BATCH}"
        return self.postgres.execute(query.encode(), [last] if last else None).fetchall()

    def _stage(self, rows: list[tuple[Any, ...]]) -> None:
        marks = ", ".join(["%s"] * len(self.names))
        insert = f"insert into {self.target}_STAGING ({', '.join(self.names)}) values ({marks})"
        self.cursor.executemany(insert, rows)

    def _merge(self) -> str:
        values = ", ".join(
            f"parse_json({name}) as {name}" if kind == "VARIANT" else name
            for name, (_, kind) in zip(self.names, self.columns, strict=True)
        )
        updates = ", ".join(f"t.{name} = s.{name}" for name in self.names)
        given = ", ".join(f"s.{name}" for name in self.names)
        return (
            f"merge into {self.target} t using (select {values} from {self.target}_STAGING) s on t.ID = s.ID"
            f" when matched then update set {updates}"
            f" when not matched then insert ({', '.join(self.names)}) values ({given})"
        )


def _type(kind: str, precision: int | None, scale: int | None) -> str:
    if kind == "numeric":
        return f"NUMBER({precision},{scale})" if precision else "NUMBER(38,9)"
    return TYPES[kind]


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


if __name__ == "__main__":
    Job(sys.argv[1]).run()
