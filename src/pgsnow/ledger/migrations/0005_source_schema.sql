-- The source table's definition as it was when the checkpoint moved last.
alter table sync_watermarks add column if not exists source_schema jsonb;

-- What a person sees of it in psql (\d+); docs/ledger.md says the same.
comment on column sync_watermarks.source_schema is 'The source''s columns, key and partitions as they were when the checkpoint moved last, and the target''s column for each; NULL: nothing is known yet.';
comment on column sync_watermarks.read_mode is 'How changed rows are found: watermark, xmin, lookback, cursor, full or append.';
comment on column sync_logs.status is 'How it ended: ok, idle, partial, error or stopped; applied: no run, pgsnow apply sent DDL.';

-- Done.
insert into pgsnow_migrations (version, name) values (5, 'source_schema') on conflict (version) do nothing;
