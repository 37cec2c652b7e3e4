-- The run log. A run is recorded once, however often a worker repeats itself after a cut connection.
create table if not exists sync_logs (
    run_id text not null,
    source_table text not null,
    target_table text,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    seconds double precision not null,
    phases jsonb not null,
    rows_read bigint not null,
    rows_rejected bigint not null,
    rows_dropped bigint not null,
    rows_inserted bigint not null,
    rows_updated bigint not null,
    bytes_staged bigint not null,
    load_units integer not null,
    query_ids text[] not null,
    status text not null,
    full_read text,
    events text[] not null,
    error text,
    error_type text,
    advice text,
    last_watermark text,
    fence bigint not null,
    primary key (run_id, source_table)
);

-- The newest runs of all tables, and the oldest, which are deleted.
create index if not exists sync_logs_started on sync_logs (started_at);

-- The newest runs of one table.
create index if not exists sync_logs_table on sync_logs (source_table, started_at);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_logs is 'One row for each run of each table, kept for `log_retention_days`.';
comment on column sync_logs.run_id is 'The run; all tables of one tick share it.';
comment on column sync_logs.source_table is 'Name of the table, as in sync_watermarks.';
comment on column sync_logs.target_table is 'The Snowflake table.';
comment on column sync_logs.started_at is 'When the table''s run started, by the worker''s clock.';
comment on column sync_logs.ended_at is 'started_at plus seconds.';
comment on column sync_logs.seconds is 'Duration of the run.';
comment on column sync_logs.phases is 'Seconds per phase (read, put, copy, merge and others).';
comment on column sync_logs.rows_read is 'Rows read from Postgres.';
comment on column sync_logs.rows_rejected is 'Rows rejected, recorded in sync_errors.';
comment on column sync_logs.rows_dropped is 'Rows that the transform dropped.';
comment on column sync_logs.rows_inserted is 'Rows inserted in Snowflake.';
comment on column sync_logs.rows_updated is 'Rows updated in Snowflake.';
comment on column sync_logs.bytes_staged is 'Bytes of the Parquet files uploaded to the stage.';
comment on column sync_logs.load_units is 'Number of load batches, each with one COPY and one MERGE.';
comment on column sync_logs.query_ids is 'Snowflake''s query ids of the statements, for its query history.';
comment on column sync_logs.status is 'How it ended: ok, idle, partial, error or stopped; applied: not a run, pgsnow apply sent DDL.';
comment on column sync_logs.full_read is 'Why the whole table was read; NULL for an incremental read.';
comment on column sync_logs.events is 'What an operator should know: a column was added, the read mode changed, and so on.';
comment on column sync_logs.error is 'Error that stopped the run; NULL if it did not fail.';
comment on column sync_logs.error_type is 'Class of the error in pgsnow.model.errors.';
comment on column sync_logs.advice is 'How to fix it.';
comment on column sync_logs.last_watermark is 'Largest watermark in Snowflake after the run, as Postgres writes it.';
comment on column sync_logs.fence is 'Fence of the run''s lease; rows it wrote have this number in Snowflake.';

-- Done.
insert into pgsnow_migrations (version, name) values (3, 'logs') on conflict (version) do nothing;
