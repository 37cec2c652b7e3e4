-- The ledger's own identity, by which a target names its owner. A ledger that is lost and created again in the same
-- schema of the same database gets the same one; one that is moved with its rows keeps it.
create table if not exists pgsnow_ledger (
    id text primary key,
    created_at timestamptz not null default now()
);

-- Some services do not let a role read the server's identifier: then it is random.
do $$
declare
    system text;
begin
    begin
        select system_identifier::text into system from pg_control_system();
    exception when others then
        system := null;
    end;
    insert into pgsnow_ledger (id)
    select md5(coalesce(system, random()::text || clock_timestamp()::text) || '/' || d.oid || '/' || current_schema)
    from pg_database d
    where d.datname = current_database() and not exists (select from pgsnow_ledger);
end $$;

-- What each row of the ledger was used for.
alter table sync_watermarks add column if not exists places jsonb;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table pgsnow_ledger is 'The identity of this ledger, which is in the comments of its targets.';
comment on column pgsnow_ledger.id is 'Computed from the server, the database and the schema in which the ledger was created; it stays when the ledger is moved.';
comment on column pgsnow_ledger.created_at is 'When it was computed.';
comment on column sync_watermarks.places is 'Source database and target that this row was used for, the present ones first; two configurations that use one row are refused.';

-- Done.
insert into pgsnow_migrations (version, name) values (14, 'owner') on conflict (version) do nothing;
