"""Measures the cost of a command, including its start: `python -m benchmarks.cold_start [--rounds N] [--changed N]`.

`pgsnow run` in its own process, without changes and with rows to load, compared with the interpreter alone and with the
interpreter and the libraries that it imports. In each round all of them run one after another; printed are medians of
CPU and wall, then for one command of each kind the packages that took longest to import.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psycopg

from benchmarks.peers.contestant import usual_env
from pgsnow.embedded.stack import Stack

TABLE = """
create table users (id bigint primary key, email text, name text, balance numeric(18,4), profile jsonb,
                    updated_at timestamptz not null default clock_timestamp());
insert into users select g, 'user' || g || '@example.com', 'n' || g, g / 4.0, jsonb_build_object('n', g)
from generate_series(1, {rows}) g;
create index on users (updated_at);
analyze users
"""
CONFIG = """
tables:
  - source: public.users
    target: analytics.users
    pk: id
    watermark_column: updated_at
"""
UPDATE = "update users set name = name || 'x', updated_at = clock_timestamp() where id <= %s"
END = "\nimport gc; gc.freeze()"
"""The end of a command: without a last garbage collection."""
COMMAND = ("-m", "pgsnow", "run", "--quiet")
IDLE_IMPORTS = "import psycopg, pydantic, yaml, dotenv, typer.main, rich.console, rich.table"
BUSY_IMPORTS = f"{IDLE_IMPORTS}, numpy, pyarrow.parquet, snowflake.connector"
AS_A_COMMAND = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.modules["boto3"] = sys.modules["botocore"] = None
"""
IDLE, BUSY = "command, idle", "command, busy"
MEASURED = {
    "python": ("-c", "pass"),
    "python and the libraries of an idle command": ("-c", IDLE_IMPORTS + END),
    IDLE: COMMAND,
    "python and the libraries of a busy command": ("-c", AS_A_COMMAND + BUSY_IMPORTS + END),
    BUSY: COMMAND,
}
SECONDS = 120.0
SHOWN = 14
"""Packages in the list of the slowest imports."""


class Shell:
    """Runs Python programs in the folder of a table list, with the servers' settings in the environment."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        self._env = {**usual_env(), **env}
        self._source = psycopg.connect(env["POSTGRES_DSN"], autocommit=True)

    def change(self, rows: int) -> None:
        self._source.execute(UPDATE, [rows])

    def spend(self, arguments: Sequence[str]) -> tuple[float, float]:
        """CPU seconds and wall seconds of one program, including its exit."""
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *arguments], env=self._env, cwd=self._folder, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(arguments)}: ended with {process.returncode}")
        return used.ru_utime + used.ru_stime, time.monotonic() - began

    def imports(self) -> Counter[str]:
        """Microseconds that each package took to import, without what it imports in turn. Threads take turns, so in
        a busy command what waits looks slow too."""
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *COMMAND],
            env=self._env, cwd=self._folder, capture_output=True, text=True, check=True, timeout=SECONDS,
        )  # fmt: skip
        found: Counter[str] = Counter()
        for line in done.stderr.splitlines():
            _, told, rest = line.partition("import time:")
            own, _, name = rest.split("|") if told else ("", "", "")
            if own.strip().isdigit():
                found[name.strip().split(".")[0]] += int(own)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=10_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Stack(Path(name)) as stack:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "sync_config.yaml").write_text(CONFIG)
        with psycopg.connect(stack.env()["POSTGRES_DSN"], autocommit=True) as conn:
            conn.execute(TABLE.format(rows=chosen.rows).encode())
        shell = Shell(folder, stack.env())
        shell.spend(COMMAND)  # the first load, and byte code
        costs(shell, chosen.rounds, chosen.changed)
        slowest(shell, IDLE)
        shell.change(chosen.changed)
        slowest(shell, BUSY)


def costs(shell: Shell, rounds: int, changed: int) -> None:
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in MEASURED}
    for _ in range(rounds):
        for name, arguments in MEASURED.items():
            if name == BUSY:
                shell.change(changed)
            spent[name].append(shell.spend(arguments))
    for name, found in spent.items():
        cpu, wall = (statistics.median(each) for each in zip(*found, strict=True))
        print(f"{name}: CPU {1000 * cpu:.0f} ms, wall {1000 * wall:.0f} ms", flush=True)


def slowest(shell: Shell, name: str) -> None:
    found = shell.imports()
    listed = ", ".join(f"{package} {micro / 1000:.0f}" for package, micro in found.most_common(SHOWN))
    print(f"{name}: imports {sum(found.values()) / 1000:.0f} ms: {listed}", flush=True)


if __name__ == "__main__":
    main()
