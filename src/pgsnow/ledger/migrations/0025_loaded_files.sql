-- Files of loaded batches that wait until they are removed from their stage, many at once.
create table if not exists sync_loaded_files (
    account text not null,
    location text not null,
    batch text not null,
    source_table text not null,
    bytes bigint not null default 0,
    loaded_at timestamptz not null default clock_timestamp(),
    not_before timestamptz not null default clock_timestamp(),
    taken_at timestamptz,
    primary key (account, location, batch)
);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_loaded_files is 'Staged files that are loaded and wait to be removed, one row for each load batch. One statement removes those of many batches; then their rows are deleted.';
comment on column sync_loaded_files.account is 'The Snowflake account of the stage; empty for a bucket.';
comment on column sync_loaded_files.location is 'The stage, as quoted in SQL, or the address of the bucket and its prefix.';
comment on column sync_loaded_files.batch is 'The load batch, which is the name of the folder.';
comment on column sync_loaded_files.source_table is 'The table whose run loaded the files.';
comment on column sync_loaded_files.bytes is 'Size of the files.';
comment on column sync_loaded_files.loaded_at is 'When they were loaded.';
comment on column sync_loaded_files.not_before is 'The earliest time at which they may be removed.';
comment on column sync_loaded_files.taken_at is 'When a worker last began to remove them; NULL: none has.';

-- Done.
insert into pgsnow_migrations (version, name) values (25, 'loaded_files') on conflict (version) do nothing;
