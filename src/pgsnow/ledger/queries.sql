-- Every statement the ledger sends, except its migrations. {schema} is the ledger's schema, quoted.
-- Each statement is a transaction of its own. Statements on several rows of sync_watermarks lock them in the
-- order of source_table first, so that no two statements can deadlock.

-- name: claim
-- Grants those tables that no run holds. Locks the rows first, so that of two claims one waits for the other. Then
-- tries the advisory lock, but only where having it means a grant: on a row that is free or expired it shows other
-- workers that this session is alive; on a held row it proves that the holder's session is gone. The holder's session
-- must be another than ours: a pooler that lends us the holder's own session would let us take its lock. Without a
-- session of our own (has_own_session) a lock is taken for the transaction alone: it proves the same, and stays with no
-- session that a pooler lends to others. The `reserved` fences directly below the granted one are granted to no other
-- run: the chunks of a backfill use them. A fence that cannot grow was edited by hand; then the clock's is granted.
-- written_watermark: what pgsnow wrote into watermark_text. A tick over all tables is noted (interval > 0).
with me as (
    select pg_backend_pid() || '@' || extract(epoch from pg_postmaster_start_time())::bigint as session
), wanted as (
    select * from jsonb_to_recordset(%(wanted)s) as w(
        name text, key bigint, locked boolean, min_age float, entry text, early float
    )
), rows as (
    select w.*, wanted.key, wanted.locked, wanted.min_age, wanted.entry, wanted.early
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
            when rows.next_attempt_at > clock_timestamp() + make_interval(secs => early)
                and rows.failed_entry = rows.entry then 'backing off'
            when rows.last_success between clock_timestamp() - make_interval(secs => min_age) and clock_timestamp()
                and min_age > 0 and rows.backfill is null then 'not due'
        end as refusal
    from rows cross join me
), tried as materialized (
    select judged.*,
        case when refusal is null and (free or foreign_session) then
            case when locked then true when %(has_own_session)s then pg_try_advisory_lock(key)
                else pg_try_advisory_xact_lock(key) end
        end as has_lock
    from judged
), granted as (
    update {schema}.sync_watermarks w
    set fence = greatest(
            case when w.fence < 9000000000000000000 then w.fence + 1 + %(reserved)s end, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
        lease_holder = %(holder)s,
        lease_run_id = %(run_id)s,
        lease_since = clock_timestamp(),
        lease_expires = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
        lease_session = case when tried.has_lock and %(has_own_session)s then tried.session end,
        sweep = case
            -- The last run has not released the table, or not cleaned up: a statement of it may commit late (see
            -- sweep_due_again).
            when w.lease_run_id is not null or cardinality(w.open_batches) > 0 then coalesce(w.sweep, jsonb_build_object()) || jsonb_build_object(
                'unsure_since', extract(epoch from clock_timestamp())::float8,
                'unsure_until', extract(epoch from clock_timestamp())::float8 + 3600)
            else w.sweep
        end,
        next_attempt_at = null
    from tried
    where w.source_table = tried.source_table
        and tried.refusal is null
        and (tried.free or (tried.foreign_session and tried.has_lock))
    returning w.source_table, w.fence, w.sweep
), noted as (
    insert into {schema}.sync_ticks (holder, at, interval_seconds, version, asked_by)
    select %(holder)s::text, clock_timestamp(), %(interval)s::float8, %(version)s::text, %(asked_by)s::text
    where %(interval)s::float8 > 0
    on conflict (holder) do update
    set at = excluded.at, interval_seconds = excluded.interval_seconds, version = excluded.version,
        asked_by = excluded.asked_by
)
select tried.source_table, granted.fence, tried.has_lock and %(has_own_session)s as has_lock, tried.refusal, tried.lease_holder, tried.lease_since,
    tried.checkpoint, tried.open_batches, tried.target_columns, tried.target_created_on, tried.target_rows,
    coalesce(tried.loaded_columns, tried.target_columns) as loaded_columns, tried.source_schema, tried.staged, tried.unverified,
    granted.sweep, tried.created_target, tried.lasting_failures, tried.failed_entry, tried.next_attempt_at, tried.last_error,
    tried.last_watermark::text as last_watermark, tried.watermark_text, coalesce(tried.loaded_checkpoint, tried.checkpoint) ->> 'last_watermark' as written_watermark,
    extract(epoch from clock_timestamp())::float8 as granted_at,
    tried.verification, coalesce(tried.places, '[]') as places, (select min(id) from {schema}.pgsnow_ledger) as ledger,
    extract(epoch from clock_timestamp() - tried.last_success)::float8 as idle_seconds,
    exists (
        select from {schema}.sync_errors e where e.source_table = tried.source_table and e.state = 'open'
    ) as has_open_errors,
    exists (select from {schema}.sync_requests where state in ('open', 'taken')) as has_requests
from tried left join granted on granted.source_table = tried.source_table
order by tried.source_table;

-- name: add_tables
-- Adds a row for each table that has none.
insert into {schema}.sync_watermarks (source_table)
select name from unnest(%(names)s::text[]) as name order by name
on conflict (source_table) do nothing;

-- name: unlock
-- Drops these advisory locks of this session.
select pg_advisory_unlock(key) from unnest(%(keys)s::bigint[]) as key;

-- name: renew
-- Extends the leases that are still ours, and takes the advisory lock again where this session does not have it.
with claims as (
    select * from jsonb_to_recordset(%(claims)s) as c(name text, fence bigint, run_id text, key bigint, locked boolean)
), mine as (
    select w.source_table, claims.key, claims.locked
    from {schema}.sync_watermarks w
    join claims on claims.name = w.source_table and claims.fence = w.fence and claims.run_id = w.lease_run_id
    order by w.source_table
    for update of w
), tried as materialized (
    select source_table, case when locked then true when %(has_own_session)s then pg_try_advisory_lock(key)
        else false end as has_lock
    from mine
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

-- name: lease_of
-- The lease of a table: explains why a fenced write changed nothing.
select fence, lease_holder, lease_since from {schema}.sync_watermarks where source_table = %(table)s;

-- name: open_batch
-- Lists a batch, once. While a batch is open, the number of the target's rows is not known.
update {schema}.sync_watermarks
set target_rows = null, open_batches = case
    when %(batch)s = any(open_batches) then open_batches else array_append(open_batches, %(batch)s)
end
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: files_due
-- A row if enough loaded files wait at this place, or for long enough: a part of the statements that close batches.
select from (
    select min(f.loaded_at) as oldest, sum(f.bytes) as bytes, count(*) as files
    from {schema}.sync_loaded_files f
    where f.not_before <= clock_timestamp()
        and (f.taken_at is null or f.taken_at < clock_timestamp() - interval '1 hour')
        and (f.location = %(location)s and f.account in (%(account)s, '')
            or f.account = %(account)s and f.loaded_at < clock_timestamp() - interval '1 hour')
) waiting
where waiting.oldest < clock_timestamp() - interval '10 minutes' or waiting.bytes > 256 << 20 or waiting.files >= 500;

-- name: close_batches
-- Removes batches from the lists of the table and of its backfill's chunks, keeping the order of the others. Those of
-- `waiting` are loaded, and their files wait to be removed (a bucket belongs to no account). due: enough files wait here.
with swept as (
    update {schema}.sync_chunks c
    set open_batches = array(
        select b.batch from unnest(c.open_batches) with ordinality as b(batch, at)
        where b.batch <> all(%(batches)s::text[]) order by b.at
    )
    from {schema}.sync_watermarks w
    where w.source_table = %(table)s and w.fence = %(fence)s
        and c.backfill = w.backfill and c.open_batches && %(batches)s::text[]
), closed as (
    update {schema}.sync_watermarks
    set open_batches = array(
        select b.batch from unnest(open_batches) with ordinality as b(batch, at)
        where b.batch <> all(%(batches)s::text[]) order by b.at
    )
    where source_table = %(table)s and fence = %(fence)s
    returning source_table
), waits as (
    insert into {schema}.sync_loaded_files (account, location, batch, source_table, bytes, not_before)
    select n.account, n.location, n.batch, closed.source_table, n.size,
        clock_timestamp() + make_interval(secs => n.grace)
    from closed, jsonb_to_recordset(%(waiting)s) as n(account text, location text, batch text, size bigint, grace float8)
    on conflict (account, location, batch) do nothing
)
select closed.source_table, exists (
{files_due}
) as due
from closed;

-- name: remember_target
-- Stores the target's columns, or NULL, when it was created, and the columns that are loaded.
update {schema}.sync_watermarks w
set target_columns = %(columns)s, target_created_on = %(created_on)s,
    loaded_columns = %(loaded)s
where source_table = %(table)s and (fence = %(fence)s or exists (
    select from {schema}.sync_chunks c
    where c.backfill = w.backfill and c.backfill = %(backfill)s and c.number = %(number)s
        and c.fences[cardinality(c.fences)] = %(fence)s
))
returning source_table;

-- name: forget_rows
-- Rows of the target are about to be added or removed: their number is not known until the checkpoint moves.
update {schema}.sync_watermarks set target_rows = null
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: remember_source
-- Stores the source's definition and the columns in the target that its columns have.
update {schema}.sync_watermarks set source_schema = %(source)s
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: doubt
-- Records why the target may hold rows that the source has lost, or NULL.
update {schema}.sync_watermarks set unverified = %(why)s
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: owners
-- The ledger's id, with what each table's row was used for.
select l.id as ledger, w.source_table, w.checkpoint, coalesce(w.places, '[]') as places,
    extract(epoch from clock_timestamp() - w.last_success)::float8 as idle_seconds
from (select coalesce(min(id), '') as id from {schema}.pgsnow_ledger) l left join {schema}.sync_watermarks w on true;

-- name: remember_places
-- Stores what this row is used for, and was used for before.
update {schema}.sync_watermarks set places = %(places)s
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: try_again
-- Lets the next tick try a table that has failed several times in a row.
update {schema}.sync_watermarks set next_attempt_at = null, lasting_failures = 0
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: start_over
-- For a target with rows of a later fence than any that was granted: ends the claim, lets the next one have a fence
-- above them, and makes the next read a full one. A claim of a chunk suffices, as in `forget`, which has the rest.
update {schema}.sync_watermarks w
set fence = %(above)s, lease_holder = null, lease_run_id = null, lease_expires = null, lease_session = null,
    unverified = %(why)s, last_status = 'error', last_error = %(why)s,
    checkpoint = null, read_mode = null, watermark_text = null, last_watermark = null, applied_until = null,
    open_batches = w.open_batches || array(
        select b.batch from {schema}.sync_chunks c, unnest(c.open_batches) as b(batch) where c.backfill = w.backfill
    ) || array(select b ->> 'batch' from jsonb_array_elements(w.staged) as b),
    backfill = null, loaded_checkpoint = null, read_until = null, staged = null
where source_table = %(table)s and fence < %(above)s and (fence = %(fence)s or exists (
    select from {schema}.sync_chunks c
    where c.backfill = w.backfill and c.backfill = %(backfill)s and c.number = %(number)s
        and c.fences[cardinality(c.fences)] = %(fence)s
))
returning source_table;

-- name: verified
-- Removes that doubt, unless a later event has given another reason for it.
update {schema}.sync_watermarks set unverified = null
where source_table = %(table)s and unverified = %(why)s
returning source_table;

-- name: verification
-- What comparisons have shown of one table.
select verification from {schema}.sync_watermarks where source_table = %(table)s;

-- name: verification_bounds
-- First keys of the ranges of the round under way.
select verification_bounds from {schema}.sync_watermarks where source_table = %(table)s;

-- name: record_certificate
-- Stores the result of a comparison by a command; the round under way stays.
update {schema}.sync_watermarks
set verification = case when jsonb_typeof(verification) = 'object' then verification else jsonb_build_object() end || %(stored)s
where source_table = %(table)s
returning source_table;

-- name: save_verification
-- Stores what a run has compared, and the ranges of a round that begins.
update {schema}.sync_watermarks
set verification = %(stored)s, verification_bounds = coalesce(%(bounds)s, verification_bounds)
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: advance
-- Moves checkpoints, and stores the source's definition where one is given; returns the tables that moved.
-- With the same server and mode, x never decreases; a cursor has its own order, which the reader keeps.
-- It ends the backfill under way; the batches that its chunks left in Snowflake become open batches of the table.
-- While batches are staged, only the checkpoint of what was read moves; a watermark that was set by hand is as it was.
-- pending: since when a sweep is due. A chunk that was loaded more than once may be loaded late (see sweep_due_again).
with moves as (
    select * from jsonb_to_recordset(%(moves)s) as m(
        name text, fence bigint, checkpoint jsonb, watermark text, watermark_time text, applied_until text,
        source jsonb, loaded boolean, target_rows bigint, pending jsonb
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
    watermark_text = case when w.staged is null then moves.watermark
        else w.loaded_checkpoint ->> 'last_watermark' end,
    last_watermark = case when w.staged is null then moves.watermark_time::timestamptz at time zone 'UTC'
        when w.loaded_checkpoint ->> 'last_watermark' ~ '^\d\d\d\d\d?\d?-\d\d-\d\d([ T]\d\d:\d\d.*)?$'
        then (w.loaded_checkpoint ->> 'last_watermark')::timestamptz at time zone 'UTC' end,
    applied_until = case when w.staged is null then moves.applied_until::timestamptz else w.applied_until end,
    read_until = moves.applied_until::timestamptz,
    source_schema = coalesce(moves.source, w.source_schema),
    target_rows = case when moves.loaded then moves.target_rows else w.target_rows end,
    sweep = case
        when exists (select from {schema}.sync_chunks c where c.backfill = w.backfill and c.attempts > 1) then
            coalesce(w.sweep, jsonb_build_object()) || coalesce(moves.pending, jsonb_build_object()) || jsonb_build_object(
                'unsure_since', extract(epoch from clock_timestamp())::float8,
                'unsure_until', extract(epoch from clock_timestamp())::float8 + 3600)
        when moves.pending is not null then coalesce(w.sweep, jsonb_build_object()) || moves.pending
        else w.sweep
    end,
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
-- Makes the next read a full one, from its beginning. A claim of a chunk of the backfill under way suffices.
-- created_target: its name, if pgsnow has just created it.
-- Staged batches become open batches. With created_on, the target is another one than before, or not as it was.
update {schema}.sync_watermarks w
set unverified = coalesce(%(doubt)s, unverified), target_rows = null,
    target_created_on = coalesce(%(created_on)s, target_created_on),
    created_target = coalesce(%(created_target)s, created_target),
    target_columns = case when %(created_on)s::text is null then target_columns end,
    loaded_columns = case when %(created_on)s::text is null then loaded_columns end,
    checkpoint = null, read_mode = null, watermark_text = null, last_watermark = null, applied_until = null,
    open_batches = w.open_batches || array(
        select b.batch from {schema}.sync_chunks c, unnest(c.open_batches) as b(batch) where c.backfill = w.backfill
    ) || array(
        select b ->> 'batch' from jsonb_array_elements(case when jsonb_typeof(w.staged) = 'array' then w.staged end) as b
    ),
    backfill = null, loaded_checkpoint = null, read_until = null, staged = null
where source_table = %(table)s and (fence = %(fence)s or exists (
    select from {schema}.sync_chunks c
    where c.backfill = w.backfill and c.backfill = %(backfill)s and c.number = %(number)s
        and c.fences[cardinality(c.fences)] = %(fence)s
))
returning source_table;

-- name: stage
-- Adds staged batches, and moves the checkpoint of what was read. A batch that is listed already keeps
-- its entry; x never decreases, as in `advance`. A watermark that was set by hand is as it was before.
update {schema}.sync_watermarks
set loaded_checkpoint = coalesce(loaded_checkpoint, checkpoint), target_rows = %(rows)s,
    watermark_text = coalesce(loaded_checkpoint, checkpoint) ->> 'last_watermark',
    last_watermark = case when coalesce(loaded_checkpoint, checkpoint) ->> 'last_watermark'
        ~ '^\d\d\d\d\d?\d?-\d\d-\d\d([ T]\d\d:\d\d.*)?$'
        then (coalesce(loaded_checkpoint, checkpoint) ->> 'last_watermark')::timestamptz at time zone 'UTC' end,
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
-- Records that the waiting batches are in the target: the checkpoint of the loading is now that of the reading.
-- (The pattern lets only dates and times into last_watermark.)
update {schema}.sync_watermarks
set staged = null, loaded_checkpoint = null, target_rows = %(rows)s,
    applied_until = case when staged is null then applied_until else read_until end,
    watermark_text = checkpoint ->> 'last_watermark',
    last_watermark = case when checkpoint ->> 'last_watermark' ~ '^\d\d\d\d\d?\d?-\d\d-\d\d([ T]\d\d:\d\d.*)?$'
        then (checkpoint ->> 'last_watermark')::timestamptz at time zone 'UTC' end,
    open_batches = open_batches || array(select b ->> 'batch' from jsonb_array_elements(staged) as b)
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: kept_uploaded
-- These staged batches, which were kept in log_spool_dir, are in the stage now.
update {schema}.sync_watermarks
set staged = (
    select jsonb_agg(case when b ->> 'batch' = any(%(batches)s) then b - 'kept' else b end order by at)
    from jsonb_array_elements(staged) with ordinality as n(b, at))
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: discard_staged
-- Discards the waiting batches, and moves the reading back to the checkpoint of the loading.
update {schema}.sync_watermarks
set checkpoint = case when staged is null or checkpoint is null then checkpoint else loaded_checkpoint end,
    staged = null, loaded_checkpoint = null,
    read_until = applied_until,
    open_batches = open_batches || array(select b ->> 'batch' from jsonb_array_elements(staged) as b)
where source_table = %(table)s and fence = %(fence)s
returning checkpoint;

-- name: sweep_done
-- Stores what the next sweep is compared with, and the number of the target's rows. What a later claim has recorded of
-- statements that may commit late is not lost: such a claim has another fence.
update {schema}.sync_watermarks set sweep = %(sweep)s, target_rows = %(rows)s
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: sweep_tried
-- A sweep that is not complete: the next attempt waits as it would after a complete one of that length.
update {schema}.sync_watermarks set sweep = coalesce(sweep, jsonb_build_object()) || jsonb_build_object(
    'tried_at', %(at)s::float8, 'tried_seconds', %(seconds)s::float8, 'pending_why', %(why)s::text)
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: target_created
-- Records the name of a target that pgsnow has created.
update {schema}.sync_watermarks set created_target = %(target)s
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: sweep_due_again
-- A statement may commit late, for an hour at most, as no session lets one run for longer: keys are compared now, and
-- once more afterwards.
update {schema}.sync_watermarks set sweep = coalesce(sweep, jsonb_build_object()) || jsonb_build_object(
    'unsure_since', extract(epoch from clock_timestamp())::float8,
    'unsure_until', extract(epoch from clock_timestamp())::float8 + 3600)
where source_table = %(table)s and fence = %(fence)s
returning source_table;

-- name: backfill
-- The backfill of a table that is under way.
select b.id, b.fence, b.layout, b.checkpoint, b.prunes, b.reason, b.replaces
from {schema}.sync_watermarks w join {schema}.sync_backfills b on b.id = w.backfill
where w.source_table = %(table)s;

-- name: chunks
-- The chunks of one backfill, in order.
select number, first_block, end_block, first_key, end_key, state = 'done' as done, attempts, rows,
    rows_rejected as rejected, bytes as size, last_watermark, fences, open_batches
from {schema}.sync_chunks where backfill = %(backfill)s order by number;

-- name: begin_backfill
-- Replaces the table's earlier backfills and its checkpoint; the batches that they left in Snowflake become open batches
-- of the table. The new backfill gets the fences reserved for this run, above those of every earlier backfill.
-- (DELETE sees only rows from before this statement, so it does not delete the new backfill.)
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
    checkpoint = null, read_mode = null, watermark_text = null, last_watermark = null, applied_until = null,
    target_rows = null
from made
where w.source_table = made.source_table and w.fence = %(fence)s
returning w.backfill, made.fence;

-- name: queue_for_chunks
-- Locks the backfills, so that claims of their chunks run one after the other and each counts those before it.
select b.id from {schema}.sync_watermarks w join {schema}.sync_backfills b on b.id = w.backfill
where w.source_table = any(%(tables)s::text[])
order by b.id
for update of b;

-- name: claim_chunk
-- Grants the first chunk that is not done and that no living worker holds. A holder is alive while its lease runs and, if
-- it had an advisory lock, that lock exists. Chunks whose row is locked at this moment are skipped.
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
        and (w.next_attempt_at is null or w.next_attempt_at <= clock_timestamp())
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
        case when c.lock_key = any(%(locked)s::bigint[]) then true
            when %(has_own_session)s then pg_try_advisory_lock(c.lock_key) else false end as has_lock
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
returning w.source_table, w.target_columns, w.target_created_on,
    coalesce(w.loaded_columns, w.target_columns) as loaded_columns, w.source_schema, fenced.layout, fenced.fence as backfill_fence,
    coalesce(w.places, '[]') as places, (select min(id) from {schema}.pgsnow_ledger) as ledger,
    fenced.replaces, tried.has_lock, c.lock_key,
    c.backfill, c.number, c.first_block, c.end_block, c.first_key, c.end_key, c.attempts, c.fences, c.open_batches,
    exists (
        select from {schema}.sync_errors e where e.source_table = w.source_table and e.state = 'open'
    ) as has_open_errors;

-- name: renew_chunks
-- Extends the claims of chunks that are still ours, and takes the advisory lock again where this session does not have
-- it.
with claims as (
    select * from jsonb_to_recordset(%(claims)s) as c(backfill bigint, number integer, fence bigint, locked boolean)
), mine as (
    select c.backfill, c.number, c.lock_key, claims.locked
    from {schema}.sync_chunks c join claims using (backfill, number)
    where c.fences[cardinality(c.fences)] = claims.fence and c.lease_expires is not null
    order by c.backfill, c.number
    for update of c
), tried as materialized (
    select backfill, number, lock_key, case when locked then true
        when %(has_own_session)s then pg_try_advisory_lock(lock_key) else false end as has_lock
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
-- Records a chunk whose rows are all in Snowflake.
update {schema}.sync_chunks c
set state = 'done', rows = %(rows)s, rows_rejected = %(rejected)s, bytes = %(bytes)s,
    last_watermark = %(last_watermark)s, ended_at = clock_timestamp()
from {schema}.sync_watermarks w
where w.source_table = %(table)s and w.backfill = c.backfill
    and c.backfill = %(backfill)s and c.number = %(number)s and c.fences[cardinality(c.fences)] = %(fence)s
returning c.number;

-- name: open_chunk_batch
-- Lists a batch of a chunk, once.
update {schema}.sync_chunks c
set open_batches = case
    when %(batch)s = any(c.open_batches) then c.open_batches else array_append(c.open_batches, %(batch)s)
end
from {schema}.sync_watermarks w
where w.source_table = %(table)s and w.backfill = c.backfill
    and c.backfill = %(backfill)s and c.number = %(number)s and c.fences[cardinality(c.fences)] = %(fence)s
returning c.number;

-- name: close_chunk_batches
-- Removes batches from a chunk's list, keeping the order of the others; otherwise as close_batches.
with closed as (
    update {schema}.sync_chunks c
    set open_batches = array(
        select b.batch from unnest(c.open_batches) with ordinality as b(batch, at)
        where b.batch <> all(%(batches)s::text[]) order by b.at
    )
    from {schema}.sync_watermarks w
    where w.source_table = %(table)s and w.backfill = c.backfill
        and c.backfill = %(backfill)s and c.number = %(number)s and c.fences[cardinality(c.fences)] = %(fence)s
    returning w.source_table
), waits as (
    insert into {schema}.sync_loaded_files (account, location, batch, source_table, bytes, not_before)
    select n.account, n.location, n.batch, closed.source_table, n.size,
        clock_timestamp() + make_interval(secs => n.grace)
    from closed, jsonb_to_recordset(%(waiting)s) as n(account text, location text, batch text, size bigint, grace float8)
    on conflict (account, location, batch) do nothing
)
select closed.source_table, exists (
{files_due}
) as due
from closed;

-- name: chunk_counts
-- How far a table's backfill is. held: chunks that a living worker is loading, as in claim_chunk.
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
-- Logs runs, and stores the outcome of those that still hold their lease. A run that is logged already is skipped, so
-- that sending this twice counts nothing twice. With only_log, sync_watermarks does not change. A run with status 'locked'
-- has no outcome: status and error of the run before stay. What was logged just now, and only that, is added to the
-- totals of its hour, to the counters and to the newest runs of its table; not with only_log. A run that used the
-- warehouse is charged for the seconds by which it lengthens the time that the warehouse is awake; of several runs in
-- one call, the longest is. Every such statement locks rows in one order of the tables: sync_warehouses, sync_watermarks,
-- sync_counters, sync_hours, each by source_table. However it is planned: `mine` begins when `logged`, which needs `awake`,
-- has ended.
with runs as (
    select * from jsonb_to_recordset(%(runs)s) as r(
        statements jsonb, statement_count integer, logins integer, warehouse_seconds float8, awake_from timestamptz,
        awake_until timestamptz, awake_seconds float8,
        retry_seconds double precision, lasting_failures integer, failed_entry text, without_log text,
        run_id text, source_table text, target_table text, started_at timestamptz, ended_at timestamptz,
        seconds double precision, phases jsonb, rows_read bigint, rows_rejected bigint, rows_dropped bigint,
        rows_inserted bigint, rows_updated bigint, rows_deleted bigint, ranges_compared integer, sweep_seconds float8,
        bytes_staged bigint, load_units integer, query_ids text[],
        status text, full_read text, events text[], error text, error_type text, advice text, last_watermark text,
        fence bigint, requested_by text
    )
), placed as (
    select distinct on (w.source_table) w.source_table as placed_table,
        case when isfinite(w.applied_until) then w.applied_until end as placed_until,
        case when isfinite(known.since) then greatest(0, extract(epoch from clock_timestamp() - known.since)) end::float8 as lag_after,
        case when isfinite(c.applied_until) then greatest(0, extract(epoch from clock_timestamp() - c.applied_until)) end::float8 as lag_before
    from runs
    join {schema}.sync_watermarks w on w.source_table = runs.source_table and w.fence = runs.fence
    left join {schema}.sync_counters c on c.source_table = runs.source_table
    cross join lateral (
        select coalesce(w.applied_until, case when runs.status = any(%(success)s::text[]) then w.lease_since
            else w.last_success end) as since
    ) known
    where not %(only_log)s
), used as (
    select min(r.awake_from) as since, max(r.awake_until) as until,
        least(sum(r.awake_seconds), extract(epoch from max(r.awake_until) - min(r.awake_from))::float8) as seconds,
        (array_agg(r.source_table order by r.warehouse_seconds desc))[1] as charged_table
    from runs r
    where r.awake_seconds > 0 and not exists (
        select from {schema}.sync_logs l where l.run_id = r.run_id and l.source_table = r.source_table
    )
    having count(*) > 0
), awake as (
    insert into {schema}.sync_warehouses as w (
        warehouse, awake_from, awake_until, awake_seconds, credits, added_seconds
    )
    select %(warehouse)s, since, until, seconds, seconds * %(credits_per_second)s::float8, seconds from used
    on conflict (warehouse) do update
    set (awake_from, awake_until, resumes, awake_seconds, credits, added_seconds) = (
        select case when apart then excluded.awake_from else least(w.awake_from, excluded.awake_from) end,
            case when apart then excluded.awake_until else greatest(w.awake_until, excluded.awake_until) end,
            w.resumes + apart::int, w.awake_seconds + added, w.credits + added * %(credits_per_second)s::float8, added
        from (
            select apart, least(excluded.added_seconds, case when apart then excluded.added_seconds
                else extract(epoch from greatest(w.awake_from - excluded.awake_from, interval '0'))
                    + extract(epoch from greatest(excluded.awake_until - w.awake_until, interval '0'))
            end) as added
            -- a moment that no run can know yet is of a clock that was set back
            from (select excluded.awake_from > w.awake_until
                or w.awake_until > greatest(clock_timestamp(), excluded.awake_until)
                    + make_interval(secs => %(longest_idle)s::float8) as apart) as gap
        ) as longer
    )
    returning added_seconds * %(credits_per_second)s::float8 as credits
), logged as (
    insert into {schema}.sync_logs (
        statements, statement_count, logins, warehouse_seconds, credits,
        run_id, source_table, target_table, started_at, ended_at, seconds, phases, rows_read, rows_rejected,
        rows_dropped, rows_inserted, rows_updated, rows_deleted, ranges_compared, sweep_seconds, bytes_staged, load_units, query_ids, status, full_read, events,
        error, error_type, advice, last_watermark, fence,
        requested_by, applied_until, lag_seconds
    )
    select statements, coalesce(statement_count, 0), coalesce(logins, 0), coalesce(warehouse_seconds, 0),
        coalesce((select credits from awake, used where charged_table = source_table), 0),
        run_id, source_table, target_table, started_at, ended_at, seconds, phases, rows_read, rows_rejected,
        rows_dropped, rows_inserted, rows_updated, rows_deleted, ranges_compared, sweep_seconds, bytes_staged, load_units, query_ids, status, full_read, events,
        error, error_type, advice, last_watermark, fence,
        requested_by, placed_until, lag_after
    from runs left join placed on placed_table = source_table
    on conflict (run_id, source_table) do nothing
    returning run_id, source_table, status, started_at, ended_at, seconds, phases, rows_read, rows_inserted, rows_updated,
        rows_deleted, rows_rejected, bytes_staged, statement_count, warehouse_seconds, credits, applied_until, lag_seconds
), sums as (
    select source_table,
        date_trunc('hour', least(max(ended_at), clock_timestamp()) at time zone 'UTC') at time zone 'UTC' as hour,
        count(*) filter (where status = 'ok') as runs_ok, count(*) filter (where status = 'idle') as runs_idle,
        count(*) filter (where status = 'partial') as runs_partial,
        count(*) filter (where status = 'error') as runs_error,
        count(*) filter (where status = 'stopped') as runs_stopped,
        count(*) filter (where status = 'locked') as runs_locked, sum(rows_read) as rows_read,
        sum(rows_inserted) as rows_inserted, sum(rows_updated) as rows_updated, sum(rows_deleted) as rows_deleted,
        sum(rows_rejected) as rows_rejected, sum(bytes_staged) as bytes_staged, sum(seconds) as seconds,
        sum(statement_count) as statement_count, sum(warehouse_seconds) as warehouse_seconds, sum(credits) as credits,
        max(lag_seconds) as lag_after, max(applied_until) as applied_until,
        max(ended_at) filter (where status in ('ok', 'partial')) as last_loaded,
        jsonb_agg(jsonb_build_array(run_id, status, round(extract(epoch from started_at)::numeric, 3), round(seconds::numeric, 3),
            rows_inserted, rows_updated, rows_deleted) order by started_at desc) as recent
    from logged where not %(only_log)s
    group by source_table
), timed as (
    select source_table, jsonb_object_agg(key, total) as phases
    from (
        select source_table, key, sum(value::float8) as total
        from logged, jsonb_each_text(case when jsonb_typeof(phases) = 'object' then phases end)
        group by source_table, key
    ) by_phase
    group by source_table
), counters as (
    insert into {schema}.sync_counters as c (
        source_table,
        runs_ok, runs_idle, runs_partial, runs_error, runs_stopped, runs_locked, rows_read, rows_inserted,
        rows_updated, rows_deleted, rows_rejected, bytes_staged, seconds, statement_count, warehouse_seconds, credits,
        phases, recent, last_loaded, applied_until
    )
    select source_table,
        runs_ok, runs_idle, runs_partial, runs_error, runs_stopped, runs_locked, rows_read, rows_inserted,
        rows_updated, rows_deleted, rows_rejected, bytes_staged, seconds, statement_count, warehouse_seconds, credits,
        coalesce(phases, jsonb_build_object()), recent, last_loaded, applied_until
    from sums left join timed using (source_table)
    order by source_table
    on conflict (source_table) do update set
        runs_ok = c.runs_ok + excluded.runs_ok, runs_idle = c.runs_idle + excluded.runs_idle,
        runs_partial = c.runs_partial + excluded.runs_partial, runs_error = c.runs_error + excluded.runs_error,
        runs_stopped = c.runs_stopped + excluded.runs_stopped, runs_locked = c.runs_locked + excluded.runs_locked,
        rows_read = c.rows_read + excluded.rows_read, rows_inserted = c.rows_inserted + excluded.rows_inserted,
        rows_updated = c.rows_updated + excluded.rows_updated, rows_deleted = c.rows_deleted + excluded.rows_deleted,
        rows_rejected = c.rows_rejected + excluded.rows_rejected,
        bytes_staged = c.bytes_staged + excluded.bytes_staged, seconds = c.seconds + excluded.seconds,
        statement_count = c.statement_count + excluded.statement_count,
        warehouse_seconds = c.warehouse_seconds + excluded.warehouse_seconds, credits = c.credits + excluded.credits,
        phases = case when jsonb_typeof(c.phases) = 'object' then c.phases else jsonb_build_object() end || (
            select coalesce(jsonb_object_agg(key, value::float8 + case when jsonb_typeof(c.phases -> key) = 'number'
                then (c.phases ->> key)::float8 else 0 end), jsonb_build_object())
            from jsonb_each_text(excluded.phases)
        ),
        recent = excluded.recent || case when jsonb_typeof(c.recent) = 'array' then c.recent - 19 else '[]' end,
        last_loaded = greatest(c.last_loaded, excluded.last_loaded),
        applied_until = coalesce(excluded.applied_until, c.applied_until)
), hours as (
    insert into {schema}.sync_hours as h (
        source_table, hour,
        runs_ok, runs_idle, runs_partial, runs_error, runs_stopped, runs_locked, rows_read, rows_inserted,
        rows_updated, rows_deleted, rows_rejected, bytes_staged, seconds, statement_count, warehouse_seconds, credits,
        worst_lag
    )
    select source_table, hour,
        runs_ok, runs_idle, runs_partial, runs_error, runs_stopped, runs_locked, rows_read, rows_inserted,
        rows_updated, rows_deleted, rows_rejected, bytes_staged, seconds, statement_count, warehouse_seconds, credits,
        greatest(sums.lag_after, lag_before)
    from sums left join placed on placed_table = source_table
    order by source_table
    on conflict (source_table, hour) do update set
        runs_ok = h.runs_ok + excluded.runs_ok, runs_idle = h.runs_idle + excluded.runs_idle,
        runs_partial = h.runs_partial + excluded.runs_partial, runs_error = h.runs_error + excluded.runs_error,
        runs_stopped = h.runs_stopped + excluded.runs_stopped, runs_locked = h.runs_locked + excluded.runs_locked,
        rows_read = h.rows_read + excluded.rows_read, rows_inserted = h.rows_inserted + excluded.rows_inserted,
        rows_updated = h.rows_updated + excluded.rows_updated, rows_deleted = h.rows_deleted + excluded.rows_deleted,
        rows_rejected = h.rows_rejected + excluded.rows_rejected,
        bytes_staged = h.bytes_staged + excluded.bytes_staged, seconds = h.seconds + excluded.seconds,
        statement_count = h.statement_count + excluded.statement_count,
        warehouse_seconds = h.warehouse_seconds + excluded.warehouse_seconds, credits = h.credits + excluded.credits,
        worst_lag = greatest(h.worst_lag, excluded.worst_lag)
), mine as (
    select w.source_table
    from {schema}.sync_watermarks w
    join runs on runs.source_table = w.source_table and runs.fence = w.fence
    where not %(only_log)s and (select count(*) from logged) > 0
    order by w.source_table
    for update of w
)
update {schema}.sync_watermarks w
set last_run = w.lease_since at time zone 'UTC',
    last_success = case when runs.status = any(%(success)s::text[]) then w.lease_since else w.last_success end,
    last_status = case when runs.status = 'locked' then w.last_status else runs.status end,
    last_error = case when runs.status = 'locked' then w.last_error else runs.error end,
    without_log = case when runs.status = 'locked' then w.without_log else runs.without_log end,
    rows_processed = runs.rows_inserted + runs.rows_updated,
    rows_total = least(w.rows_total, 9000000000000000000) + runs.rows_inserted + runs.rows_updated,
    target_table = runs.target_table,
    consecutive_failures = case
        when runs.status = any(%(success)s::text[]) then 0
        when runs.status = 'error' then least(w.consecutive_failures, 1000000) + 1
        else w.consecutive_failures
    end,
    lasting_failures = case
        when runs.status = any(%(success)s::text[]) then 0
        else coalesce(runs.lasting_failures, w.lasting_failures)
    end,
    failed_entry = case
        when runs.status = any(%(success)s::text[]) then null
        else coalesce(runs.failed_entry, w.failed_entry)
    end,
    next_attempt_at = w.lease_since + make_interval(secs => runs.retry_seconds)
from runs
join logged on logged.source_table = runs.source_table and logged.run_id = runs.run_id
join mine on mine.source_table = runs.source_table
where w.source_table = runs.source_table and w.fence = runs.fence
returning w.source_table, logged.credits;

-- name: last_tick_seconds
-- Duration of the newest tick: from the first start to the last end of the runs that share its id.
select extract(epoch from max(ended_at) - min(started_at))::float8 as seconds from {schema}.sync_logs
where run_id = (select run_id from {schema}.sync_logs order by started_at desc, run_id desc limit 1);

-- name: warehouses
-- How long runs have kept each warehouse awake.
select warehouse, awake_from, awake_until, resumes, awake_seconds, credits from {schema}.sync_warehouses order by 1;

-- name: add_rejected_rows
-- Adds rejected rows, or counts them up if their key is open already. ours: the lease was still ours; if not, nothing
-- was written.
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
        source_table, key, key_digest, column_name, payload, reason, run_id, occurrences, bad_columns
    )
    select mine.source_table, r.key, r.digest, r.column_name, r.payload, r.reason, %(run_id)s, r.occurrences,
        r.bad_columns
    from mine cross join jsonb_to_recordset(%(rows)s) as r(
        key jsonb, digest text, column_name text, payload jsonb, reason text, occurrences integer, bad_columns jsonb
    )
    on conflict (source_table, key_digest) where state = 'open' do update
    set column_name = excluded.column_name, payload = excluded.payload, reason = excluded.reason,
        bad_columns = excluded.bad_columns, run_id = excluded.run_id, occurrences = e.occurrences + excluded.occurrences, updated_at = clock_timestamp()
    returning 1
)
select exists (select from mine) as ours, (select count(*) from written) as changed;

-- name: resolve_rejected_rows
-- Marks open errors replayed. ours: as in add_rejected_rows.
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

-- name: rename_rejected_keys
-- Stores open errors under the new names of their key's columns. ours: as in add_rejected_rows.
with mine as (
    select source_table from {schema}.sync_watermarks w where source_table = %(table)s and fence = %(fence)s for share
), written as (
    update {schema}.sync_errors e set key = r.key, key_digest = r.digest
    from mine cross join jsonb_to_recordset(%(rows)s) as r(key jsonb, digest text, old text)
    where e.source_table = mine.source_table and e.state = 'open' and e.key_digest = r.old
        and not exists (select from {schema}.sync_errors o
                        where o.source_table = e.source_table and o.state = 'open' and o.key_digest = r.digest)
    returning 1
)
select exists (select from mine) as ours, (select count(*) from written) as changed;

-- name: confidential_rows
-- Entries that were stored before these columns were hidden: the key has no hash, or the payload has a value.
select id, key, payload, reason from {schema}.sync_errors
where source_table = %(table)s and (
    exists (
        select from unnest(%(hashed)s::text[]) as n
        where length(key ->> n) <> 64 or key ->> n !~ '^[0-9a-f]+$'
    )
    or jsonb_typeof(payload) = 'object' and exists (
        select from unnest(%(hidden)s::text[]) as n where payload ? n and payload ->> n is distinct from '(redacted)'
    )
)
order by id limit %(limit)s;

-- name: rewrite_rejected_rows
-- Replaces what is stored of rejected rows. An open one whose key is open already is dismissed. ours: as in
-- add_rejected_rows.
with mine as (
    select source_table from {schema}.sync_watermarks w where source_table = %(table)s and fence = %(fence)s for share
), written as (
    update {schema}.sync_errors e
    set key = r.key, key_digest = r.digest, payload = r.payload, reason = r.reason, bad_columns = '[]',
        state = case when e.state = 'open' and exists (
            select from {schema}.sync_errors o
            where o.source_table = e.source_table and o.state = 'open' and o.key_digest = r.digest and o.id <> e.id
        ) then 'dismissed' else e.state end
    from mine cross join jsonb_to_recordset(%(rows)s) as r(
        id bigint, key jsonb, digest text, payload jsonb, reason text
    )
    where e.id = r.id
    returning 1
)
select exists (select from mine) as ours, (select count(*) from written) as changed;

-- name: mark_stale
-- Records for open errors whether the target has an older version of their rows. digests: of the keys that it has; the
-- others have none. only_unknown: leave errors alone of which it is known. ours: as in add_rejected_rows.
with mine as (
    select source_table from {schema}.sync_watermarks w where source_table = %(table)s and fence = %(fence)s
    for share
), written as (
    update {schema}.sync_errors e set stale = e.key_digest = any(%(digests)s::text[])
    from mine
    where e.source_table = mine.source_table and e.state = 'open' and (e.stale is null or not %(only_unknown)s)
    returning 1
)
select exists (select from mine) as ours, (select count(*) from written) as changed;

-- name: unjudged_keys
-- Keys with an open error of which it is not known whether the target has an older version of the row.
select key from {schema}.sync_errors
where source_table = %(table)s and state = 'open' and stale is null order by id;

-- name: open_reasons
-- Keys with an open error and the reasons.
select key, reason from {schema}.sync_errors where source_table = %(table)s and state = 'open' order by id;

-- name: open_keys
-- Keys with an open error, oldest first.
select key from {schema}.sync_errors where source_table = %(table)s and state = 'open' order by id;

-- name: rejected_rows
-- Rejected rows, newest first. A parameter that is NULL stands for any.
select id, source_table, key, column_name as "column", reason, payload, run_id, state, occurrences, created_at, updated_at,
    bad_columns, stale
from {schema}.sync_errors
where (%(table)s::text is null or source_table = %(table)s)
    and (%(state)s::text is null or state = %(state)s)
    and (%(ids)s::bigint[] is null or id = any(%(ids)s))
order by updated_at desc, id desc
limit %(limit)s;

-- name: rejected_page
-- A page of rejected rows by number, largest first. A parameter that is NULL stands for any.
select id, source_table, key, column_name as "column", reason, payload, run_id, state, occurrences, created_at, updated_at,
    bad_columns, stale
from {schema}.sync_errors
where (%(table)s::text is null or source_table = %(table)s)
    and (%(state)s::text is null or state = %(state)s)
    and (%(before)s::bigint is null or id < %(before)s)
order by id desc
limit %(limit)s;

-- name: rejected_counts
-- Open rejected rows by table and reason.
select source_table, reason, count(*) as rows, max(id) as newest_id, max(updated_at) as newest_at,
    count(*) filter (where stale) as stale
from {schema}.sync_errors
where state = 'open' and (%(table)s::text is null or source_table = %(table)s)
group by source_table, reason
order by source_table, count(*) desc, reason;

-- name: dismiss
-- Marks open errors dismissed.
update {schema}.sync_errors set state = 'dismissed', updated_at = clock_timestamp()
where id = any(%(ids)s::bigint[]) and state = 'open'
returning id;

-- name: watermarks
-- All tables, or one. Lag counts from the newest commit known to be applied, or else from the last success.
select w.source_table, w.target_table, coalesce(w.watermark_text, w.last_watermark::text) as last_watermark,
    w.last_run at time zone 'UTC' as last_run, w.last_success, w.last_status, w.last_error,
    coalesce(w.rows_processed, 0) as rows_processed, w.read_mode,
    case when w.lease_expires > clock_timestamp() then w.lease_holder end as lease_holder,
    coalesce(e.open_errors, 0) as open_errors, coalesce(e.stale_rows, 0) as stale_rows, e.stale_reason,
    case when lag.since is not null then
        greatest(0, extract(epoch from clock_timestamp() - lag.since))::float8
    end as lag_seconds,
    chunks.count as chunks, chunks.done as chunks_done, chunks.rows as chunk_rows, chunks.bytes as chunk_bytes,
    chunks.seconds as backfill_seconds,
    coalesce(staged.rows, 0)::bigint as staged_rows, coalesce(staged.bytes, 0)::bigint as staged_bytes,
    case when lag.read is not null then
        greatest(0, extract(epoch from clock_timestamp() - lag.read))::float8
    end as read_lag_seconds,
    case when w.checkpoint ->> 'audited_at' ~ '^\d\d\d\d\d?\d?-\d\d-\d\d([ T]\d\d:\d\d.*)?$' then
        extract(epoch from clock_timestamp() - (w.checkpoint ->> 'audited_at')::timestamptz)::float8
    end as audit_seconds,
    sweep.swept_at, sweep.pending_since as deletes_pending_since,
    case when sweep.pending_since is not null then w.sweep ->> 'pending_why' end as deletes_pending_why,
    w.unverified, w.verification, w.consecutive_failures,
    case when w.next_attempt_at > clock_timestamp() then w.next_attempt_at end as next_attempt,
    w.paused, case when w.paused then w.paused_by end as paused_by, case when w.paused then w.paused_at end as paused_at,
    case when w.paused then w.paused_reason end as paused_reason,
    case when w.lease_expires > clock_timestamp() then
        greatest(0, extract(epoch from clock_timestamp() - w.lease_since))::float8
    end as lease_age, w.without_log
from {schema}.sync_watermarks w
cross join lateral (
    select to_timestamp(max(value) filter (where key = 'swept_at')) as swept_at,
        to_timestamp(max(value) filter (where key = 'pending_since')) as pending_since
    from (
        select key, case when value ~ '^\d+(\.\d*)?$' and length(split_part(value, '.', 1)) < 12 then value::float8 end as value
        from jsonb_each_text(case when jsonb_typeof(w.sweep) = 'object' then w.sweep end)
    ) moments
) sweep
cross join lateral (
    select coalesce(w.applied_until, w.last_success) as since,
        coalesce(w.read_until, w.applied_until, w.last_success) as read
) lag
cross join lateral (
    select sum(case when b ->> 'rows' ~ '^\d+$' and length(b ->> 'rows') < 19 then (b ->> 'rows')::bigint end) as rows,
        sum(case when b ->> 'size' ~ '^\d+$' and length(b ->> 'size') < 19 then (b ->> 'size')::bigint end) as bytes
    from jsonb_array_elements(case when jsonb_typeof(w.staged) = 'array' then w.staged end) as b
) staged
left join (
    select source_table, count(*) as open_errors, count(*) filter (where stale) as stale_rows,
        (array_agg(reason order by updated_at desc) filter (where stale))[1] as stale_reason
    from {schema}.sync_errors
    where state = 'open' and (%(table)s::text is null or source_table = %(table)s)
    group by source_table
) e on e.source_table = w.source_table
left join lateral (
    select count(*), count(*) filter (where c.state = 'done') as done, sum(c.rows)::bigint as rows,
        sum(c.bytes)::bigint as bytes, extract(epoch from clock_timestamp() - min(b.began_at))::float8 as seconds
    from {schema}.sync_chunks c join {schema}.sync_backfills b on b.id = c.backfill
    where c.backfill = w.backfill and w.backfill is not null
) chunks on w.backfill is not null
where %(table)s::text is null or w.source_table = %(table)s
order by w.source_table;

-- name: remembered
-- The checkpoint, the stored definition and the target of each table, or of one. All but the first as JSON of the row: an older
-- ledger has no such columns.
select w.source_table, w.checkpoint, nullif(to_jsonb(w) -> 'source_schema', 'null') as source_schema,
    to_jsonb(w) ->> 'target_created_on' as target_created_on, (to_jsonb(w) ->> 'target_rows')::bigint as target_rows,
    nullif(to_jsonb(w) -> 'loaded_columns', 'null') as loaded_columns, to_jsonb(w) ->> 'created_target' as created_target,
    nullif(to_jsonb(w) -> 'sweep', 'null') as sweep
from {schema}.sync_watermarks w
where %(table)s::text is null or w.source_table = %(table)s;

-- name: logs
-- The newest runs, without their statements.
select run_id, source_table, target_table, started_at, ended_at, seconds, phases, rows_read, rows_rejected,
    rows_dropped, rows_inserted, rows_updated, rows_deleted, ranges_compared, sweep_seconds, bytes_staged, load_units, query_ids, status, full_read, events,
    error, error_type, advice, last_watermark, fence, statement_count, logins, warehouse_seconds, credits
from {schema}.sync_logs
where %(table)s::text is null or source_table = %(table)s
order by started_at desc, run_id desc, source_table
limit %(limit)s;

-- name: history_overview
-- Each table's newest run as text, and its totals of the last 24 hours, which begin with a whole hour; of one table, or
-- of all (NULL).
select c.source_table, c.recent ->> 0 as newest, c.last_loaded,
    coalesce(d.runs_ok, 0) as runs_ok, coalesce(d.runs_idle, 0) as runs_idle,
    coalesce(d.runs_partial, 0) as runs_partial, coalesce(d.runs_error, 0) as runs_error,
    coalesce(d.runs_stopped, 0) as runs_stopped, coalesce(d.runs_locked, 0) as runs_locked,
    coalesce(d.rows_read, 0) as rows_read, coalesce(d.rows_inserted, 0) as rows_inserted,
    coalesce(d.rows_updated, 0) as rows_updated, coalesce(d.rows_deleted, 0) as rows_deleted,
    coalesce(d.rows_rejected, 0) as rows_rejected, coalesce(d.bytes_staged, 0) as bytes_staged,
    coalesce(d.seconds, 0) as seconds, coalesce(d.statement_count, 0) as statement_count,
    coalesce(d.warehouse_seconds, 0) as warehouse_seconds, coalesce(d.credits, 0) as credits
from {schema}.sync_counters c
left join (
    select source_table,
        sum(runs_ok)::bigint as runs_ok, sum(runs_idle)::bigint as runs_idle,
        sum(runs_partial)::bigint as runs_partial, sum(runs_error)::bigint as runs_error,
        sum(runs_stopped)::bigint as runs_stopped, sum(runs_locked)::bigint as runs_locked,
        sum(rows_read)::bigint as rows_read, sum(rows_inserted)::bigint as rows_inserted,
        sum(rows_updated)::bigint as rows_updated, sum(rows_deleted)::bigint as rows_deleted,
        sum(rows_rejected)::bigint as rows_rejected, sum(bytes_staged)::bigint as bytes_staged,
        sum(seconds)::float8 as seconds, sum(statement_count)::bigint as statement_count,
        sum(warehouse_seconds)::float8 as warehouse_seconds, sum(credits)::float8 as credits
    from {schema}.sync_hours
    where hour > now() - interval '24 hours' and (%(table)s::text is null or source_table = %(table)s)
    group by source_table
) d on d.source_table = c.source_table
where %(table)s::text is null or c.source_table = %(table)s
order by c.source_table;

-- name: history_recent
-- The newest runs of these tables, or of all (NULL), as text.
select source_table, recent::text as recent
from {schema}.sync_counters
where %(tables)s::text[] is null or source_table = any(%(tables)s::text[]);

-- name: history_hours
-- Totals by hour, oldest first. A table that is NULL stands for all, whose hours are added up.
select %(table)s::text as source_table, hour,
    sum(runs_ok)::bigint as runs_ok, sum(runs_idle)::bigint as runs_idle,
    sum(runs_partial)::bigint as runs_partial, sum(runs_error)::bigint as runs_error,
    sum(runs_stopped)::bigint as runs_stopped, sum(runs_locked)::bigint as runs_locked,
    sum(rows_read)::bigint as rows_read, sum(rows_inserted)::bigint as rows_inserted,
    sum(rows_updated)::bigint as rows_updated, sum(rows_deleted)::bigint as rows_deleted,
    sum(rows_rejected)::bigint as rows_rejected, sum(bytes_staged)::bigint as bytes_staged,
    sum(seconds)::float8 as seconds, sum(statement_count)::bigint as statement_count,
    sum(warehouse_seconds)::float8 as warehouse_seconds, sum(credits)::float8 as credits,
    max(worst_lag) as worst_lag
from {schema}.sync_hours
where hour > %(since)s::timestamptz - interval '1 hour' and (%(table)s::text is null or source_table = %(table)s)
group by hour
order by hour;

-- name: history_lags
-- The lag at the end of each run of one table, newest first. lag_before: counted from what the run before had loaded.
select ended_at as at, lag_seconds,
    case when lag_seconds is not null then greatest(lag_seconds, extract(epoch from ended_at - lag(
        case when isfinite(applied_until) then applied_until end
    ) over (order by started_at, run_id)))::float8 end as lag_before,
    status, rows_inserted, rows_updated, rows_deleted, seconds
from {schema}.sync_logs
where source_table = %(table)s and started_at >= %(since)s and status <> 'applied'
order by started_at desc, run_id desc
limit %(limit)s;

-- name: history_runs
-- A page of runs, newest first. A parameter that is NULL stands for any; without idle, runs that found nothing new are
-- left out. after_*: the last run of the page before.
select run_id, source_table, target_table, started_at, ended_at, seconds, status, phases, rows_read, rows_rejected,
    rows_dropped, rows_inserted, rows_updated, rows_deleted, ranges_compared, sweep_seconds, bytes_staged, load_units,
    query_ids, full_read, events, error, error_type, advice, last_watermark, fence, applied_until, lag_seconds,
    requested_by, statement_count, logins, warehouse_seconds, credits, statements
from {schema}.sync_logs
where (%(table)s::text is null or source_table = %(table)s)
    and (%(status)s::text is null or status = %(status)s)
    and (%(idle)s or status <> 'idle')
    and (%(started_at)s::timestamptz is null
        or (started_at, run_id, source_table) < (%(started_at)s::timestamptz, %(run_id)s::text, %(after_table)s::text))
order by started_at desc, run_id desc, source_table desc
limit %(limit)s;

-- name: history_run
-- One run.
select run_id, source_table, target_table, started_at, ended_at, seconds, status, phases, rows_read, rows_rejected,
    rows_dropped, rows_inserted, rows_updated, rows_deleted, ranges_compared, sweep_seconds, bytes_staged, load_units,
    query_ids, full_read, events, error, error_type, advice, last_watermark, fence, applied_until, lag_seconds,
    requested_by, statement_count, logins, warehouse_seconds, credits, statements
from {schema}.sync_logs where run_id = %(run_id)s and source_table = %(table)s;

-- name: history_events
-- A page of runs that have events or have read everything, newest first; parameters as in history_runs.
select run_id, source_table, started_at, status, full_read, events
from {schema}.sync_logs
where (cardinality(events) > 0 or full_read is not null)
    and (%(table)s::text is null or source_table = %(table)s)
    and (%(started_at)s::timestamptz is null
        or (started_at, run_id, source_table) < (%(started_at)s::timestamptz, %(run_id)s::text, %(after_table)s::text))
order by started_at desc, run_id desc, source_table desc
limit %(limit)s;

-- name: arrivals
-- Runs that found changes, and runs that found none, of each table by hour of the day (UTC), in whole hours. hours: that
-- have any run.
select source_table, extract(hour from hour at time zone 'UTC')::integer as hour_of_day, count(*)::integer as hours,
    sum(runs_ok + runs_partial)::bigint as busy, sum(runs_idle)::bigint as idle, sum(rows_read)::bigint as rows_read
from {schema}.sync_hours
where hour >= %(since)s::timestamptz and hour + interval '1 hour' <= %(until)s::timestamptz
group by 1, 2
order by 1, 2;

-- name: spending
-- What each table has cost in the whole hours between; until: NULL for no end.
select source_table, sum(runs_ok + runs_idle + runs_partial + runs_error + runs_stopped + runs_locked)::bigint as runs,
    sum(rows_inserted + rows_updated + rows_deleted)::bigint as rows, sum(bytes_staged)::bigint as bytes_staged,
    sum(statement_count)::bigint as statements, sum(warehouse_seconds)::float8 as warehouse_seconds,
    sum(credits)::float8 as credits, min(hour) as since
from {schema}.sync_hours
where hour > %(since)s::timestamptz - interval '1 hour'
    and (%(until)s::timestamptz is null or hour + interval '1 hour' <= %(until)s::timestamptz)
group by 1
order by 1;

-- name: load_times
-- Runs of each table that needed a warehouse, their seconds of it and their rows, and all logins.
select source_table, count(*) filter (where warehouse_seconds > 0)::bigint as loads,
    coalesce(sum(warehouse_seconds), 0)::float8 as warehouse_seconds,
    coalesce(sum(rows_inserted + rows_updated + rows_deleted) filter (where warehouse_seconds > 0), 0)::bigint as rows,
    coalesce(sum(logins), 0)::bigint as logins
from {schema}.sync_logs
where started_at >= %(since)s and status not in ('idle', 'applied')
group by 1
order by 1;

-- name: statement_kinds
-- Statements since then by kind, as far as the runs have listed them.
select s.kind, count(*)::bigint as statements, coalesce(sum(s.seconds), 0)::float8 as seconds,
    coalesce(bool_or(s.warehouse), false) as warehouse
from {schema}.sync_logs l
    cross join lateral jsonb_to_recordset(case when jsonb_typeof(l.statements) = 'array' then l.statements end)
        as s(kind text, seconds float8, warehouse boolean)
where l.started_at >= %(since)s and l.status <> 'idle' and (%(table)s::text is null or l.source_table = %(table)s)
    and s.kind is not null
group by 1
order by 3 desc, 1;

-- name: counters
-- Totals since counting began.
select c.source_table, c.since, c.phases,
    c.runs_ok, c.runs_idle, c.runs_partial, c.runs_error, c.runs_stopped, c.runs_locked, c.rows_read, c.rows_inserted,
    c.rows_updated, c.rows_deleted, c.rows_rejected, c.bytes_staged, c.seconds, c.statement_count,
    c.warehouse_seconds, c.credits
from {schema}.sync_counters c order by c.source_table;

-- name: add_request
-- Adds a request, unless the same one has not ended; then that one is returned. No row: it has ended meanwhile.
with made as (
    insert into {schema}.sync_requests (source_table, action, arguments, requested_by)
    values (%(table)s, %(action)s, %(arguments)s, %(by)s)
    on conflict (coalesce(source_table, ''), action, hashtextextended(arguments::text, 0))
        where state in ('open', 'taken') do nothing
    returning id, source_table, action, arguments, requested_by, requested_at, state, taken_by, taken_at, attempts, finished_at,
    run_id, status, error
)
select * from made
union all
select id, source_table, action, arguments, requested_by, requested_at, state, taken_by, taken_at, attempts, finished_at,
    run_id, status, error
from {schema}.sync_requests
where not exists (select from made) and state in ('open', 'taken')
    and coalesce(source_table, '') = coalesce(%(table)s::text, '') and action = %(action)s
    and hashtextextended(arguments::text, 0) = hashtextextended(%(arguments)s::jsonb::text, 0)
limit 1;

-- name: pause_tables
-- Pauses a table, or all that ever ran, and notes who did. A table that is paused already keeps what is noted of it.
with changed as (
    insert into {schema}.sync_watermarks as w (source_table, paused, paused_by, paused_at, paused_reason)
    select name, true, %(by)s, clock_timestamp(), %(reason)s::text
    from (
        select %(table)s::text as name where %(table)s::text is not null
        union all select source_table from {schema}.sync_watermarks where %(table)s::text is null
    ) names
    order by name
    on conflict (source_table) do update
    set paused = true, paused_by = excluded.paused_by, paused_at = excluded.paused_at, paused_reason = excluded.paused_reason
    where not w.paused
    returning 1
)
insert into {schema}.sync_requests (source_table, action, arguments, requested_by, state, finished_at, status)
select %(table)s, 'pause', %(arguments)s, %(by)s, 'done', clock_timestamp(),
    case when count(*) > 0 then 'paused' else 'was paused already' end
from changed
returning id, source_table, action, arguments, requested_by, requested_at, state, taken_by, taken_at, attempts, finished_at,
    run_id, status, error;

-- name: resume_tables
-- Ends the pause of a table, or of all.
with mine as (
    select source_table from {schema}.sync_watermarks
    where paused and (%(table)s::text is null or source_table = %(table)s)
    order by source_table for update
), changed as (
    update {schema}.sync_watermarks w set paused = false, paused_by = null, paused_at = null, paused_reason = null
    from mine where w.source_table = mine.source_table
    returning 1
)
insert into {schema}.sync_requests (source_table, action, arguments, requested_by, state, finished_at, status)
select %(table)s, 'resume', %(arguments)s, %(by)s, 'done', clock_timestamp(),
    case when count(*) > 0 then 'resumed' else 'was not paused' end
from changed
returning id, source_table, action, arguments, requested_by, requested_at, state, taken_by, taken_at, attempts, finished_at,
    run_id, status, error;

-- name: dismiss_by_request
-- Dismisses open rejected rows: those with these numbers, or all (NULL), of one table or of all (NULL).
with changed as (
    update {schema}.sync_errors set state = 'dismissed', updated_at = clock_timestamp()
    where state = 'open' and (%(table)s::text is null or source_table = %(table)s)
        and (%(ids)s::bigint[] is null or id = any(%(ids)s))
    returning 1
)
insert into {schema}.sync_requests (source_table, action, arguments, requested_by, state, finished_at, status)
select %(table)s, 'dismiss', %(arguments)s, %(by)s, 'done', clock_timestamp(),
    count(*) || case when count(*) = 1 then ' row dismissed' else ' rows dismissed' end
from changed
returning id, source_table, action, arguments, requested_by, requested_at, state, taken_by, taken_at, attempts, finished_at,
    run_id, status, error;

-- name: requests
-- A page of requests, newest first. A parameter that is NULL stands for any.
select id, source_table, action, arguments, requested_by, requested_at, state, taken_by, taken_at, attempts, finished_at,
    run_id, status, error
from {schema}.sync_requests
where (%(table)s::text is null or source_table = %(table)s)
    and (%(id)s::bigint is null or id = %(id)s)
    and (%(before)s::bigint is null or id < %(before)s)
order by id desc
limit %(limit)s;

-- name: open_requests
-- Requests that have not ended, oldest first.
select id, source_table, action, arguments, requested_by, requested_at, state, taken_by, taken_at, attempts, finished_at,
    run_id, status, error
from {schema}.sync_requests where state in ('open', 'taken') order by id;

-- name: take_request
-- Gives the oldest request that no living worker has to this one; `only`: that request alone. A worker is alive while
-- the advisory lock of its session exists; without one (behind a pooler), for some time after it took the request, and
-- while it holds a lease of the table. `tables`: those of the worker's configuration. A request for another table is left
-- to the workers that have it, unless no row of the ledger is that table's, or nobody has taken it for an hour.
with living as materialized (
    select (classid::bigint << 32) | objid::bigint as key from pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
        and database = (select oid from pg_database where datname = current_database())
), picked as (
    select r.id, hashtextextended(%(schema)s || '/request/' || r.id, 0) as key
    from {schema}.sync_requests r
    where r.id <> all(%(skip)s::bigint[]) and (%(only)s::bigint is null or r.id = %(only)s)
        and (r.state = 'open' or r.state = 'taken' and case
            when r.taken_session is not null then
                hashtextextended(%(schema)s || '/request/' || r.id, 0) not in (select key from living)
            else r.taken_at < clock_timestamp() - make_interval(secs => %(lease_seconds)s) and not exists (
                select from {schema}.sync_watermarks w
                where w.lease_holder = r.taken_by and w.lease_expires > clock_timestamp()
                    and (r.source_table is null or r.source_table = w.source_table)
            )
        end)
        and (r.source_table is null or r.source_table = any(%(tables)s::text[])
            or r.requested_at < clock_timestamp() - interval '1 hour'
            or not exists (select from {schema}.sync_watermarks w where w.source_table = r.source_table))
    order by r.id
    limit 1
    for update of r skip locked
), tried as materialized (
    select id, case when %(has_own_session)s then pg_try_advisory_lock(key) else false end as has_lock from picked
)
update {schema}.sync_requests r
set state = 'taken', attempts = r.attempts + 1, taken_by = %(holder)s, taken_at = clock_timestamp(),
    taken_session = case when tried.has_lock then
        pg_backend_pid() || '@' || extract(epoch from pg_postmaster_start_time())::bigint
    end
from tried
where r.id = tried.id
returning r.id, r.source_table, r.action, r.arguments, r.requested_by, r.requested_at, r.state, r.taken_by, r.taken_at,
    r.attempts, r.finished_at, r.run_id, r.status, r.error;

-- name: finish_request
-- Ends a request, or opens it again; one that has ended already stays as it is. The lock of this session is dropped.
with ended as (
    select id, taken_session = pg_backend_pid() || '@' || extract(epoch from pg_postmaster_start_time())::bigint as locked
    from {schema}.sync_requests where id = %(id)s and state in ('open', 'taken') for update
), changed as (
    update {schema}.sync_requests r
    set state = %(state)s, finished_at = case when %(state)s <> 'open' then clock_timestamp() end, run_id = %(run_id)s,
        status = %(status)s, error = %(error)s, taken_session = null
    from ended where r.id = ended.id
)
select case when locked then pg_advisory_unlock(hashtextextended(%(schema)s || '/request/' || id, 0)) end from ended;

-- name: ticks
-- The newest tick of each process, newest first.
select holder, at, interval_seconds, version, asked_by,
    greatest(0, extract(epoch from clock_timestamp() - at))::float8 as age_seconds
from {schema}.sync_ticks order by at desc, holder;

-- name: take_heartbeats
-- Notes target schemas as written now: all of `loaded`, and those of `others` that are due; returns them.
insert into {schema}.sync_heartbeats as h (target_schema, written_at)
select name, clock_timestamp()
from unnest(%(loaded)s::text[] || %(others)s::text[]) as name
left join {schema}.sync_heartbeats before on before.target_schema = name
where name = any(%(loaded)s::text[]) or before.written_at is null
    or before.written_at <= clock_timestamp() - make_interval(secs => %(every)s)
order by name
on conflict (target_schema) do update set written_at = excluded.written_at
where h.target_schema = any(%(loaded)s::text[])
    or h.written_at <= clock_timestamp() - make_interval(secs => %(every)s)
returning h.target_schema;

-- name: budget_facts
-- What the plan of a day (UTC) is made from. waiting: of each of these tables, when its oldest staged batch was staged,
-- the rows of its staged batches, and the start of its last run that succeeded.
select extract(epoch from clock_timestamp())::float8 as now,
    coalesce((select sum(credits) from {schema}.sync_warehouses), 0)::float8 as credits,
    coalesce((select sum(credits) from {schema}.sync_hours
        where hour >= date_trunc('day', clock_timestamp() at time zone 'UTC') at time zone 'UTC'), 0)::float8 as today,
    (select extract(epoch from awake_until)::float8 from {schema}.sync_warehouses where warehouse = %(warehouse)s) as awake_until,
    b.credits_before, case when b.habits_at between clock_timestamp() - make_interval(secs => %(habits_seconds)s)
        and clock_timestamp() then b.habits end as habits,
    case when b.planned_at > clock_timestamp() - make_interval(secs => %(interval)s) then b.loads end as decided,
    (
        select jsonb_object_agg(w.source_table, jsonb_build_array(
            w.staged -> 0 -> 'staged_at', jsonb_path_query_array(w.staged, '$[*].rows'),
            extract(epoch from w.last_success)::float8
        ))
        from {schema}.sync_watermarks w where w.source_table = any(%(tables)s::text[])
    ) as waiting
from (select (clock_timestamp() at time zone 'UTC')::date as day) today
left join {schema}.sync_budget b using (day);

-- name: save_budget
-- Keeps the plan of the day, and forgets days that are long past, or that a clock that was set back has not reached yet:
-- what was spent before them is not known. What was spent before the day is kept as it is; habits that are NULL are kept,
-- too.
with old as (
    delete from {schema}.sync_budget
    where day not between (clock_timestamp() at time zone 'UTC')::date - %(days)s::integer
        and (clock_timestamp() at time zone 'UTC')::date
)
insert into {schema}.sync_budget as b (
    day, planned_at, credits_per_day, credits_before, spent, forecast, least, held_until, conflict, conflict_since,
    paces, loads, habits, habits_at
)
values (
    (to_timestamp(%(now)s) at time zone 'UTC')::date, clock_timestamp(), %(limit)s::float8, %(credits_before)s::float8,
    %(spent)s::float8, %(forecast)s::float8, %(least)s::float8, to_timestamp(%(held)s::float8), %(conflict)s::text,
    case when %(conflict)s::text is not null then clock_timestamp() end, %(paces)s::jsonb, %(loads)s::jsonb, %(habits)s::jsonb,
    case when %(habits)s::jsonb is not null then clock_timestamp() end
)
on conflict (day) do update set planned_at = excluded.planned_at, credits_per_day = excluded.credits_per_day,
    spent = excluded.spent, forecast = excluded.forecast, least = excluded.least, held_until = excluded.held_until,
    conflict = excluded.conflict,
    conflict_since = case when excluded.conflict is not null then coalesce(b.conflict_since, excluded.conflict_since) end,
    paces = excluded.paces, loads = excluded.loads, habits = coalesce(excluded.habits, b.habits),
    habits_at = coalesce(excluded.habits_at, b.habits_at);

-- name: latest_budget
-- The newest plan.
select day, planned_at, credits_per_day, spent, forecast, least, held_until, conflict, conflict_since, paces
from {schema}.sync_budget order by day desc limit 1;

-- name: save_check
-- Replaces the saved result of pgsnow check.
insert into {schema}.sync_checks (id, holder, version, results) values (1, %(holder)s, %(version)s, %(results)s)
on conflict (id) do update
set at = clock_timestamp(), holder = excluded.holder, version = excluded.version, results = excluded.results;

-- name: latest_check
-- The saved result of pgsnow check.
select at, holder, version, results from {schema}.sync_checks where id = 1;

-- name: purge_logs
-- Deletes the oldest runs, a bounded number per statement; and old hours, ticks, requests and messages, which are few.
with hours as (
    delete from {schema}.sync_hours where hour < now() - interval '35 days'
), ticks as (
    delete from {schema}.sync_ticks where at < now() - interval '7 days'
), requests as (
    delete from {schema}.sync_requests where finished_at < now() - interval '35 days'
), messages as (
    delete from {schema}.sync_alert_messages where created_at < now() - interval '30 days'
)
delete from {schema}.sync_logs where ctid in (
    select ctid from {schema}.sync_logs
    where started_at < now() - make_interval(days => %(days)s)
    order by started_at
    limit %(limit)s
);

-- name: alerts
-- Every alert, with the number by which a change of them is noticed; one row without an alert if there is none.
select l.alerts_version as version, a.rule, a.source_table, a.cause, a.incident, a.state, a.since, a.opened_at, a.changed_at,
    a.times, a.level, a.text, a.advice
from (select alerts_version from {schema}.pgsnow_ledger order by id limit 1) l left join {schema}.sync_alerts a on true
order by a.opened_at, a.rule, a.source_table;

-- name: change_alerts
-- Saves alerts, removes those that ended long ago, and queues messages, unless the alerts were changed by another process.
with mine as (
    update {schema}.pgsnow_ledger set alerts_version = alerts_version + 1
    where alerts_version = %(version)s and id = (select min(id) from {schema}.pgsnow_ledger)
    returning id
), gone as (
    delete from {schema}.sync_alerts a
    using mine, jsonb_to_recordset(%(gone)s) as g(rule text, source_table text)
    where a.rule = g.rule and a.source_table = g.source_table
), saved as (
    insert into {schema}.sync_alerts as a
        (rule, source_table, cause, incident, state, since, opened_at, changed_at, times, level, text, advice)
    select s.rule, s.source_table, s.cause, s.incident, s.state, s.since, s.opened_at, s.changed_at, s.times, s.level, s.text,
        s.advice
    from mine cross join jsonb_to_recordset(%(saved)s) as s(
        rule text, source_table text, cause text, incident text, state text, since timestamptz, opened_at timestamptz,
        changed_at timestamptz, times integer, level integer, text text, advice text
    )
    on conflict (rule, source_table) do update
    set cause = excluded.cause, incident = excluded.incident, state = excluded.state, since = excluded.since,
        opened_at = excluded.opened_at, changed_at = excluded.changed_at, times = excluded.times, level = excluded.level, text = excluded.text,
        advice = excluded.advice
), queued as (
    insert into {schema}.sync_alert_messages (incident, receiver, message)
    select m.value ->> 'incident', m.value ->> 'receiver', m.value -> 'message'
    from mine cross join jsonb_array_elements(%(messages)s) with ordinality as m(value, at)
    order by m.at
)
select count(*) as changed from mine;

-- name: claim_messages
-- Grants messages that are due and that no living process is sending, the earlier ones about an incident first.
with due as (
    select m.id from {schema}.sync_alert_messages m
    where m.sent_at is null and m.receiver = any(%(receivers)s::text[]) and m.next_attempt_at <= clock_timestamp()
        and (m.claimed_until is null or m.claimed_until <= clock_timestamp())
        and m.created_at > clock_timestamp() - make_interval(secs => %(days)s * 86400)
        and not exists (
            select from {schema}.sync_alert_messages e
            where e.incident = m.incident and e.receiver = m.receiver and e.sent_at is null and e.id < m.id
                and e.created_at > clock_timestamp() - make_interval(secs => %(days)s * 86400)
        )
    order by m.id
    limit %(limit)s
    for update skip locked
)
update {schema}.sync_alert_messages m
set attempts = m.attempts + 1, claimed_until = clock_timestamp() + make_interval(secs => %(seconds)s)
from due where m.id = due.id
returning m.id, m.receiver, m.message, m.attempts, m.created_at;

-- name: message_sent
-- Records that a receiver has accepted a message, and deletes messages that are older than 30 days.
with old as (
    delete from {schema}.sync_alert_messages
    where created_at < clock_timestamp() - interval '30 days' and id <> %(id)s
)
update {schema}.sync_alert_messages set sent_at = clock_timestamp(), claimed_until = null, error = null
where id = %(id)s;

-- name: message_failed
-- Records a failed attempt, and when the next one is due.
update {schema}.sync_alert_messages
set error = %(error)s, claimed_until = null, next_attempt_at = clock_timestamp() + make_interval(secs => %(seconds)s)
where id = %(id)s and sent_at is null;

-- name: waiting_messages
-- Messages that no receiver has accepted, oldest first.
select id, incident, receiver, message ->> 'title' as title, created_at, attempts, next_attempt_at,
    created_at <= clock_timestamp() - make_interval(secs => %(days)s * 86400) as given_up, error
from {schema}.sync_alert_messages where sent_at is null order by id limit 1000;

-- name: table_troubles
-- Facts about tables that are paused or whose last run failed; since: the first failed run after the last success.
select w.source_table, w.paused, last.error_type, last.advice, first.started_at as since
from {schema}.sync_watermarks w
left join lateral (
    select l.error_type, l.advice from {schema}.sync_logs l
    where l.source_table = w.source_table and l.status = 'error'
    order by l.started_at desc limit 1
) last on w.last_status = 'error'
left join lateral (
    select l.started_at from {schema}.sync_logs l
    where l.source_table = w.source_table and l.status = 'error'
        and l.started_at >= coalesce(w.last_success, '-infinity')
    order by l.started_at limit 1
) first on w.last_status = 'error'
where w.paused or w.last_status = 'error';

-- name: signs_of_life
-- Seconds since a run of any table last began, and whether a worker holds a table or a chunk now.
select greatest(0, extract(epoch from clock_timestamp() - max(last_run) at time zone 'UTC'))::float8 as seconds_since_run,
    coalesce(bool_or(lease_expires > clock_timestamp()), false) or exists (
        select from {schema}.sync_chunks where state = 'open' and lease_expires > clock_timestamp()
    ) as is_working
from {schema}.sync_watermarks;

-- name: virtual_xids
-- The last listing of a source's virtual transactions.
select taken_at, begun from {schema}.sync_horizon where source = %(source)s;

-- name: save_virtual_xids
-- Keeps one listing per source. Any listing is a valid base for the next one, so the last writer wins.
insert into {schema}.sync_horizon (source, taken_at, begun) values (%(source)s, %(taken_at)s, %(begun)s)
on conflict (source) do update
set taken_at = excluded.taken_at, begun = excluded.begun, updated_at = clock_timestamp();

-- name: version
-- The newest migration that ran in this schema.
select coalesce(max(version), 0) as version from {schema}.pgsnow_migrations;

-- name: take_loaded_files
-- Takes the files that may be removed from these places, for one of several workers; those that wait for longer than an
-- hour also from other stages of the account. A worker that has died keeps them for an hour.
update {schema}.sync_loaded_files f
set taken_at = clock_timestamp()
from (
    select account, location, batch from {schema}.sync_loaded_files
    where not_before <= clock_timestamp() and (taken_at is null or taken_at < clock_timestamp() - interval '1 hour')
        and (
            (account in (%(account)s, '') and location = any(%(locations)s::text[]))
            or (account = %(account)s and loaded_at < clock_timestamp() - interval '1 hour')
        )
    order by loaded_at limit 2000
    for update skip locked
) due
where f.account = due.account and f.location = due.location and f.batch = due.batch
returning f.location, f.batch;

-- name: overdue_files
-- A row if files of this account, or of a bucket, could have been removed for more than an hour.
select from {schema}.sync_loaded_files
where account in (%(account)s, '') and greatest(loaded_at, not_before) < clock_timestamp() - interval '1 hour'
    and (taken_at is null or taken_at < clock_timestamp() - interval '1 hour')
limit 1;

-- name: forget_loaded_files
-- These files are removed.
delete from {schema}.sync_loaded_files
where account in (%(account)s, '') and location = %(location)s and batch = any(%(batches)s::text[]);

-- name: loaded_files
-- How much waits to be removed, by place.
select account, location, count(*) as batches, sum(bytes)::bigint as bytes,
    extract(epoch from clock_timestamp() - min(loaded_at))::float8 as seconds,
    array_agg(distinct source_table order by source_table) as tables
from {schema}.sync_loaded_files group by account, location order by account, location;

-- name: claim_slot
-- Grants the slot if no living worker has it, as `claim` does with tables: the advisory lock is tried only where having
-- it means a grant.
with me as (
    select pg_backend_pid() || '@' || extract(epoch from pg_postmaster_start_time())::bigint as session
), added as (
    insert into {schema}.sync_slots (slot, publication) values (%(slot)s, %(publication)s)
    on conflict (slot) do nothing
    returning slot
), found as (
    select s.* from {schema}.sync_slots s where s.slot = %(slot)s for update of s
), judged as (
    select found.*, me.session,
        found.lease_expires is null or found.lease_expires <= clock_timestamp() as free,
        found.lease_session <> me.session as foreign_session
    from found cross join me
), tried as materialized (
    select judged.*, case when free or foreign_session then
        case when %(locked)s then true when %(has_own_session)s then pg_try_advisory_lock(%(key)s)
            else pg_try_advisory_xact_lock(%(key)s) end
        end as has_lock
    from judged
), granted as (
    update {schema}.sync_slots s
    set fence = greatest(
            case when s.fence < 9000000000000000000 then s.fence + 1 end, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
        publication = %(publication)s,
        lease_holder = %(holder)s,
        lease_run_id = %(run_id)s,
        lease_since = clock_timestamp(),
        lease_expires = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
        lease_session = case when tried.has_lock and %(has_own_session)s then tried.session end
    from tried
    where s.slot = tried.slot and (tried.free or (tried.foreign_session and tried.has_lock))
    returning s.slot, s.fence
)
select tried.*, granted.fence as granted_fence, tried.has_lock and %(has_own_session)s as keeps_lock,
    (select count(*) from added) as added
from tried left join granted on granted.slot = tried.slot;

-- name: renew_slot
-- Extends the lease that is still ours.
update {schema}.sync_slots
set lease_expires = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
where slot = %(slot)s and fence = %(fence)s;

-- name: release_slot
-- Frees the lease that is still ours, and drops the advisory lock of this session.
with freed as (
    update {schema}.sync_slots
    set lease_holder = null, lease_run_id = null, lease_expires = null, lease_session = null
    where slot = %(slot)s and fence = %(fence)s
)
select pg_advisory_unlock(%(key)s) where %(locked)s;

-- name: advance_slot
-- Records what was read, before it is confirmed to the server. Parameters that are NULL leave what was stored. A position
-- that an earlier statement has recorded does not go back.
update {schema}.sync_slots
set confirmed = greatest(confirmed, %(confirmed)s::bigint),
    unsettled = coalesce(%(unsettled)s::jsonb, unsettled),
    fingerprint = coalesce(%(fingerprint)s::jsonb, fingerprint),
    figures = figures || coalesce(%(figures)s::jsonb, jsonb_build_object()),
    read_at = case when %(complete)s then clock_timestamp() else read_at end,
    timeline = coalesce(%(timeline)s, timeline),
    trouble = null, trouble_since = null
where slot = %(slot)s and fence = %(fence)s;

-- name: begin_slot
-- The first slot is about to be made: if nothing records that it was, it is ours all the same.
update {schema}.sync_slots set created_at = clock_timestamp()
where slot = %(slot)s and fence = %(fence)s;

-- name: new_generation
-- A slot was made: positions in earlier ones, and in other slots, are not continued from.
update {schema}.sync_slots
set generation = (select max(generation) from {schema}.sync_slots) + 1, system = %(system)s, timeline = %(timeline)s, database = %(database)s,
    confirmed = %(confirmed)s, unsettled = %(unsettled)s::jsonb, created_at = clock_timestamp(), why = %(why)s,
    fingerprint = %(fingerprint)s::jsonb, figures = jsonb_build_object(), trouble = null, trouble_since = null
where slot = %(slot)s and fence = %(fence)s
returning generation, created_at;

-- name: slot_trouble
-- Why the log is not read at present.
update {schema}.sync_slots
set trouble = %(why)s, trouble_since = coalesce(trouble_since, clock_timestamp()),
    figures = figures || coalesce(%(figures)s::jsonb, jsonb_build_object())
where slot = %(slot)s and fence = %(fence)s;

-- name: slots
-- Every slot that the ledger knows, with its lease.
select *, lease_expires > clock_timestamp() as is_held, (select min(id) from {schema}.pgsnow_ledger) as ledger,
    extract(epoch from clock_timestamp() - read_at)::float8 as read_seconds,
    extract(epoch from clock_timestamp() - coalesce(read_at, created_at))::float8 as unread_seconds,
    extract(epoch from clock_timestamp() - trouble_since)::float8 as trouble_seconds
from {schema}.sync_slots order by slot;

-- name: spool_of
-- The identifier of the folder log_spool_dir.
select spool from {schema}.sync_slots where slot = %(slot)s;

-- name: remember_spool
-- The folder log_spool_dir was made: files that wait in another one are not read any more.
update {schema}.sync_slots set spool = %(spool)s where slot = %(slot)s;

-- name: kept_files
-- Batches in log_spool_dir, of all tables, and their bytes.
select count(*) as batches, coalesce(sum((b ->> 'size')::bigint), 0)::bigint as bytes
from {schema}.sync_watermarks
cross join jsonb_array_elements(case when jsonb_typeof(staged) = 'array' then staged end) as b
where b ? 'kept';

-- name: forget_slot
-- The slot was dropped by a person: tables are not read from it any more. Its generation moves on, so that no position in
-- it is continued from.
update {schema}.sync_slots
set created_at = null, confirmed = 0, fingerprint = jsonb_build_object(), unsettled = '[]', figures = jsonb_build_object(), why = %(why)s,
    trouble = null, trouble_since = null, system = '',
    generation = (select max(generation) from {schema}.sync_slots) + 1, timeline = 0
where slot = %(slot)s and (lease_expires is null or lease_expires <= clock_timestamp() or fence = %(fence)s);

-- name: begin_log_join
-- The slot is not confirmed beyond this position while this run of the table lasts: where the log was read to before the
-- run, if that was in this generation, else where it is confirmed.
update {schema}.sync_slots
set joins = joins || jsonb_build_object(%(table)s::text, jsonb_build_array(
        case when generation = %(generation)s then greatest(confirmed, %(read_to)s) else confirmed end, %(fence)s::bigint)),
    fingerprint = fingerprint || %(fingerprint)s::jsonb
where slot = %(slot)s and generation > 0
returning generation, (joins -> %(table)s::text ->> 0)::bigint as position, unsettled;

-- name: end_log_join
-- The table has joined the log, or does not: the slot no longer waits for it.
update {schema}.sync_slots set joins = joins - %(table)s::text
where slot = %(slot)s and (joins -> %(table)s ->> 1)::bigint = %(fence)s;

-- name: durable_in_log
-- How far the changes of all tables are in their targets or staged. A table that has stayed behind for some time while
-- others have not is left out: it is read otherwise later. A run that has ended, or whose lease was lost, no longer counts.
with positions as (
    select (w.checkpoint -> 'log' ->> 1)::bigint as lsn, w.read_until
    from {schema}.sync_watermarks w
    where w.source_table = any (%(tables)s::text[])
        and (w.checkpoint -> 'log' ->> 0)::bigint = %(generation)s
), needed as (
    select lsn from positions p
    where read_until > clock_timestamp() - make_interval(secs => %(patience)s::float8)
        or not exists (select from positions where lsn >= %(until)s)
    union all
    select (j.value ->> 0)::bigint
    from {schema}.sync_slots s, jsonb_each(s.joins) j
    join {schema}.sync_watermarks w on w.source_table = j.key and w.fence = (j.value ->> 1)::bigint
    where s.slot = %(slot)s and w.lease_expires > clock_timestamp()
)
select least(%(until)s::bigint, (select min(lsn) from needed)) as durable
from {schema}.sync_slots where slot = %(slot)s and fence = %(fence)s;

-- name: forget_log_positions
-- Changes of these tables may be missing in the log: no position of theirs in it is continued from.
update {schema}.sync_watermarks
set checkpoint = checkpoint - 'log', loaded_checkpoint = loaded_checkpoint - 'log'
where source_table = any (%(tables)s::text[]);
