"""What `deletes` means for a table, and which configurations contradict themselves."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.model.config.options import Deletes
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.errors import ConfigError
from pgsnow.model.plan import NOT_CREATED
from pgsnow.model.table import Leaf
from pgsnow.operations.deletes import doubts, rule_of
from tests.unit.model.evolving import plan_of, table

OURS, WHERE = "DB.S.THINGS", {"where": "id > 3"}


@pytest.mark.parametrize(
    ("config", "created", "expected"),
    [
        ({}, OURS, Deletes.HARD),
        ({}, None, Deletes.OFF),
        ({}, "DB.S.OTHERS", Deletes.OFF),
        ({"deletes": "hard"}, None, Deletes.HARD),
        ({"deletes": "soft"}, None, Deletes.SOFT),
        ({"deletes": "off"}, OURS, Deletes.OFF),
        ({"deletes": False}, OURS, Deletes.OFF),  # a bare `off`, as YAML 1.1 reads it
        (WHERE, OURS, Deletes.OFF),
        (WHERE | {"deletes": "hard"}, None, Deletes.HARD),
        ({"on_detach": "keep"}, OURS, Deletes.OFF),
        ({"on_detach": "keep", "deletes": "soft"}, None, Deletes.SOFT),
        ({"mode": "append"}, OURS, Deletes.OFF),
    ],
)
def test_deleted_rows_leave_only_targets_that_pgsnow_made_unless_it_is_configured(
    config: dict[str, Any], created: str | None, expected: Deletes
) -> None:
    """Nobody who upgrades loses a row; every rule that is not a search has a reason."""
    rule = plan_of(table(), **config).deletes(created)
    assert rule.deletes is expected
    assert rule.sweeps == (rule.deletes is not Deletes.OFF)
    assert bool(rule.why) != rule.sweeps


def test_mode_full_needs_no_search() -> None:
    """It replaces the content."""
    rule = plan_of(table(), mode="full").deletes(None)
    assert not rule.sweeps
    assert "replaces" in rule.why
    assert plan_of(table()).deletes(None).why == NOT_CREATED


def parsed(defaults: dict[str, Any] | None = None, **keys: Any) -> Any:
    entry = {"source": "public.a", "target": "s.a", "pk": "id", "watermark_column": "u", **keys}
    data = {"tables": [entry], **({"defaults": defaults} if defaults else {})}
    return parse_config(data, file="f.yaml", env={}).tables[0]


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"deletes": "hard", "on_detach": "keep"}, ("deletes", "on_detach")),
        ({"deletes": "hard", "mode": "append"}, ("deletes", "append")),
        ({"deletes": "soft", "mode": "append"}, ("deletes", "append")),
        ({"deletes": "no"}, ("hard, soft, off",)),
        ({"sweep_share": 5}, ("sweep_share", "20%")),
        ({"sweep_share": "0%"}, ("sweep_share",)),
        ({"max_delete_share": True}, ("max_delete_share",)),
        ({"max_delete_share": "many"}, ("'many'",)),
        ({"sweep_every": "daily"}, ("'daily'",)),
    ],
)
def test_a_contradiction_or_a_wrong_value_is_told(keys: dict[str, Any], named: tuple[str, ...]) -> None:
    """The message names the keys concerned."""
    with pytest.raises(ConfigError) as caught:
        parsed(**keys)
    [problem] = caught.value.problems
    assert [word for word in named if word not in problem] == []


def test_defaults_hold_for_the_tables_to_which_they_can_apply() -> None:
    """A table in mode append is left out, and one that sets its own value keeps it."""
    defaults = {"deletes": "hard", "sweep_every": "6h", "sweep_share": "10%", "max_delete_share": 0.5}
    assert parsed(defaults).deletes is Deletes.HARD
    assert parsed(defaults).sweep_share == 0.1
    assert parsed(defaults, deletes="off").deletes is Deletes.OFF
    assert parsed(defaults, mode="append").deletes is None


def test_plan_and_check_say_why_deleted_rows_stay() -> None:
    """A hint for each table that says nothing of `deletes` and whose deleted rows stay, with the remedy; none where it
    is configured, or where pgsnow creates the target."""
    new, known = Remembered(), Remembered(created_target=OURS)
    assert list(doubts(plan_of(table()), rule_of(plan_of(table()), new))) == []
    assert list(doubts(plan_of(table()), rule_of(plan_of(table()), known))) == []
    [hint] = doubts(plan_of(table()), rule_of(plan_of(table()), new, exists=True))
    assert NOT_CREATED in hint.warning
    assert "deletes: hard" in hint.fix
    for config, said in ((WHERE, "where"), ({"on_detach": "keep"}, "on_detach: keep")):
        plan = plan_of(table(), **config)
        assert [said in hint.warning for hint in doubts(plan, rule_of(plan, known))] == [True]
    off = plan_of(table(), deletes="off")
    assert list(doubts(off, rule_of(off, new, exists=True))) == []


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ({"relkind": "v"}, "a view"),
        ({"relkind": "f"}, "a foreign table"),
        ({"relkind": "p", "leaves": (Leaf(7, "public.far"),)}, "a foreign table is part of it"),
    ],
)
def test_a_table_without_counters_is_searched_by_time_alone(source: dict[str, Any], kind: str) -> None:
    """`check` names the bound, and what to do."""
    plan = plan_of(table(**source), deletes="hard")
    [doubt] = doubts(plan, rule_of(plan, Remembered()))
    assert kind in doubt.warning
    assert "every 1d (sweep_every)" in doubt.warning
    assert "sweep_every" in doubt.fix
    never = plan_of(table(**source), deletes="hard", sweep_every=0)
    [doubt] = doubts(never, rule_of(never, Remembered()))
    assert "never (sweep_every: 0)" in doubt.warning
