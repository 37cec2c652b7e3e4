"""Compares Snowflake's own stage with a bucket, by the number of rows.

    python -m benchmarks.staging [--rows 10 10000 500000] [--rounds 5]

Starts its own emulator and S3 store (moto), each in a separate process on this machine: the figures contain no network
time, and moto is slower than a real store. Each round loads the same load batch of a users-like table (9 columns) both
ways, one after the other. Prints medians in milliseconds of the upload, of COPY, and of the load with its cleanup.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.load_method import KEY, OUTPUT, user
from pgsnow.embedded.process import accepts, free_port, wait_for
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.batch import LoadBatch
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.cleanup import removal_steps
from pgsnow.snowflake.load.merge import merge_steps
from pgsnow.snowflake.schema.create import create, create_stage
from pgsnow.snowflake.schema.schema_objects import SchemaObjects
from pgsnow.snowflake.schema.target_table import Shape
from pgsnow.snowflake.session import Session, connect
from pgsnow.snowflake.stage.stage import Stage, Stages
from pgsnow.snowflake.statement import execute_all
from tests.integration.snowflake.units import write_unit

TARGET = TargetName("BENCH", "PUBLIC", "USERS")
BUCKET = "benchmark"
METHODS = (LoadMethod.STAGE, LoadMethod.S3)


@contextmanager
def store() -> Iterator[dict[str, str]]:
    """The S3_* variables of a store with an empty bucket."""
    import boto3

    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-p", str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: accepts(port), 30)
        address, keys = f"http://127.0.0.1:{port}", {"S3_ACCESS_KEY": "k", "S3_SECRET": "s"}
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="k",
            aws_secret_access_key="s",
        )
        client.create_bucket(Bucket=BUCKET)
        yield {"S3_BUCKET": BUCKET, "S3_REGION": "us-east-1", "S3_ENDPOINT_URL": address, **keys}
    finally:
        process.terminate()
        process.wait()


def once(session: Session, unit: LoadBatch, staging: Stage) -> tuple[float, float, float]:
    """Seconds of the upload, of COPY, and of the whole load."""
    began = time.monotonic()
    done = execute_all(session, merge_steps(TARGET, OUTPUT, KEY, unit, method="stage", stage=staging))
    execute_all(session, removal_steps(TARGET, [unit.batch], [unit.batch], [staging]))
    return done.seconds["put"], done.seconds["copy"], time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10, 10_000, 500_000])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    with (
        tempfile.TemporaryDirectory() as name,
        store() as s3,
        EmbeddedSnowflake(Path(name) / "snowflake") as server,
    ):
        server.create_database("BENCH")
        server.read_buckets_at(s3["S3_ENDPOINT_URL"])
        postgres = {"POSTGRES_DSN": "postgresql://nobody@127.0.0.1/none"}
        settings = Settings.from_env({**postgres, **server.settings_env("BENCH"), **s3})
        stagings = Stages.of(settings)
        with connect(settings.snowflake, query_tag="benchmark") as session:
            create(session, Shape(TARGET, OUTPUT, KEY), SchemaObjects())
            create_stage(session, TARGET)
            print(f"{'rows':>7} {'staging':>8} {'put ms':>8} {'copy ms':>8} {'all ms':>8}")
            for rows in chosen.rows:
                unit = write_unit(Path(name), OUTPUT, [user(n) for n in range(rows)], fence=rows)
                took: dict[LoadMethod, list[tuple[float, float, float]]] = {each: [] for each in METHODS}
                for number in range(chosen.rounds + 1):
                    for at, method in enumerate(METHODS):
                        batch = replace(unit, batch=f"users/{rows}-{number}{at}")
                        took[method].append(once(session, batch, stagings.serving(method)))
                for method in METHODS:
                    columns = zip(*took[method][1:], strict=True)  # the first is for warming up
                    put, copy, whole = (1000 * statistics.median(values) for values in columns)
                    print(f"{rows:>7} {method.value:>8} {put:>8.0f} {copy:>8.0f} {whole:>8.0f}", flush=True)


if __name__ == "__main__":
    main()
