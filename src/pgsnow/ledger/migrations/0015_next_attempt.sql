-- When a table that fails is tried again.
alter table sync_watermarks
    add column if not exists next_attempt_at timestamptz,
    add column if not exists lasting_failures integer not null default 0,
    add column if not exists failed_entry text;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.next_attempt_at is 'Scheduled runs leave the table alone until then, because it has failed several times in a row; a changed entry in the table list and a request for this table are tried at once. NULL: the next tick tries it.';
comment on column sync_watermarks.lasting_failures is 'Runs in a row that ended with an error that is not likely to pass by itself; the next attempt depends on it.';
comment on column sync_watermarks.failed_entry is 'Hash of the table''s entry in the table list, and of the connections, with which the last run failed.';
comment on column sync_watermarks.last_status is 'How the last run ended: ok, idle (nothing had changed), partial (rows were rejected), error, stopped, or locked (other workers load the chunks of its backfill; held in older versions).';

-- Done.
insert into pgsnow_migrations (version, name) values (15, 'next_attempt') on conflict (version) do nothing;
