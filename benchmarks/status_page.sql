-- Fills an empty ledger with %(tables)s tables and %(runs)s runs of them, one tick every two minutes up to now, and with
-- the totals of 35 days by hour. One table in a hundred has failed, one in fifty has rejected rows.
create temporary table named as
select n, 'public.table_' || lpad(n::text, 5, '0') as name from generate_series(1, %(tables)s) n;

insert into sync_watermarks (source_table, target_table, last_run, last_success, last_status, last_error, rows_processed,
    read_mode, applied_until, last_watermark, checkpoint, fence, source_schema)
select name, 'SHOP.ANALYTICS.' || upper(name), (now() - interval '20 s') at time zone 'UTC', now() - interval '20 s',
    case when n %% 100 = 0 then 'error' when n %% 3 = 0 then 'ok' else 'idle' end,
    case when n %% 100 = 0 then name || ': permission denied for table: GRANT SELECT ON it TO pgsnow' end,
    n %% 500, 'watermark', now() - interval '25 s', now(), '{"mode": "watermark"}', 1,
    (select jsonb_build_object('columns', jsonb_agg(jsonb_build_object('attnum', c, 'name', 'column_' || c,
        'type_text', 'character varying(20)', 'snowflake', 'VARCHAR', 'target', 'COLUMN_' || c)))
     from generate_series(1, 30) c)
from named;

insert into sync_logs (run_id, source_table, target_table, started_at, ended_at, seconds, phases, rows_read, rows_rejected,
    rows_dropped, rows_inserted, rows_updated, bytes_staged, load_units, query_ids, status, full_read, events, error,
    advice, fence)
select 'run' || tick, name, 'SHOP.ANALYTICS.' || upper(name), at, at + interval '2 s', 2.0,
    '{"probe": 0.1, "connect": 0.4, "read": 0.5, "copy": 0.4, "merge": 0.6}', 40, 0, 0,
    case when (n + tick) %% 3 = 0 then 40 else 0 end, 0, 18000, 1, array['01b2c3d4-0000-1111-0000-' || lpad(tick::text, 12, '0')],
    case when n %% 100 = 0 then 'error' when (n + tick) %% 3 = 0 then 'ok' else 'idle' end,
    case when tick = 0 then 'first run' end, case when (n + tick) %% 200 = 0 then array['column added: c'] else '{}' end,
    case when n %% 100 = 0 then 'permission denied for table' end, case when n %% 100 = 0 then 'Grant it.' end, 1
from generate_series(0, %(runs)s / %(tables)s - 1) tick
cross join lateral (select now() - interval '20 s' - (tick * interval '2 min') as at) began
cross join named;

insert into sync_hours (source_table, hour, runs_ok, runs_idle, rows_read, rows_inserted, rows_updated, bytes_staged, seconds,
    statement_count, warehouse_seconds, credits, worst_lag)
select name, date_trunc('hour', now()) - hour * interval '1 hour', 10, 20, 900, 300, 600, 200000, 60,
    60, 30, 0.01, 130
from generate_series(0, 35 * 24 - 1) hour cross join named;

insert into sync_counters (source_table, runs_ok, runs_idle, runs_error, rows_read, rows_inserted, rows_updated, bytes_staged,
    seconds, phases, statement_count, warehouse_seconds, credits, recent, applied_until)
select name, 9000, 18000, n %% 100, 900000, 300000, 600000, 2000000000, 60000,
    '{"probe": 3000, "connect": 4000, "read": 5000, "copy": 4000, "merge": 6000}', 60000, 30000, 10,
    (select jsonb_agg(jsonb_build_array('run' || tick, case when n %% 100 = 0 then 'error' when (n + tick) %% 3 = 0 then 'ok' else 'idle' end,
        extract(epoch from now() - tick * interval '2 min'), 2.0, 40, 0, 0) order by tick)
     from generate_series(0, 19) tick),
    now() - interval '145 s'
from named;

insert into sync_errors (source_table, key, key_digest, column_name, payload, reason, run_id)
select name, jsonb_build_object('id', k::text), md5(k::text), 'name', '{"id": 1}', 'value too long', 'run0'
from generate_series(1, 250) k cross join named where n %% 50 = 0;

insert into sync_ticks (holder, at, interval_seconds, version, asked_by)
values ('worker-1:17', now() - interval '20 s', 120, '1.0', 'schedule');

analyze;
