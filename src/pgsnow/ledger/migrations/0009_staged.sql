-- Rows that are read and staged, and loaded later.
alter table sync_watermarks
    add column if not exists staged jsonb,
    add column if not exists loaded_checkpoint jsonb,
    add column if not exists read_until timestamptz;

-- What a person sees of it in psql (\d+); docs/ledger.md says the same.
comment on column sync_watermarks.checkpoint is 'Where the next read begins; NULL makes it a full read. Moves only after Snowflake committed, or after the rows were staged, and never backward but to where the loading is.';
comment on column sync_watermarks.staged is 'Batches that wait in the stage to be loaded (load_every), in order: name, fence, rows, bytes, columns, since when; NULL: none.';
comment on column sync_watermarks.loaded_checkpoint is 'While batches wait: where the loading is. If their files are lost, the reading goes back to it.';
comment on column sync_watermarks.read_until is 'Every change that was committed before this moment is in Snowflake or waits in the stage.';

-- Done.
insert into pgsnow_migrations (version, name) values (9, 'staged') on conflict (version) do nothing;
