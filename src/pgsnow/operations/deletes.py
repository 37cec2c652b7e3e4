"""Sentences of `check` and `plan` about rows that are deleted in the source."""

from __future__ import annotations

from collections.abc import Iterator

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.model.comparison.sweep import DeleteRule
from pgsnow.model.config.options import Deletes
from pgsnow.model.config.sync_config import TableMode
from pgsnow.model.discovery.advice import Advice
from pgsnow.model.duration import format_duration
from pgsnow.model.plan import TablePlan

WILL_CREATE = "pgsnow creates the target"
HINT = (
    "`deletes: hard` deletes such rows in Snowflake, too, `deletes: soft` marks them, and `deletes: off` keeps them"
    " without this hint (`pgsnow explain deletes`)."
)


def rule_of(plan: TablePlan, known: Remembered, *, exists: bool = False) -> DeleteRule:
    """The rule that holds for the next run. known: the table's state in the ledger. exists: its target exists."""
    never_loaded = known.checkpoint is None and known.created_target is None
    if plan.delete_rule.by_default and never_loaded and not exists:
        return DeleteRule(Deletes.HARD, WILL_CREATE)
    return plan.deletes(known.created_target)


def doubts(plan: TablePlan, rule: DeleteRule) -> Iterator[Advice]:
    """A warning for each reason why deleted rows stay in Snowflake, or stay for long."""
    config, source = plan.config, plan.source
    if rule.deletes is Deletes.OFF and config.deletes is None and config.mode is not TableMode.APPEND:
        yield Advice(f"rows that are deleted in Postgres stay in Snowflake: {rule.why}", HINT)
    is_searched = rule.sweeps or rule.why == WILL_CREATE
    if is_searched and (source.relkind in ("v", "f") or any(not leaf.filenode for leaf in source.leaves)):
        yield Advice(
            f"no counter shows deleted rows ({_kind(plan)}): they are searched for {bound_of(config.sweep_every)}",
            "Lower `sweep_every` if they must leave Snowflake sooner: each search counts the keys on both sides.",
        )


def bound_of(sweep_every: float) -> str:
    return (
        f"every {format_duration(sweep_every)} (sweep_every)" if sweep_every > 0 else "never (sweep_every: 0)"
    )


def _kind(plan: TablePlan) -> str:
    return {"v": "it is a view", "f": "it is a foreign table"}.get(
        plan.source.relkind, "a foreign table is part of it"
    )
