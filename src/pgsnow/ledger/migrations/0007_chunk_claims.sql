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

-- What a person sees of it in psql (\d+); docs/ledger.md says the same.
comment on column sync_watermarks.last_status is 'How the last run ended: ok, idle (nothing had changed), partial (rows went to sync_errors), error, stopped, or held (others load the chunks of its backfill).';
comment on column sync_backfills.fence is 'Whatever the backfill wrote into the target has a larger fence than this, or the same; whatever was written before it a smaller one.';
comment on column sync_backfills.last_fence is 'The fence of the newest attempt at one of its chunks; those of later runs are larger.';
comment on column sync_chunks.last_watermark is 'Largest watermark of this chunk.';
comment on column sync_chunks.fences is 'The fences of the attempts at it, in their order. Only the last one may still write.';
comment on column sync_chunks.open_batches is 'Load units of its attempts whose staging table or staged files may still be in Snowflake.';
comment on column sync_chunks.lease_holder is 'The worker that loads this chunk now; NULL when nobody does.';
comment on column sync_chunks.lease_expires is 'From then on anyone may take the chunk, unless the lease is renewed first; NULL when nobody holds it.';
comment on column sync_chunks.lease_session is 'The database session (process id @ server start) whose advisory lock shows that the holder lives; NULL if it holds none.';
comment on column sync_chunks.lock_key is 'That advisory lock.';

-- Done.
insert into pgsnow_migrations (version, name) values (7, 'chunk_claims') on conflict (version) do nothing;
