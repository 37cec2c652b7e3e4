"""How many rows of a target a run would delete now, because the source no longer has them."""

from __future__ import annotations

import time

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.key_range import DifferenceKind
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import CatalogMark
from pgsnow.operations.command_sessions import CommandSessions
from pgsnow.postgres.read.snapshot import open_snapshot
from pgsnow.sync.compare.compare import compare
from pgsnow.sync.compare.ranges import first_ranges
from pgsnow.sync.compare.sides import SourceSide, TargetSide
from pgsnow.sync.load.deletes import among
from pgsnow.sync.pipeline.row_keys import Key
from pgsnow.sync.table.deletes.first_level import MOST_REJECTED, held_values, is_comparable, leave_out
from pgsnow.sync.table.inspect import look_for_sweep


def rejected_if_due(
    ledger: Ledger, plan: TablePlan, known: Remembered, mark: CatalogMark | None, horizon: Horizon
) -> list[Key] | None:
    """The keys of rejected rows, if the next run searches for deleted rows by ranges of keys; None: it does not."""
    claim = Claim(
        plan.config.name, "", "", 0, known.checkpoint,
        sweep=known.sweep, created_target=known.created_target, granted_at=time.time(),
    )  # fmt: skip
    _, _, sweep = look_for_sweep(claim, plan, mark, horizon)
    if sweep is None or known.checkpoint is None or not is_comparable(plan):
        return None
    rejected = ledger.rejected_rows.open_keys(plan.config.name)
    return rejected if len(rejected) <= MOST_REJECTED else None


def count_gone(sessions: CommandSessions, plan: TablePlan, rejected: list[Key]) -> int:
    """The number of the target's rows whose keys the source does not have now, without rejected ones. Nothing is
    written. Raises what reading both sides raises."""
    held = held_values(plan, rejected)
    conditions = [f"NOT ({among(plan, held)})"] if held else []
    with sessions.source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        source = SourceSide(snap, plan, conditions=leave_out(plan, rejected))
        target = TargetSide(sessions.session(), plan, conditions=conditions)
        found = compare(source, target, plan, first_ranges(source, plan))
        return sum(difference.rows for difference in found if difference.kind is DifferenceKind.GHOST)
