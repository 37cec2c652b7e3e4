-- What keeps the connected role from reading a relation. The tables underneath a view are read with the rights of the
-- view's owner, or, with security_invoker, with those of the connected role, even below a view of another owner.
-- Functions are always called with the connected role's.
-- https://www.postgresql.org/docs/current/rules-privileges.html
with recursive me as (
    select oid, rolname from pg_catalog.pg_roles where rolname = current_user
),
used(oid, role, column_number) as (
    select c.oid, me.oid, 0
    from me, pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relname = %(table)s
    union
    select d.refobjid,
           case when exists (select from unnest(v.reloptions) o where o ~* '^security_invoker=(true|t|on|yes|y|1)$')
                then me.oid else v.relowner end,
           d.refobjsubid
    from me, used
    join pg_catalog.pg_class v on v.oid = used.oid and v.relkind = 'v'
    join pg_catalog.pg_rewrite r on r.ev_class = v.oid
    join pg_catalog.pg_depend d
      on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
     and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> v.oid
    join pg_catalog.pg_class c on c.oid = d.refobjid and c.relkind in ('r', 'p', 'v', 'm', 'f')
),
relations as (
    select u.oid, u.role, n.oid as schema, c.relkind, c.relowner, c.relispopulated, c.relrowsecurity,
           c.relforcerowsecurity, pg_catalog.quote_ident(r.rolname) as role_name, r.rolsuper or r.rolbypassrls as sees_all,
           pg_catalog.quote_ident(n.nspname) as schema_name,
           pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as name,
           array_agg(u.column_number) as columns, bool_or(u.column_number = 0 and u.role = me.oid
               and n.nspname = %(schema)s and c.relname = %(table)s) as is_root
    from me, used u
    join pg_catalog.pg_class c on c.oid = u.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_roles r on r.oid = u.role
    group by u.oid, u.role, n.oid, c.oid, r.oid, r.rolname, r.rolsuper, r.rolbypassrls, n.nspname, c.relname,
             c.relkind, c.relowner, c.relispopulated, c.relrowsecurity, c.relforcerowsecurity
),
tree(oid, role) as (
    select oid, role from relations
    union
    select i.inhrelid, tree.role from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid
),
called(oid) as (
    select d.refobjid
    from relations
    join pg_catalog.pg_rewrite r on r.ev_class = relations.oid and relations.relkind = 'v'
    join pg_catalog.pg_depend d
      on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
     and d.refclassid = 'pg_catalog.pg_proc'::regclass
    union
    select d.refobjid
    from relations
    join pg_catalog.pg_attribute a on a.attrelid = relations.oid and a.attgenerated = 'v'
    join pg_catalog.pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
    join pg_catalog.pg_depend d
      on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = ad.oid
     and d.refclassid = 'pg_catalog.pg_proc'::regclass
    union
    select p.oid from pg_catalog.pg_proc p where p.proname = any (%(named)s)
)
select 'schema' as kind, schema_name as object, role_name as role, '' as columns
from relations where is_root and not pg_catalog.has_schema_privilege(role, schema, 'USAGE')
union all
select 'schema', pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(me.rolname), ''
from me, pg_catalog.pg_namespace n
where n.nspname = any (%(named)s) and not pg_catalog.has_schema_privilege(me.oid, n.oid, 'USAGE')
union all
select 'table', name, role_name, ''
from relations where not pg_catalog.has_any_column_privilege(role, oid, 'SELECT')
union all
select 'table', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       pg_catalog.quote_ident(me.rolname), ''
from me, pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relname = any (%(named)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and (n.nspname = any (%(named)s) or pg_catalog.pg_table_is_visible(c.oid))
  and not pg_catalog.has_any_column_privilege(me.oid, c.oid, 'SELECT')
union all
select 'columns', name, role_name, missing.names
from relations
cross join lateral (
    select string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum) as names
    from pg_catalog.pg_attribute a
    where a.attrelid = relations.oid and not a.attisdropped
      and (a.attnum = any (relations.columns) or relations.is_root and a.attname = any (%(named)s))
      and not pg_catalog.has_column_privilege(relations.role, a.attrelid, a.attnum, 'SELECT')
) missing
where missing.names is not null and pg_catalog.has_any_column_privilege(role, oid, 'SELECT')
union all
select 'rows', name, role_name, ''
from relations
where relrowsecurity and not sees_all and (relforcerowsecurity or not pg_catalog.pg_has_role(role, relowner, 'USAGE'))
union all
select 'function', called.oid::regprocedure::text, pg_catalog.quote_ident(me.rolname), ''
from me, called where not pg_catalog.has_function_privilege(me.oid, called.oid, 'EXECUTE')
union all
select 'unpopulated', name, role_name, '' from relations where relkind = 'm' and not relispopulated
union all
select case when exists (select from pg_catalog.pg_user_mappings m where m.srvid = s.oid and m.umuser in (0, tree.role))
            then 'server' else 'mapping' end,
       pg_catalog.quote_ident(s.srvname), pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(tree.role)), ''
from tree
join pg_catalog.pg_foreign_table f on f.ftrelid = tree.oid
join pg_catalog.pg_foreign_server s on s.oid = f.ftserver;
