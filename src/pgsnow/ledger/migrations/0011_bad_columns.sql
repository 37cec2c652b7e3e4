-- Every bad column of a rejected row, and whether the target still has an older version of it.
alter table sync_errors
    add column if not exists bad_columns jsonb not null default '[]',
    add column if not exists stale boolean;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_errors.column_name is 'Columns that caused the error, joined by a comma, if known.';
comment on column sync_errors.bad_columns is 'Each of these columns with the reason, and the choices of on_overflow that would admit the value.';
comment on column sync_errors.stale is 'true: the target has an older version of the row; false: it has none; NULL: not known.';

-- Done.
insert into pgsnow_migrations (version, name) values (11, 'bad_columns') on conflict (version) do nothing;
