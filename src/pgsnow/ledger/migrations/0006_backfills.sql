-- Full reads of large tables: one row for the newest of each table.
create table if not exists sync_backfills (
    id bigint generated always as identity primary key,
    source_table text not null,
    run_id text not null,
    fence bigint not null,
    layout text not null,
    checkpoint jsonb not null,
    prunes boolean not null,
    reason text not null,
    began_at timestamptz not null default now()
);

-- A table's backfills.
create index if not exists sync_backfills_table on sync_backfills (source_table);

-- Their chunks.
create table if not exists sync_chunks (
    backfill bigint not null references sync_backfills (id) on delete cascade,
    number integer not null,
    first_block bigint not null,
    end_block bigint,
    state text not null default 'open' check (state in ('open', 'done')),
    attempts integer not null default 0,
    rows bigint not null default 0,
    rows_rejected bigint not null default 0,
    bytes bigint not null default 0,
    last_watermark text,
    run_id text,
    began_at timestamptz,
    ended_at timestamptz,
    primary key (backfill, number)
);

-- Which backfill is under way. It is part of the row that every write of a run is fenced by.
alter table sync_watermarks add column if not exists backfill bigint;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.backfill is 'Backfill in progress (sync_backfills.id), which the next run continues; NULL: none. Reset by every move of the checkpoint.';
comment on table sync_backfills is 'Full reads of large tables in chunks: the newest of each table. In progress if sync_watermarks.backfill refers to it.';
comment on column sync_backfills.id is 'Number of the backfill.';
comment on column sync_backfills.source_table is 'Name of the table, as in sync_watermarks.';
comment on column sync_backfills.run_id is 'Run that started it.';
comment on column sync_backfills.fence is 'Rows written by the backfill have this fence or a larger one; rows written before it have a smaller one.';
comment on column sync_backfills.layout is 'Hash of the storage of the source''s rows and of how they are loaded; if it changes, a new backfill starts.';
comment on column sync_backfills.checkpoint is 'Captured before the first chunk was read; changes since then are read after the last one.';
comment on column sync_backfills.prunes is 'If true, rows of the target that the backfill did not write are deleted at its end.';
comment on column sync_backfills.reason is 'Why everything is read.';
comment on column sync_backfills.began_at is 'When it started.';
comment on table sync_chunks is 'Chunks of a backfill: ranges of blocks of the table and of its partitions, or ranges of its key.';
comment on column sync_chunks.backfill is 'The backfill (sync_backfills.id).';
comment on column sync_chunks.number is 'Position in the backfill, from 0.';
comment on column sync_chunks.first_block is 'First block of the range; NULL for a range of keys.';
comment on column sync_chunks.end_block is 'First block after the range; NULL: the range has no end.';
comment on column sync_chunks.state is 'open, or done: all its rows are in Snowflake.';
comment on column sync_chunks.attempts is 'Number of attempts; more than one after a run that did not finish the chunk.';
comment on column sync_chunks.rows is 'Rows loaded.';
comment on column sync_chunks.rows_rejected is 'Rows rejected, recorded in sync_errors.';
comment on column sync_chunks.bytes is 'Bytes of its rows in memory, as read.';
comment on column sync_chunks.last_watermark is 'Largest watermark of this chunk.';
comment on column sync_chunks.run_id is 'Run that started the last attempt.';
comment on column sync_chunks.began_at is 'When the last attempt started.';
comment on column sync_chunks.ended_at is 'When it was done.';

-- Done.
insert into pgsnow_migrations (version, name) values (6, 'backfills') on conflict (version) do nothing;
