-- Replication slots from which tables with `mode: log` are read.
create table if not exists sync_slots (
    slot text primary key,
    publication text not null default '',
    generation bigint not null default 0,
    system text not null default '',
    timeline bigint not null default 0,
    database bigint not null default 0,
    confirmed bigint not null default 0,
    unsettled jsonb not null default '[]',
    fingerprint jsonb not null default '{}',
    joins jsonb not null default '{}',
    created_at timestamptz,
    why text not null default '',
    read_at timestamptz,
    figures jsonb not null default '{}',
    trouble text,
    trouble_since timestamptz,
    fence bigint not null default 0,
    lease_holder text,
    lease_run_id text,
    lease_since timestamptz,
    lease_expires timestamptz,
    lease_session text
);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_slots is 'One row for each replication slot from which tables with mode log are read.';
comment on column sync_slots.slot is 'Name of the slot.';
comment on column sync_slots.publication is 'Name of the publication that has the tables.';
comment on column sync_slots.generation is 'Number of the slot as it was made: a slot that was lost, dropped or made again has a higher one; 0: none was made yet.';
comment on column sync_slots.system is 'Identifier of the server where the slot was made; empty: the role may not read it.';
comment on column sync_slots.timeline is 'Timeline of that server then; 0: the role may not read it.';
comment on column sync_slots.database is 'Oid of the database where the slot was made; 0: not known.';
comment on column sync_slots.confirmed is 'Newest position in the write-ahead log (bytes, as pg_lsn counts them) that was confirmed to the server, or was about to be.';
comment on column sync_slots.unsettled is 'Transaction ids that the log has shown as committed and that no snapshot showed yet: no table joins the log before they are visible.';
comment on column sync_slots.fingerprint is 'The publication, its members and their replica identities as the last read saw them: a change means that the log may lack changes.';
comment on column sync_slots.joins is 'Tables that are read otherwise at present and join the log afterwards: table, with the position from which it needs the log and the fence of its run.';
comment on column sync_slots.created_at is 'When this generation was made.';
comment on column sync_slots.why is 'Why it was made.';
comment on column sync_slots.read_at is 'When the log was last read to its end.';
comment on column sync_slots.figures is 'Measurements of the last read, for the status.';
comment on column sync_slots.trouble is 'Why the log is not read at present; NULL: it is read.';
comment on column sync_slots.trouble_since is 'Since when.';
comment on column sync_slots.fence is 'Number of the newest claim of the slot: writes of earlier ones are refused.';
comment on column sync_slots.lease_holder is 'Worker that reads the slot; NULL: none does.';
comment on column sync_slots.lease_run_id is 'Run in which it reads it.';
comment on column sync_slots.lease_since is 'When it was granted the slot.';
comment on column sync_slots.lease_expires is 'When another worker may read the slot although the holder has not released it.';
comment on column sync_slots.lease_session is 'Session of the ledger that keeps an advisory lock as long as the holder is alive; NULL: behind a pooler.';

-- Done.
insert into pgsnow_migrations (version, name) values (27, 'slots') on conflict (version) do nothing;
