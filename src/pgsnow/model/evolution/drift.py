"""Drift: what changed in a source table since the ledger remembered it, what of it must be read, and what the target
needs first. docs/evolution.md tells users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pgsnow.model.config.options import OnDetach
from pgsnow.model.config.sync_config import LateRows, TableMode
from pgsnow.model.evolution.alignment import Alignment, retarget
from pgsnow.model.evolution.ddl_actions import AddColumn, DropColumn, RenameColumn, TargetAction, WidenColumn
from pgsnow.model.evolution.definition_diff import (
    Change,
    changes_of,
    is_rewritten,
    known_of,
    leaves_apart,
    matched,
)
from pgsnow.model.evolution.source_definition import ColumnDefinition, SourceDefinition
from pgsnow.model.metadata_columns import RESERVED
from pgsnow.model.plan import TablePlan

__all__ = [
    "AddColumn",
    "Change",
    "ColumnDefinition",
    "Drift",
    "DropColumn",
    "RenameColumn",
    "SourceDefinition",
    "TargetAction",
    "WidenColumn",
    "drift_of",
    "known_of",
]


@dataclass(frozen=True, slots=True)
class Drift:
    """plan: the plan to go on with, its output in the columns where the target has it.
    after: what is to be remembered once everything is done.
    full_read: why everything must be read. whole_leaves: of these tables (oids) every row must be.
    by_xid: every row version written since the last read must be read, whatever its watermark.
    prune: rows that a full read did not find are to be deleted. replace: the content is replaced as a whole.
    parting, parted, actions: see Retargeted; all of them empty if the target is as it should be.
    """

    plan: TablePlan
    after: SourceDefinition
    changes: tuple[Change, ...] = ()
    full_read: str | None = None
    whole_leaves: tuple[int, ...] = ()
    by_xid: bool = False
    prune: bool = False
    replace: bool = False
    parting: tuple[TargetAction, ...] = ()
    parted: SourceDefinition | None = None
    actions: tuple[TargetAction, ...] = ()

    @property
    def alters(self) -> tuple[TargetAction, ...]:
        """All that the target needs, in order."""
        return (*self.parting, *self.actions)

    @property
    def is_work(self) -> bool:
        """True if a run has something to tell, to read or to do on its account."""
        return bool(self.changes or self.alters or self.full_read or self.whole_leaves or self.by_xid)

    def to_remember(
        self, known: SourceDefinition | None, target: Mapping[str, str] | None
    ) -> SourceDefinition | None:
        """What the ledger should know once everything is done, or None if it knows that. target: its columns, name →
        type, as far as they are known."""
        after = self.after if target is None else self.after.seen(target, RESERVED)
        return None if after == known else after

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each change, for people."""
        return tuple(change.text for change in self.changes)


def drift_of(known: SourceDefinition | None, plan: TablePlan) -> Drift:
    """`plan`: as the configuration and the source's catalog have it, whatever the target has. Pure, and the same
    again until `after` is remembered. Nothing known: nothing has drifted. Raises TypeChanged."""
    if known is None:
        return Drift(plan, known_of(plan))
    changes = changes_of(known, plan)
    if known.into != str(plan.target):
        return _read(known, plan, changes, Alignment({}, ()))
    return _read(known, plan, changes, retarget(known, plan, matched(known, plan.source)))


def _read(known: SourceDefinition, plan: TablePlan, changes: Sequence[Change], target: Alignment) -> Drift:
    settled, after = _settled(plan, target)
    kinds = {change.kind for change in changes}
    attached, detached = leaves_apart(known, plan.source) if "re-created" not in kinds else ((), ())
    is_pruned = "re-created" in kinds or (bool(detached) and plan.config.on_detach is OnDetach.DELETE)
    reason = next((change.text for change in changes if change.outdates), None)
    if reason is None and is_pruned:
        reason = f"{detached[0].name} was detached or dropped"
    if reason is None:
        reason = next((place.filled for place in target.places.values() if place.filled), None)
    config = plan.config
    goes_by_watermark = config.mode is TableMode.WATERMARK and config.late_rows is LateRows.LOSSLESS
    by_xid = reason is None and goes_by_watermark and is_rewritten(known, plan.source)
    if by_xid:
        told = (
            f"{plan.source.name} was rewritten: rows are looked for by transaction, whatever their watermark"
        )
        changes = [*changes, Change("rewritten", None, told)]
    return Drift(
        plan=settled,
        after=after,
        changes=tuple(changes),
        full_read=reason,
        whole_leaves=() if reason else tuple(leaf.oid for leaf in attached),
        by_xid=by_xid,
        prune=is_pruned and "key" not in kinds,
        replace="key" in kinds,
        parting=target.parting,
        parted=target.parted,
        actions=target.actions,
    )


def _settled(plan: TablePlan, target: Alignment) -> tuple[TablePlan, SourceDefinition]:
    """The plan with its output in its places, and the memory of them."""
    places = target.places
    output = tuple(replace(f, target=places[f.source].name) if f.source in places else f for f in plan.output)
    settled = replace(plan, output=output)
    kept: Mapping[str, ColumnDefinition] = {
        name: ColumnDefinition(None, name, target=p.name, holds=p.holds, base=p.base, shadow=p.shadow)
        for name, p in places.items()
    }
    return settled, replace(known_of(settled, kept), left=target.left)
