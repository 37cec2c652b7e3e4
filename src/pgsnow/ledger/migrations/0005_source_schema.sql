-- The source table's definition as it was when the checkpoint moved last.
alter table sync_watermarks add column if not exists source_schema jsonb;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.source_schema is 'The source''s columns, key and partitions at the last move of the checkpoint, and the target column of each; NULL: unknown.';
comment on column sync_watermarks.read_mode is 'How changed rows are found: watermark, xmin, lookback, cursor, full or append.';
comment on column sync_logs.status is 'How it ended: ok, idle, partial, error or stopped; applied: not a run, pgsnow apply sent DDL.';

-- Done.
insert into pgsnow_migrations (version, name) values (5, 'source_schema') on conflict (version) do nothing;
