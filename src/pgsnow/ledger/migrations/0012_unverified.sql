-- Targets that may differ from their source because the source's history went back.
alter table sync_watermarks add column if not exists unverified text;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.unverified is 'Why the target may hold rows that the source has lost; every run and pgsnow status say it until a full refresh has repaired them or pgsnow verify has found no difference. NULL: no doubt.';

-- Done.
insert into pgsnow_migrations (version, name) values (12, 'unverified') on conflict (version) do nothing;
