-- Which worker processes are alive, also when no table is due.
create table if not exists sync_ticks (
    holder text primary key,
    at timestamptz not null default now(),
    interval_seconds double precision not null,
    version text not null,
    asked_by text not null
);

-- Room in each page for the next version of its rows.
alter table sync_ticks set (fillfactor = 50);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_ticks is 'The newest tick of each process, kept for a week.';
comment on column sync_ticks.holder is 'Host and process id.';
comment on column sync_ticks.at is 'When the tick began.';
comment on column sync_ticks.interval_seconds is 'Seconds between two ticks in its configuration.';
comment on column sync_ticks.version is 'Its version of pgsnow.';
comment on column sync_ticks.asked_by is 'What started it: schedule (all tables that are due), command, or request and its number.';

-- Done.
insert into pgsnow_migrations (version, name) values (20, 'ticks') on conflict (version) do nothing;
