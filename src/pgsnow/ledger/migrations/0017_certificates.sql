-- What comparisons of a table with its target have shown, and the round of a continuous one.
alter table sync_watermarks
    add column if not exists verification jsonb,
    add column if not exists verification_bounds jsonb;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.verification is 'What comparisons with the target have shown: the newest certificate of each method, the round of verify_every that is under way, and the differences that are not repaired. NULL: it was never compared.';
comment on column sync_watermarks.verification_bounds is 'First keys of the ranges of that round, except of its first range.';

-- Done.
insert into pgsnow_migrations (version, name) values (17, 'certificates') on conflict (version) do nothing;
