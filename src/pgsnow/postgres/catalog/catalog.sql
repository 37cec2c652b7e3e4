-- name: table
select c.oid::bigint as oid,
       c.relkind::text as relkind,
       c.reltuples::bigint as estimated_rows,
       pg_catalog.pg_total_relation_size(c.oid) as total_bytes,
       case when c.relkind in ('r', 'm') then c.oid || ':' || c.relfilenode end as filenode,
       current_user::text as role,
       pg_catalog.quote_ident(current_user) as quoted_role,
       pg_catalog.quote_ident(n.nspname) as quoted_schema,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as quoted_table,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') as may_use_schema,
       pg_catalog.has_any_column_privilege(c.oid, 'SELECT') as may_select,
       exists (
           with recursive tree(oid) as (
               select c.oid
               union
               select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid
           )
           select from tree join pg_catalog.pg_subscription_rel s on s.srrelid = tree.oid) as is_subscribed,
       array(
           select array[a.attname::text, pg_catalog.quote_ident(a.attname)] from pg_catalog.pg_attribute a
           where a.attrelid = c.oid and not a.attisdropped
             and not pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') order by a.attnum) as unreadable
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s;

-- name: similar
select exists (select from pg_catalog.pg_namespace where nspname = wanted.schema) as has_schema,
       pg_catalog.current_database()::text as database,
       array(
           select pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
           from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           where lower(c.relname) = lower(wanted.name) and c.relkind in ('r', 'p', 'v', 'm', 'f')
             and n.nspname not in ('pg_catalog', 'information_schema')
           order by 1 limit 5) as others
from (select %s::text as schema, %s::text as name) wanted;

-- name: leaves
-- Tables that a tree's rows are in, at any depth; partitioned ones between hold none.
with recursive tree(oid) as (
    select inhrelid from pg_catalog.pg_inherits where inhparent = %(table)s
    union
    select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid
)
select c.oid::bigint as oid,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as name,
       case when c.relkind = 'r' then c.oid || ':' || c.relfilenode end as filenode
from tree
join pg_catalog.pg_class c on c.oid = tree.oid and c.relkind <> 'p'
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
order by c.oid;

-- name: type_parts
-- What the types in `roots` are made of: the base of a domain, the elements of an array, the bounds of a range or
-- multirange, the attributes of a composite. (As JSON, because rngmultitypid is new in PostgreSQL 14.)
-- labels: of enums their labels, of composites each attribute and its type, those of parts with the path to them.
parts(root, path, type) as materialized (
    select roots.type, '' collate "C", roots.type from roots
    union
    select parts.root, step.path, step.type
    from parts
    join pg_catalog.pg_type t on t.oid = parts.type
    cross join lateral (
        select parts.path, t.typbasetype where t.typtype = 'd'
        union all
        select parts.path, t.typelem where t.typcategory = 'A' and t.typelem <> 0
        union all
        select parts.path, r.rngsubtype from pg_catalog.pg_range r
        where t.typtype = 'r' and r.rngtypid = parts.type
           or t.typtype = 'm' and pg_catalog.to_jsonb(r) ->> 'rngmultitypid' = parts.type::text
        union all
        select parts.path || a.attname || '.', a.atttypid
        from pg_catalog.pg_attribute a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ) step(path, type)
),
labels(root, path, at, label) as materialized (
    select parts.root, parts.path, e.enumsortorder, parts.path || e.enumlabel
    from parts join pg_catalog.pg_enum e on e.enumtypid = parts.type
    union all
    select parts.root, parts.path, a.attnum,
           parts.path || a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
    from parts
    join pg_catalog.pg_type t on t.oid = parts.type and t.typtype = 'c'
    join pg_catalog.pg_attribute a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
);

-- name: columns
-- A domain may stand on a domain: follow typbasetype down; the innermost type modifier that is set holds.
-- Types below 16384 came with the server and do not change.
with recursive declared as (
    select a.attrelid, a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef, a.attidentity,
           a.atthasmissing, a.attgenerated, a.attcollation, pg_catalog.format_type(a.atttypid, a.atttypmod) as type_text
    from pg_catalog.pg_attribute a
    where a.attrelid = %(table)s and a.attnum > 0 and not a.attisdropped
),
resolved as (
    select attnum, attnotnull, atttypid as type, atttypmod as typmod from declared
    union all
    select r.attnum, r.attnotnull or t.typnotnull,
           t.typbasetype, case when r.typmod = -1 then t.typtypmod else r.typmod end
    from resolved r
    join pg_catalog.pg_type t on t.oid = r.type and t.typtype = 'd'
),
roots(type) as (select distinct atttypid from declared where atttypid >= 16384),
{type_parts}
select a.attname::text as name,
       a.attnum::int as attnum,
       t.typname::text as type_name,
       t.oid::bigint as type_oid,
       r.typmod,
       t.typtype::text as kind,
       t.typcategory::text as category,
       r.attnotnull as not_null,
       a.atthasdef or a.attidentity <> '' as has_default,
       a.attidentity = 'a' and not exists (
           select from pg_catalog.pg_attribute l
           join pg_catalog.pg_class c on c.oid = l.attrelid
           where l.attrelid = any (%(leaves)s) and l.attname = a.attname
             and not (c.relispartition and l.attidentity = 'a')) as always_identity,
       a.atthasmissing or exists (
           select from pg_catalog.pg_attribute l
           where l.attrelid = any (%(leaves)s) and l.attname = a.attname and l.atthasmissing) as has_missing,
       a.type_text,
       array(select l.label from labels l where l.root = a.atttypid order by l.path, l.at) as labels,
       case when a.attgenerated <> '' then (
           select pg_catalog.md5(d.adbin::text) from pg_catalog.pg_attrdef d
           where d.adrelid = a.attrelid and d.adnum = a.attnum) end as generation,
       coalesce((
           with recursive elements(type) as (
               select t.typelem where t.typcategory = 'A'
               union all
               select e.typbasetype from elements
               join pg_catalog.pg_type e on e.oid = elements.type and e.typtype = 'd'
           )
           select e.typname::text from elements
           join pg_catalog.pg_type e on e.oid = elements.type and e.typtype = 'b' and e.oid < 16384), '') as element,
       exists (
           select from pg_catalog.pg_collation l
           where l.oid = a.attcollation and not l.collisdeterministic) as nondeterministic
from resolved r
join pg_catalog.pg_type t on t.oid = r.type and t.typtype <> 'd'
join declared a on a.attnum = r.attnum
order by a.attnum;

-- name: indexes
-- is_key: stands for a key that holds for every row. Deferrable ones (not indimmediate) may be violated inside a
-- transaction only; reads see committed rows.
select i.indisunique and plain.all_columns as is_key,
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
where i.indrelid = %(table)s and i.indisvalid and i.indpred is null
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
-- One pass for all tables together, where a statement a table would cost a round trip each.
with recursive tables as materialized (
    select c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, n.oid as schema, c.relhassubclass,
           c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.reloptions
    from unnest({schemas}::text[], {names}::text[]) wanted(schema, name)
    join pg_catalog.pg_namespace n on n.nspname = wanted.schema
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
),
tree(root, oid) as (
    select t.oid, i.inhrelid
    from tables t join pg_catalog.pg_inherits i on i.inhparent = t.oid where t.relhassubclass
    union
    select tree.root, i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid
),
leaves as materialized (
    select tree.root, string_agg(concat_ws(',', tree.oid, c.relkind, c.relfilenode, (
               select string_agg(a.attname, ',' order by a.attnum) from pg_catalog.pg_attribute a
               where a.attrelid = tree.oid and a.attnum > 0 and a.atthasmissing)), ';' order by tree.oid) as print,
           {leaf_counters} as counters
    from tree join pg_catalog.pg_class c on c.oid = tree.oid group by tree.root
),
attributes as materialized (
    select a.attrelid, a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef, a.attidentity,
           a.atthasmissing, a.attgenerated, a.attcollation
    from tables t
    join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
),
roots(type) as (select distinct atttypid from attributes where atttypid >= 16384),
{type_parts},
types as materialized (
    select root, (select string_agg(concat_ws(',', p.path, p.type, t.typname, t.typnamespace, t.typnotnull, t.typtypmod),
                                    ';' order by p.path, p.type)
                  from parts p join pg_catalog.pg_type t on t.oid = p.type where p.root = roots.root)
        || (select coalesce(string_agg(l.label, ';' order by l.path, l.at), '') from labels l where l.root = roots.root)
        as print
    from (select type as root from roots) roots
),
columns as materialized (
    select a.attrelid, string_agg(concat_ws(',', a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull,
                                  a.atthasdef, a.attidentity, a.atthasmissing, a.attcollation, types.print,
                                  case when a.attgenerated <> '' then (
                                      select pg_catalog.md5(d.adbin::text) from pg_catalog.pg_attrdef d
                                      where d.adrelid = a.attrelid and d.adnum = a.attnum) end),
                       ';' order by a.attnum) as print
    from attributes a left join types on types.root = a.atttypid group by a.attrelid
)
select t.nspname::text, t.relname::text, md5(concat_ws('|',
    t.oid, t.relkind, t.relfilenode, pg_catalog.has_schema_privilege(t.schema, 'USAGE'),
    pg_catalog.has_table_privilege(t.oid, 'SELECT'), case when not pg_catalog.has_table_privilege(t.oid, 'SELECT') then (
        select string_agg(a.attnum::text, ',' order by a.attnum) from pg_catalog.pg_attribute a
        where a.attrelid = t.oid and not a.attisdropped
          and pg_catalog.has_column_privilege(t.oid, a.attnum, 'SELECT')) end,
    columns.print, leaves.print,
    case when exists (select from pg_catalog.pg_subscription_rel s where s.srrelid = t.oid or s.srrelid in (
        select tree.oid from tree where tree.root = t.oid)) then 'subscribed' end,
    (select string_agg(concat_ws(',', i.indexrelid, i.indkey, i.indisunique, i.indisprimary, i.indisvalid,
                                 i.indimmediate), ';' order by i.indexrelid)
     from pg_catalog.pg_index i where i.indrelid = t.oid),
    (select string_agg(concat_ws(',', s.seqrelid, s.seqcache, s.seqincrement, s.seqcycle), ';' order by s.seqrelid)
     from (select d.objid from pg_catalog.pg_depend d
           where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
             and d.refobjid = t.oid and d.deptype = 'i'
           union
           select d.refobjid from pg_catalog.pg_attrdef ad
           join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = ad.oid
            and d.refclassid = 'pg_catalog.pg_class'::regclass
           where ad.adrelid = t.oid) fed(sequence)
     join pg_catalog.pg_sequence s on s.seqrelid = fed.sequence))),
    {counters}
from tables t
left join columns on columns.attrelid = t.oid
left join leaves on leaves.root = t.oid;

-- name: leaf_counters
-- Each table that stores rows: its file, and how many rows were deleted in it since its statistics began.
jsonb_object_agg(tree.oid, jsonb_build_array(c.relfilenode::bigint, pg_catalog.pg_stat_get_tuples_deleted(tree.oid)))
    filter (where c.relkind in ('r', 'm'))

-- name: counters
-- The statistics begin again with a reset of the database's or of a single table's, and after a crash, which resets those
-- of the background writer, too. The last column decides which rows the role sees: the role, row-level security, and the
-- definition of a view.
coalesce(leaves.counters, '{{}}') || case when t.relkind in ('r', 'm') then jsonb_build_object(
        t.oid, jsonb_build_array(t.relfilenode::bigint, pg_catalog.pg_stat_get_tuples_deleted(t.oid))) else '{{}}' end,
    (select concat_ws('/', extract(epoch from pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)),
                      extract(epoch from pg_catalog.pg_stat_get_bgwriter_stat_reset_time()))
     from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()),
    md5(concat_ws('|', current_user, t.relowner, t.relrowsecurity, t.relforcerowsecurity,
        (select concat(r.rolsuper, r.rolbypassrls) from pg_catalog.pg_roles r where r.rolname = current_user),
        case when t.relrowsecurity then (
            select string_agg(concat_ws(',', p.polname, p.polcmd, p.polpermissive, p.polroles,
                                        pg_catalog.pg_get_expr(p.polqual, p.polrelid)), ';' order by p.polname)
            from pg_catalog.pg_policy p where p.polrelid = t.oid) end,
        case when t.relkind in ('v', 'm') then concat(t.reloptions, pg_catalog.pg_get_viewdef(t.oid)) end))

-- name: present_name
select n.nspname::text, c.relname::text
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = %s and c.relkind in ('r', 'p', 'v', 'm', 'f');
