"""What a plan says of a table, as one line, as marks and as documented JSON."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgsnow.model.errors import SourceAccessDenied
from pgsnow.operations.plan.result import Action, TablePreview, mark_of, summary

DOCS = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def table(action: Action, **more: object) -> TablePreview:
    return TablePreview("public.users", "DB.S.USERS", action, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statement", "mark"),
    [
        ('CREATE TABLE IF NOT EXISTS "D"."S"."T" ("DROP COLUMN" VARCHAR)', "+"),
        ('ALTER TABLE "D"."S"."T" ADD COLUMN IF NOT EXISTS " DROP COLUMN " VARCHAR', "~"),
        ('ALTER TABLE "D"."S"."a"" DROP ""b" RENAME COLUMN "A" TO "B"', "~"),
        ('ALTER TABLE "D"."S"."say ""T""" DROP COLUMN "A"', "-"),
        ('ALTER TABLE "D"."S"."T" ALTER COLUMN "A" SET DATA TYPE NUMBER(12,2)', "~"),
        ('DROP TABLE IF EXISTS "D"."S"."T"', "-"),
    ],
)
def test_the_mark_goes_by_what_the_statement_does_not_by_what_its_names_hold(
    statement: str, mark: str
) -> None:
    assert mark_of(statement) == mark


def test_one_line_sums_a_plan_up() -> None:
    tables = [
        table(action)
        for action in (Action.CREATE, Action.CREATE, Action.CHANGE, Action.UNCHANGED, Action.ERROR)
    ]
    assert (
        summary(tables)
        == "Plan: 2 to create, 1 to change, 1 unchanged, 1 cannot be synced. Run pgsnow apply."
    )
    assert summary(tables[3:4]) == "Plan: 0 to create, 0 to change, 1 unchanged. Nothing to apply."


def test_a_stopped_table_tells_its_fix_and_offers_nothing_to_apply() -> None:
    stopped = table(Action.CREATE, ddl=("CREATE …",)).stopped(SourceAccessDenied("no", advice="GRANT …"))
    assert (stopped.pending, stopped.ddl, stopped.error, stopped.advice) == (False, (), "no", "GRANT …")


def test_every_key_of_the_json_is_documented() -> None:
    documented = set(re.findall(r"`([a-z_]+)`", DOCS.partition("\n## plan")[2].partition("\n## apply")[0]))
    told = table(Action.CREATE).to_json()
    keys = {*told, *told["size"], *told["tick"]}
    assert keys <= documented, keys - documented
