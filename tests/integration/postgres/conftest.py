from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.integration.postgres.lab import Lab, lab_in

TABLE = """create table t (
    id bigint primary key,
    v text,
    updated_at timestamptz not null default now()
)"""


@pytest.fixture
def lab(database: str) -> Iterator[Lab]:
    """An empty database. Every fetching thread must have ended when the test does."""
    with lab_in(database) as lab:
        yield lab
    assert not [thread for thread in threading.enumerate() if thread.name == "pgsnow-fetch"]


@pytest.fixture
def table(lab: Lab) -> Lab:
    """The same with an indexed table t (id, v, updated_at default now())."""
    lab.run(TABLE, "create index on t (updated_at, id)")
    return lab


@pytest.fixture(scope="session")
def plain_role(postgres: EmbeddedPostgres) -> str:
    """A role that may log in, and sees no other role's sessions."""
    import psycopg

    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(
            "do $$ begin create role plain_reader login; exception when duplicate_object then null; end $$"
        )
    return "plain_reader"
