-- Rows that are read and staged, and loaded later.
alter table sync_watermarks
    add column if not exists staged jsonb,
    add column if not exists loaded_checkpoint jsonb,
    add column if not exists read_until timestamptz;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.checkpoint is 'Position where the next read starts; NULL means a full read. It moves only after Snowflake committed or the rows were staged, and goes back only to loaded_checkpoint.';
comment on column sync_watermarks.staged is 'Batches staged for a deferred load (load_every), in order: name, fence, rows, bytes, columns, time; NULL: none.';
comment on column sync_watermarks.loaded_checkpoint is 'While batches are staged: position up to which the target is loaded. If staged files are lost, reading goes back to it.';
comment on column sync_watermarks.read_until is 'Every change committed before this time is in Snowflake or staged for it.';

-- Done.
insert into pgsnow_migrations (version, name) values (9, 'staged') on conflict (version) do nothing;
