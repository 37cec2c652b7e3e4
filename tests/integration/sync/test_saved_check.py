"""The results of `pgsnow check` in the ledger."""

from __future__ import annotations

from pgsnow.operations.check.result import failed
from pgsnow.operations.check.save import save_results
from tests.world import MemoryWorld


def test_a_saved_check_has_no_secret_and_no_ledger_is_made_for_it(memory_world: MemoryWorld) -> None:
    """The page shows the check to people who may see less than its command; a check changes nothing where there is
    no ledger yet."""
    memory_world.env["SNOWFLAKE_PASSWORD"] = "hunter2hunter2"
    memory_world.through({})
    found = [
        failed("snowflake", "login with hunter2hunter2 refused", "ALTER USER x SET PASSWORD = 'abcdefgh';")
    ]
    assert save_results(memory_world.config, memory_world.settings, found)
    with memory_world.engine() as engine:
        saved = engine.ledger.checks.latest()
    assert saved is not None
    assert "hunter2" not in str(saved.results)
    assert "abcdefgh" not in str(saved.results)
    assert saved.results[0]["level"] == "failed"
    memory_world.close_engine()
    memory_world.options["ledger_schema"] = "nowhere"
    assert not save_results(memory_world.config, memory_world.settings, found)
    assert memory_world.sql("select to_regnamespace('nowhere')") == [(None,)]
