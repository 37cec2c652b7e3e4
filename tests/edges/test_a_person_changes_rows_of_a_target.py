"""A person changes, moves or copies rows of a target.

Group: target
Danger: the target differs from its source in a few rows of millions, and the only remedy is to load the whole table
again, or to write the SQL for these rows by hand.
Answer: `pgsnow repair TABLE` compares the table by ranges of its keys, shows how many rows differ and which, asks, and
loads exactly those rows again. Rows that the source does not have are removed, unless `deletes: off` keeps them. It
ends with a comparison of the same ranges. With `verify_every`, differences are found without being asked for.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.acceptance.cli_user import User
from tests.servers import own_database

DAMAGE = (
    "UPDATE ANALYTICS.USERS SET NAME = 'another' WHERE ID = 7",
    "UPDATE ANALYTICS.USERS SET ID = 5000 WHERE ID = 8",
    "UPDATE ANALYTICS.USERS SET ID = 9 WHERE ID = 10",
)


@pytest.fixture
def user(
    postgres: EmbeddedPostgres,
    user_template: str,
    emulator: EmbeddedSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[User]:
    """A thousand users, loaded, and a target in which a person has changed some."""
    base = f"T_{secrets.token_hex(6).upper()}"
    emulator.create_database(base)
    with own_database(postgres, user_template) as dsn:
        user = User(tmp_path_factory.mktemp("repair"), dsn, emulator.settings_env(database=base))
        user.tables = user.tables[:1]
        user.save()
        assert user.here("run", "--quiet").code == 0
        for statement in DAMAGE:
            user.query(statement)
        yield user
        user.close()
    emulator.drop_database(base)


def test_repair_shows_what_differs_and_loads_it_again_once_it_is_confirmed(user: User) -> None:
    """Without a terminal and without --yes it only shows; then it repairs exactly what it has shown, and status has the
    certificate."""
    shown = user.here("repair", "public.users", "-o", "json")
    [found] = shown.json
    assert (shown.code, found["result"], found["left"]) == (4, "different", None)
    assert found["counts"] == {"missing": 2, "changed": 2, "ghost": 1, "duplicate": 1}
    assert found["first_keys"]["ghost"] == ["5000"]
    assert "add --yes" in shown.err
    user.sql("update sync_watermarks set paused = true")
    paused = user.here("repair", "public.users", "--yes")
    assert (paused.code, "paused" in paused.err) == (3, True)
    user.sql("update sync_watermarks set paused = false")
    done = user.here("verify", "--repair", "--yes", "-o", "json")
    [repaired] = done.json
    assert (done.code, repaired["result"]) == (0, "repaired"), done.err
    assert repaired["left"] == {"missing": 0, "changed": 0, "ghost": 0, "duplicate": 0}
    verified = user.here("verify", "-o", "json")
    assert verified.code == 0, verified.out
    [status] = user.here("status", "-o", "json").json
    methods = [(one["by"], one["rows"], one["differences"]) for one in status["certificates"]]
    assert (methods, status["differences"]) == ([("verify", 1000, 0)], None)
    assert "keys and contents compared" in user.here("status").err
    assert user.here("repair", "public.users", "--yes").code == 0
