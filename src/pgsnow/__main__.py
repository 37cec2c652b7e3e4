"""`python -m pgsnow` and the `pgsnow` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; returns the exit code. Imported late: this module alone costs nothing."""
    from pgsnow.cli.entry import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
