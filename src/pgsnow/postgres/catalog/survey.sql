-- name: tables
-- Relations that a person made: nothing of the system's, of an extension's (also what it makes in a schema of its own,
-- but for child tables, which hold a person's rows), or temporary; partitions stand in their root. Sizes are the planner's estimates: asking for real ones would wait for a session that alters a table.
with recursive tree as (
    select c.oid as root, c.oid
    from pg_catalog.pg_class c
    where c.relkind = 'p' and not c.relispartition
    union all
    select tree.root, i.inhrelid
    from tree
    join pg_catalog.pg_inherits i on i.inhparent = tree.oid
), leaves as (
    select tree.root, count(*) as partitions, count(*) filter (where l.relkind = 'f') as foreign_partitions, bool_or(l.reltuples >= 0) as counted,
           sum(greatest(l.reltuples, 0)) as rows, sum(l.relpages + coalesce(toast.relpages, 0)) as pages,
           sum(pg_catalog.pg_stat_get_tuples_inserted(l.oid)) as inserts,
           sum(pg_catalog.pg_stat_get_tuples_updated(l.oid)) as updates,
           sum(pg_catalog.pg_stat_get_tuples_deleted(l.oid)) as deletes,
           case when count(key.columns) = count(*) and min(key.columns) = max(key.columns) then min(key.columns) end as key
    from tree
    join pg_catalog.pg_class l on l.oid = tree.oid and l.relkind <> 'p'
    left join pg_catalog.pg_class toast on toast.oid = l.reltoastrelid
    left join lateral (
        select array_agg(a.attname::text order by k.at) as columns
        from pg_catalog.pg_index i
        cross join unnest(i.indkey::int2[]) with ordinality k(attnum, at)
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
        where i.indrelid = l.oid and i.indisprimary and k.at <= i.indnkeyatts
    ) key on true
    group by tree.root
)
select c.oid::bigint as oid,
       n.nspname::text as schema,
       c.relname::text as table,
       c.relkind::text as relkind,
       case when c.relkind <> 'p' then c.reltuples::bigint
            when leaves.counted then leaves.rows::bigint else -1 end as estimated_rows,
       case when c.relkind = 'p' then coalesce(leaves.pages, 0)
            else c.relpages + coalesce(toast.relpages, 0) end::bigint
           * current_setting('block_size')::bigint as total_bytes,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') as may_use_schema,
       pg_catalog.has_any_column_privilege(c.oid, 'SELECT') as may_select,
       case when not pg_catalog.has_table_privilege(c.oid, 'SELECT') then array(
           select array[a.attname::text, pg_catalog.quote_ident(a.attname)] from pg_catalog.pg_attribute a
           where a.attrelid = c.oid and not a.attisdropped
             and not pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') order by a.attnum) end as unreadable,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as quoted,
       pg_catalog.quote_ident(current_user) as role,
       case when c.relrowsecurity and c.relforcerowsecurity then 'forced'
            when c.relrowsecurity then 'on' else 'off' end as row_security,
       c.relrowsecurity and pg_catalog.row_security_active(c.oid) as rows_hidden,
       coalesce(leaves.partitions, 0)::int as partitions,
       coalesce(leaves.foreign_partitions, 0)::int as foreign_partitions,
       coalesce(leaves.key, '{}') as partitions_key,
       array(select a.attname::text
             from pg_catalog.pg_partitioned_table p
             cross join unnest(p.partattrs::int2[]) with ordinality k(attnum, at)
             join pg_catalog.pg_attribute a on a.attrelid = p.partrelid and a.attnum = k.attnum
             where p.partrelid = c.oid order by k.at) as partitioned_by,
       case when c.relkind = 'r' then
           (select count(*) from pg_catalog.pg_inherits i where i.inhparent = c.oid) else 0 end::int as children,
       coalesce(leaves.inserts, pg_catalog.pg_stat_get_tuples_inserted(c.oid), 0)::bigint as inserts,
       coalesce(leaves.updates, pg_catalog.pg_stat_get_tuples_updated(c.oid), 0)::bigint as updates,
       coalesce(leaves.deletes, pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0)::bigint as deletes,
       current_setting('wal_level') = 'logical' as logical
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_class toast on toast.oid = c.reltoastrelid
left join leaves on leaves.root = c.oid
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and (n.nspname = any (%(named)s) or n.nspname <> 'information_schema' and n.nspname not like 'pg\_%%')
  and (%(schemas)s::text[] is null
       or (n.nspname, c.relname) in (select * from unnest(%(schemas)s::text[], %(tables)s::text[])))
  and not exists (
      select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  and (n.nspname = any (%(named)s) or not exists (
      select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e')
      or exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid))
order by n.nspname, c.relname;

-- name: columns
-- As describe's: domains are followed down to their base. Defaults are looked at as stored (primnodes.h: a call by
-- :funcid; CURRENT_DATE to LOCALTIMESTAMP are operations 0 to 8), because pg_get_expr waits for the table's locks.
with recursive resolved as (
    select a.attrelid, a.attnum, a.attname, a.attnotnull, a.atthasdef or a.attidentity <> '' as has_default,
           a.attgenerated <> '' as generated, a.attidentity = 'a' and not c.relhassubclass as always_identity,
           a.atttypid as type, a.atttypmod as typmod, a.attcollation
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_class c on c.oid = a.attrelid
    where a.attrelid = any(%(tables)s) and a.attnum > 0 and not a.attisdropped
    union all
    select r.attrelid, r.attnum, r.attname, r.attnotnull or t.typnotnull, r.has_default, r.generated, r.always_identity,
           t.typbasetype, case when r.typmod = -1 then t.typtypmod else r.typmod end, r.attcollation
    from resolved r
    join pg_catalog.pg_type t on t.oid = r.type and t.typtype = 'd'
)
select r.attrelid::bigint as table,
       r.attname::text as name,
       r.attnum::int as attnum,
       t.typname::text as type_name,
       t.oid::bigint as type_oid,
       r.typmod,
       t.typtype::text as kind,
       t.typcategory::text as category,
       r.attnotnull as not_null,
       r.has_default,
       r.generated,
       exists (
           select from pg_catalog.pg_collation l
           where l.oid = r.attcollation and not l.collisdeterministic) as nondeterministic,
       r.always_identity,
       coalesce(d.adbin::text ~ (select ':funcid (' || string_agg(f::oid::text, '|') || ') '
                                 from unnest(array['now()', 'transaction_timestamp()', 'statement_timestamp()',
                                                   'clock_timestamp()']::regprocedure[]) f)
                or d.adbin::text ~ '\{SQLVALUEFUNCTION :op [0-8] ', false) and not r.generated as default_is_now
from resolved r
join pg_catalog.pg_type t on t.oid = r.type and t.typtype <> 'd'
left join pg_catalog.pg_attrdef d on d.adrelid = r.attrelid and d.adnum = r.attnum
order by r.attrelid, r.attnum;

-- name: indexes
-- Deferrable ones too: a committed snapshot never shows a key that they forbid.
select i.indrelid::bigint as table,
       i.indisprimary as is_primary,
       i.indisunique and plain.all_columns as is_key,
       am.amname = 'btree' and i.indkey[0] <> 0 as is_btree,
       plain.columns
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am am on am.oid = c.relam
cross join lateral (
    select array_agg(a.attname::text order by k.at) as columns, bool_and(k.attnum <> 0) as all_columns
    from unnest(i.indkey::int2[]) with ordinality k(attnum, at)
    left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where k.at <= i.indnkeyatts
) plain
where i.indrelid = any(%(tables)s) and i.indisvalid and i.indpred is null
order by i.indrelid, i.indisprimary desc, c.relname;

-- name: sequences
select fed.table::bigint as table, a.attname::text as column, s.seqcache as cache, s.seqincrement as increment
from (
    select d.refobjid as table, d.objid as sequence, d.refobjsubid as attnum
    from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
      and d.refobjid = any(%(tables)s) and d.deptype = 'i' and d.refobjsubid > 0
    union
    select ad.adrelid, d.refobjid, ad.adnum
    from pg_catalog.pg_attrdef ad
    join pg_catalog.pg_depend d
      on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = ad.oid
     and d.refclassid = 'pg_catalog.pg_class'::regclass
    where ad.adrelid = any(%(tables)s)
) fed
join pg_catalog.pg_sequence s on s.seqrelid = fed.sequence and not s.seqcycle
join pg_catalog.pg_attribute a on a.attrelid = fed.table and a.attnum = fed.attnum
order by fed.table, a.attnum, s.seqrelid;

-- name: triggers
-- BEFORE UPDATE, FOR EACH ROW, of every column, enabled. tgtype: 1 row, 2 before, 16 update (pg_trigger.h). A WHEN may
-- only leave out updates that change nothing: whole rows (attribute 0) that are distinct.
select t.tgrelid::bigint as table, p.oid::bigint as function, p.prosrc as body,
       pg_catalog.encode(t.tgargs, 'escape') as arguments
from pg_catalog.pg_trigger t
join pg_catalog.pg_proc p on p.oid = t.tgfoid
where t.tgrelid = any(%(tables)s) and not t.tgisinternal and t.tgenabled in ('O', 'A')
  and t.tgtype & 19 = 19 and t.tgattr = ''::int2vector
  and (t.tgqual is null or t.tgqual::text ~ '^\{DISTINCTEXPR .*:varattno 0 .*:varattno 0 ');

-- name: statistics
-- Of a partitioned table, those over all partitions. The view leaves out columns that the role may not read.
-- later: for each other column of the same type that is set at insert, the share of 21 quantiles that are at least a
-- minute later than that column's, which shows that something moves this one after the insert. Years that have not four
-- digits are left out: as timestamps they may be out of range. The histogram leaves NULLs and the most common values out,
-- such as those of rows that were there before the column; where they are many, it shows nothing.
with statistics as (
    select distinct on (s.schemaname, s.tablename, s.attname)
           s.schemaname, s.tablename, s.attname, s.null_frac, s.correlation, a.atttypid, a.atthasdef, a.attrelid,
           case when a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
                  and s.null_frac + coalesce((select sum(f) from unnest(s.most_common_freqs) f), 0) < 0.05
                then s.histogram_bounds::text::text[] end as bounds
    from pg_catalog.pg_stats s
    join pg_catalog.pg_namespace n on n.nspname = s.schemaname
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = s.tablename
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = s.attname
    where s.schemaname = any(%(schemas)s) and c.oid = any(%(tables)s)
    order by s.schemaname, s.tablename, s.attname, s.inherited
)
select s.attrelid::bigint as table, s.attname::text as column, s.null_frac as null_share, s.correlation,
       (select jsonb_object_agg(o.attname, (
            select avg((case when value ~ '^[0-9]{4}-' and inserted ~ '^[0-9]{4}-'
                        then value::timestamptz > inserted::timestamptz + interval '1 min' end)::int)
            from generate_series(0, 20) q
            cross join lateral (
                select s.bounds[1 + q * (cardinality(s.bounds) - 1) / 20] as value,
                       o.bounds[1 + q * (cardinality(o.bounds) - 1) / 20] as inserted) pair))
        from statistics o
        where o.attrelid = s.attrelid and o.atttypid = s.atttypid and o.attname <> s.attname
          and (o.atthasdef or o.attname ~* 'creat|insert|added|regist')
          and s.attname ~* 'upd|modif|chang|edit|touch|revis|mtime|version'
          and o.bounds is not null and s.bounds is not null) as later
from statistics s;
