-- The folder that keeps changes of the log while Snowflake cannot be reached (log_spool_dir).
alter table sync_slots add column if not exists spool text not null default '';
comment on column sync_slots.spool is 'Identifier of the folder log_spool_dir, as the file pgsnow-spool.json in it has it; empty: there is none.';

-- Done.
insert into pgsnow_migrations (version, name) values (28, 'log_spool') on conflict (version) do nothing;
