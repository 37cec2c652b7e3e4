"""All measurements, one after another: `make bench`. Each prints its figures as JSON lines; none of them judges."""

from __future__ import annotations

import subprocess
import sys

MEASUREMENTS = (
    ("benchmarks.first_load", "1000000", "5000000"),
    ("benchmarks.backfill", "1000000"),
    ("benchmarks.idle_tables", "100"),
    ("benchmarks.load_method",),
    ("benchmarks.long_values", "200000"),
    ("benchmarks.staging",),
    ("benchmarks.read_half", "--rows", "1000000"),
    ("benchmarks.small_read",),
)


def main() -> int:
    failed = 0
    for module, *arguments in MEASUREMENTS:
        print(f"== {module} {' '.join(arguments)}", flush=True)
        failed += subprocess.run([sys.executable, "-m", module, *arguments]).returncode != 0
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
