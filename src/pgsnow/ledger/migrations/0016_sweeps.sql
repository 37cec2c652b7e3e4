-- Deleted rows: when each table was last compared with its source, and who created its target.
alter table sync_watermarks
    add column if not exists sweep jsonb,
    add column if not exists created_target text;

-- What each run did about deleted rows.
alter table sync_logs
    add column if not exists rows_deleted bigint not null default 0,
    add column if not exists ranges_compared integer not null default 0,
    add column if not exists sweep_seconds double precision not null default 0;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.sweep is 'The last search for deleted rows (a sweep): the counters of the source before it, when it was, how long it took, and since when the next one is due; NULL: the next run searches, if deletes are on.';
comment on column sync_watermarks.created_target is 'Name of the target, if pgsnow has created it (version 0016 or later): deleted rows are deleted there by default. NULL: it existed before.';
comment on column sync_logs.rows_deleted is 'Rows deleted in Snowflake, or marked as deleted, because the source no longer has them.';
comment on column sync_logs.ranges_compared is 'Key ranges whose number of rows was compared in search of deleted rows; 0: there was no search.';
comment on column sync_logs.sweep_seconds is 'Duration of that search, with the deletes.';

-- Done.
insert into pgsnow_migrations (version, name) values (16, 'sweeps') on conflict (version) do nothing;
