-- Every file runs in one transaction with search_path set to the ledger's schema, and may run twice.
-- Which files have run. The last statement of each file records it, so that a file may also be run by hand.
create table if not exists pgsnow_migrations (
    version integer primary key,
    name text not null,
    applied_at timestamptz not null default now()
);

-- What a person sees of it in psql (\d+).
comment on table pgsnow_migrations is 'Migrations of pgsnow that have run in this schema.';
comment on column pgsnow_migrations.version is 'Number of the migration file.';
comment on column pgsnow_migrations.name is 'Name of the migration file, without the number.';
comment on column pgsnow_migrations.applied_at is 'When it ran.';

-- The table as many teams have it already; one that was made by hand is kept, with its rows.
create table if not exists sync_watermarks (
    source_table text primary key,
    last_watermark timestamp,
    last_run timestamp,
    last_status text,
    last_error text,
    rows_processed bigint
);

-- A table made by hand may count in INT. Where it is bigint already nothing is sent: a view on it would be in the way.
do $$ begin
    if exists (
        select from pg_attribute
        where attrelid = 'sync_watermarks'::regclass and attname = 'rows_processed' and atttypid <> 'bigint'::regtype
    ) then
        alter table sync_watermarks alter column rows_processed type bigint;
    end if;
end $$;

-- Our own columns.
alter table sync_watermarks
    add column if not exists target_table text,
    add column if not exists watermark_text text,
    add column if not exists last_success timestamptz,
    add column if not exists read_mode text,
    add column if not exists checkpoint jsonb,
    add column if not exists applied_until timestamptz,
    add column if not exists fence bigint not null default 0,
    add column if not exists lease_holder text,
    add column if not exists lease_run_id text,
    add column if not exists lease_since timestamptz,
    add column if not exists lease_expires timestamptz,
    add column if not exists lease_session text,
    add column if not exists open_batches text[] not null default array[]::text[],
    add column if not exists target_columns jsonb,
    add column if not exists consecutive_failures integer not null default 0,
    add column if not exists rows_total bigint not null default 0,
    add column if not exists paused boolean not null default false;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_watermarks is 'One row per synced table: its position, the result of its last run, and its current worker.';
comment on column sync_watermarks.source_table is 'Name of the table in sync_config.yaml: its `name`, or else its `source`.';
comment on column sync_watermarks.last_watermark is 'Largest watermark loaded into Snowflake, in UTC; NULL before the first load, and for watermarks that are not times.';
comment on column sync_watermarks.last_run is 'When the last finished run was granted its lease, in UTC, by the ledger''s clock.';
comment on column sync_watermarks.last_status is 'How the last run ended: ok, idle (nothing had changed), partial (rows were rejected), error, stopped, or held (other workers load the chunks of its backfill).';
comment on column sync_watermarks.last_error is 'Error of the last run, on one line; NULL if it did not fail.';
comment on column sync_watermarks.rows_processed is 'Rows that the last run inserted or updated in Snowflake.';
comment on column sync_watermarks.target_table is 'Snowflake table of the last run.';
comment on column sync_watermarks.watermark_text is 'Largest watermark loaded into Snowflake, as Postgres writes it, for any type.';
comment on column sync_watermarks.last_success is 'When the last run that ended with ok, idle or partial was granted its lease, by the ledger''s clock.';
comment on column sync_watermarks.read_mode is 'How changed rows are found: watermark, xmin, lookback, cursor, full or append.';
comment on column sync_watermarks.checkpoint is 'Position where the next read starts; NULL means a full read. It moves only after Snowflake committed or the rows were staged, and goes back only to loaded_checkpoint.';
comment on column sync_watermarks.applied_until is 'Every change committed before this time is in Snowflake; the lag is counted from it. NULL if unknown.';
comment on column sync_watermarks.fence is 'Number of the newest lease, larger than all before it. A run with a smaller number cannot write to the ledger.';
comment on column sync_watermarks.lease_holder is 'Worker that syncs this table now; NULL if none does.';
comment on column sync_watermarks.lease_run_id is 'Run that syncs this table now; NULL if none does.';
comment on column sync_watermarks.lease_since is 'When the current or the last lease was granted.';
comment on column sync_watermarks.lease_expires is 'When the lease expires unless it is renewed; then any worker may take over the table. NULL if no worker holds it.';
comment on column sync_watermarks.lease_session is 'Database session (process id @ server start) whose advisory lock proves that the holder is alive; NULL if there is none.';
comment on column sync_watermarks.open_batches is 'Load batches whose staging table or staged files may still be in Snowflake; the next run removes them.';
comment on column sync_watermarks.target_columns is 'The target''s columns and types as last read, so that a tick need not query Snowflake; NULL: query again.';
comment on column sync_watermarks.consecutive_failures is 'Runs that ended with error since the last success.';
comment on column sync_watermarks.rows_total is 'Rows inserted or updated in Snowflake by all runs.';
comment on column sync_watermarks.paused is 'If true, no run is granted this table.';

-- Done.
insert into pgsnow_migrations (version, name) values (1, 'watermarks') on conflict (version) do nothing;
