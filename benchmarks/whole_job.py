"""Measures whole jobs of pgsnow and other tools into the emulator:
`python -m benchmarks.whole_job [--only NAME …] [--rounds N]`.

W1 is a first load of a million users, W2 ten thousand of them updated, W3 nothing changed. In each round each tool gets
a new source, a new emulator and no saved state; W2 and W3 are measured several times in it. Figures are written to a
file of JSON lines, from which `python -m benchmarks.report` makes the page.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.certificate import make_certificate
from benchmarks.emulator import Emulator
from benchmarks.figures import Figures
from benchmarks.peers import private_hosts
from benchmarks.peers.all import CONTESTANTS
from benchmarks.peers.contestant import DATABASE, Contestant, Done, Job, Setup
from benchmarks.peers.venvs import NotInstallable, cache, make_venv
from benchmarks.process_tree import CommandFailed, cpu_of
from benchmarks.target import count_users, wake
from benchmarks.unavoidable import unavoidable
from benchmarks.users import Source, users

CHANGED = 10_000


@contextlib.contextmanager
def place(source: Source, folder: Path, number: int) -> Iterator[Setup]:
    """Start the servers for one tool in one round."""
    root = private_hosts.possible()
    certificate = make_certificate(folder / "tls") if root else None
    with (
        source.copy(f"job{number}") as dsn,
        Emulator(folder / "snowflake", certificate) as emulator,
        private_hosts.ocsp_answers() if root else contextlib.nullcontext(),
    ):
        emulator.create_database(DATABASE)
        wake(emulator)
        yield Setup(folder, dsn, emulator, certificate, cache())


def timed(job: Job, at: Setup) -> tuple[Done, float, int]:
    """Run the job; returns its result, and the emulator's CPU seconds and statements meanwhile."""
    pid = at.emulator.pid or 0
    used, said = cpu_of(pid), len(at.emulator.statements())
    done = job()
    return done, cpu_of(pid) - used, len(at.emulator.statements()) - said


def measure(contestant: Contestant, source: Source, at: Setup, repeats: int, figures: Figures) -> None:
    rows = contestant.most_rows or source.rows

    def note(work: str, outcome: tuple[Done, float, int]) -> None:
        done, emulator_cpu, statements = outcome
        figures.add(
            "whole_job",
            tool=contestant.name,
            work=work,
            rows=rows,
            wall=done.spent.wall,
            cpu=done.spent.cpu,
            rss_mb=done.spent.rss_mb,
            emulator_cpu=emulator_cpu,
            statements=statements,
            told=dict(done.told),
        )

    if rows < source.rows:
        source.keep(at.dsn, rows)
    with contestant.open(at) as job:
        note("W1", timed(job, at))
        for number in range(1 if contestant.most_rows else repeats):
            source.update(at.dsn, number, rows, min(CHANGED, rows // 2))
            note("W2", timed(job, at))
            note("W3", timed(job, at))
    missing = rows - count_users(at.emulator, contestant.target)
    if missing:
        raise CommandFailed(f"{missing} of {rows} users are not in {contestant.target}")


def attempt(contestant: Contestant, source: Source, number: int, given: Any, figures: Figures) -> None:
    """One round of one tool. An error that stops it is recorded as a figure."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        try:
            if contestant.packages:
                make_venv(cache() / contestant.folder, contestant.packages)
            with place(source, Path(name), number) as at:
                measure(contestant, source, at, given.repeats, figures)
            version = contestant.version(cache())
            figures.add("version", tool=contestant.name, version=version)
        except (CommandFailed, NotInstallable) as error:
            figures.add("failed", tool=contestant.name, why=str(error)[:400])
            print(f"{contestant.name}: {error}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="of W2 and W3 in each round")
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--no-parts", action="store_true", help="without the parts that nothing can avoid")
    parser.add_argument("--add", action="store_true", help="to what earlier runs found")
    parser.add_argument("--figures", type=Path)
    given = parser.parse_args()
    figures = Figures(given.figures)
    if not given.add:
        figures.forget({"whole_job", "unavoidable", "version", "failed"})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        Path(name).chmod(0o711)
        with users(Path(name), given.rows) as source:
            for number in range(given.rounds):
                if not given.no_parts:
                    unavoidable(source, number, figures)
                for each, chosen in enumerate(given.only):
                    if number and CONTESTANTS[chosen].most_rows:
                        continue  # too slow to do again
                    began = time.monotonic()
                    attempt(CONTESTANTS[chosen], source, 100 * number + each, given, figures)
                    print(f"round {number + 1}, {chosen}: {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
