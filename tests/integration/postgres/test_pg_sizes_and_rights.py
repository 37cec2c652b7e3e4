"""What a plan tells of many tables: their sizes, and the grants without which they are not read, in one statement."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import make_conninfo

from pgsnow.model.table import SourceName
from pgsnow.postgres.catalog.privileges import Access, access
from tests.integration.postgres.lab import Lab

NAMES = [
    SourceName("public", "plain"), SourceName("public", "parts"), SourceName("public", "Fresh"),
    SourceName("closed", "Od\"d"), SourceName("public", "fed"), SourceName("public", "seen"),
    SourceName("public", "gone"),
]  # fmt: skip


def test_sizes_are_of_the_whole_tree_and_grants_are_all_that_is_missing(lab: Lab, plain_role: str) -> None:
    lab.run(
        "create table plain as select g as id, repeat('x', 100) as v from generate_series(1, 1000) g",
        "create table parts (id int) partition by range (id)",
        "create table low partition of parts for values from (0) to (100)",
        "create table high partition of parts for values from (100) to (200) partition by range (id)",
        "create table higher partition of high for values from (150) to (200)",
        "insert into parts select g from generate_series(0, 99) g union all select g from generate_series(150, 199) g",
        "analyze", 'create table "Fresh" (id int)', "create schema closed", 'create table closed."Od""d" (id int)',
        "create sequence shared", "create table fed (id bigint default nextval('shared'))",
        "create view seen as select * from plain", f"grant select on plain, seen to {plain_role}",
        f'grant select on fed, "Fresh", parts to {plain_role}',
    )  # fmt: skip
    try:
        with psycopg.connect(make_conninfo(lab.dsn, user=plain_role), autocommit=True) as conn:
            found = access(conn, dict.fromkeys(NAMES, "id"))
        by_name = {str(name): told for name, told in found.items()}
        assert by_name["public.plain"].rows == 1000
        assert (by_name["public.plain"].bytes or 0) > 100_000
        assert by_name["public.parts"].rows == 150
        assert by_name['public."Fresh"'] == Access(None, 0, ())
        assert by_name["public.seen"] == Access(None, None, ())
        assert by_name['closed."Od""d"'].grants == (
            f'GRANT USAGE ON SCHEMA "closed" TO {plain_role}',
            f'GRANT SELECT ON "closed"."Od""d" TO {plain_role}',
        )
        [grant] = by_name["public.fed"].grants
        assert grant == f"GRANT SELECT ON SEQUENCE public.shared TO {plain_role}"
        assert "public.gone" not in by_name
        lab.run(*by_name['closed."Od""d"'].grants, grant)
        with psycopg.connect(make_conninfo(lab.dsn, user=plain_role), autocommit=True) as conn:
            assert [told.grants for told in access(conn, dict.fromkeys(NAMES, "id")).values()] == [()] * 6
    finally:
        lab.run(f"drop owned by {plain_role}")
