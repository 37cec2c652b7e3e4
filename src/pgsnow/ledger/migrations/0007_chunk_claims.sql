-- Chunks are claimed one by one, by any number of workers: each attempt has a fence of its own, and a lease.
alter table sync_chunks add column if not exists fences bigint[] not null default '{}';
alter table sync_chunks add column if not exists open_batches text[] not null default '{}';
alter table sync_chunks add column if not exists lease_holder text;
alter table sync_chunks add column if not exists lease_expires timestamptz;
alter table sync_chunks add column if not exists lease_session text;
alter table sync_chunks add column if not exists lock_key bigint;

-- Chunks that are there already.
update sync_chunks set lock_key = hashtextextended(current_schema || '/' || backfill || '/' || number, 0)
where lock_key is null;

-- The fences that a backfill's attempts have had.
alter table sync_backfills add column if not exists last_fence bigint;

-- Those that are there already: no attempt had one of its own.
update sync_backfills set last_fence = fence where last_fence is null;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.last_status is 'How the last run ended: ok, idle (nothing had changed), partial (rows were rejected), error, stopped, or held (other workers load the chunks of its backfill).';
comment on column sync_backfills.fence is 'Rows written by the backfill have this fence or a larger one; rows written before it have a smaller one.';
comment on column sync_backfills.last_fence is 'Fence of the newest attempt at one of its chunks; later runs have larger fences.';
comment on column sync_chunks.last_watermark is 'Largest watermark of this chunk.';
comment on column sync_chunks.fences is 'Fences of all attempts, in order. Only the last one may still write.';
comment on column sync_chunks.open_batches is 'Load batches of its attempts whose staging table or staged files may still be in Snowflake.';
comment on column sync_chunks.lease_holder is 'Worker that loads this chunk now; NULL if none does.';
comment on column sync_chunks.lease_expires is 'When the lease expires unless it is renewed; then any worker may take over the chunk. NULL if no worker holds it.';
comment on column sync_chunks.lease_session is 'Database session (process id @ server start) whose advisory lock proves that the holder is alive; NULL if there is none.';
comment on column sync_chunks.lock_key is 'Key of that advisory lock.';

-- Done.
insert into pgsnow_migrations (version, name) values (7, 'chunk_claims') on conflict (version) do nothing;
