"""Staging is removed batch by batch, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.cleanup import list_orphans, prune, removal_steps
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.stage.stage import INTERNAL
from pgsnow.snowflake.statement import execute_all
from tests.integration.snowflake.units import ID, OUTPUT, ensure_target, load_unit, rows_of, write_unit


def sweep(session: Session, target: TargetName, batches: list[str]) -> None:
    execute_all(session, removal_steps(target, batches, batches, (INTERNAL,)))


def test_a_swept_batch_leaves_nothing_and_its_neighbours_are_untouched(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    """Batch 1 and batch 10 of one run begin alike."""
    for number in (1, 10):
        load_unit(
            session, target, write_unit(tmp_path, OUTPUT, [(1, "a")], fence=5, number=number), method="stage"
        )
    assert list_orphans(session, target) == (
        "USERS__PGSNOW_5_1",
        "USERS__PGSNOW_5_10",
        "users/5-1/",
        "users/5-10/",
    )
    sweep(session, target, ["users/5-1"])
    assert list_orphans(session, target) == ("USERS__PGSNOW_5_10", "users/5-10/")
    sweep(session, target, ["users/5-1", "users/5-10"])
    assert list_orphans(session, target) == ()
    assert rows_of(session, target) == [(1, "a")]


def test_sweeping_where_nothing_ever_was_is_fine(session: Session, target: TargetName) -> None:
    sweep(session, target, ["users/1-0"])
    assert list_orphans(session, target) == ()
    ensure_target(session, target, OUTPUT, (ID,), None)
    sweep(session, target, ["users/1-0", "users/1-0"])


def test_tables_that_only_look_like_staging_are_not_listed(session: Session, target: TargetName) -> None:
    for name in ("USERS__PGSNOW_KEEP", "USERSX_PGSNOW_1_2", "USERS__PGSNOW_1_2_OLD"):
        ensure_target(session, target.sibling(name), OUTPUT, (ID,), None)
    assert list_orphans(session, target) == ()


def test_pruning_deletes_what_older_runs_wrote_and_counts_it(
    session: Session, target: TargetName, tmp_path: Path
) -> None:
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(1, "a"), (2, "b"), (3, "c")], fence=1))
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(1, "a")], fence=2))
    load_unit(session, target, write_unit(tmp_path, OUTPUT, [(9, "later run")], fence=3))
    assert prune(session, target, 2) == 2
    assert prune(session, target, 2) == 0
    assert rows_of(session, target) == [(1, "a"), (9, "later run")]
