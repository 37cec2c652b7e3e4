-- When the freshness of the tables of each target schema was last written to Snowflake (heartbeat_table).
create table if not exists sync_heartbeats (
    target_schema text primary key,
    written_at timestamptz not null default now()
);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_heartbeats is 'When the heartbeat table of each target schema was last written (`heartbeat_table`).';
comment on column sync_heartbeats.target_schema is 'Database and schema in Snowflake.';
comment on column sync_heartbeats.written_at is 'When its heartbeat table was last written, or another worker began to write it.';

-- Done.
insert into pgsnow_migrations (version, name) values (24, 'heartbeats') on conflict (version) do nothing;
