"""`check` reads SHOW GRANTS, which the emulator does not support: exact statements, documented answers."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.table import TargetName
from pgsnow.operations.check.result import Level
from pgsnow.operations.check.target import check_rights
from pgsnow.operations.preconditions import lacking
from pgsnow.snowflake.privileges import rights_of
from pgsnow.snowflake.schema.required_ddl import RequiredDdl, TargetInspector
from pgsnow.snowflake.session import Result
from tests.unit.model.evolving import column, plan_of, table

TARGET = TargetName("SALES", "ANALYTICS", "USERS")
SCHEMAS = 'SHOW SCHEMAS IN DATABASE "SALES"'
CREATES = [(f"CREATE {kind}", "SCHEMA", "SALES.ANALYTICS") for kind in ("TABLE", "STAGE")]
GRANTS = 'SHOW GRANTS TO ROLE "LOADER"'


class Account:
    """Answers these statements, and no other."""

    def __init__(
        self, grants: list[tuple[str, str, str]] | None, schemas: tuple[str, ...] = ("ANALYTICS",)
    ) -> None:
        self.answers: dict[str, Any] = {
            "SELECT CURRENT_ROLE()": Result([("LOADER",)], ("CURRENT_ROLE()",), ""),
            SCHEMAS: Result([(name,) for name in (*schemas, "INFORMATION_SCHEMA")], ("name",), ""),
            GRANTS: TargetQueryFailed("unsupported")
            if grants is None
            else Result(list(grants), ("privilege", "granted_on", "name"), ""),
        }

    def execute(self, statement: str) -> Result:
        answer = self.answers.get(statement, TargetMissing(statement))
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Result)
        return answer


@pytest.mark.parametrize(
    ("grants", "level"),
    [
        ([*CREATES, ("CREATE FILE FORMAT", "SCHEMA", "SALES.ANALYTICS")], Level.OK),
        (CREATES, Level.WARNING),
        ([("OWNERSHIP", "SCHEMA", '"SALES"."ANALYTICS"')], Level.OK),
        ([("CREATE TABLE", "SCHEMA", "SALES.ANALYTICS")], Level.FAILED),
        ([("OWNERSHIP", "SCHEMA", "SALES.OTHER")], Level.FAILED),
        ([], Level.FAILED),
        ([("USAGE", "ROLE", "SYSADMIN")], Level.WARNING),
        (None, Level.WARNING),
    ],
)
def test_the_rights_in_a_schema_that_is_there(
    grants: list[tuple[str, str, str]] | None, level: Level
) -> None:
    [finding] = check_rights(Account(grants), frozenset({TARGET}))  # type: ignore[arg-type]
    assert finding.level is level


def test_what_is_missing_is_told_as_the_statement_that_grants_it() -> None:
    account = Account([("CREATE TABLE", "SCHEMA", "SALES.ANALYTICS")])
    [finding] = check_rights(account, frozenset({TARGET}))  # type: ignore[arg-type]
    assert "CREATE STAGE" in finding.detail
    assert finding.fix == (
        'GRANT USAGE, CREATE TABLE, CREATE STAGE ON SCHEMA "SALES"."ANALYTICS" TO ROLE "LOADER";'
        ' GRANT CREATE FILE FORMAT ON SCHEMA "SALES"."ANALYTICS" TO ROLE "LOADER";'
    )


def test_without_the_right_to_create_a_file_format_loads_take_more_statements() -> None:
    """A role from before merges from files goes on loading, and is told what to grant."""
    [finding] = check_rights(Account(CREATES), frozenset({TARGET}))  # type: ignore[arg-type]
    assert "staging tables" in finding.detail
    assert finding.fix == 'GRANT CREATE FILE FORMAT ON SCHEMA "SALES"."ANALYTICS" TO ROLE "LOADER";'


def test_without_the_right_to_create_views_a_table_has_no_live_view() -> None:
    """Only tables with `live_view` need it: without the grant, runs load, and readers have no view."""
    account = Account([*CREATES, ("CREATE FILE FORMAT", "SCHEMA", "SALES.ANALYTICS")])
    [finding] = check_rights(account, frozenset({TARGET}), [TARGET])  # type: ignore[arg-type]
    assert (finding.level, "live_view" in finding.detail) == (Level.WARNING, True)
    assert finding.fix == 'GRANT CREATE VIEW ON SCHEMA "SALES"."ANALYTICS" TO ROLE "LOADER";'
    [both] = check_rights(Account(CREATES), frozenset({TARGET}), [TARGET])  # type: ignore[arg-type]
    assert "CREATE FILE FORMAT, CREATE VIEW" in both.detail


def test_a_schema_that_is_not_there_needs_the_right_to_create_it() -> None:
    target = frozenset({TARGET})
    [without] = check_rights(Account([], schemas=()), target)  # type: ignore[arg-type]
    assert without.fix == 'GRANT USAGE, CREATE SCHEMA ON DATABASE "SALES" TO ROLE "LOADER";'
    granted = Account([("CREATE SCHEMA", "DATABASE", "SALES")], schemas=())
    [having] = check_rights(granted, target)  # type: ignore[arg-type]
    assert having.level is Level.OK


@pytest.mark.parametrize(
    ("exists", "statements", "demanded"),
    [
        (False, ['CREATE TABLE "T"'], ["CREATE TABLE, CREATE STAGE"]),
        (True, [], ["CREATE TABLE, CREATE STAGE", "SELECT, INSERT, UPDATE, DELETE"]),
        (True, ['CREATE STAGE "S"'], ["CREATE TABLE, CREATE STAGE", "SELECT, INSERT, UPDATE, DELETE"]),
        (True, ['ALTER TABLE "T" ADD COLUMN "C"'], ["CREATE TABLE, CREATE STAGE", "OWNERSHIP"]),
    ],
)
def test_check_and_plan_demand_what_a_run_of_the_table_uses(
    exists: bool, statements: list[str], demanded: list[str]
) -> None:
    """Staging tables are created beside every target, also beside one that exists."""
    plan = plan_of(table(column(3, "name", "text")), target=str(TARGET))
    account: Any = Account([])
    found = lacking(
        rights_of(account), TargetInspector(account), plan, RequiredDdl(exists, tuple(statements))
    )
    assert [", ".join(lack.privileges) for lack in found] == demanded
    granted: Any = Account([("OWNERSHIP", "SCHEMA", "SALES.ANALYTICS"), ("OWNERSHIP", "TABLE", str(TARGET))])
    required = RequiredDdl(exists, tuple(statements))
    assert lacking(rights_of(granted), TargetInspector(granted), plan, required) == []
