-- Rows that could not go on, one open row for each source row.
create table if not exists sync_errors (
    id bigint generated always as identity primary key,
    source_table text not null,
    key jsonb not null,
    key_digest text not null,
    column_name text,
    payload jsonb,
    reason text not null,
    run_id text not null,
    state text not null default 'open' check (state in ('open', 'replayed', 'dismissed')),
    occurrences integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- A row of the source is open once. Over the digest, since a long key would not fit into an index.
create unique index if not exists sync_errors_open on sync_errors (source_table, key_digest) where state = 'open';

-- The newest errors of a table, and of all.
create index if not exists sync_errors_newest on sync_errors (source_table, updated_at);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_errors is 'Rejected rows: source rows that could not be loaded, with the reason. The other rows of their table were loaded.';
comment on column sync_errors.id is 'Number of the error, for `pgsnow errors show`, `replay` and `dismiss`.';
comment on column sync_errors.source_table is 'Name of the table, as in sync_watermarks.';
comment on column sync_errors.key is 'Primary key of the row: each column''s value as text.';
comment on column sync_errors.key_digest is 'SHA-256 of the key, to find an open error of the same row.';
comment on column sync_errors.column_name is 'Column that caused the error, if known.';
comment on column sync_errors.payload is 'The row as it was read; long values are cut and marked as cut.';
comment on column sync_errors.reason is 'Why the row was rejected.';
comment on column sync_errors.run_id is 'Last run that rejected it.';
comment on column sync_errors.state is 'open, replayed (a newer version of the row was loaded) or dismissed (by an operator).';
comment on column sync_errors.occurrences is 'How often the row was rejected while this error was open.';
comment on column sync_errors.created_at is 'When it was first rejected.';
comment on column sync_errors.updated_at is 'When it was last rejected, or was replayed or dismissed.';

-- Done.
insert into pgsnow_migrations (version, name) values (2, 'errors') on conflict (version) do nothing;
