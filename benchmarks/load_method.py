"""Compares the ways to load a batch, by the number of its rows: a MERGE with bound values, a MERGE from files, and
both through a staging table.

    python -m benchmarks.load_method [--rows 1 10 100 1000] [--ways bound files insert stage] [--rounds 5]

Starts its own emulator. Each round loads the same load batch of a users-like table (9 columns) in each way, one after
the other, into an existing target; printed are medians of the whole load, with its cleanup, in milliseconds, and the
CPU milliseconds of client and emulator. docs/loading.md says what the real service does differently.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.process_tree import cpu_of
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.batch import LoadBatch
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.load.cleanup import removal_steps
from pgsnow.snowflake.load.merge import merge_at_once, merge_steps
from pgsnow.snowflake.schema.create import create, create_stage
from pgsnow.snowflake.schema.file_format import FileFormats
from pgsnow.snowflake.schema.schema_objects import SchemaObjects
from pgsnow.snowflake.schema.target_table import Shape
from pgsnow.snowflake.session import Session, connect
from pgsnow.snowflake.stage.stage import INTERNAL
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
WAYS = ("bound", "files", "insert", "stage")
START = datetime(2024, 1, 1, tzinfo=UTC)


def user(number: int) -> tuple[Any, ...]:
    at = START + timedelta(seconds=number)
    profile = f'{{"plan": "team", "seats": {number % 50}, "tags": ["a", null]}}'
    balance = Decimal(number).scaleb(-2)
    return number, f"u{number}@example.org", f"User {number}", balance, True, profile, at.date(), at, at


def load(session: Session, target: TargetName, unit: LoadBatch, way: str) -> None:
    """Load the batch into the target, and clean up."""
    if way in ("insert", "stage"):
        execute_all(session, merge_steps(target, OUTPUT, KEY, unit, method=way))
        execute_all(session, removal_steps(target, [unit.batch], [unit.batch], [INTERNAL]))
        return
    origin = INTERNAL.origin(target, unit.batch) if way == "files" else None
    execute_all(session, merge_at_once(target, OUTPUT, KEY, unit, origin=origin))
    if way == "files":
        execute_all(session, removal_steps(target, [], [unit.batch], [INTERNAL]))


@dataclass(frozen=True, slots=True)
class Bench:
    """A session, its emulator's process id, the target, and a folder for part files."""

    session: Session
    server: int
    target: TargetName
    folder: Path

    def cpu(self) -> float:
        """CPU seconds of the client and of the emulator."""
        return time.process_time() + cpu_of(self.server)

    def measure(self, rows: int, ways: Sequence[str], rounds: int) -> dict[str, tuple[float, float]]:
        """Way → medians of seconds and of CPU seconds."""
        unit = write_unit(self.folder, OUTPUT, [user(n) for n in range(rows)], fence=rows)
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for number in range(rounds):
            for at, way in enumerate(ways):
                began, cpu = time.monotonic(), self.cpu()
                load(self.session, self.target, replace(unit, batch=f"users/{rows}-{number}{at}"), way)
                found[way].append((time.monotonic() - began, self.cpu() - cpu))
        return {
            way: (statistics.median(seconds), statistics.median(cpu))
            for way, times in found.items()
            for seconds, cpu in [zip(*times, strict=True)]
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 5, 10, 100, 1_000, 5_000, 10_000])
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, EmbeddedSnowflake(Path(name) / "snowflake") as server:
        server.create_database("BENCH")
        env = {"POSTGRES_DSN": "postgresql://nobody@127.0.0.1/none", **server.settings_env("BENCH")}
        with connect(Settings.from_env(env).snowflake, query_tag="benchmark") as session:
            target = TargetName("BENCH", "PUBLIC", "USERS")
            create(session, Shape(target, OUTPUT, KEY), SchemaObjects())
            create_stage(session, target)
            FileFormats().make_fit(session, target, since=0.0, creates=True, is_new=True)
            bench = Bench(session, server.pid or 0, target, Path(name))
            bench.measure(2, chosen.ways, 1)
            print(f"{'rows':>7}" + "".join(f"{way + ' ms (CPU)':>18}" for way in chosen.ways))
            for rows in chosen.rows:
                took = bench.measure(rows, chosen.ways, chosen.rounds)
                cells = (f"{1000 * seconds:.0f} ({1000 * cpu:.0f})" for seconds, cpu in took.values())
                print(f"{rows:>7}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
