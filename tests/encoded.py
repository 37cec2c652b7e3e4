"""Databases in another encoding than UTF-8."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from pgsnow.embedded.postgres import EmbeddedPostgres


@contextmanager
def encoded_database(postgres: EmbeddedPostgres, encoding: str) -> Iterator[str]:
    """DSN of an empty database in this encoding, dropped at the end."""
    name = f"e_{secrets.token_hex(6)}"
    make = sql.SQL("create database {} template template0 encoding {} locale 'C' strategy file_copy")
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(make.format(sql.Identifier(name), sql.Literal(encoding)))
    yield postgres.dsn(name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
