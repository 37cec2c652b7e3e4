-- The latest result of pgsnow check, for people who only see the status page.
create table if not exists sync_checks (
    id integer primary key,
    at timestamptz not null default now(),
    holder text not null,
    version text not null,
    results jsonb not null
);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_checks is 'The latest result of `pgsnow check`: one row.';
comment on column sync_checks.id is 'Always 1.';
comment on column sync_checks.at is 'When the check ended.';
comment on column sync_checks.holder is 'Host and process id of the command.';
comment on column sync_checks.version is 'Its version of pgsnow.';
comment on column sync_checks.results is 'Each result as `pgsnow check --output json` prints it, without secrets.';

-- Done.
insert into pgsnow_migrations (version, name) values (21, 'checks') on conflict (version) do nothing;
