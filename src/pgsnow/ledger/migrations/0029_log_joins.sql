-- Tables that are about to be read from a replication slot: the slot keeps what they need meanwhile.
alter table sync_slots add column if not exists joins jsonb not null default '{}';
comment on column sync_slots.joins is 'Tables that are read otherwise at present and join the log afterwards: table -> position from which it needs the log, and the fence of the run.';

-- Done.
insert into pgsnow_migrations (version, name) values (29, 'log_joins') on conflict (version) do nothing;
