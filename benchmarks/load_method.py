"""Compares two ways to load, by the number of rows: bound inserts, and part files with PUT and COPY.

    python -m benchmarks.load_method [--rows 1 10 100 1000] [--rounds 5]

Starts its own emulator. Each round loads the same load batch of a users-like table (9 columns) by both methods, one
after the other, into an existing target; printed are medians of the whole load (staging, MERGE) in milliseconds.
docs/loading.md says what the real service does differently.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.batch import LoadBatch
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.load.merge import cleanup_steps, merge_steps
from pgsnow.snowflake.schema.create import create, create_stage
from pgsnow.snowflake.schema.target_table import Shape
from pgsnow.snowflake.session import Session, connect
from pgsnow.snowflake.statement import execute_all
from tests.integration.snowflake.units import write_unit

COLUMNS = {
    "ID": "bigint",
    "EMAIL": "text",
    "NAME": "text",
    "BALANCE": "numeric(12,2)",
    "ACTIVE": "boolean",
    "PROFILE": "jsonb",
    "BORN": "date",
    "CREATED_AT": "timestamptz",
    "UPDATED_AT": "timestamptz",
}
OUTPUT = tuple(Field(n.lower(), n, mapping_named(kind), key=n == "ID") for n, kind in COLUMNS.items())
KEY = OUTPUT[:1]
METHODS = ("insert", "stage")
START = datetime(2024, 1, 1, tzinfo=UTC)


def user(number: int) -> tuple[Any, ...]:
    at = START + timedelta(seconds=number)
    profile = f'{{"plan": "team", "seats": {number % 50}, "tags": ["a", null]}}'
    balance = Decimal(number).scaleb(-2)
    return number, f"u{number}@example.org", f"User {number}", balance, True, profile, at.date(), at, at


def seconds_of(session: Session, target: TargetName, unit: LoadBatch, method: str) -> float:
    began = time.monotonic()
    execute_all(session, merge_steps(target, OUTPUT, KEY, unit, method=method))
    took = time.monotonic() - began
    execute_all(session, cleanup_steps(target, unit.batch))
    return took


def measure(session: Session, target: TargetName, folder: Path, rows: int, rounds: int) -> dict[str, float]:
    unit = write_unit(folder, OUTPUT, [user(n) for n in range(rows)], fence=rows)
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    for number in range(rounds):
        for method in METHODS:
            again = replace(unit, batch=f"users/{rows}-{number}{METHODS.index(method)}")
            seconds[method].append(seconds_of(session, target, again, method))
    return {method: statistics.median(values) for method, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 5, 10, 100, 1_000, 5_000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, EmbeddedSnowflake(Path(name) / "snowflake") as server:
        server.create_database("BENCH")
        env = {"POSTGRES_DSN": "postgresql://nobody@127.0.0.1/none", **server.settings_env("BENCH")}
        with connect(Settings.from_env(env).snowflake, query_tag="benchmark") as session:
            target = TargetName("BENCH", "PUBLIC", "USERS")
            create(session, Shape(target, OUTPUT, KEY))
            create_stage(session, target)
            measure(session, target, Path(name), 2, 1)
            print(f"{'rows':>7} {'insert ms':>10} {'stage ms':>10} {'insert/stage':>13}")
            for rows in chosen.rows:
                took = measure(session, target, Path(name), rows, chosen.rounds)
                insert, stage = (1000 * took[method] for method in METHODS)
                print(f"{rows:>7} {insert:>10.0f} {stage:>10.0f} {insert / stage:>13.2f}", flush=True)


if __name__ == "__main__":
    main()
