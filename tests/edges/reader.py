"""A role of its own that reads the source of a test's world, while the ledger keeps the world's own role."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import make_conninfo

from pgsnow.model.settings.settings import Settings
from tests.world import World


@contextmanager
def reading_role(world: World, *, ledger: bool = False) -> Iterator[str]:
    """The role's name. It may log in, and read nothing. ledger: it keeps the ledger, too."""
    role = f"reader_{secrets.token_hex(4)}"
    owner = world.env["POSTGRES_DSN"]
    dsn = make_conninfo(owner, user=role)
    world.sql(f"create role {role} login")
    world.settings = Settings.from_env(
        {**world.env, "POSTGRES_DSN": dsn, "LEDGER_DSN": dsn if ledger else owner}
    )
    try:
        yield role
    finally:
        world.sql(f"drop owned by {role} cascade")
        world.sql(f"drop role {role}")
