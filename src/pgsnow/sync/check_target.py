"""Can Snowflake be written to, by this role, in this place?"""

from __future__ import annotations

from collections.abc import Iterator

from pgsnow.model.errors import AccessDenied, PgsnowError, TableError, TargetMissing
from pgsnow.model.plan import TablePlan
from pgsnow.model.settings import SnowflakeSettings
from pgsnow.model.table import TargetName, fold_target
from pgsnow.snowflake.connection import Session
from pgsnow.snowflake.foresee import current_role, foresee_target, grants_of, schemas_of, use_warehouse
from pgsnow.snowflake.quoting import quote, schema_of
from pgsnow.sync.finding import Finding, failed, ok, warning

NEEDED = ("CREATE TABLE", "CREATE STAGE")
"""On the target's schema. Snowflake docs, "Access control privileges"."""


def check_account(session: Session, settings: SnowflakeSettings) -> Iterator[Finding]:
    """The login has worked; what about the rest?"""
    yield ok("snowflake", settings.display)
    for text in settings.warnings:
        yield warning("snowflake login", text, "See docs/going-live.md, “a key pair”.")
    if settings.warehouse:
        yield _warehouse(session, fold_target(settings.warehouse))
    yield _database(session, fold_target(settings.database))


def _warehouse(session: Session, name: str) -> Finding:
    try:
        use_warehouse(session, name)
    except (TableError, AccessDenied) as error:
        role = role_of(session)
        fix = f"Correct SNOWFLAKE_WAREHOUSE, or: GRANT USAGE ON WAREHOUSE {quote(name)} TO ROLE {role};"
        return failed("snowflake warehouse", str(error), fix)
    return ok("snowflake warehouse", name)


def _database(session: Session, name: str) -> Finding:
    if schemas_of(session, name):
        return ok("snowflake database", name)
    role = role_of(session)
    return failed(
        "snowflake database",
        f"there is no database {name}, or role {role} may not see it",
        f"CREATE DATABASE {quote(name)}; GRANT USAGE, CREATE SCHEMA ON DATABASE {quote(name)} TO ROLE {role};",
    )


def check_rights(session: Session, targets: frozenset[TargetName]) -> Iterator[Finding]:
    """A finding a schema that targets are in."""
    role = current_role(session)
    try:
        grants = frozenset(grants_of(session, role))
    except PgsnowError:
        grants = None
    for target in sorted({target.sibling("") for target in targets}):
        yield _rights_in(session, target, role, grants)


def _rights_in(
    session: Session, target: TargetName, role: str, grants: frozenset[tuple[str, str, str]] | None
) -> Finding:
    name = "snowflake rights"
    place = f"{target.database}.{target.schema}"
    if grants is None:
        return warning(name, f"the grants of role {role} cannot be told", "Ask: SHOW GRANTS TO ROLE …;")
    there = target.schema in schemas_of(session, target.database)
    kind, where = ("SCHEMA", schema_of(target)) if there else ("DATABASE", quote(target.database))
    wanted = NEEDED if there else ("CREATE SCHEMA",)
    had = {privilege for privilege, on, what in grants if on == kind and same_object(what, where)}
    if had >= set(wanted) or "OWNERSHIP" in had:
        return ok(name, f"{role} may create what it needs in {place}")
    fix = f"GRANT USAGE, {', '.join(wanted)} ON {kind} {where} TO ROLE {quote(role)};"
    missing = ", ".join(right for right in wanted if right not in had)
    detail = f"{role} has not been granted {missing} on {kind.lower()} {place}"
    if any(on == "ROLE" and privilege == "USAGE" for privilege, on, _ in grants):
        return warning(name, f"{detail} itself; it may have inherited that", fix)
    return failed(name, detail, fix)


def same_object(told: str, quoted: str) -> bool:
    """SHOW GRANTS quotes a part of a name only where it must: `DB."my schema"` is `"DB"."my schema"`."""
    return told.replace('"', "") == quoted.replace('"', "")


def role_of(session: Session) -> str:
    return quote(current_role(session))


def check_target(session: Session, plan: TablePlan) -> Finding:
    """Whether the target can take the table; says what the first run would do to it."""
    name = f"target of {plan.config.name}"
    try:
        statements = foresee_target(session, plan.target, plan.output, plan.target_key, plan.own_columns)
    except TargetMissing as error:
        return failed(
            name, str(error), error.advice or "Check SNOWFLAKE_DATABASE and the grants of SNOWFLAKE_ROLE."
        )
    except (TableError, AccessDenied) as error:
        return failed(name, str(error), error.advice)
    if not statements:
        return ok(name, f"{plan.target} is ready")
    return ok(name, f"{plan.target}: the first run sends {len(statements)} statements (see `pgsnow plan`)")
