"""Check of Snowflake: warehouse, database, the role's privileges, and the targets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pgsnow.model.config.cost import CostConfig
from pgsnow.model.errors import AccessDenied, PgsnowError, TableError, TargetMissing
from pgsnow.model.evolution.definition_diff import clustering_note
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.plan import TablePlan
from pgsnow.model.sentences import counted
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import KnownTarget, TargetName, fold_target
from pgsnow.operations.check.result import CheckResult, failed, ok, warning
from pgsnow.operations.preconditions import lacking, ready_to_load
from pgsnow.snowflake.names import qualified, quote, text
from pgsnow.snowflake.privileges import FILE_FORMATS, TABLE, VIEWS, Rights, rights_of
from pgsnow.snowflake.schema.required_ddl import RequiredDdl, TargetInspector, use_warehouse
from pgsnow.snowflake.schema.storage import storage_warnings
from pgsnow.snowflake.schema.target_table import schemas_of
from pgsnow.snowflake.session import Session

NO_FACTS = CostConfig()
WITHOUT = {
    FILE_FORMATS: "changed rows are loaded through staging tables, which takes four more statements a load",
    VIEWS: "tables with `live_view` have no view",
}
"""Privileges on a schema that runs can do without, and how."""


def check_account(
    session: Session, settings: SnowflakeSettings, cost: CostConfig = NO_FACTS
) -> Iterator[CheckResult]:
    """Check the warehouse and the database, after a login that worked. cost: what the table list says about the
    warehouse."""
    yield ok("snowflake", settings.display)
    for found in settings.warnings:
        yield warning("snowflake login", found, "See `pgsnow explain going-live#2-snowflake`.")
    if settings.warehouse:
        yield _warehouse(session, fold_target(settings.warehouse), cost)
    yield _database(session, fold_target(settings.database))


def _warehouse(session: Session, name: str, cost: CostConfig) -> CheckResult:
    try:
        use_warehouse(session, name)
    except (TableError, AccessDenied) as error:
        role = role_of(session)
        fix = f"Correct SNOWFLAKE_WAREHOUSE, or: GRANT USAGE ON WAREHOUSE {quote(name)} TO ROLE {role};"
        return failed("snowflake warehouse", str(error), fix)
    facts = _shown(session, name)
    return _resumes(name, facts) or _billed(name, facts, cost) or ok("snowflake warehouse", name)


def _shown(session: Session, name: str) -> Mapping[str, str]:
    """A warehouse as SHOW WAREHOUSES describes it, by column; nothing if that is not known. Does not start it."""
    try:
        shown = session.execute(f"SHOW WAREHOUSES LIKE {text(name)}")
    except PgsnowError:
        return {}
    for row in shown.rows:
        facts = {
            column: "" if value is None else str(value)
            for column, value in zip(shown.columns, row, strict=True)
        }
        if facts.get("name") == name:
            return facts
    return {}


def _resumes(name: str, facts: Mapping[str, str]) -> CheckResult | None:
    """The problem of a warehouse without AUTO_RESUME, which executes nothing while it is suspended; None: no problem is
    known."""
    if facts.get("auto_resume", "").lower() != "false":
        return None
    fix = f"ALTER WAREHOUSE {quote(name)} SET AUTO_RESUME = TRUE;"
    if facts.get("state", "").upper() in ("STARTED", "RESUMING"):
        return warning("snowflake warehouse", f"{name} is not resumed once it is suspended", fix)
    return failed("snowflake warehouse", f"{name} is suspended, and is not resumed", fix)


def _billed(name: str, facts: Mapping[str, str], cost: CostConfig) -> CheckResult | None:
    """The problem of a warehouse that is never suspended, or is not the one that costs are estimated for; None: no
    problem is known."""
    if "auto_suspend" not in facts:
        return None
    if facts["auto_suspend"] in ("", "0"):
        fix = f"ALTER WAREHOUSE {quote(name)} SET AUTO_SUSPEND = 30;"
        return warning("snowflake warehouse", f"{name} never suspends itself, and is billed all day", fix)
    found = {"auto_suspend_seconds": facts["auto_suspend"], "warehouse_size": facts.get("size", "").lower()}
    assumed = {
        "auto_suspend_seconds": str(cost.auto_suspend_seconds),
        "warehouse_size": cost.warehouse_size.value,
    }
    differ = {key: value for key, value in found.items() if value and value != assumed[key]}
    if not differ:
        return None
    said = ", ".join(f"{key} is {value}" for key, value in differ.items())
    believed = ", ".join(assumed[key] for key in differ)
    written = ", ".join(f"{key}: {value}" for key, value in differ.items())
    return warning(
        "snowflake warehouse",
        f"{name}: {said}, and costs are estimated for {believed}",
        f"In the table list: cost: {{{written}}} (pgsnow explain cost); or alter the warehouse.",
    )


def _database(session: Session, name: str) -> CheckResult:
    if schemas_of(session, name):
        return ok("snowflake database", name)
    role = role_of(session)
    return failed(
        "snowflake database",
        f"there is no database {name}, or role {role} may not see it",
        f"CREATE DATABASE {quote(name)}; GRANT USAGE, CREATE SCHEMA ON DATABASE {quote(name)} TO ROLE {role};",
    )


def check_rights(
    session: Session, targets: frozenset[TargetName], viewed: Collection[TargetName] = ()
) -> Iterator[CheckResult]:
    """One result for each schema that holds targets. viewed: the targets with a live view."""
    rights = rights_of(session)
    views = {target.sibling("") for target in viewed}
    for target in sorted({target.sibling("") for target in targets}):
        yield _rights_in(session, target, rights, views=target in views)


def _rights_in(session: Session, target: TargetName, rights: Rights, *, views: bool) -> CheckResult:
    name = "snowflake rights"
    place = f"{target.database}.{target.schema}"
    if rights.grants is None:
        detail = f"the grants of role {rights.role} cannot be read"
        return warning(
            name,
            detail,
            f"Run SHOW GRANTS TO ROLE {rights.role}; as an administrator, and compare with `pgsnow grants`.",
        )
    there = target.schema in schemas_of(session, target.database)
    lack = rights.lacking_in(target, schema_there=there)
    optional = (FILE_FORMATS, VIEWS) if views else (FILE_FORMATS,)
    lacks = [found for right in optional if there and (found := rights.lacks_in(target, right)) is not None]
    if lack is None and lacks:
        named = ", ".join(found.privileges[0] for found in lacks)
        effects = "; ".join(WITHOUT[found.privileges[0]] for found in lacks)
        detail = f"{rights.role} has not been granted {named} on schema {place}: {effects}"
        return warning(name, detail, " ".join(f"{found.statement};" for found in lacks))
    if lack is None:
        return ok(name, f"{rights.role} may create what it needs in {place}")
    missing = ", ".join(lack.privileges)
    detail = f"{rights.role} has not been granted {missing} on {lack.kind.lower()} {place}"
    fix = " ".join(f"{found.statement};" for found in (lack, *lacks))
    if not lack.certain:
        return warning(name, f"{detail} itself; it may have inherited that", fix)
    return failed(name, detail, fix)


def role_of(session: Session) -> str:
    return quote(rights_of(session).role)


def check_target(
    inspector: TargetInspector, drift: Drift, rights: Rights, known: KnownTarget | None = None
) -> CheckResult:
    """Check that the target can take the table and is as it was after the last load (known), and count the statements
    that the next run would send. Rights in its schema have results of their own. Raises TargetUnavailable, and an error
    that pgsnow does not know."""
    name, target = f"target of {drift.plan.config.name}", drift.plan.target
    try:
        required = ready_to_load(inspector, drift)
        statements = required.statements
        lacks = [lack for lack in lacking(rights, inspector, drift.plan, required) if lack.kind == TABLE]
        difference = inspector.difference(drift.plan, known, drift.altered) if known is not None else None
    except TargetMissing as error:
        return failed(
            name, str(error), error.advice or "Check SNOWFLAKE_DATABASE and the grants of SNOWFLAKE_ROLE."
        )
    except (TableError, AccessDenied) as error:
        return failed(name, str(error), error.advice)
    unmarked = required.mark.role
    if unmarked and unmarked != rights.role:
        return warning(
            name,
            f"{target} belongs to role {unmarked}: if {rights.role} has not inherited its ownership, it cannot be"
            " marked, and is not protected against another configuration",
            f"GRANT OWNERSHIP ON TABLE {qualified(target)} TO ROLE {quote(rights.role)} COPY CURRENT GRANTS;",
        )
    for lack in lacks:
        missing = ", ".join(lack.privileges)
        detail = f"{target}: role {rights.role} has not been granted {missing} on it"
        if lack.certain:
            return failed(name, detail, f"{lack.statement};")
        return warning(name, f"{detail} itself; it may have inherited that", f"{lack.statement};")
    if difference is not None:
        fix = "Nothing to do: with the next changes everything is read again. At once: pgsnow run --full-refresh"
        return warning(name, f"{target}: {difference}", f"{fix} --select {drift.plan.config.name}")
    if (stored := _stored(drift.plan, required)) is not None:
        return warning(name, *stored)
    if not statements:
        return ok(name, f"{target} is ready")
    count = counted(len(statements), "statement")
    return ok(name, f"{target}: the next run sends {count} (see `pgsnow plan`)")


def _stored(plan: TablePlan, required: RequiredDdl) -> tuple[str, str] | None:
    """How an existing target is stored otherwise than configured, and the remedy; None: it is not, or that is not
    configured."""
    for differs in storage_warnings(plan, required.state):
        return differs, f"DROP TABLE {qualified(plan.target)}; or remove `transient:` from its entry"
    for name in plan.dropped_clustering:
        return f"{plan.source.name} has no column {name} any more", clustering_note(name)
    if required.clustering:
        fix = "pgsnow apply sends the statement that `pgsnow plan` shows; Snowflake then reclusters the table"
        return f"{plan.target} is not clustered as `cluster_by` says", fix
    return None
