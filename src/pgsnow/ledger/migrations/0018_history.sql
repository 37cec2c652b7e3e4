-- The history of runs: totals by hour, and counters that never decrease, since rows of sync_logs are deleted in time.
alter table sync_logs
    add column if not exists applied_until timestamptz,
    add column if not exists lag_seconds double precision,
    add column if not exists requested_by text,
    add column if not exists statement_count integer not null default 0,
    add column if not exists warehouse_seconds double precision not null default 0,
    add column if not exists credits double precision not null default 0;

-- The newest runs that found changes or failed, those that failed, and those with events.
create index if not exists sync_logs_not_idle on sync_logs (started_at) where status <> 'idle';
create index if not exists sync_logs_failed on sync_logs (started_at) where status = 'error';
create index if not exists sync_logs_events on sync_logs (started_at) where cardinality(events) > 0 or full_read is not null;
create index if not exists sync_logs_table_events on sync_logs (source_table, started_at) where cardinality(events) > 0 or full_read is not null;

-- Totals of each table by the hour.
create table if not exists sync_hours (
    source_table text not null,
    hour timestamptz not null,
    runs_ok bigint not null default 0,
    runs_idle bigint not null default 0,
    runs_partial bigint not null default 0,
    runs_error bigint not null default 0,
    runs_stopped bigint not null default 0,
    runs_locked bigint not null default 0,
    rows_read bigint not null default 0,
    rows_inserted bigint not null default 0,
    rows_updated bigint not null default 0,
    rows_deleted bigint not null default 0,
    rows_rejected bigint not null default 0,
    bytes_staged bigint not null default 0,
    seconds double precision not null default 0,
    statement_count bigint not null default 0,
    warehouse_seconds double precision not null default 0,
    credits double precision not null default 0,
    worst_lag double precision,
    primary key (source_table, hour)
);

-- Room in each page for the next version of its rows.
alter table sync_hours set (fillfactor = 70);

-- The last day of all tables, and the oldest hours, which are deleted.
create index if not exists sync_hours_hour on sync_hours (hour);

-- Totals since counting began, and the newest runs of each table: one row, which every run of the table updates.
create table if not exists sync_counters (
    source_table text primary key,
    since timestamptz not null default now(),
    runs_ok bigint not null default 0,
    runs_idle bigint not null default 0,
    runs_partial bigint not null default 0,
    runs_error bigint not null default 0,
    runs_stopped bigint not null default 0,
    runs_locked bigint not null default 0,
    rows_read bigint not null default 0,
    rows_inserted bigint not null default 0,
    rows_updated bigint not null default 0,
    rows_deleted bigint not null default 0,
    rows_rejected bigint not null default 0,
    bytes_staged bigint not null default 0,
    seconds double precision not null default 0,
    phases jsonb not null default '{}',
    statement_count bigint not null default 0,
    warehouse_seconds double precision not null default 0,
    credits double precision not null default 0,
    recent jsonb not null default '[]',
    last_loaded timestamptz,
    applied_until timestamptz
);

-- As above.
alter table sync_counters set (fillfactor = 50);

-- What is still in sync_logs is counted, so that the history does not begin with this version. Nothing is counted twice:
-- a table that has counters is left alone.
insert into sync_hours (
    source_table, hour, runs_ok, runs_idle, runs_partial, runs_error, runs_stopped, runs_locked, rows_read,
    rows_inserted, rows_updated, rows_deleted, rows_rejected, bytes_staged, seconds
)
select source_table, date_trunc('hour', ended_at at time zone 'UTC') at time zone 'UTC',
    count(*) filter (where status = 'ok'), count(*) filter (where status = 'idle'),
    count(*) filter (where status = 'partial'), count(*) filter (where status = 'error'),
    count(*) filter (where status = 'stopped'), count(*) filter (where status in ('locked', 'held')),
    sum(rows_read), sum(rows_inserted), sum(rows_updated), sum(rows_deleted), sum(rows_rejected), sum(bytes_staged),
    sum(seconds)
from sync_logs l
where status <> 'applied' and started_at > now() - interval '35 days' and isfinite(ended_at)
    and not exists (select from sync_counters c where c.source_table = l.source_table)
group by 1, 2
on conflict (source_table, hour) do nothing;

-- The same for the counters.
insert into sync_counters (
    source_table, since, runs_ok, runs_idle, runs_partial, runs_error, runs_stopped, runs_locked, rows_read,
    rows_inserted, rows_updated, rows_deleted, rows_rejected, bytes_staged, seconds, last_loaded, recent
)
select source_table, min(started_at),
    count(*) filter (where status = 'ok'), count(*) filter (where status = 'idle'),
    count(*) filter (where status = 'partial'), count(*) filter (where status = 'error'),
    count(*) filter (where status = 'stopped'), count(*) filter (where status in ('locked', 'held')),
    sum(rows_read), sum(rows_inserted), sum(rows_updated), sum(rows_deleted), sum(rows_rejected), sum(bytes_staged),
    sum(seconds), max(ended_at) filter (where status in ('ok', 'partial')),
    (select coalesce(jsonb_agg(jsonb_build_array(
            r.run_id, r.status, round(extract(epoch from r.started_at)::numeric, 3), round(r.seconds::numeric, 3),
            r.rows_inserted, r.rows_updated, r.rows_deleted) order by r.started_at desc), '[]')
        from (select * from sync_logs n
            where n.source_table = l.source_table and n.status <> 'applied' and isfinite(n.started_at)
            order by n.started_at desc limit 20) r)
from sync_logs l
where status <> 'applied' and isfinite(started_at)
group by source_table
on conflict (source_table) do nothing;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_logs.applied_until is 'Every change committed before this time was in Snowflake when the run had ended; NULL if unknown.';
comment on column sync_logs.lag_seconds is 'The lag when the run had ended, in seconds; NULL if unknown.';
comment on column sync_logs.requested_by is 'What started the run: schedule, command, or request and its number in sync_requests; NULL in rows of earlier versions.';
comment on column sync_logs.statement_count is 'Number of statements that the run sent to Snowflake, failed ones included.';
comment on column sync_logs.warehouse_seconds is 'Seconds of the statements that need a warehouse.';
comment on column sync_logs.credits is 'Estimated credits for the time by which this run kept the warehouse awake longer (docs/cost.md).';
comment on table sync_hours is 'Totals of each table by the hour (UTC) in which its runs ended, kept for 35 days. Runs that pgsnow apply has logged are not in it.';
comment on column sync_hours.source_table is 'Name of the table, as in sync_watermarks.';
comment on column sync_hours.hour is 'Begin of the hour.';
comment on column sync_hours.runs_ok is 'Runs that ended with ok.';
comment on column sync_hours.runs_idle is 'Runs that ended with idle.';
comment on column sync_hours.runs_partial is 'Runs that ended with partial.';
comment on column sync_hours.runs_error is 'Runs that ended with error.';
comment on column sync_hours.runs_stopped is 'Runs that ended with stopped.';
comment on column sync_hours.runs_locked is 'Runs that ended with locked.';
comment on column sync_hours.rows_read is 'Rows read from Postgres.';
comment on column sync_hours.rows_inserted is 'Rows inserted in Snowflake.';
comment on column sync_hours.rows_updated is 'Rows updated in Snowflake.';
comment on column sync_hours.rows_deleted is 'Rows deleted in Snowflake, or marked as deleted.';
comment on column sync_hours.rows_rejected is 'Rows rejected.';
comment on column sync_hours.bytes_staged is 'Bytes of the Parquet files uploaded to the stage.';
comment on column sync_hours.seconds is 'Sum of the durations of the runs.';
comment on column sync_hours.statement_count is 'Statements that were sent to Snowflake.';
comment on column sync_hours.warehouse_seconds is 'Seconds of those of them that need a warehouse.';
comment on column sync_hours.credits is 'Estimated credits.';
comment on column sync_hours.worst_lag is 'Largest lag in seconds, just before or after one of the runs; NULL if unknown.';
comment on table sync_counters is 'Totals of each table since counting began, which never decrease, and its newest runs. Runs that pgsnow apply has logged are not in it.';
comment on column sync_counters.source_table is 'Name of the table, as in sync_watermarks.';
comment on column sync_counters.since is 'When counting began.';
comment on column sync_counters.runs_ok is 'Runs that ended with ok.';
comment on column sync_counters.runs_idle is 'Runs that ended with idle.';
comment on column sync_counters.runs_partial is 'Runs that ended with partial.';
comment on column sync_counters.runs_error is 'Runs that ended with error.';
comment on column sync_counters.runs_stopped is 'Runs that ended with stopped.';
comment on column sync_counters.runs_locked is 'Runs that ended with locked.';
comment on column sync_counters.rows_read is 'Rows read from Postgres.';
comment on column sync_counters.rows_inserted is 'Rows inserted in Snowflake.';
comment on column sync_counters.rows_updated is 'Rows updated in Snowflake.';
comment on column sync_counters.rows_deleted is 'Rows deleted in Snowflake, or marked as deleted.';
comment on column sync_counters.rows_rejected is 'Rows rejected.';
comment on column sync_counters.bytes_staged is 'Bytes of the Parquet files uploaded to the stage.';
comment on column sync_counters.seconds is 'Sum of the durations of the runs.';
comment on column sync_counters.phases is 'Seconds per phase.';
comment on column sync_counters.statement_count is 'Statements that were sent to Snowflake.';
comment on column sync_counters.warehouse_seconds is 'Seconds of those of them that need a warehouse.';
comment on column sync_counters.credits is 'Estimated credits.';
comment on column sync_counters.recent is 'The newest 20 runs, newest first: of each the run_id, status, start (seconds since 1970), duration, rows inserted, updated and deleted.';
comment on column sync_counters.last_loaded is 'When the last run that loaded rows (ok or partial) ended.';
comment on column sync_counters.applied_until is 'applied_until of sync_watermarks when the last run had ended; the lag just before the next run is counted from it.';

-- Done.
insert into pgsnow_migrations (version, name) values (18, 'history') on conflict (version) do nothing;
