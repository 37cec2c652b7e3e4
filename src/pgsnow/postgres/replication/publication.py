"""The publication, as statements that give it exactly the synced tables, and the replica identities of these tables.

A published table whose replica identity has no columns makes the application's own UPDATE and DELETE fail, and so does
one whose column list or row filter does not cover it. So a table without a fit one is never put into a publication, and
tables are published with all rows and columns.
https://www.postgresql.org/docs/current/logical-replication-publication.html"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from pgsnow.model.errors import ConfigError
from pgsnow.model.log.slot import OPERATIONS, LogState
from pgsnow.model.table import KINDS, SourceName
from pgsnow.postgres.errors import translating

_COMMENT = "pgsnow: the tables that ledger {} reads from the log"
_MEMBERS = """
select n.nspname, c.relname, (to_jsonb(r) ->> 'prqual') is not null or (to_jsonb(r) ->> 'prattrs') is not null
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
where p.pubname = %(publication)s order by 1, 2
"""
# An index with `indimmediate` false belongs to a deferrable constraint, which Postgres does not use as an identity.
_IDENTITIES = """
select w.at::int, format('%%I.%%I', n.nspname, l.relname),
    case when c.relkind = 'r' and exists (select from pg_inherits where inhparent = c.oid) then 'i' else c.relkind end,
    l.relpersistence, l.relreplident,
    (select coalesce(jsonb_agg(jsonb_build_array(quote_ident(x.relname), i.indisprimary, i.indisreplident,
            array(select a.attname from unnest(i.indkey::int2[]) with ordinality k(attnum, position)
                  join pg_attribute a on a.attrelid = l.oid and a.attnum = k.attnum
                  where k.position <= i.indnkeyatts order by k.position)) order by not i.indisprimary, x.relname), '[]')
     from pg_index i join pg_class x on x.oid = i.indexrelid
     where i.indrelid = l.oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
       and i.indexprs is null and not exists (
            select from pg_attribute a where a.attrelid = l.oid and not a.attnotnull
              and a.attnum = any (i.indkey::int2[]))),
    (select coalesce(jsonb_agg(array(select a.attname from pg_attribute a
            where a.attrelid = l.oid and a.attnum = any (i.indkey::int2[]))), '[]')
     from pg_index i where i.indrelid = l.oid and i.indisunique and not i.indimmediate)
from unnest(%(schemas)s::text[], %(tables)s::text[]) with ordinality w(schema, name, at)
join pg_namespace r on r.nspname = w.schema join pg_class c on c.relname = w.name and c.relnamespace = r.oid
join lateral (
    select c.oid as relid where c.relkind <> 'p'
    union all select relid from pg_partition_tree(c.oid) where c.relkind = 'p' and isleaf
) stored on true
join pg_class l on l.oid = stored.relid join pg_namespace n on n.oid = l.relnamespace
order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class IdentityProblem:
    """Why a table cannot be read from the log as it is. fixes: the statements that make it fit, for its owner; empty:
    no statement does."""

    why: str
    fixes: tuple[str, ...] = ()


def comment_of(ledger: str) -> str:
    """The comment on a publication that this ledger keeps."""
    return _COMMENT.format(ledger)


def identity_problems(
    conn: psycopg.Connection[Any], keys: Mapping[SourceName, Sequence[str]]
) -> dict[SourceName, IdentityProblem]:
    """Those of these tables whose replica identity, or that of one of their partitions, lacks a column of the key.

    keys: table → the columns that identify a row. Tables that do not exist are left out. Raises SourceUnavailable.
    """
    names = list(keys)
    values = {"schemas": [name.schema for name in names], "tables": [name.table for name in names]}
    with translating():
        rows = conn.execute(_IDENTITIES, values).fetchall()
    found: dict[SourceName, list[IdentityProblem]] = {}
    for at, quoted, kind, persistence, identity, indexes, deferred in rows:
        name = names[at - 1]
        problem = (
            _kind_problem(kind, persistence)
            or _deferred_problem(quoted, indexes, deferred, set(keys[name]))
            or _problem(quoted, identity, indexes, keys[name])
        )
        if problem is not None:
            found.setdefault(name, []).append(problem)
    return {
        name: IdentityProblem(problems[0].why, tuple(fix for problem in problems for fix in problem.fixes))
        for name, problems in found.items()
    }


def _kind_problem(kind: str, persistence: str) -> IdentityProblem | None:
    if kind == "i":
        return IdentityProblem(
            "it has child tables, whose rows the log has under their own names: write another `mode`, or an entry for"
            " each table"
        )
    if kind not in ("r", "p"):
        return IdentityProblem(
            f"it is a {KINDS[kind].lower()}, and the log has the changes of tables alone: write another `mode`"
        )
    if persistence != "p":
        return IdentityProblem(
            "it is unlogged or temporary: the log has none of its changes; write another `mode`, or `ALTER TABLE … SET"
            " LOGGED`"
        )
    return None


def _deferred_problem(
    table: str, indexes: Sequence[Sequence[Any]], deferred: Sequence[Sequence[str]], key: set[str]
) -> IdentityProblem | None:
    """Two rows that swap their keys, and one row that changes its key and changes it back, are the same in the log."""
    if any(set(columns) <= key for *_, columns in indexes) or not any(
        set(columns) <= key for columns in deferred
    ):
        return None
    return IdentityProblem(
        f"the key of {table} is DEFERRABLE: rows may swap their keys, which the log does not tell from one row whose"
        " key is changed twice; make the constraint NOT DEFERRABLE, or write another `mode`"
    )


def _problem(
    table: str, identity: str, indexes: Sequence[Sequence[Any]], key: Sequence[str]
) -> IdentityProblem | None:
    """indexes: those that may be a replica identity: quoted name, whether it is the primary key, whether it is the
    chosen one, columns; the primary key first."""
    wanted = set(key)
    if identity == "f":
        return None
    used = next(
        (set(columns) for _, primary, chosen, columns in indexes if (primary if identity == "d" else chosen)),
        set(),
    )
    if identity in "di" and used and wanted <= used:
        return None
    why = {"n": "is NOTHING", "d": "is the primary key, which it does not have"}.get(identity, "is an index")
    if used:
        why = f"has {', '.join(sorted(used))}, and not all of pk ({', '.join(key)})"
    return IdentityProblem(
        f"the replica identity of {table} {why}",
        (f"ALTER TABLE {table} REPLICA IDENTITY {_fit(indexes, wanted)};",),
    )


def _fit(indexes: Sequence[Sequence[Any]], wanted: set[str]) -> str:
    """The replica identity with the fewest columns that contains the key."""
    fit = [index for index in indexes if wanted <= set(index[3])]
    if not fit:
        return "FULL"
    name, primary, *_ = min(fit, key=lambda index: (len(index[3]), not index[1]))
    return "DEFAULT" if primary else f"USING INDEX {name}"


def publication_statements(
    conn: psycopg.Connection[Any],
    state: LogState,
    publication: str,
    tables: Collection[SourceName],
    ledger: str,
) -> list[Composable]:
    """Statements that make this publication, or give it what it lacks; none: it is as it should be.

    tables: those that are fit. Tables that are no longer synced leave a publication that this ledger keeps, which its
    comment shows; from one that a person made, nothing is removed. Raises ConfigError if another ledger keeps it, or if
    a person's publication has a row filter or a column list for one of the tables; SourceUnavailable.
    """
    name, mark = Identifier(publication), comment_of(ledger)
    if state.publication is None:
        listed = SQL(" FOR TABLE {}").format(_tables(tables)) if tables else SQL("")
        return [
            SQL("CREATE PUBLICATION {}{} WITH ({})").format(name, listed, _options()),
            SQL("COMMENT ON PUBLICATION {} IS {}").format(name, Literal(mark)),
        ]
    if state.publication.comment.startswith(_COMMENT.partition("{")[0]) and state.publication.comment != mark:
        raise ConfigError(
            f"the publication {publication} belongs to another ledger of pgsnow",
            advice="Write another name as `log_publication`.",
        )
    with translating():
        rows = conn.execute(_MEMBERS, {"publication": publication}).fetchall()
    members = {SourceName(schema, table): partial for schema, table, partial in rows}
    return _changes(state, publication, set(tables), members, ours=state.publication.comment == mark)


def _changes(
    state: LogState,
    publication: str,
    wanted: set[SourceName],
    members: Mapping[SourceName, bool],
    *,
    ours: bool,
) -> list[Composable]:
    name, found = Identifier(publication), state.publication
    assert found is not None
    partial = {table for table in wanted if members.get(table)}
    if partial and not ours:
        raise ConfigError(
            f"the publication {publication} has a row filter or a column list for"
            f" {', '.join(sorted(map(str, partial)))}, and pgsnow reads whole rows",
            advice="Remove it there (ALTER PUBLICATION … SET TABLE), or write another name as `log_publication`.",
        )
    statements: list[Composable] = []
    if set(OPERATIONS) - found.operations or not found.via_root:
        statements.append(SQL("ALTER PUBLICATION {} SET ({})").format(name, _options()))
    removed = partial | (set(members) - wanted if ours else set())
    published = {table for table in wanted if (known := state.tables.get(str(table))) and known.published}
    added = partial | (wanted - published)
    if removed:
        statements.append(SQL("ALTER PUBLICATION {} DROP TABLE {}").format(name, _tables(removed)))
    if added:
        statements.append(SQL("ALTER PUBLICATION {} ADD TABLE {}").format(name, _tables(added)))
    return statements


def _tables(tables: Collection[SourceName]) -> Composable:
    return SQL(", ").join(Identifier(table.schema, table.table) for table in sorted(tables))


def _options() -> Composable:
    return SQL("publish = {}, publish_via_partition_root = true").format(Literal(", ".join(OPERATIONS)))
