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

-- What a person sees of it in psql (\d+); docs/ledger.md says the same.
comment on table sync_errors is 'Quarantine: source rows that could not be loaded, with the reason. The rest of their table went on.';
comment on column sync_errors.id is 'Number of the error; `pgsnow errors show`, `replay` and `dismiss` take it.';
comment on column sync_errors.source_table is 'Name of the table, as in sync_watermarks.';
comment on column sync_errors.key is 'The row''s primary key: each column''s value as text.';
comment on column sync_errors.key_digest is 'SHA-256 of the key, by which an open error of the same row is found.';
comment on column sync_errors.column_name is 'The column at fault, where it is known.';
comment on column sync_errors.payload is 'The row as it was read; long values are cut, and say so.';
comment on column sync_errors.reason is 'Why the row was refused.';
comment on column sync_errors.run_id is 'The run that refused it last.';
comment on column sync_errors.state is 'open, replayed (a newer version of the row was loaded) or dismissed (by a person).';
comment on column sync_errors.occurrences is 'How often the row was refused while this error was open.';
comment on column sync_errors.created_at is 'When it was refused first.';
comment on column sync_errors.updated_at is 'When it was refused last, replayed or dismissed.';

-- Done.
insert into pgsnow_migrations (version, name) values (2, 'errors') on conflict (version) do nothing;
