"""Logs of a command."""

from __future__ import annotations

import logging
import sys


def quiet_log(*, debug: bool) -> None:
    """A command tells its outcome itself, so the library's log is silent; with --debug all of it goes to stderr."""
    if debug:
        from pgsnow.sync.runtime.log import configure

        configure("console", sys.stderr, logging.DEBUG)
        return
    for name in ("pgsnow", "snowflake.connector"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
