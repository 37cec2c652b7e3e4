"""`python -m pgsnow` and the `pgsnow` command."""

from __future__ import annotations

import gc
import os
import sys

SELDOM = 200_000
"""New objects between two garbage collections. Everything that a start imports stays in memory; with Python's default
of 700, collections take a tenth of a short command's CPU time."""


def main() -> int:
    """Run the command line and return its exit code. Imports are inside, so that importing this module is cheap."""
    gc.set_threshold(SELDOM)
    # numpy's linear algebra, which only a transform may use, starts a thread for each core when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pgsnow.cli.entry import run

    code = run(sys.argv[1:])
    # At its end the interpreter collects garbage among everything that was imported: a fifth of an idle command's CPU
    # time, for memory that the system frees anyway. Connections and files are closed by now.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
