-- What each run sent to Snowflake, and what its warehouse time cost.
alter table sync_logs
    add column if not exists statements jsonb,
    add column if not exists statement_count integer not null default 0,
    add column if not exists logins integer not null default 0,
    add column if not exists warehouse_seconds double precision not null default 0,
    add column if not exists credits double precision not null default 0;

-- The warehouses that runs have kept awake, so that the time shared by several runs is counted once.
create table if not exists sync_warehouses (
    warehouse text primary key,
    awake_from timestamptz not null,
    awake_until timestamptz not null,
    resumes bigint not null default 1,
    awake_seconds double precision not null default 0,
    credits double precision not null default 0,
    added_seconds double precision not null default 0
);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_logs is 'One row for each run of each table, kept for `log_retention_days`. A worker that loads a chunk of a backfill for another worker''s run adds one, too.';
comment on column sync_logs.statements is 'The statements that the run sent to Snowflake, in order: kind, query_id, started_at, seconds, rows, warehouse (it needs one), failed. At most 200: the first and the last ones. NULL: none, or a run of an older version.';
comment on column sync_logs.statement_count is 'Number of statements that the run sent to Snowflake, failed ones included.';
comment on column sync_logs.logins is 'Number of logins to Snowflake.';
comment on column sync_logs.warehouse_seconds is 'Seconds of the statements that need a warehouse.';
comment on column sync_logs.credits is 'Estimated credits for the time by which this run kept the warehouse awake longer (docs/cost.md).';
comment on table sync_warehouses is 'Warehouses, and how long runs have kept them awake, by the model of docs/cost.md.';
comment on column sync_warehouses.warehouse is 'Name of the warehouse.';
comment on column sync_warehouses.awake_from is 'When it was last resumed, as far as runs tell.';
comment on column sync_warehouses.awake_until is 'When it is suspended again, unless a later statement uses it.';
comment on column sync_warehouses.resumes is 'How often runs have resumed it.';
comment on column sync_warehouses.awake_seconds is 'Seconds that runs have kept it awake, since the first one that was counted.';
comment on column sync_warehouses.credits is 'Estimated credits for this time.';
comment on column sync_warehouses.added_seconds is 'Seconds that the newest record of a run added.';

-- Done.
insert into pgsnow_migrations (version, name) values (22, 'statements') on conflict (version) do nothing;
