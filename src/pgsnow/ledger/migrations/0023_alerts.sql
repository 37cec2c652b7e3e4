-- Alerts: what is wrong and was reported, so that a message is sent once, when that changes.
create table if not exists sync_alerts (
    rule text not null,
    source_table text not null,
    cause text not null,
    incident text not null,
    state text not null,
    since timestamptz not null,
    opened_at timestamptz not null,
    changed_at timestamptz not null,
    times integer not null default 1,
    level integer not null default 0,
    text text not null default '',
    advice text not null default '',
    primary key (rule, source_table)
);

-- The messages, one row for each receiver. Any worker sends one that is due, and no two workers send the same.
create table if not exists sync_alert_messages (
    id bigint generated always as identity primary key,
    incident text not null,
    receiver text not null,
    message jsonb not null,
    created_at timestamptz not null default now(),
    attempts integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    claimed_until timestamptz,
    sent_at timestamptz,
    error text
);

-- Those that are still to be sent.
create index if not exists sync_alert_messages_waiting on sync_alert_messages (id) where sent_at is null;

-- Of two workers that evaluate the alerts at the same time, one finds that the number has changed, and does nothing.
alter table pgsnow_ledger add column if not exists alerts_version bigint not null default 0;

-- Descriptions, shown by \d+ in psql and in docs/ledger.md.
comment on table sync_alerts is 'What is wrong and was reported. A row stays for some hours after it ended.';
comment on column sync_alerts.rule is 'What is wrong: stopped, failing, blocked, lag, rejected or different.';
comment on column sync_alerts.source_table is 'The table concerned; empty for the sync as a whole.';
comment on column sync_alerts.cause is 'Alerts of one rule with the same cause are one message.';
comment on column sync_alerts.incident is 'Id that all messages about one cause share, until it has ended.';
comment on column sync_alerts.state is 'open, clearing (it has ended, and could come back) or closed.';
comment on column sync_alerts.since is 'Since when it has been wrong.';
comment on column sync_alerts.opened_at is 'When it was noticed.';
comment on column sync_alerts.changed_at is 'When state got its present value.';
comment on column sync_alerts.times is 'How often it was noticed lately: the more often, the later its end is reported.';
comment on column sync_alerts.level is 'How bad it was when it was last reported, in powers of ten; a higher one is reported again.';
comment on column sync_alerts.text is 'The reason, as it was when it was noticed.';
comment on column sync_alerts.advice is 'How to fix it.';
comment on table sync_alert_messages is 'Messages about alerts, kept for 30 days.';
comment on column sync_alert_messages.id is 'In the order in which they were made.';
comment on column sync_alert_messages.incident is 'The incident, as in sync_alerts; receivers get it as the key by which they know the same incident.';
comment on column sync_alert_messages.receiver is 'Name of the receiver in sync_config.yaml. Its address is not stored.';
comment on column sync_alert_messages.message is 'What happened, since when, which tables, and the advice.';
comment on column sync_alert_messages.created_at is 'When it was made.';
comment on column sync_alert_messages.attempts is 'How often it was tried to send it.';
comment on column sync_alert_messages.next_attempt_at is 'It is not tried before.';
comment on column sync_alert_messages.claimed_until is 'A worker is sending it, until then at the latest.';
comment on column sync_alert_messages.sent_at is 'When the receiver accepted it; NULL: not yet.';
comment on column sync_alert_messages.error is 'Why the last attempt failed.';
comment on column pgsnow_ledger.alerts_version is 'Grows with each change of sync_alerts.';

-- Done.
insert into pgsnow_migrations (version, name) values (23, 'alerts') on conflict (version) do nothing;
