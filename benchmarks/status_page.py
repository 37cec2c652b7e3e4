"""The status page over a large ledger: `python -m benchmarks.status_page [TABLES [RUNS]]`, by default 1,000 tables and
1,000,000 runs.

Prints for each address the median and the largest milliseconds that the application takes to answer (without a
network), the bytes of the answer, and what is allowed. Exit code 1 if the overview or the metrics take longer.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import psycopg
from fastapi import FastAPI
from fastapi.testclient import TestClient

from benchmarks.figures import Figures
from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.integrations.fastapi.router import status_router
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.settings.settings import PostgresSettings

REPEATS = 15
ALLOWED_MS = {"/sync/": 150.0, "/sync/metrics": 200.0}
TABLE = "public.table_00042"
ADDRESSES = (
    *ALLOWED_MS,
    "/sync/api/v1/summary",
    f"/sync/tables/{TABLE}?span=7d",
    "/sync/runs",
    f"/sync/api/v1/runs?table={TABLE}&limit=100",
    "/sync/api/v1/events",
    "/sync/rejected",
)


def main(arguments: list[str]) -> int:
    tables = int(arguments[0]) if arguments else 1000
    runs = int(arguments[1]) if len(arguments) > 1 else 1_000_000
    figures, late = Figures(), []
    figures.forget(["status_page"])
    with tempfile.TemporaryDirectory(prefix="pgsnow-bench-") as folder:
        Path(folder).chmod(0o711)  # as root, Postgres runs as another user, who must pass through
        with EmbeddedPostgres(Path(folder) / "postgres") as server:
            ledger = Ledger(PostgresSettings.from_dsn(server.dsn()))
            try:
                fill(ledger, server.dsn(), tables, runs)
                for address, times, size in measured(client_of(config_of(tables), ledger)):
                    median = statistics.median(times)
                    allowed = ALLOWED_MS.get(address)
                    figures.add(
                        "status_page", address=address, tables=tables, runs=runs, median_ms=median, most_ms=max(times),
                        bytes=size, allowed_ms=allowed,
                    )  # fmt: skip
                    if allowed is not None and median > allowed:
                        late.append(address)
            finally:
                ledger.close()
    return 1 if late else 0


def fill(ledger: Ledger, dsn: str, tables: int, runs: int) -> None:
    """Create the ledger's tables, and fill them."""
    ledger.migrate()
    script = files(__package__).joinpath("status_page.sql").read_text()
    with psycopg.connect(dsn, cursor_factory=psycopg.ClientCursor) as conn:
        conn.execute(script, {"tables": tables, "runs": runs})
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("vacuum")


def config_of(tables: int) -> SyncConfig:
    entries = [
        {
            "source": f"public.table_{n:05}",
            "target": f"analytics.table_{n:05}",
            "pk": "id",
            "watermark_column": "updated_at",
        }
        for n in range(1, tables + 1)
    ]
    return parse_config({"tables": entries}, file="sync_config.yaml", env={})


def client_of(config: SyncConfig, ledger: Ledger) -> TestClient:
    app = FastAPI()
    app.include_router(status_router(config, ledger=ledger))
    return TestClient(app)


def measured(client: TestClient) -> list[tuple[str, list[float], int]]:
    """Address, milliseconds of each request after the first, and the bytes of the answer."""
    found = []
    for address in ADDRESSES:
        times: list[float] = []
        size = 0
        for _ in range(REPEATS + 1):
            began = time.perf_counter()
            answer = client.get(address)
            times.append((time.perf_counter() - began) * 1000)
            size = len(answer.content)
            if answer.status_code != 200:
                raise SystemExit(f"{address}: {answer.status_code} {answer.text[:500]}")
        found.append((address, times[1:], size))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
