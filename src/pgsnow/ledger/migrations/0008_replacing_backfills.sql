-- A full read that takes the place of what the target holds, in chunks.
alter table sync_backfills add column if not exists replaces boolean not null default false;

-- What a person sees of it in psql (\d+); docs/ledger.md says the same.
comment on column sync_backfills.replaces is 'Its rows are gathered in a table beside the target, and take the place of what that holds once all are there.';

-- Done.
insert into pgsnow_migrations (version, name) values (8, 'replacing_backfills') on conflict (version) do nothing;
