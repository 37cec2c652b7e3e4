"""A pooler is in session mode or in statement mode.

Group: connections
Danger: In statement mode a pooler refuses transactions, which every read is; the message of the pooler does not say
what to change. In session mode, sessions are lent for as long as pgsnow lives, and waiting for one could last for
ever.
Answer: Session mode works like a direct connection; the pool needs as many sessions as a tick opens, and one that
gets none in time fails with this advice. Statement mode is refused by the first statement, with the mode that is
needed; nothing is written.
"""

from __future__ import annotations

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import LedgerUnavailable, SourceUnavailable
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.check.source import check_source
from pgsnow.postgres.connection import Source
from pgsnow.postgres.errors import translating
from tests.pooler import Pooler, pooler_before, program
from tests.world import NO_SNOWFLAKE, MemoryWorld

pytestmark = pytest.mark.skipif(program() is None, reason="pgbouncer is not installed")


def behind(world: MemoryWorld, pooler: Pooler, *, ledger: bool = True) -> None:
    """The world's source is behind the pooler, and its ledger if wanted."""
    through = pooler.dsn(world.env["POSTGRES_DSN"])
    settings = {"POSTGRES_DSN": through, "LEDGER_DSN": through if ledger else world.env["POSTGRES_DSN"]}
    world.settings = Settings.from_env({**settings, **NO_SNOWFLAKE})


def test_session_mode_works(postgres: EmbeddedPostgres, memory_world: MemoryWorld) -> None:
    """Changes and idle ticks, with the ledger behind the pooler as well."""
    with pooler_before(postgres, mode="session") as pooler:
        behind(memory_world, pooler)
        for first in (1, 11, 11):
            memory_world.sql(
                f"insert into users (id) select g from generate_series({first}, {first + 9}) g on conflict do nothing"
            )
            with memory_world.engine() as engine:
                assert engine.tick().failures == ()
            memory_world.assert_equal()
        memory_world.close_engine()


def test_a_pool_without_a_free_session_is_said(postgres: EmbeddedPostgres, memory_world: MemoryWorld) -> None:
    """The pooler answers after its query_wait_timeout; the tick fails with what to change, and succeeds later."""
    memory_world.sql("insert into users (id) values (1)")
    with pooler_before(postgres, mode="session", sessions=1, wait=1) as pooler:
        behind(memory_world, pooler, ledger=False)
        with memory_world.engine() as engine, Source(memory_world.settings.source).connect() as other:
            other.execute("select 1")
            (report,) = engine.tick().tables
        assert (report.error_type, report.transient) == ("SourceUnavailable", True)
        assert "default_pool_size" in (report.advice or "")
        memory_world.close_engine()


def test_statement_mode_is_refused_with_the_mode_that_is_needed(
    postgres: EmbeddedPostgres, memory_world: MemoryWorld
) -> None:
    """Behind it neither the source nor the ledger can be used; check and a run say so alike."""
    memory_world.sql("insert into users (id) values (1)")
    with pooler_before(postgres, mode="statement") as pooler:
        behind(memory_world, pooler, ledger=False)
        with memory_world.engine() as engine:
            (report,) = engine.tick().tables
        assert "pool_mode = transaction" in (report.advice or ""), (report.error, report.advice)
        with (
            pytest.raises(SourceUnavailable) as of_check,
            Source(memory_world.settings.source).connect() as conn,
            translating(),
        ):
            check_source(conn, "here")
        assert "pool_mode = transaction" in of_check.value.advice
        behind(memory_world, pooler)
        ledger = Ledger(memory_world.settings.ledger, "another")
        with pytest.raises(LedgerUnavailable) as of_ledger:
            ledger.migrate()
        assert "pool_mode = transaction" in of_ledger.value.advice
        ledger.close()
