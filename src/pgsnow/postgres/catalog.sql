-- name: table
select c.oid::bigint as oid,
       c.relkind::text as relkind,
       c.reltuples::bigint as estimated_rows,
       pg_catalog.pg_total_relation_size(c.oid) as total_bytes,
       current_user::text as role,
       pg_catalog.quote_ident(current_user) as quoted_role,
       pg_catalog.quote_ident(n.nspname) as quoted_schema,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as quoted_table,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') as may_use_schema,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') as may_select
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s;

-- name: columns
-- A domain may stand on a domain: follow typbasetype down; the innermost type modifier that is set holds.
with recursive resolved as (
    select a.attnum, a.attname, a.attnotnull, a.atthasdef or a.attidentity <> '' as has_default,
           a.atthasmissing as has_missing,
           a.atttypid as type, a.atttypmod as typmod
    from pg_catalog.pg_attribute a
    where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
    union all
    select r.attnum, r.attname, r.attnotnull or t.typnotnull, r.has_default, r.has_missing,
           t.typbasetype, case when r.typmod = -1 then t.typtypmod else r.typmod end
    from resolved r
    join pg_catalog.pg_type t on t.oid = r.type and t.typtype = 'd'
)
select r.attname::text as name,
       r.attnum::int as attnum,
       t.typname::text as type_name,
       t.oid::bigint as type_oid,
       r.typmod,
       t.typtype::text as kind,
       t.typcategory::text as category,
       r.attnotnull as not_null,
       r.has_default,
       r.has_missing
from resolved r
join pg_catalog.pg_type t on t.oid = r.type and t.typtype <> 'd'
order by r.attnum;

-- name: indexes
-- is_key: stands for a key that is checked at once and for every row. Deferrable ones (not indimmediate) may be
-- violated inside a transaction only, but ON CONFLICT and replica identity refuse them too.
select i.indisunique and i.indimmediate and plain.all_columns as is_key,
       i.indisprimary as is_primary,
       am.amname = 'btree' and i.indkey[0] <> 0 as is_btree,
       plain.columns
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am am on am.oid = c.relam
cross join lateral (
    select array_agg(a.attname::text order by k.at) as columns,
           bool_and(k.attnum <> 0) as all_columns
    from unnest(i.indkey::int2[]) with ordinality k(attnum, at)
    left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where k.at <= i.indnkeyatts
) plain
where i.indrelid = %s and i.indisvalid and i.indpred is null
order by i.indisprimary desc, c.relname;

-- name: sequences
-- Sequences that a column's default or identity draws from. One that cycles says nothing of order: left out.
select a.attname::text as column, s.seqcache as cache, s.seqincrement as increment, s.seqrelid::bigint as oid
from (
    select d.objid as sequence, d.refobjsubid as attnum
    from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
      and d.refobjid = %(table)s and d.deptype = 'i'
    union
    select d.refobjid, ad.adnum
    from pg_catalog.pg_attrdef ad
    join pg_catalog.pg_depend d
      on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = ad.oid
     and d.refclassid = 'pg_catalog.pg_class'::regclass
    where ad.adrelid = %(table)s
) fed
join pg_catalog.pg_sequence s on s.seqrelid = fed.sequence and not s.seqcycle
join pg_catalog.pg_attribute a on a.attrelid = %(table)s and a.attnum = fed.attnum
order by a.attnum, s.seqrelid;

-- name: fingerprints
select n.nspname::text, c.relname::text, md5(concat_ws('|',
    c.oid, c.relkind, pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
    pg_catalog.has_table_privilege(c.oid, 'SELECT'),
    (select string_agg(concat_ws(',', a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef,
                                 a.attidentity, a.atthasmissing), ';' order by a.attnum)
     from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    (select string_agg(concat_ws(',', i.indexrelid, i.indkey, i.indisunique, i.indisprimary, i.indisvalid,
                                 i.indimmediate), ';' order by i.indexrelid)
     from pg_catalog.pg_index i where i.indrelid = c.oid),
    (select string_agg(concat_ws(',', s.seqrelid, s.seqcache, s.seqincrement, s.seqcycle), ';' order by s.seqrelid)
     from pg_catalog.pg_depend d
     join pg_catalog.pg_sequence s on s.seqrelid in (d.objid, d.refobjid)
     where (d.classid = 'pg_catalog.pg_class'::regclass and d.refobjid = c.oid)
        or (d.classid = 'pg_catalog.pg_attrdef'::regclass
            and d.objid in (select ad.oid from pg_catalog.pg_attrdef ad where ad.adrelid = c.oid)))))
from unnest(%s::text[], %s::text[]) wanted(schema, name)
join pg_catalog.pg_namespace n on n.nspname = wanted.schema
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = wanted.name;
