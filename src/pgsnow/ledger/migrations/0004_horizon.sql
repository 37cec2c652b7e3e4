-- Running transactions as last listed, for roles that may not read pg_stat_activity in full.
create table if not exists sync_horizon (
    source text primary key,
    taken_at text not null,
    begun jsonb not null,
    updated_at timestamptz not null default now()
);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_horizon is 'Transactions that were open in a source when it was last read, and when each may have begun. Used only if the role may not read pg_stat_activity.';
comment on column sync_horizon.source is 'The source: its host, port and database.';
comment on column sync_horizon.taken_at is 'When the list was made, by the source''s clock, as text.';
comment on column sync_horizon.begun is 'Virtual transaction id, and the earliest time at which it may have begun.';
comment on column sync_horizon.updated_at is 'When the list was saved.';

-- Done.
insert into pgsnow_migrations (version, name) values (4, 'horizon') on conflict (version) do nothing;
