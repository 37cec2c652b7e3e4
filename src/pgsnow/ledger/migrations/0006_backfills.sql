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

-- What a person sees of it in psql (\d+); docs/ledger.md says the same.
comment on column sync_watermarks.backfill is 'The backfill under way (sync_backfills.id): the next run goes on with its chunks; NULL: none. Set back with every move of the checkpoint.';
comment on table sync_backfills is 'Full reads of large tables, chunk by chunk: the newest of each table. Under way if sync_watermarks.backfill names it.';
comment on column sync_backfills.id is 'Number of the backfill.';
comment on column sync_backfills.source_table is 'Name of the table, as in sync_watermarks.';
comment on column sync_backfills.run_id is 'The run that began it.';
comment on column sync_backfills.fence is 'The fence of that run: whatever the backfill wrote into the target has it or a larger one.';
comment on column sync_backfills.layout is 'A digest of where the source''s rows are stored and what becomes of them; with another one a new backfill begins.';
comment on column sync_backfills.checkpoint is 'Captured before the first chunk was read: what has changed since is read after the last one.';
comment on column sync_backfills.prunes is 'Rows of the target that it did not write are deleted at its end.';
comment on column sync_backfills.reason is 'Why everything is read.';
comment on column sync_backfills.began_at is 'When it began.';
comment on table sync_chunks is 'The chunks of a backfill: ranges of blocks of the table, and of each table below it.';
comment on column sync_chunks.backfill is 'The backfill (sync_backfills.id).';
comment on column sync_chunks.number is 'Position in the backfill, from 0.';
comment on column sync_chunks.first_block is 'First block of the range.';
comment on column sync_chunks.end_block is 'The block after the last one of the range; NULL: all that follow.';
comment on column sync_chunks.state is 'open, or done: all its rows are in Snowflake.';
comment on column sync_chunks.attempts is 'How often it was begun; more than once after a run that did not finish it.';
comment on column sync_chunks.rows is 'Rows loaded.';
comment on column sync_chunks.rows_rejected is 'Rows that went to sync_errors.';
comment on column sync_chunks.bytes is 'Bytes of its rows in memory, as read.';
comment on column sync_chunks.last_watermark is 'Largest watermark of this chunk and those before it.';
comment on column sync_chunks.run_id is 'The run that began it last.';
comment on column sync_chunks.began_at is 'When it was begun last.';
comment on column sync_chunks.ended_at is 'When it was done.';

-- Done.
insert into pgsnow_migrations (version, name) values (6, 'backfills') on conflict (version) do nothing;
