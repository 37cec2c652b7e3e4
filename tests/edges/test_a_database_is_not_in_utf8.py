"""A database is not in UTF-8.

Group: encodings
Danger: A character that the database's encoding lacks, in a statement or a message of pgsnow's own, stops everything:
no table of that database is synced.
Answer: Nothing that pgsnow sends depends on the encoding. A source's text arrives in Snowflake as it is. A ledger in
such a database stores every other character as an escape such as `\\u{263a}`, and pgsnow shows it as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.ledger.any_text import CODECS
from pgsnow.model.report import Status, TableReport
from tests.encoded import encoded_database
from tests.world import MemoryWorld

WORDS = {
    "LATIN1": "Zoë Ångström",
    "WIN1252": "Zoë … €",
    "LATIN9": "Zoë Œuvre €",
    "EUC_JP": "日本語",
    "SQL_ASCII": "Zoë 日本語 ☕",
}
"""Encoding of a database → a text that it can hold."""
LONG = 17 * 1024 * 1024
Open = Callable[..., MemoryWorld]


@pytest.fixture
def world_in(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Open]:
    """Opens a world whose source and ledger are in databases of these encodings."""
    with ExitStack() as stack:

        def opened(source: str, ledger: str) -> MemoryWorld:
            world = MemoryWorld(stack.enter_context(encoded_database(postgres, source)), tmp_path)
            if ledger != source:
                world.through({"LEDGER_DSN": stack.enter_context(encoded_database(postgres, ledger))})
            world.source.execute("set client_encoding to 'UTF8'")
            return stack.enter_context(closing(world))

        yield opened


def run(world: MemoryWorld) -> TableReport:
    with world.engine() as engine:
        engine.ledger.migrate()
        return engine.tick().tables[0]


def words_table(world: MemoryWorld, word: str) -> None:
    """A table whose name, columns, key and values are this word."""
    name = f'"{word}"'
    world.source.execute(
        f"create table {name} ({name} text primary key, v text, updated_at timestamptz not null default now());"
        f"insert into {name} values ('{word}', '{word}'), ('{word} 2', null)".encode()
    )
    world.tables = [
        {
            "source": f"public.{name}",
            "target": "analytics.words",
            "pk": [word],
            "watermark_column": "updated_at",
        }
    ]


@pytest.mark.parametrize(
    "encoding",
    [
        "LATIN1",
        "EUC_JP",
        "SQL_ASCII",
        *(pytest.param(name, marks=pytest.mark.thorough) for name in ("WIN1252", "LATIN9")),
    ],
)
def test_a_database_that_is_source_and_ledger_is_synced(world_in: Open, encoding: str) -> None:
    """Names, keys and values arrive. A text that Snowflake cannot hold is rejected with its key, and stops nothing."""
    world, word = world_in(encoding, encoding), WORDS[encoding]
    words_table(world, word)
    assert run(world).status is Status.OK
    world.assert_equal()
    too_long = f"insert into \"{word}\" values ('{word} 3', repeat('x', {LONG})), ('{word} 4', '{word}')"
    world.source.execute(too_long.encode())
    report = run(world)
    assert (report.status, report.rows_rejected) == (Status.PARTIAL, 1), report.error
    with world.engine() as engine:
        (error,) = engine.ledger.rejected_rows.listed()
        assert error.key == {word: f"{word} 3"}
        assert error.payload is not None
        assert error.payload["v"] == f"... ({LONG} bytes)"
        world.source.execute(f"update \"{word}\" set v = 'short' where v like 'x%'".encode())
        assert engine.replay([error.id]).tables[0].status is Status.OK
        assert engine.ledger.rejected_rows.listed() == []
    world.assert_equal()


def test_a_text_that_is_too_long_is_rejected_whatever_the_encoding_of_the_ledger(world_in: Open) -> None:
    """The payload of the rejected row is made in the source, whose encoding may lack what the ledger can store."""
    world = world_in("LATIN1", "UTF8")
    words_table(world, "Zoë")
    world.source.execute(f"insert into \"Zoë\" values ('long', repeat('ë', {LONG}))".encode())
    assert run(world).status is Status.PARTIAL
    with world.engine() as engine:
        (error,) = engine.ledger.rejected_rows.listed()
    assert error.key == {"Zoë": "long"}
    assert {row["Zoë"] for row in world.target("analytics.words").rows} == {"Zoë", "Zoë 2"}


@pytest.mark.parametrize("ledger", ["LATIN1", "SQL_ASCII"])
def test_a_ledger_remembers_names_and_keys_that_its_encoding_lacks(
    world_in: Open, ledger: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The source is in UTF-8, the ledger is not: what the ledger stores is read back exactly, so the next run
    continues, and a rejected row is found again by its key."""
    world, word = world_in("UTF8", ledger), r"ключ ☕ \u{e9} é"
    words_table(world, word)
    world.source.execute(f"insert into \"{word}\" values ('{word} 3', repeat('x', {LONG}))".encode())
    assert run(world).status is Status.PARTIAL
    assert run(world).status is Status.IDLE
    with world.engine() as engine:
        (error,) = engine.ledger.rejected_rows.listed()
        assert (error.key, error.source_table) == ({word: f"{word} 3"}, f'public."{word}"')
        world.source.execute(f"update \"{word}\" set v = '{word}' where v like 'x%'".encode())
        assert engine.replay([error.id]).tables[0].status is Status.OK
    keys = {row[f"{word}"] for row in world.target("analytics.words").rows}
    assert keys == {word, f"{word} 2", f"{word} 3"}
    world.source.execute(f'alter table "{word}" rename column v to "{word} v"'.encode())
    report = run(world)
    assert report.status is Status.OK
    assert report.events[0] == f"column v was renamed to {word} v"
    with world.engine() as engine:
        assert list(report.events) == engine.ledger.run_log.logs()[0]["events"]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("psycopg")] == []


def test_each_character_that_is_kept_can_be_stored_in_its_encoding(database: str) -> None:
    """Postgres and Python convert every character alike that an encoding of one byte a character has."""
    with psycopg.connect(database) as connection:
        for encoding, codec in CODECS.items():
            text = "".join(
                char for char in (bytes([byte]).decode(codec, "ignore") for byte in range(0x80, 0x100))
            )
            query = "select convert_from(convert_to(%s, %s), %s)"
            assert connection.execute(query, [text, encoding, encoding]).fetchall() == [(text,)]
