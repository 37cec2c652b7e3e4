"""Logs of a command: on stderr, warnings and worse unless asked for more."""

from __future__ import annotations

import logging


def quiet_log(*, debug: bool) -> None:
    """What the library logs goes to stderr; with --debug, all of it."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("pgsnow").setLevel(logging.DEBUG if debug else logging.ERROR)
    logging.getLogger("snowflake.connector").setLevel(logging.CRITICAL)
