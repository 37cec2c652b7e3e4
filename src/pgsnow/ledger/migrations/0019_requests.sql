-- Actions that a person has asked for, in the status page or by a command.
create table if not exists sync_requests (
    id bigint generated always as identity primary key,
    source_table text,
    action text not null check (action in ('run', 'resync', 'replay', 'pause', 'resume', 'dismiss')),
    arguments jsonb not null default '{}',
    requested_by text not null,
    requested_at timestamptz not null default now(),
    state text not null default 'open' check (state in ('open', 'taken', 'done', 'failed')),
    attempts integer not null default 0,
    taken_by text,
    taken_at timestamptz,
    taken_session text,
    finished_at timestamptz,
    run_id text,
    status text,
    error text
);

-- Requests that have not ended. The same action is asked for once at a time.
create unique index if not exists sync_requests_open
    on sync_requests (coalesce(source_table, ''), action, hashtextextended(arguments::text, 0)) where state in ('open', 'taken');

-- The newest requests of one table.
create index if not exists sync_requests_table on sync_requests (source_table, id);

-- Who paused a table.
alter table sync_watermarks
    add column if not exists paused_by text,
    add column if not exists paused_at timestamptz,
    add column if not exists paused_reason text;

-- Pages of rejected rows by number.
create index if not exists sync_errors_open_id on sync_errors (source_table, id) where state = 'open';

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_requests is 'Actions that a person has asked for in the status page or by a command, kept for 35 days after their end.';
comment on column sync_requests.id is 'Number of the request.';
comment on column sync_requests.source_table is 'Name of the table, as in sync_watermarks; NULL: all tables.';
comment on column sync_requests.action is 'run, resync or replay, which the next tick of a worker does; pause, resume or dismiss, which are done at once.';
comment on column sync_requests.arguments is 'Arguments of the action: ids of rejected rows, the reason of a pause.';
comment on column sync_requests.requested_by is 'Who asked.';
comment on column sync_requests.requested_at is 'When.';
comment on column sync_requests.state is 'open, taken (a worker is at it), done or failed.';
comment on column sync_requests.attempts is 'How often a worker has taken it; more than once if the worker died, or if another run had the table.';
comment on column sync_requests.taken_by is 'Worker that took it last.';
comment on column sync_requests.taken_at is 'When.';
comment on column sync_requests.taken_session is 'Database session (process id @ server start) whose advisory lock proves that this worker is alive; NULL if there is none.';
comment on column sync_requests.finished_at is 'When it ended.';
comment on column sync_requests.run_id is 'The run that did it.';
comment on column sync_requests.status is 'How that run ended, or what was done.';
comment on column sync_requests.error is 'Why it failed, or what an open request waits for.';
comment on column sync_watermarks.paused_by is 'Who paused the table; NULL if a statement did, or if it is not paused.';
comment on column sync_watermarks.paused_at is 'When the table was paused.';
comment on column sync_watermarks.paused_reason is 'Why the table was paused.';

-- Done.
insert into pgsnow_migrations (version, name) values (19, 'requests') on conflict (version) do nothing;
