"""Facts about the server and the role that reading the log depends on, for `pgsnow check`.

https://www.postgresql.org/docs/current/logical-replication-config.html"""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg

from pgsnow.postgres.errors import translating

SERVICE_ROLES = ("rds_replication", "neon_superuser")
"""Roles by which services of clouds let their members use replication, in place of the attribute REPLICATION."""

_FACTS = """
select quote_ident(current_user),
    (select rolreplication or rolsuper from pg_roles where rolname = current_user),
    array(select rolname::text from pg_roles where rolname = any (%(services)s) order by rolname),
    array(select rolname::text from pg_roles
          where rolname = any (%(services)s) and pg_has_role(current_user, oid, 'member') order by rolname),
    current_setting('max_wal_senders')::int
        - (select count(*)::int from pg_stat_activity where backend_type = 'walsender'),
    array(select slot_name::text from pg_replication_slots where slot_type = 'physical' and active order by 1),
    current_setting('synchronized_standby_slots', true),
    current_setting('idle_replication_slot_timeout', true)
"""


class LogFacts(NamedTuple):
    """role: quoted. has_attribute: it has REPLICATION. services: roles of SERVICE_ROLES that exist; member_of: those
    that the role is a member of. free_senders: places of max_wal_senders that are free. standby_slots: slots of
    standbys that are connected. synchronized: of the slots that logical readers wait for (None: before version 17).
    idle_timeout: after which the server gives up a slot that is not read (None: before version 18)."""

    role: str
    has_attribute: bool
    services: tuple[str, ...]
    member_of: tuple[str, ...]
    free_senders: int
    standby_slots: tuple[str, ...]
    synchronized: str | None
    idle_timeout: str | None

    @property
    def may_replicate(self) -> bool:
        """True unless nothing shows that the role may read the log."""
        return self.has_attribute or bool(self.member_of)

    @property
    def grant(self) -> str:
        """The statement that lets the role read the log."""
        if "rds_replication" in self.services:
            return f"GRANT rds_replication TO {self.role};"
        return f"ALTER ROLE {self.role} REPLICATION;"


def log_facts(conn: psycopg.Connection[Any]) -> LogFacts:
    """One round trip. Raises SourceUnavailable."""
    with translating():
        row = conn.execute(_FACTS, {"services": list(SERVICE_ROLES)}).fetchone()
    assert row is not None
    role, has_attribute, services, member_of, free, standbys, synchronized, idle = row
    return LogFacts(
        role,
        bool(has_attribute),
        tuple(services),
        tuple(member_of),
        free,
        tuple(standbys),
        synchronized,
        idle,
    )
