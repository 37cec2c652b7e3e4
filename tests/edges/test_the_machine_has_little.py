"""The machine resolves no names, or a process may open few files.

Group: process
Danger: DNS does not answer for a while, or the limit of open files is reached in the middle of a run. It could end with
an error that does not name the cause, or leave a table half loaded.
Answer: A name that cannot be resolved is an outage of that server, which the error names. So is a limit of open files;
the advice says where it is raised. The next tick tries again, and nothing is loaded in part.
"""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pgsnow.model.errors import LedgerUnavailable, TargetUnavailable
from pgsnow.model.settings.settings import Settings
from pgsnow.snowflake.session import connect
from pgsnow.testing.faults import AtPhase
from tests.world import MemoryWorld

NO_HOST = "db.nowhere.invalid"
"""A name that never exists: https://www.rfc-editor.org/rfc/rfc2606"""


def test_a_name_that_cannot_be_resolved_is_an_outage(memory_world: MemoryWorld) -> None:
    """Of the source, and of the ledger."""
    world = memory_world
    world.sql("insert into users (id) values (1)")
    direct, settings = world.env["POSTGRES_DSN"], world.settings
    nowhere = direct.replace("127.0.0.1", NO_HOST)
    world.settings = Settings.from_env({**world.env, "POSTGRES_DSN": nowhere, "LEDGER_DSN": direct})
    with world.engine() as engine:
        (report,) = engine.tick().tables
    assert (report.error_type, report.transient) == ("SourceUnavailable", True)
    assert NO_HOST in (report.error or "")
    world.settings = Settings.from_env({**world.env, "LEDGER_DSN": nowhere})
    with world.engine() as engine, pytest.raises(LedgerUnavailable, match=NO_HOST):
        engine.tick()
    world.settings = settings
    with world.engine() as engine:
        assert engine.tick().failures == ()
    world.assert_equal()


def test_the_limit_of_open_files_is_reached(memory_world: MemoryWorld) -> None:
    """Within a run. The tick after it, which may open files again, loads the rows."""
    world = memory_world
    world.sql("insert into users (id, name) select g, md5(g::text) from generate_series(1, 3000) g")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def no_more() -> None:
        used = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(used - 1, 32), hard))

    with world.engine(AtPhase("started", no_more)) as engine:
        try:
            (report,) = engine.tick().tables
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (report.error_type, report.transient) == ("SourceUnavailable", True)
        assert "LimitNOFILE" in (report.advice or "")
        assert engine.tick(["public.users"]).failures == ()
    world.assert_equal()


def test_snowflake_has_no_address(memory_world: MemoryWorld) -> None:
    """A login fails as one that nobody answers."""
    env = {**memory_world.env, "SNOWFLAKE_HOST": NO_HOST, "SNOWFLAKE_PORT": "443"}
    with pytest.raises(TargetUnavailable):
        connect(Settings.from_env(env).snowflake, query_tag="test")
