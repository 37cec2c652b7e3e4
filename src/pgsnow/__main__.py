"""`python -m pgsnow` and the `pgsnow` command."""

from __future__ import annotations

import gc
import os
import sys

SELDOM = 200_000
"""New objects between two looks for garbage. What a start imports all stays: looking among it, at Python's usual 700,
is a tenth of a short command's CPU time."""


def main() -> int:
    """Run the command line; returns the exit code. Imported late: this module alone costs nothing."""
    gc.set_threshold(SELDOM)
    # numpy's linear algebra, which only a transform might use, would start a thread for each core as it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pgsnow.cli.entry import run

    code = run(sys.argv[1:])
    # The interpreter ends by looking for garbage among everything that was imported: a fifth of an idle command's CPU
    # time, for memory that goes back with the process. Whatever must be closed has been.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
