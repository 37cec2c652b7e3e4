"""Tools in Python: dlt, and the original plan, implemented literally."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.peers import dlt_job, plan_job
from benchmarks.peers.contestant import Job, Setup, command
from benchmarks.peers.venvs import version_of

CONNECTOR = "snowflake-connector-python<5"


class Plan:
    """psycopg, executemany in batches of 1,000, one MERGE for each batch, and a watermark."""

    name = "the plan literally"
    folder = "plan"
    packages: tuple[str, ...] = ("psycopg[binary]==3.3.9", CONNECTOR)
    target = "PUBLIC.USERS_PLAN"
    most_rows = 20_000
    """A million would take hours here: the emulator parses every bound value as SQL."""

    def version(self, venvs: Path) -> str:
        connector = version_of(venvs / self.folder, "snowflake-connector-python")
        return f"psycopg {version_of(venvs / self.folder, 'psycopg')}, connector {connector}"

    def open(self, place: Setup, table: str = "users") -> AbstractContextManager[Job]:
        python = place.venvs / self.folder / "bin" / "python"
        argv = [str(python), plan_job.__file__, table]
        state = str(place.folder / f"state-{table}.json")
        env = {"POSTGRES_DSN": place.dsn, "SNOWFLAKE_PORT": str(place.emulator.port), "STATE": state}
        return command(argv, env, place)


class Dlt:
    """Merged by `id` (strategy upsert), incremental by `updated_at`, Parquet files."""

    folder = "dlt"
    packages: tuple[str, ...] = (
        "dlt[snowflake,parquet]==1.31.0",
        CONNECTOR,
        "sqlalchemy",
        "psycopg2-binary",
        "connectorx==0.4.6",
        "pyarrow",
    )

    most_rows = 0

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self.name = f"dlt, {backend}"
        self.target = f"{backend.upper()}.USERS"

    def version(self, venvs: Path) -> str:
        return version_of(venvs / self.folder, "dlt")

    def open(self, place: Setup, table: str = "users") -> AbstractContextManager[Job]:
        python = place.venvs / self.folder / "bin" / "python"
        argv = [str(python), dlt_job.__file__, self._backend, table]
        env = {
            "POSTGRES_DSN": place.dsn,
            "SNOWFLAKE_PORT": str(place.emulator.port),
            "STATE": str(place.folder / "dlt"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "DLT_TELEMETRY": "false",
        }
        return command(argv, env, place)
