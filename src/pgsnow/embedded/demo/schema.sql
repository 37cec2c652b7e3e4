-- The source tables of the demo. Their watermark columns carry an index, as those of any synced table should.
create type public.membership as enum ('free', 'plus', 'pro');

create table public.users (
    id bigint generated always as identity primary key,
    email text not null,
    name text,
    membership public.membership not null default 'free',
    balance numeric(12, 2) not null default 0,
    profile jsonb,
    tags text[] not null default '{}',
    active boolean not null default true,
    born date,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index users_updated_at on public.users (updated_at);

create table public.checkins (
    id uuid primary key default gen_random_uuid(),
    user_id bigint not null,
    place text,
    distance double precision,
    visit smallint not null default 1,
    details jsonb,
    token bytea,
    wall_clock timestamp,
    on_day date not null default current_date,
    last_modified timestamptz not null default now()
);
create index checkins_last_modified on public.checkins (last_modified);
