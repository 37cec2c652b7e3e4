"""All measurements, one after another: `make bench`, or some: `make bench PARTS="jobs statements"`.

Each of them prints its figures as JSON lines; at the end the tables of docs/benchmarks.md are filled from them. No
measurement fails because of its result.
"""

from __future__ import annotations

import subprocess
import sys

PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "jobs": (("benchmarks.whole_job",),),
    "reading": (("benchmarks.read_peers",),),
    "rows": (("benchmarks.first_load", "1000000", "10000000"),),
    "tables": (("benchmarks.idle_tables",),),
    "workers": (("benchmarks.workers",),),
    "statements": (("benchmarks.statements",),),
    "latency": (("benchmarks.latency",),),
    "behaviour": (("benchmarks.behaviour",),),
    "more": (
        ("benchmarks.backfill", "1000000"),
        ("benchmarks.load_method",),
        ("benchmarks.long_values", "200000"),
        ("benchmarks.staging",),
        ("benchmarks.read_half", "--rows", "1000000"),
        ("benchmarks.small_read", "--rows", "3000000"),
        ("benchmarks.cold_start",),
        ("benchmarks.compare",),
    ),
}
SECONDS = 3 * 3600.0
"""Time limit of one measurement."""


def main(chosen: list[str]) -> int:
    unknown = sorted(set(chosen) - set(PARTS))
    if unknown:
        sys.stderr.write(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}\n")
        return 2
    failed = 0
    for part in chosen or PARTS:
        for module, *arguments in PARTS[part]:
            print(f"== {module} {' '.join(arguments)}", flush=True)
            failed += run(module, arguments) != 0
    failed += run("benchmarks.report", []) != 0
    return min(failed, 1)


def run(module: str, arguments: list[str]) -> int:
    try:
        return subprocess.run([sys.executable, "-m", module, *arguments], timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
