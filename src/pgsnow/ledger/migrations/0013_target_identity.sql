-- How each target looked after its last load.
alter table sync_watermarks
    add column if not exists target_created_on text,
    add column if not exists target_rows bigint,
    add column if not exists loaded_columns jsonb;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on column sync_watermarks.target_created_on is 'When the target that was loaded was created, as SHOW TABLES shows it; a target created at another time is read again as a whole. Empty: there was none. NULL: not known yet.';
comment on column sync_watermarks.target_rows is 'Rows of the target after the last load; another number of rows means that someone else changed it. NULL: not known, and not compared.';
comment on column sync_watermarks.loaded_columns is 'The target''s columns and types as last loaded; if one of them is gone, the table is read again as a whole.';

-- Done.
insert into pgsnow_migrations (version, name) values (13, 'target_identity') on conflict (version) do nothing;
