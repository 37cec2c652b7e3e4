"""How targets are stored: transient or permanent, and their clustering key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.errors import ColumnMissing, TargetConflict
from pgsnow.model.plan import TablePlan, check_clustering
from pgsnow.model.table import Column, SourceTable, TargetName, TargetState
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_of
from pgsnow.snowflake.schema.storage import clustered_by, clustering_changes, storage_text, storage_warnings
from pgsnow.snowflake.schema.target_table import Shape

TARGET = TargetName("DB", "S", "EVENTS")


def plan_of(**config: Any) -> TablePlan:
    entry = {"source": "public.events", "target": "events", "mode": "xmin", "pk": "id", **config}
    table = TableConfig.model_validate(entry)
    columns = tuple(
        Column(name, at, kind, 0, -1, "b", "X", False)
        for at, (name, kind) in enumerate((("id", "int8"), ("Day", "date"), ("doc", "jsonb")))
    )
    output = tuple(
        Field(c.name, c.name.upper() if c.name.islower() else c.name, mapping_of(c)) for c in columns
    )
    source = SourceTable(table.source, 1, "r", columns)
    return TablePlan(table, source, TARGET, output, output, None, ("id",))


def test_a_new_target_is_transient_and_clustered_as_configured_and_mode_full_makes_it_transient() -> None:
    """The CREATE statement says so, to the letter; nobody else's targets change their kind."""
    create = Shape.of(plan_of(transient=True, cluster_by=["Day", "id"]), "ours").create_table
    assert create == (
        'CREATE TRANSIENT TABLE "DB"."S"."EVENTS" ("ID" NUMBER(38,0) NOT NULL, "Day" DATE, "DOC" VARIANT,'
        ' "_PGSNOW_FENCE" NUMBER(38,0), "_PGSNOW_SYNCED_AT" TIMESTAMP_TZ, "_PGSNOW_RUN_ID" VARCHAR COLLATE \'\','
        ' PRIMARY KEY ("ID")) CLUSTER BY ("Day", "ID") COMMENT = \'ours\''
    )
    kinds = {
        (mode, chosen): Shape.of(plan_of(mode=mode, transient=chosen)).create_table.split(' "')[0]
        for mode in ("xmin", "full", "append")
        for chosen in (None, False, True)
    }
    transient = {("xmin", True), ("append", True), ("full", True), ("full", None)}
    assert {which for which, create in kinds.items() if create == "CREATE TRANSIENT TABLE"} == transient


@pytest.mark.parametrize(
    ("shown", "names"),
    [
        ('LINEAR("Day", ID)', ["Day", "ID"]),
        ('linear(day,"ID")', ["DAY", "ID"]),
        ('LINEAR("a,b", "q""q")', ["a,b", 'q"q']),
        ("LINEAR(TO_DATE(DAY), ID)", None),
        ("LINEAR(DAY ID)", None),
        ("", None),
    ],
)
def test_a_clustering_key_is_read_as_show_writes_it(shown: str, names: list[str] | None) -> None:
    """A key with expressions is none that `cluster_by` can have made."""
    assert clustered_by(shown) == names


def test_only_a_key_that_differs_is_changed_and_one_that_nobody_configured_stays() -> None:
    """`apply` sends one ALTER at most; without `cluster_by`, what a person has chosen stays."""
    there = TargetState("now", cluster_by='LINEAR("Day")')
    assert clustering_changes(plan_of(cluster_by="Day"), there) == ()
    assert clustering_changes(plan_of(), there) == ()
    assert clustering_changes(plan_of(cluster_by=["id", "Day"]), there) == (
        'ALTER TABLE "DB"."S"."EVENTS" CLUSTER BY ("ID", "Day")',
    )


def test_a_table_cannot_be_clustered_by_what_is_not_loaded_or_by_json() -> None:
    """The table stops with the column's name and the remedy, before Snowflake is asked."""
    plan = plan_of()
    for name, error in (("to_date(day)", ColumnMissing), ("doc", TargetConflict)):
        config = plan.config.model_copy(update={"cluster_by": (name,)})
        with pytest.raises(error, match=name.replace("(", r"\(").replace(")", r"\)")) as found:
            check_clustering(config, plan.output)
        assert found.value.advice
    check_clustering(plan_of(cluster_by="Day").config, plan.output)


def test_an_existing_target_of_another_kind_is_reported_only_if_a_kind_is_configured() -> None:
    """`transient: true` never changes a table that exists: plan and check say how a person does it."""
    permanent = TargetState("now")
    [said] = storage_warnings(plan_of(transient=True), permanent)
    assert "DB.S.EVENTS is permanent" in said
    assert "drop it; the next run creates it again" in said
    assert (
        "is transient" in storage_warnings(plan_of(transient=False), replace(permanent, kind="TRANSIENT"))[0]
    )
    for plan in (plan_of(), plan_of(mode="full"), plan_of(transient=False)):
        assert storage_warnings(plan, permanent) == ()
    assert storage_text(plan_of(mode="full"), None).startswith("transient (no Fail-safe, which")
    assert storage_text(plan_of(mode="full"), permanent) == "permanent"
