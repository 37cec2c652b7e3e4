-- Chunks of tables that cannot be read by ranges of blocks.
alter table sync_chunks
    alter column first_block drop not null,
    add column if not exists first_key text,
    add column if not exists end_key text;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_chunks is 'Chunks of a backfill: ranges of blocks of the table and of its partitions, or ranges of its key.';
comment on column sync_chunks.first_block is 'First block of the range; NULL for a range of keys.';
comment on column sync_chunks.first_key is 'Smallest value of the key''s first column in the range, as text; NULL: no lower bound, and rows without a value are included.';
comment on column sync_chunks.end_key is 'Value of the key''s first column before which the range ends, as text; NULL: the range has no end.';

-- Done.
insert into pgsnow_migrations (version, name) values (10, 'key_ranges') on conflict (version) do nothing;
