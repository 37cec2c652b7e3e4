-- Chunks of tables that cannot be read by ranges of blocks.
alter table sync_chunks
    alter column first_block drop not null,
    add column if not exists first_key text,
    add column if not exists end_key text;

-- What a person sees of it in psql (\d+); docs/ledger.md says the same.
comment on table sync_chunks is 'The chunks of a backfill: ranges of blocks of the table, and of each table below it, or of its key.';
comment on column sync_chunks.first_block is 'First block of the range; NULL: it is one of keys.';
comment on column sync_chunks.first_key is 'Smallest value of the key''s first column, as text; NULL: with the smallest there is, and with rows that have none.';
comment on column sync_chunks.end_key is 'The value that the range ends before, as text; NULL: all that follow.';

-- Done.
insert into pgsnow_migrations (version, name) values (10, 'key_ranges') on conflict (version) do nothing;
