-- Every statement the ledger sends, but for its migrations. {schema} is the ledger's schema, quoted.
-- Each is one statement in its own transaction. Statements on several rows of sync_watermarks lock them in the
-- order of source_table first, so that no two of them can wait for each other.

-- name: claim
-- Grants those tables that nobody holds. Waits for the row first, so that of two claims one comes after the other;
-- then tries the advisory lock, but only where having it means the grant: on a row that is free or expired it is
-- wanted as a sign of life, on a held one it proves that the holder's session is gone. The holder's session must be
-- another one: a pooler that hands us the holder's own session would let us pass its lock. As many fences as are
-- reserved below the granted one are nobody else's: the chunks of a backfill are loaded under them.
with me as (
    select pg_backend_pid() || '@' || extract(epoch from pg_postmaster_start_time())::bigint as session
), wanted as (
    select * from jsonb_to_recordset(%(wanted)s) as w(name text, key bigint, locked boolean, min_age float)
), rows as (
    select w.*, wanted.key, wanted.locked, wanted.min_age
    from {schema}.sync_watermarks w
    join wanted on wanted.name = w.source_table
    order by w.source_table
    for update of w
), judged as (
    select rows.*, me.session,
        rows.lease_expires is null or rows.lease_expires <= clock_timestamp() as free,
        rows.lease_session <> me.session as foreign_session,
        case
            when rows.paused then 'paused'
            when rows.last_success between clock_timestamp() - make_interval(secs => min_age) and clock_timestamp()
                and min_age > 0 then 'not due'
        end as barred
    from rows cross join me
), tried as materialized (
    select judged.*,
        case when barred is null and (free or foreign_session) then
            case when locked then true else pg_try_advisory_lock(key) end
        end as has_lock
    from judged
), granted as (
    update {schema}.sync_watermarks w
    set fence = greatest(w.fence + 1 + %(reserved)s, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
        lease_holder = %(holder)s,
        lease_run_id = %(run_id)s,
        lease_since = clock_timestamp(),
        lease_expires = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
        lease_session = case when tried.has_lock then tried.session end
    from tried
    where w.source_table = tried.source_table
        and tried.barred is null
        and (tried.free or (tried.foreign_session and tried.has_lock))
    returning w.source_table, w.fence
)
select tried.source_table, granted.fence, tried.has_lock, tried.barred, tried.lease_holder, tried.lease_since,
    tried.checkpoint, tried.open_batches, tried.target_columns, tried.source_schema, tried.staged,
    extract(epoch from (tried.staged -> 0 ->> 'staged_at')::timestamptz)::float8 as staged_at,
    extract(epoch from clock_timestamp())::float8 as granted_at,
    exists (
        select from {schema}.sync_errors e where e.source_table = tried.source_table and e.state = 'open'
    ) as has_open_errors
from tried left join granted on granted.source_table = tried.source_table
order by tried.source_table;

-- name: add_tables
-- A row for each table that has none yet.
insert into {schema}.sync_watermarks (source_table)
select name from unnest(%(names)s::text[]) as name order by name
on conflict (source_table) do nothing;

-- name: unlock
-- Drops these advisory locks of this session.
select pg_advisory_unlock(key) from unnest(%(keys)s::bigint[]) as key;

-- name: renew
-- Puts off the expiry of leases that are still ours, and takes the advisory lock again where this session has it not.
with claims as (
    select * from jsonb_to_recordset(%(claims)s) as c(name text, fence bigint, run_id text, key bigint, locked boolean)
), mine as (
    select w.source_table, claims.key, claims.locked
    from {schema}.sync_watermarks w
    join claims on claims.name = w.source_table and claims.fence = w.fence and claims.run_id = w.lease_run_id
    order by w.source_table
    for update of w
), tried as materialized (
    select source_table, case when locked then true else pg_try_advisory_lock(key) end as has_lock from mine
), renewed as (
    update {schema}.sync_watermarks w
    set lease_expires = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
        lease_session = case when tried.has_lock then
            pg_backend_pid() || '@' || extract(epoch from pg_postmaster_start_time())::bigint
        end
    from tried
    where w.source_table = tried.source_table
)
select source_table, has_lock from tried;

-- name: release
-- Frees the leases that are still ours, and drops the advisory locks of this session.
with claims as (
    select * from jsonb_to_recordset(%(claims)s) as c(name text, fence bigint, key bigint, locked boolean)
), mine as (
    select w.source_table
    from {schema}.sync_watermarks w
    join claims on claims.name = w.source_table and claims.fence = w.fence
    order by w.source_table
    for update of w
), freed as (
    update {schema}.sync_watermarks w
    set lease_holder = null, lease_run_id = null, lease_expires = null, lease_session = null
    from mine
    where w.source_table = mine.source_table
)
select pg_advisory_unlock(key) from claims where locked;

-- name: who_holds
-- Why a fenced write found nothing to change.
select fence, lease_holder, lease_since from {schema}.sync_watermarks where source_table = %(table)s;

-- name: open_batch
-- Adds a batch once.
update {schema}.sync_watermarks
set open_batches = case
    when %(batch)s = any(open_batches) then open_batches else array_append(open_batches, %(batch)s)
end
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: close_batches
-- Takes batches off the lists of the table and of its backfill's chunks, keeping the order of the others.
with swept as (
    update {schema}.sync_chunks c
    set open_batches = array(
        select b.batch from unnest(c.open_batches) with ordinality as b(batch, at)
        where b.batch <> all(%(batches)s::text[]) order by b.at
    )
    from {schema}.sync_watermarks w
    where w.source_table = %(table)s and w.fence = %(fence)s
        and c.backfill = w.backfill and c.open_batches && %(batches)s::text[]
)
update {schema}.sync_watermarks
set open_batches = array(
    select b.batch from unnest(open_batches) with ordinality as b(batch, at)
    where b.batch <> all(%(batches)s::text[]) order by b.at
)
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: remember_target
-- The target's columns, or NULL.
update {schema}.sync_watermarks w set target_columns = %(columns)s
where source_table = %(table)s and (fence = %(fence)s or exists (
    select from {schema}.sync_chunks c
    where c.backfill = w.backfill and c.backfill = %(backfill)s and c.number = %(number)s
        and c.fences[cardinality(c.fences)] = %(fence)s
))
returning source_table;

-- name: remember_source
-- The source's definition, and where in the target its columns are.
update {schema}.sync_watermarks set source_schema = %(source)s
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: advance
-- Moves checkpoints on, and with them what is known of the source, where that is told; returns the tables that moved.
-- With the same server and mode x may only grow; a cursor has an order of its own, which is kept by the reader.
-- A backfill ends with it, and what its chunks have left in Snowflake is the table's to sweep.
-- While batches wait in the stage, only the reading moves.
with moves as (
    select * from jsonb_to_recordset(%(moves)s) as m(
        name text, fence bigint, checkpoint jsonb, watermark text, watermark_time text, applied_until text,
        source jsonb
    )
), mine as (
    select w.source_table
    from {schema}.sync_watermarks w
    join moves on moves.name = w.source_table and moves.fence = w.fence
    order by w.source_table
    for update of w
)
update {schema}.sync_watermarks w
set checkpoint = moves.checkpoint,
    read_mode = moves.checkpoint ->> 'mode',
    watermark_text = case when w.staged is null then moves.watermark else w.watermark_text end,
    last_watermark = case when w.staged is null then moves.watermark_time::timestamptz at time zone 'UTC'
        else w.last_watermark end,
    applied_until = case when w.staged is null then moves.applied_until::timestamptz else w.applied_until end,
    read_until = moves.applied_until::timestamptz,
    source_schema = coalesce(moves.source, w.source_schema),
    open_batches = w.open_batches || array(
        select b.batch from {schema}.sync_chunks c, unnest(c.open_batches) as b(batch) where c.backfill = w.backfill
    ),
    backfill = null
from moves join mine on mine.source_table = moves.name
where w.source_table = moves.name
    and w.fence = moves.fence
    and (
        w.checkpoint is null
        or w.checkpoint ->> 'mode' = 'cursor'
        or w.checkpoint -> 'mode' is distinct from moves.checkpoint -> 'mode'
        or w.checkpoint -> 'system_identifier' is distinct from moves.checkpoint -> 'system_identifier'
        or w.checkpoint -> 'timeline' is distinct from moves.checkpoint -> 'timeline'
        or (w.checkpoint ->> 'x')::numeric <= (moves.checkpoint ->> 'x')::numeric
    )
returning w.source_table;

-- name: forget
-- Makes the next read a full one, from its beginning. Also for who has a chunk of the backfill under way.
-- What waits in the stage is left to be swept.
update {schema}.sync_watermarks w
set checkpoint = null, read_mode = null, watermark_text = null, last_watermark = null, applied_until = null,
    open_batches = w.open_batches || array(
        select b.batch from {schema}.sync_chunks c, unnest(c.open_batches) as b(batch) where c.backfill = w.backfill
    ) || array(select b ->> 'batch' from jsonb_array_elements(w.staged) as b),
    backfill = null, loaded_checkpoint = null, read_until = null, staged = null
where source_table = %(table)s and (fence = %(fence)s or exists (
    select from {schema}.sync_chunks c
    where c.backfill = w.backfill and c.backfill = %(backfill)s and c.number = %(number)s
        and c.fences[cardinality(c.fences)] = %(fence)s
))
returning source_table;

-- name: stage
-- Batches that wait in the stage from now on, and where the reading is. A batch that is listed already stays as it is;
-- x may only grow, as in `advance`.
update {schema}.sync_watermarks
set loaded_checkpoint = coalesce(loaded_checkpoint, checkpoint),
    checkpoint = %(checkpoint)s,
    read_mode = %(checkpoint)s::jsonb ->> 'mode',
    read_until = %(applied_until)s::timestamptz,
    source_schema = coalesce(%(source)s::jsonb, source_schema),
    staged = coalesce(staged, '[]') || coalesce((
        select jsonb_agg(b || jsonb_build_object('staged_at', clock_timestamp()) order by at)
        from jsonb_array_elements(%(batches)s) with ordinality as n(b, at)
        where not coalesce(staged, '[]') @> jsonb_build_array(jsonb_build_object('batch', b -> 'batch'))
    ), '[]'),
    open_batches = array(
        select o.batch from unnest(open_batches) with ordinality as o(batch, at)
        where not %(batches)s::jsonb @> jsonb_build_array(jsonb_build_object('batch', o.batch)) order by o.at
    )
where source_table = %(table)s and fence = %(fence)s
    and checkpoint is not null
    and (
        checkpoint ->> 'mode' = 'cursor'
        or checkpoint -> 'mode' is distinct from %(checkpoint)s::jsonb -> 'mode'
        or checkpoint -> 'system_identifier' is distinct from %(checkpoint)s::jsonb -> 'system_identifier'
        or checkpoint -> 'timeline' is distinct from %(checkpoint)s::jsonb -> 'timeline'
        or (checkpoint ->> 'x')::numeric <= (%(checkpoint)s::jsonb ->> 'x')::numeric
    )
returning source_table;

-- name: staged_loaded
-- What waited is in the target, and the loading is where the reading is. (The pattern: only times are times.)
update {schema}.sync_watermarks
set staged = null, loaded_checkpoint = null,
    applied_until = case when staged is null then applied_until else read_until end,
    watermark_text = checkpoint ->> 'last_watermark',
    last_watermark = case when checkpoint ->> 'last_watermark' ~ '^\d\d\d\d\d?\d?-\d\d-\d\d([ T]\d\d:\d\d.*)?$'
        then (checkpoint ->> 'last_watermark')::timestamptz at time zone 'UTC' end,
    open_batches = open_batches || array(select b ->> 'batch' from jsonb_array_elements(staged) as b)
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: discard_staged
-- What waited is given up, and the reading goes back to where the loading is.
update {schema}.sync_watermarks
set checkpoint = case when staged is null or checkpoint is null then checkpoint else loaded_checkpoint end,
    staged = null, loaded_checkpoint = null,
    read_until = applied_until,
    open_batches = open_batches || array(select b ->> 'batch' from jsonb_array_elements(staged) as b)
where source_table = %(table)s and fence = %(fence)s
returning checkpoint;

-- name: backfill
-- The one under way.
select b.id, b.fence, b.layout, b.checkpoint, b.prunes, b.reason, b.replaces
from {schema}.sync_watermarks w join {schema}.sync_backfills b on b.id = w.backfill
where w.source_table = %(table)s;

-- name: chunks
-- Of one backfill, in order.
select number, first_block, end_block, first_key, end_key, state = 'done' as done, attempts, rows,
    rows_rejected as rejected, bytes as size, last_watermark, fences, open_batches
from {schema}.sync_chunks where backfill = %(backfill)s order by number;

-- name: begin_backfill
-- Takes the place of the table's earlier backfills, and of its checkpoint; what those have left in Snowflake is the
-- table's to sweep. Its fences are those that were reserved with the run's, and none that an earlier one has had.
-- (What is deleted was there before this statement, so the new one is not of it.)
with mine as (
    select source_table from {schema}.sync_watermarks
    where source_table = %(table)s and fence = %(fence)s
    for update
), before as (
    select max(b.last_fence) as last_fence from {schema}.sync_backfills b join mine using (source_table)
), earlier as (
    delete from {schema}.sync_backfills b using mine where b.source_table = mine.source_table
), made as (
    insert into {schema}.sync_backfills
        (source_table, run_id, fence, last_fence, layout, checkpoint, prunes, reason, replaces)
    select source_table, %(run_id)s, first.fence, first.fence, %(layout)s, %(checkpoint)s, %(prunes)s, %(reason)s,
        %(replaces)s
    from mine cross join before
    cross join lateral (select greatest(%(fence)s - %(reserved)s, before.last_fence + 1) as fence) first
    returning id, source_table, fence
), cut as (
    insert into {schema}.sync_chunks (backfill, number, first_block, end_block, first_key, end_key, lock_key)
    select made.id, c.number, c.first, c."end", c.first_key, c.end_key,
        hashtextextended(%(schema)s || '/' || made.id || '/' || c.number, 0)
    from made cross join jsonb_to_recordset(%(chunks)s)
        as c(number integer, first bigint, "end" bigint, first_key text, end_key text)
)
update {schema}.sync_watermarks w
set backfill = made.id,
    open_batches = w.open_batches || array(
        select b.batch from {schema}.sync_chunks c, unnest(c.open_batches) as b(batch) where c.backfill = w.backfill
    ),
    checkpoint = null, read_mode = null, watermark_text = null, last_watermark = null, applied_until = null
from made
where w.source_table = made.source_table and w.fence = %(fence)s
returning w.backfill, made.fence;

-- name: queue_for_chunks
-- Claims of chunks of one backfill come one after the other, so that each counts those before it.
select b.id from {schema}.sync_watermarks w join {schema}.sync_backfills b on b.id = w.backfill
where w.source_table = any(%(tables)s::text[])
order by b.id
for update of b;

-- name: claim_chunk
-- Grants the earliest chunk that is not done and that nobody alive has. A holder lives while its lease runs and, if it
-- has one, its advisory lock is there. Chunks that somebody is writing to at this moment are passed over.
with living as materialized (
    select (classid::bigint << 32) | objid::bigint as key from pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
        and database = (select oid from pg_database where datname = current_database())
), open as materialized (
    select w.source_table, wanted.at_most, c.backfill, c.number,
        coalesce(
            c.lease_expires > clock_timestamp()
            and (c.lease_session is null or c.lock_key in (select key from living)), false
        ) as held
    from jsonb_to_recordset(%(wanted)s) as wanted(name text, at_most integer)
    join {schema}.sync_watermarks w on w.source_table = wanted.name and not w.paused
    join {schema}.sync_chunks c on c.backfill = w.backfill and c.state = 'open'
), free as (
    select backfill, number from open
    where not held and backfill not in (
        select backfill from open group by backfill, at_most having count(*) filter (where held) >= at_most
    )
), picked as (
    select c.backfill, c.number
    from {schema}.sync_chunks c join free using (backfill, number)
    where c.state = 'open'
    order by c.number, c.backfill
    limit 1
    for update of c skip locked
), fenced as (
    update {schema}.sync_backfills b set last_fence = b.last_fence + 1
    from picked where b.id = picked.backfill
    returning b.id, b.source_table, b.layout, b.fence, b.replaces, b.last_fence
), tried as materialized (
    select c.backfill, c.number,
        case when c.lock_key = any(%(locked)s::bigint[]) then true else pg_try_advisory_lock(c.lock_key) end as has_lock
    from picked join {schema}.sync_chunks c using (backfill, number)
)
update {schema}.sync_chunks c
set attempts = c.attempts + 1, fences = c.fences || fenced.last_fence, run_id = %(run_id)s,
    began_at = clock_timestamp(), lease_holder = %(holder)s,
    lease_expires = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
    lease_session = case when tried.has_lock then
        pg_backend_pid() || '@' || extract(epoch from pg_postmaster_start_time())::bigint
    end
from tried
join fenced on fenced.id = tried.backfill
join {schema}.sync_watermarks w on w.source_table = fenced.source_table
where c.backfill = tried.backfill and c.number = tried.number
returning w.source_table, w.target_columns, w.source_schema, fenced.layout, fenced.fence as backfill_fence,
    fenced.replaces, tried.has_lock, c.lock_key,
    c.backfill, c.number, c.first_block, c.end_block, c.first_key, c.end_key, c.attempts, c.fences, c.open_batches,
    exists (
        select from {schema}.sync_errors e where e.source_table = w.source_table and e.state = 'open'
    ) as has_open_errors;

-- name: renew_chunks
-- Puts off the expiry of chunks that are still ours, and takes the advisory lock again where this session has it not.
with claims as (
    select * from jsonb_to_recordset(%(claims)s) as c(backfill bigint, number integer, fence bigint, locked boolean)
), mine as (
    select c.backfill, c.number, c.lock_key, claims.locked
    from {schema}.sync_chunks c join claims using (backfill, number)
    where c.fences[cardinality(c.fences)] = claims.fence and c.lease_expires is not null
    order by c.backfill, c.number
    for update of c
), tried as materialized (
    select backfill, number, lock_key, case when locked then true else pg_try_advisory_lock(lock_key) end as has_lock
    from mine
), renewed as (
    update {schema}.sync_chunks c
    set lease_expires = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
        lease_session = case when tried.has_lock then
            pg_backend_pid() || '@' || extract(epoch from pg_postmaster_start_time())::bigint
        end
    from tried
    where c.backfill = tried.backfill and c.number = tried.number
)
select backfill, number, lock_key, has_lock from tried;

-- name: release_chunks
-- Frees the chunks that are still ours, and drops the advisory locks of this session.
with claims as (
    select * from jsonb_to_recordset(%(claims)s) as c(backfill bigint, number integer, fence bigint)
), mine as (
    select c.backfill, c.number
    from {schema}.sync_chunks c join claims using (backfill, number)
    where c.fences[cardinality(c.fences)] = claims.fence
    order by c.backfill, c.number
    for update of c
), freed as (
    update {schema}.sync_chunks c
    set lease_holder = null, lease_expires = null, lease_session = null
    from mine
    where c.backfill = mine.backfill and c.number = mine.number
)
select pg_advisory_unlock(key) from unnest(%(locked)s::bigint[]) as key;

-- name: finish_chunk
-- Once all its rows are in Snowflake.
update {schema}.sync_chunks c
set state = 'done', rows = %(rows)s, rows_rejected = %(rejected)s, bytes = %(bytes)s,
    last_watermark = %(last_watermark)s, ended_at = clock_timestamp()
from {schema}.sync_watermarks w
where w.source_table = %(table)s and w.backfill = c.backfill
    and c.backfill = %(backfill)s and c.number = %(number)s and c.fences[cardinality(c.fences)] = %(fence)s
returning c.number;

-- name: open_chunk_batch
-- Adds a batch once.
update {schema}.sync_chunks c
set open_batches = case
    when %(batch)s = any(c.open_batches) then c.open_batches else array_append(c.open_batches, %(batch)s)
end
from {schema}.sync_watermarks w
where w.source_table = %(table)s and w.backfill = c.backfill
    and c.backfill = %(backfill)s and c.number = %(number)s and c.fences[cardinality(c.fences)] = %(fence)s
returning c.number;

-- name: close_chunk_batches
-- Takes batches off the list, keeping the order of the others.
update {schema}.sync_chunks c
set open_batches = array(
    select b.batch from unnest(c.open_batches) with ordinality as b(batch, at)
    where b.batch <> all(%(batches)s::text[]) order by b.at
)
from {schema}.sync_watermarks w
where w.source_table = %(table)s and w.backfill = c.backfill
    and c.backfill = %(backfill)s and c.number = %(number)s and c.fences[cardinality(c.fences)] = %(fence)s
returning c.number;

-- name: chunk_counts
-- How far a table's backfill is. held: see claim_chunk.
with living as materialized (
    select (classid::bigint << 32) | objid::bigint as key from pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
        and database = (select oid from pg_database where datname = current_database())
)
select count(*) as chunks, count(*) filter (where c.state = 'done') as done,
    count(*) filter (
        where c.state = 'open' and c.lease_expires > clock_timestamp()
        and (c.lease_session is null or c.lock_key in (select key from living))
    ) as held
from {schema}.sync_watermarks w join {schema}.sync_chunks c on c.backfill = w.backfill
where w.source_table = %(table)s
having count(*) > 0;

-- name: record_runs
-- Logs runs, and notes the outcome of those that still hold their lease. A run that is logged already is left
-- alone, so that sending this twice counts nothing twice. With only_log, sync_watermarks is left as it is. A run that was
-- held up by others who load the table tells no outcome: the last one stands.
with runs as (
    select * from jsonb_to_recordset(%(runs)s) as r(
        run_id text, source_table text, target_table text, started_at timestamptz, ended_at timestamptz,
        seconds double precision, phases jsonb, rows_read bigint, rows_rejected bigint, rows_dropped bigint,
        rows_inserted bigint, rows_updated bigint, bytes_staged bigint, load_units integer, query_ids text[],
        status text, full_read text, events text[], error text, error_type text, advice text, last_watermark text,
        fence bigint
    )
), logged as (
    insert into {schema}.sync_logs (
        run_id, source_table, target_table, started_at, ended_at, seconds, phases, rows_read, rows_rejected,
        rows_dropped, rows_inserted, rows_updated, bytes_staged, load_units, query_ids, status, full_read, events,
        error, error_type, advice, last_watermark, fence
    )
    select run_id, source_table, target_table, started_at, ended_at, seconds, phases, rows_read, rows_rejected,
        rows_dropped, rows_inserted, rows_updated, bytes_staged, load_units, query_ids, status, full_read, events,
        error, error_type, advice, last_watermark, fence
    from runs
    on conflict (run_id, source_table) do nothing
    returning run_id, source_table
), mine as (
    select w.source_table
    from {schema}.sync_watermarks w
    join runs on runs.source_table = w.source_table and runs.fence = w.fence
    where not %(only_log)s
    order by w.source_table
    for update of w
)
update {schema}.sync_watermarks w
set last_run = w.lease_since at time zone 'UTC',
    last_success = case when runs.status = any(%(success)s::text[]) then w.lease_since else w.last_success end,
    last_status = case when runs.status = 'held' then w.last_status else runs.status end,
    last_error = case when runs.status = 'held' then w.last_error else runs.error end,
    rows_processed = runs.rows_inserted + runs.rows_updated,
    rows_total = w.rows_total + runs.rows_inserted + runs.rows_updated,
    target_table = runs.target_table,
    consecutive_failures = case
        when runs.status = any(%(success)s::text[]) then 0
        when runs.status = 'error' then w.consecutive_failures + 1
        else w.consecutive_failures
    end
from runs
join logged on logged.source_table = runs.source_table and logged.run_id = runs.run_id
join mine on mine.source_table = runs.source_table
where w.source_table = runs.source_table and w.fence = runs.fence
returning w.source_table;

-- name: add_rejected_rows
-- Opens errors, or counts them up. Tells whether the lease was still ours: if not, nothing was written.
with mine as (
    select source_table from {schema}.sync_watermarks w
    where source_table = %(table)s and (fence = %(fence)s or exists (
        select from {schema}.sync_chunks c
        where c.backfill = w.backfill and c.backfill = %(backfill)s and c.number = %(number)s
            and c.fences[cardinality(c.fences)] = %(fence)s
    ))
    for share
), written as (
    insert into {schema}.sync_errors as e (
        source_table, key, key_digest, column_name, payload, reason, run_id, occurrences
    )
    select mine.source_table, r.key, r.digest, r.column_name, r.payload, r.reason, %(run_id)s, r.occurrences
    from mine cross join jsonb_to_recordset(%(rows)s) as r(
        key jsonb, digest text, column_name text, payload jsonb, reason text, occurrences integer
    )
    on conflict (source_table, key_digest) where state = 'open' do update
    set column_name = excluded.column_name, payload = excluded.payload, reason = excluded.reason,
        run_id = excluded.run_id, occurrences = e.occurrences + excluded.occurrences, updated_at = clock_timestamp()
    returning 1
)
select exists (select from mine) as ours, (select count(*) from written) as changed;

-- name: resolve_rejected_rows
-- Marks open errors replayed. Tells whether the lease was still ours.
with mine as (
    select source_table from {schema}.sync_watermarks w
    where source_table = %(table)s and (fence = %(fence)s or exists (
        select from {schema}.sync_chunks c
        where c.backfill = w.backfill and c.backfill = %(backfill)s and c.number = %(number)s
            and c.fences[cardinality(c.fences)] = %(fence)s
    ))
    for share
), written as (
    update {schema}.sync_errors e set state = 'replayed', updated_at = clock_timestamp()
    from mine
    where e.source_table = mine.source_table and e.state = 'open' and e.key_digest = any(%(digests)s::text[])
    returning 1
)
select exists (select from mine) as ours, (select count(*) from written) as changed;

-- name: open_keys
-- Keys with an open error, oldest first.
select key from {schema}.sync_errors where source_table = %(table)s and state = 'open' order by id;

-- name: rejected_rows
-- Rejected rows, newest first. A parameter that is NULL stands for any.
select id, source_table, key, column_name as "column", reason, payload, run_id, state, occurrences, created_at, updated_at
from {schema}.sync_errors
where (%(table)s::text is null or source_table = %(table)s)
    and (%(state)s::text is null or state = %(state)s)
    and (%(ids)s::bigint[] is null or id = any(%(ids)s))
order by updated_at desc, id desc
limit %(limit)s;

-- name: dismiss
-- Marks open errors dismissed.
update {schema}.sync_errors set state = 'dismissed', updated_at = clock_timestamp()
where id = any(%(ids)s::bigint[]) and state = 'open'
returning id;

-- name: watermarks
-- All tables. Lag is counted from what is known to be applied, or else from the last success.
select w.source_table, w.target_table, coalesce(w.watermark_text, w.last_watermark::text) as last_watermark,
    w.last_run at time zone 'UTC' as last_run, w.last_success, w.last_status, w.last_error,
    coalesce(w.rows_processed, 0) as rows_processed, w.read_mode,
    case when w.lease_expires > clock_timestamp() then w.lease_holder end as lease_holder,
    coalesce(e.open_errors, 0) as open_errors,
    case when lag.since is not null then
        greatest(0, extract(epoch from clock_timestamp() - lag.since))::float8
    end as lag_seconds,
    chunks.count as chunks, chunks.done as chunks_done, chunks.rows as chunk_rows, chunks.bytes as chunk_bytes,
    chunks.seconds as backfill_seconds,
    coalesce(staged.rows, 0)::bigint as staged_rows, coalesce(staged.bytes, 0)::bigint as staged_bytes,
    case when lag.read is not null then
        greatest(0, extract(epoch from clock_timestamp() - lag.read))::float8
    end as read_lag_seconds
from {schema}.sync_watermarks w
cross join lateral (
    select coalesce(w.applied_until, w.last_success) as since,
        coalesce(w.read_until, w.applied_until, w.last_success) as read
) lag
cross join lateral (
    select sum((b ->> 'rows')::bigint) as rows, sum((b ->> 'size')::bigint) as bytes
    from jsonb_array_elements(w.staged) as b
) staged
left join (
    select source_table, count(*) as open_errors from {schema}.sync_errors where state = 'open' group by source_table
) e on e.source_table = w.source_table
left join lateral (
    select count(*), count(*) filter (where c.state = 'done') as done, sum(c.rows)::bigint as rows,
        sum(c.bytes)::bigint as bytes, extract(epoch from clock_timestamp() - min(b.began_at))::float8 as seconds
    from {schema}.sync_chunks c join {schema}.sync_backfills b on b.id = c.backfill
    where c.backfill = w.backfill
) chunks on w.backfill is not null
order by w.source_table;

-- name: checkpoints
-- How far each table is.
select source_table, checkpoint from {schema}.sync_watermarks where checkpoint is not null;

-- name: source_definitions
-- The stored definition of each source.
select source_table, source_schema from {schema}.sync_watermarks where source_schema is not null;

-- name: logs
-- The newest runs.
select run_id, source_table, target_table, started_at, ended_at, seconds, phases, rows_read, rows_rejected,
    rows_dropped, rows_inserted, rows_updated, bytes_staged, load_units, query_ids, status, full_read, events,
    error, error_type, advice, last_watermark, fence
from {schema}.sync_logs
where %(table)s::text is null or source_table = %(table)s
order by started_at desc, run_id desc, source_table
limit %(limit)s;

-- name: purge_logs
-- Deletes the oldest runs, a bounded number at a time.
delete from {schema}.sync_logs where ctid in (
    select ctid from {schema}.sync_logs
    where started_at < clock_timestamp() - make_interval(days => %(days)s)
    order by started_at
    limit %(limit)s
);

-- name: virtual_xids
-- The last listing of a source.
select taken_at, begun from {schema}.sync_horizon where source = %(source)s;

-- name: save_virtual_xids
-- Keeps one listing a source. Any listing is a valid base for the next, so the last to come may win.
insert into {schema}.sync_horizon (source, taken_at, begun) values (%(source)s, %(taken_at)s, %(begun)s)
on conflict (source) do update
set taken_at = excluded.taken_at, begun = excluded.begun, updated_at = clock_timestamp();

-- name: version
-- The newest migration that ran here.
select coalesce(max(version), 0) as version from {schema}.pgsnow_migrations;
