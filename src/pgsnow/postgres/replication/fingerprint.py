"""State of the log, the slot and the publication, from one query.

Columns that only some versions of the server have are read by way of jsonb. A transaction id in a row's xmin changes
with every change of the row, also with one that was undone.
https://www.postgresql.org/docs/current/catalog-pg-publication-rel.html"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import psycopg
from psycopg.sql import SQL

from pgsnow.model.log.lsn import parse_lsn
from pgsnow.model.log.slot import (
    OPERATIONS,
    PUBLICATION,
    Fingerprint,
    LogState,
    LogTable,
    PublicationState,
    SlotState,
)
from pgsnow.model.table import SourceName
from pgsnow.postgres.errors import translating
from pgsnow.postgres.sql import LSN

_SCHEMAS_SINCE = 150_000
_STATISTICS_SINCE = 140_000
_QUERY = """
with p as (
    select oid, xmin::text as version, puballtables,
           to_jsonb(pg_publication) - 'pubowner' - 'pubname' - 'oid' as options
    from pg_publication where pubname = %(publication)s
), ns as (
    {schemas}
), t as (
    select w.schema || '.' || w.name as name, w.at, n.oid as schema, c.oid, c.xmin::text as version, c.relkind,
           c.relreplident, c.relpersistence, c.relispartition
    from unnest(%(schemas)s::text[], %(tables)s::text[]) with ordinality w(schema, name, at)
    join pg_namespace n on n.nspname = w.schema join pg_class c on c.relname = w.name and c.relnamespace = n.oid
)
select current_setting('server_version_num')::int, current_setting('wal_level'), pg_is_in_recovery(),
    current_database(), {lsn}, pg_size_bytes(current_setting('max_slot_wal_keep_size', true)),
    (select to_jsonb(s) from pg_replication_slots s where slot_name = %(slot)s),
    {spilled}, current_setting('synchronized_standby_slots', true),
    (select jsonb_build_object('oid', oid, 'version', version, 'all', puballtables, 'options', options,
         'comment', obj_description(oid, 'pg_publication')) from p),
    (select string_agg(concat_ws('/', oid, version, nspid), ' ' order by oid) from ns),
    (select jsonb_agg(jsonb_build_array(t.at, t.oid, t.relreplident,
        (select coalesce(jsonb_agg(jsonb_build_array(
                concat_ws('/', r.oid, r.xmin), md5(r.row ->> 'prqual'), r.row -> 'prattrs') order by r.oid), '[]')
         from (select r.oid, r.xmin::text, to_jsonb(r) as row from pg_publication_rel r, p
               where r.prpubid = p.oid and (r.prrelid = t.oid
                     or r.prrelid in (select relid from pg_partition_ancestors(t.oid)))) r),
        (select max(concat_ws('/', ns.oid, t.version)) from ns where ns.nspid = t.schema),
        case when t.relkind = 'p' then (
            select md5(string_agg(concat_ws('/', l.oid, l.relreplident, i.indexrelid), ' ' order by l.oid))
            from pg_partition_tree(t.oid) tree join pg_class l on l.oid = tree.relid and tree.isleaf
            left join pg_index i on i.indrelid = l.oid and i.indisreplident)
        else (select max(i.indexrelid::text || '/' || i.indkey::text) from pg_index i
              where i.indrelid = t.oid and case t.relreplident when 'i' then i.indisreplident
                else i.indisprimary and i.indimmediate end)
        end,
        (select md5(string_agg(concat_ws('/', a.attnum, a.xmin), ' ' order by a.attnum)) from pg_attribute a
         where a.attrelid = t.oid and a.attnum > 0),
        t.relpersistence <> 'p' or exists (
            select from pg_partition_tree(t.oid) tree join pg_class l on l.oid = tree.relid
            where tree.isleaf and l.relpersistence <> 'p'),
        t.relispartition and exists (
            select from p, pg_partition_ancestors(t.oid) up join pg_class r on r.oid = up.relid
            where (options ->> 'pubviaroot')::boolean and up.relid <> t.oid and (puballtables
                or r.relnamespace in (select nspid from ns)
                or exists (select from pg_publication_rel m where m.prpubid = p.oid and m.prrelid = r.oid))),
        t.relkind <> 'p' and exists (select from pg_inherits where inhparent = t.oid),
        t.relkind = 'p' and not (select (options ->> 'pubviaroot')::boolean from p)
        )) from t)
"""
_HIDDEN = (
    "it, or a partition of it, is unlogged: the log has none of its changes; `ALTER TABLE … SET LOGGED`",
    "the publication publishes its changes as those of the table that it is a partition of",
    "it has child tables, whose rows the log has under their own names",
    "the publication has the rows of its partitions under their own names",
)
_SPILLED = "(select spill_bytes from pg_stat_replication_slots where slot_name = %(slot)s)"
_SCHEMAS = (
    "select n.oid, n.xmin::text as version, n.pnnspid as nspid"
    " from pg_publication_namespace n, p where n.pnpubid = p.oid"
)
_NO_SCHEMAS = "select 0::oid as oid, '' as version, 0::oid as nspid where false"


def inspect_log(
    conn: psycopg.Connection[Any], slot: str, publication: str, tables: Collection[SourceName]
) -> LogState:
    """The state of the log, of this slot, and of these tables in this publication. One round trip.

    Call it after the horizon is taken and before the log is read. Its `end` is a fit end of that read: everything that
    was committed before the call lies before it. Raises SourceUnavailable, SourceAccessDenied.
    """
    version, names = conn.info.server_version, list(tables)
    query = SQL(_QUERY).format(
        schemas=SQL(_SCHEMAS if version >= _SCHEMAS_SINCE else _NO_SCHEMAS),
        spilled=SQL(_SPILLED if version >= _STATISTICS_SINCE else "null::bigint"),
        lsn=LSN,
    )
    values = {
        "slot": slot,
        "publication": publication,
        "schemas": [name.schema for name in names],
        "tables": [name.table for name in names],
    }
    with translating():
        row = conn.execute(query, values).fetchone()
    assert row is not None
    server, level, in_recovery, database, end, keep, found, spilled, standbys, published, schemas, members = (
        row
    )
    rows = {str(names[at - 1]): rest for at, *rest in members or ()}
    return LogState(
        server_version=server,
        wal_level=level,
        in_recovery=in_recovery,
        database=database,
        end=end,
        keep=None if keep is None or keep < 0 else keep,
        slot=None if found is None else _slot(found, spilled),
        publication=None if published is None else _publication(published),
        tables={name: _table(rest, published) for name, rest in rows.items()},
        fingerprint=_fingerprint(published, schemas, rows),
        standby_slots=tuple(name.strip(' "') for name in (standbys or "").split(",") if name.strip()),
    )


def _slot(row: Mapping[str, Any], spilled: int | None) -> SlotState:
    lsn = {
        name: parse_lsn(row[name]) if row[name] else None for name in ("restart_lsn", "confirmed_flush_lsn")
    }
    return SlotState(
        plugin=row["plugin"] or "",
        database=row["database"] or "",
        active_pid=row["active_pid"],
        restart=lsn["restart_lsn"],
        confirmed=lsn["confirmed_flush_lsn"],
        wal_status=row.get("wal_status"),
        safe_wal_size=row.get("safe_wal_size"),
        invalidation=row.get("invalidation_reason"),
        failover=row.get("failover"),
        synced=bool(row.get("synced")),
        two_phase=bool(row.get("two_phase")),
        spilled=spilled,
    )


def _publication(row: Mapping[str, Any]) -> PublicationState:
    options = row["options"]
    return PublicationState(
        frozenset(name for name in OPERATIONS if options.get(f"pub{name}")),
        via_root=bool(options.get("pubviaroot")),
        all_tables=row["all"],
        comment=row["comment"] or "",
    )


def _table(rest: list[Any], published: Mapping[str, Any] | None) -> LogTable:
    oid, identity, members, by_schema, index, _, *hidden = rest
    lists = [columns for *_, columns in members]
    return LogTable(
        int(oid),  # jsonb has it as text
        identity,
        published=published is not None and bool(published["all"] or members or by_schema),
        filtered=any(filtered is not None for _, filtered, _ in members),
        columns=tuple(number for columns in lists if columns for number in columns),
        key=_key(identity, index),
        hidden=next((why for why, holds in zip(_HIDDEN, hidden, strict=True) if holds), ""),
    )


def _key(identity: str, index: str | None) -> frozenset[int] | None:
    """index: oid and columns of the index that is the replica identity, `16390/1 2`; a hash for a partitioned table."""
    if identity == "f" or (index and "/" not in index):
        return None
    columns = index.partition("/")[2] if index and identity != "n" else ""
    return frozenset(map(int, columns.split()))


def _fingerprint(
    published: Mapping[str, Any] | None, schemas: str | None, rows: Mapping[str, list[Any]]
) -> Fingerprint:
    if published is None:
        return {}
    whole = {
        "publication": f"{published['oid']}/{published['version']}",
        "options": " ".join(f"{name}={value}" for name, value in sorted(published["options"].items())),
        "schemas": schemas or "",
    }
    found: dict[str, Mapping[str, str]] = {PUBLICATION: whole}
    for name, (oid, identity, members, by_schema, index, definition, *_) in rows.items():
        found[name] = {
            "table": str(oid),
            "identity": f"{identity}/{index or ''}",
            "member": " ".join([*(key for key, *_ in members), *([by_schema] if by_schema else [])]),
            "filter": " ".join(text or "-" for _, text, _ in members),
            "columns": " ".join(str(columns or "-") for *_, columns in members),
            "definition": definition or "",
        }
    return found
