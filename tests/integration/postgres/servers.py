"""Servers of a test's own, for what cannot be done to the one that all tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres

CONFIG = {**FAST_AND_FORGETFUL, "max_prepared_transactions": "10"}


@contextmanager
def primary_and_standby(
    directory: Path, **settings: str
) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary and a streaming hot standby, made from a copy of its stopped cluster. settings: of the standby."""
    with EmbeddedPostgres(directory / "primary", config=CONFIG):
        pass
    subprocess.run(["cp", "-a", str(directory / "primary"), str(directory / "standby")], check=True)
    signal = directory / "standby" / "standby.signal"
    subprocess.run(["cp", "-a", str(directory / "standby" / "PG_VERSION"), str(signal)], check=True)
    with EmbeddedPostgres(directory / "primary", config=CONFIG) as primary:
        conninfo = f"host=127.0.0.1 port={primary.port} user=postgres"
        following = {**CONFIG, "primary_conninfo": conninfo, "hot_standby": "on", **settings}
        with EmbeddedPostgres(directory / "standby", config=following) as standby:
            yield primary, standby
