-- A full read that takes the place of what the target holds, in chunks.
alter table sync_backfills add column if not exists replaces boolean not null default false;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_backfills.replaces is 'If true, its rows are collected in a shadow table and replace the target''s content at the end.';

-- Done.
insert into pgsnow_migrations (version, name) values (8, 'replacing_backfills') on conflict (version) do nothing;
