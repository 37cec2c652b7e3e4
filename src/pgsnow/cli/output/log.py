"""Log settings of a command."""

from __future__ import annotations

import logging
import sys


def quiet_log(*, debug: bool) -> None:
    """Silence the log of pgsnow and of the connector; with debug, write all of it to stderr."""
    if debug:
        from pgsnow.sync.runtime.log import configure

        configure("console", sys.stderr, logging.DEBUG)
        return
    for name in ("pgsnow", "snowflake.connector"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
