"""Verify finds a difference.

Group: target
Danger: a person deletes, changes or adds rows in Snowflake. `pgsnow verify` finds them and advises a command that does
not help, or that changes more than was found: a refresh that deletes what `mode: append` has kept.
Answer: for each kind of difference verify names the command that fixes it and changes nothing else. After the commands
that it names, verify finds no difference.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.acceptance.cli_user import User
from tests.servers import own_database

RUN, RESYNC = "pgsnow run --select public.{} ", "pgsnow resync public.{}"
REPAIR = "pgsnow repair public.{}"
FIXES = {
    "equal": [],
    "missing": [REPAIR],
    "ghost": [REPAIR],
    "duplicate": [REPAIR],
    "gone": [RUN + "--reread"],
    "kept": [REPAIR, "pgsnow errors list --table public.{}"],
    "stale": ["pgsnow errors replay --table public.{}"],
    "bag": [RUN + "--reread", RUN + "--full-refresh"],
    "log": [RUN + "--reread", RESYNC + " --duplicates-only"],
    "staged": [RUN + "--load"],
}
"""A table → the commands that are named for it."""
KINDS = {
    "missing": {"missing": 1, "value": 1},
    "ghost": {"ghost": 1},
    "duplicate": {"duplicate": 2},
    "gone": {"missing": 1},
    "kept": {"ghost": 1},
    "stale": {"stale": 1},
    "bag": {"missing": 1, "duplicate": 1},
    "log": {"missing": 1, "duplicate": 1},
    "staged": {"missing": 1},
}
ROWS = "insert into {} select g, date '2024-01-01' + g from generate_series(1, 5) g"
DAMAGE = """
DELETE FROM MISSING WHERE ID = 2; UPDATE MISSING SET DAY = '2000-01-01' WHERE ID = 3;
INSERT INTO GHOST (ID) VALUES (9); INSERT INTO KEPT (ID) VALUES (9);
INSERT INTO DUPLICATE SELECT * FROM DUPLICATE WHERE ID < 3;
DROP TABLE GONE;
DELETE FROM BAG WHERE ID = 2; INSERT INTO BAG SELECT * FROM BAG WHERE ID = 1;
DELETE FROM LOG WHERE ID = 2; INSERT INTO LOG SELECT * FROM LOG WHERE ID = 1
"""


@pytest.fixture
def user(
    postgres: EmbeddedPostgres,
    user_template: str,
    emulator: EmbeddedSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[User]:
    """A table for each kind of difference, all loaded."""
    base = f"T_{secrets.token_hex(6).upper()}"
    emulator.create_database(base)
    with own_database(postgres, user_template) as dsn:
        user = User(tmp_path_factory.mktemp("verify"), dsn, emulator.settings_env(database=base))
        entries: dict[str, dict[str, Any]] = {"bag": {"mode": "full"}, "log": {"mode": "append"}}
        user.tables = []
        for name in FIXES:
            key = "" if name in entries else " primary key"
            user.sql(f"create table {name} (id int{key}, day date)")
            user.sql(ROWS.format(name))
            entry = entries.get(name, {"mode": "xmin"})
            user.tables.append({"source": f"public.{name}", "target": f"analytics.{name}", **entry})
        user.sql("update kept set day = 'infinity' where id = 1")
        user.save()
        assert user.here("run", "--quiet").code == 0
        yield user
        user.close()
    emulator.drop_database(base)


def damage(user: User) -> None:
    """One difference of each kind."""
    user.sql("delete from log where id = 5")  # the target keeps it
    user.sql("insert into staged values (6)")
    user.sql("update stale set day = 'infinity' where id = 1")
    user.tables[-1]["load_every"] = "1h"
    user.save()
    user.here("run", "--quiet")
    user.sql("update sync_watermarks set unverified = 'a doubt' where source_table ~ 'equal|ghost'")
    from pgsnow.model.settings.settings import Settings
    from pgsnow.snowflake.session import connect

    with connect(Settings.from_env(user.env).snowflake, query_tag="test") as session:
        session.execute("USE SCHEMA ANALYTICS")
        for statement in DAMAGE.split(";"):
            session.execute(statement.strip())


def together(commands: Iterable[str]) -> list[tuple[list[str], list[str]]]:
    """The commands' words, and the words that name tables: those that differ in nothing else are one command, which
    saves logins."""
    found: dict[tuple[str, ...], list[str]] = {}
    for command in commands:
        _, *words = shlex.split(command)
        at = next(at for at, word in enumerate(words) if word.startswith("public."))
        named = words[at - (words[at - 1].startswith("--")) : at + 1]
        rest = [word for word in words if word not in named]
        yes = ["--yes"] if {"resync", "repair"} & {*rest} or "--full-refresh" in rest else []
        found.setdefault((*rest, *yes), []).extend(named)
    return [(list(words), tables) for words, tables in found.items()]


def test_the_commands_that_verify_names_fix_what_it_found(user: User) -> None:
    """They are run as they are printed. A second verify finds nothing, and rows that the target is to keep are kept."""
    damage(user)
    done = user.here("verify", "-o", "json")
    assert done.code == 4
    verdicts = {verdict["table"].removeprefix("public."): verdict for verdict in done.json}
    assert {name: each["counts"] for name, each in verdicts.items() if each["counts"]} == KINDS
    named = {name: [fix["command"] for fix in each["fixes"]] for name, each in verdicts.items()}
    assert named == {name: [text.format(name) for text in texts] for name, texts in FIXES.items()}
    assert "a doubt" in done.err
    user.sql("update stale set day = '2024-05-05' where id = 1")
    for words, tables in together(text for texts in named.values() for text in texts):
        fixed = user.here(*words, *tables)
        assert fixed.code == 0, (words, fixed)
    again = user.here("verify")
    assert again.code == 0, again
    assert "10 tables: 10 equal" in again.out
    assert user.query("SELECT COUNT(*) FROM ANALYTICS.LOG") == [(5,)]
    assert user.sql("select count(*) from sync_watermarks where unverified is not null") == [(0,)]
