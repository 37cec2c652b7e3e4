-- Every file runs in one transaction with search_path set to the ledger's schema, and may run twice.
-- Which files have run. The last statement of each file records it, so that a file may also be run by hand.
create table if not exists pgsnow_migrations (
    version integer primary key,
    name text not null,
    applied_at timestamptz not null default now()
);

-- What a person sees of it in psql (\d+).
comment on table pgsnow_migrations is 'Which of pgsnow''s migrations have run in this schema.';
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

-- A table made by hand may count in INT; where it is bigint already this does nothing.
alter table sync_watermarks alter column rows_processed type bigint;

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

-- What a person sees of it in psql (\d+); docs/ledger.md says the same.
comment on table sync_watermarks is 'One row for each synced table: how far it is, how its last run ended, who is at work on it.';
comment on column sync_watermarks.source_table is 'Name of the table in sync_config.yaml: its `name`, or else its `source`.';
comment on column sync_watermarks.last_watermark is 'Largest watermark that Snowflake has, in UTC; NULL before the first load and for watermarks that are not times.';
comment on column sync_watermarks.last_run is 'When the last ended run was granted its lease, in UTC, by the ledger''s clock.';
comment on column sync_watermarks.last_status is 'How the last run ended: ok, idle (nothing had changed), partial (rows went to sync_errors), error or stopped.';
comment on column sync_watermarks.last_error is 'Why the last run failed, on one line; NULL if it did not.';
comment on column sync_watermarks.rows_processed is 'Rows that the last run inserted or updated in Snowflake.';
comment on column sync_watermarks.target_table is 'The Snowflake table of the last run.';
comment on column sync_watermarks.watermark_text is 'Largest watermark that Snowflake has, exactly as Postgres writes it, whatever its type.';
comment on column sync_watermarks.last_success is 'When the last run that ended ok, idle or partial was granted its lease, by the ledger''s clock.';
comment on column sync_watermarks.read_mode is 'How changed rows are found: watermark, xmin or cursor.';
comment on column sync_watermarks.checkpoint is 'Where the next read begins; NULL makes it a full read. Moves only after Snowflake committed, and never backward.';
comment on column sync_watermarks.applied_until is 'Every change that was committed before this moment is in Snowflake; lag is counted from it. NULL where it is not known.';
comment on column sync_watermarks.fence is 'Number of the newest lease, larger for each one. A run that holds an older number can write nothing here.';
comment on column sync_watermarks.lease_holder is 'The worker that syncs this table now; NULL when nobody does.';
comment on column sync_watermarks.lease_run_id is 'The run that syncs this table now; NULL when nobody does.';
comment on column sync_watermarks.lease_since is 'When the present lease, or the last one, was granted.';
comment on column sync_watermarks.lease_expires is 'From then on anyone may take the table over, unless the lease is renewed first; NULL when nobody holds it.';
comment on column sync_watermarks.lease_session is 'The database session (process id @ server start) whose advisory lock shows that the holder lives; NULL if it holds none.';
comment on column sync_watermarks.open_batches is 'Load units whose staging table or staged files may still be in Snowflake; the next run removes them.';
comment on column sync_watermarks.target_columns is 'The target''s columns and their types as last seen, so that a tick need not ask Snowflake; NULL: ask again.';
comment on column sync_watermarks.consecutive_failures is 'Runs that ended in error since the last success.';
comment on column sync_watermarks.rows_total is 'Rows inserted or updated in Snowflake by all runs.';
comment on column sync_watermarks.paused is 'Set it to true and no run is granted this table.';

-- Done.
insert into pgsnow_migrations (version, name) values (1, 'watermarks') on conflict (version) do nothing;
