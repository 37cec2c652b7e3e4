-- What loads may cost in a day, what they have cost, and which tables are slowed so that it suffices (budget).
create table if not exists sync_budget (
    day date primary key,
    planned_at timestamptz not null default now(),
    credits_per_day double precision,
    credits_before double precision not null default 0,
    spent double precision not null default 0,
    forecast double precision not null default 0,
    least double precision not null default 0,
    held_until timestamptz,
    conflict text,
    conflict_since timestamptz,
    paces jsonb,
    loads jsonb,
    habits jsonb,
    habits_at timestamptz
);

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_budget is 'One row for each day (UTC) with a budget, kept for 100 days: what is spent, and which tables are slowed.';
comment on column sync_budget.day is 'The day, in UTC.';
comment on column sync_budget.planned_at is 'When a tick last decided about it.';
comment on column sync_budget.credits_per_day is 'The budget at that time; NULL: no limit.';
comment on column sync_budget.credits_before is 'Sum of sync_warehouses.credits when the day began.';
comment on column sync_budget.spent is 'Estimated credits of all workers since the day began.';
comment on column sync_budget.forecast is 'Expected credits of the whole day, with the tables slowed as they are.';
comment on column sync_budget.least is 'Expected credits of the whole day if every table were slowed as far as its max_lag allows.';
comment on column sync_budget.held_until is 'Nothing that can wait is loaded before; NULL: loads are made.';
comment on column sync_budget.conflict is 'Why the budget cannot be kept; NULL: it can.';
comment on column sync_budget.conflict_since is 'Since when that has been known.';
comment on column sync_budget.paces is 'Slowed tables: seconds between two loads, those configured, why, until when, when the next load is expected (seconds since 1970), and whether nothing is loaded until then.';
comment on column sync_budget.loads is 'Tables of which that tick decided to load what is staged, also in runs that other workers do for it.';
comment on column sync_budget.habits is 'When changes of each table arrive, and how long its loads take, from the runs of the last days.';
comment on column sync_budget.habits_at is 'When habits was computed.';

-- Done.
insert into pgsnow_migrations (version, name) values (26, 'budget') on conflict (version) do nothing;
