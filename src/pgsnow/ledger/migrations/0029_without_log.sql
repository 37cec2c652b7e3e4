-- Why a table with `mode: log` is not read from the log.
alter table sync_watermarks add column if not exists without_log text;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.without_log is 'With mode log, why the last run did not read the table from the log, and it is not read from there afterwards; NULL: it is.';

-- Done.
insert into pgsnow_migrations (version, name) values (29, 'without_log') on conflict (version) do nothing;
