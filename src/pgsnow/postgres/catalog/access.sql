-- Sizes and rights of the wanted tables. A partitioned or inherited table is all that stands below it. What feeds an
-- integer watermark is found as pgsnow.postgres.incremental.sequence finds it.
with recursive wanted as (
    select c.oid, c.relname, n.oid as schema, n.nspname, w.watermark
    from unnest(%(schemas)s::text[], %(tables)s::text[], %(watermarks)s::text[]) w(schema, name, watermark)
    join pg_catalog.pg_namespace n on n.nspname = w.schema
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
), tree as (
    select oid as root, oid from wanted
    union
    select tree.root, i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid
), sizes as (
    select tree.root, bool_and(l.reltuples >= 0) as counted, sum(greatest(l.reltuples, 0))::bigint as rows,
           sum(pg_catalog.pg_table_size(l.oid))::bigint as bytes
    from tree
    join pg_catalog.pg_class l on l.oid = tree.oid and l.relkind in ('r', 'm')
    group by tree.root
)
select w.nspname::text as schema, w.relname::text as table,
       case when sizes.counted then sizes.rows end as rows, sizes.bytes,
       pg_catalog.quote_ident(current_user) as role,
       pg_catalog.has_schema_privilege(w.schema, 'USAGE') as may_use_schema,
       pg_catalog.has_any_column_privilege(w.oid, 'SELECT') as may_select,
       array(
           select pg_catalog.quote_ident(sn.nspname) || '.' || pg_catalog.quote_ident(sc.relname)
           from pg_catalog.pg_attribute a
           join pg_catalog.pg_type t on t.oid = a.atttypid and t.typname in ('int2', 'int4', 'int8')
           join lateral (
               select d.objid as sequence
               from pg_catalog.pg_depend d
               where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
                 and d.refobjid = w.oid and d.refobjsubid = a.attnum and d.deptype = 'i'
               union
               select d.refobjid
               from pg_catalog.pg_attrdef ad
               join pg_catalog.pg_depend d
                 on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = ad.oid
                and d.refclassid = 'pg_catalog.pg_class'::regclass
               where ad.adrelid = w.oid and ad.adnum = a.attnum
           ) feeding on true
           join pg_catalog.pg_sequence s on s.seqrelid = feeding.sequence
           join pg_catalog.pg_class sc on sc.oid = s.seqrelid
           join pg_catalog.pg_namespace sn on sn.oid = sc.relnamespace
           where a.attrelid = w.oid and a.attname = w.watermark
             and not pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
       ) as closed_sequences
from wanted w
left join sizes on sizes.root = w.oid
