"""`pgsnow version`."""

from __future__ import annotations

import sys

from pgsnow import __version__


def version() -> None:
    """Print the version of pgsnow."""
    sys.stdout.write(f"pgsnow {__version__}\n")
