"""Drift: the difference between a source table and its definition in the ledger, which rows must be read because of it,
and which changes the target needs first. docs/evolution.md describes it for users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pgsnow.model.config.options import OnDetach
from pgsnow.model.config.table_config import LateRows, TableMode
from pgsnow.model.evolution.alignment import Alignment, align
from pgsnow.model.evolution.ddl_actions import AddColumn, DropColumn, RenameColumn, TargetAction, WidenColumn
from pgsnow.model.evolution.definition_diff import (
    Change,
    changes_of,
    definition_of,
    is_rewritten,
    leaf_changes,
    match_columns,
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
    "definition_of",
    "drift_of",
]


@dataclass(frozen=True)
class Drift:
    """plan: the plan with its output in the columns where the target holds it.

    after: the definition to store once everything is done.
    full_read: why everything must be read. whole_leaves: partitions (oids) of which every row must be read.
    by_xid: every row version written since the last read must be read, whatever its watermark.
    prune: rows that a full read did not find are to be deleted. replace: the content is replaced as a whole.
    pre_actions, interim, actions: as in Alignment; all of them empty if the target is as it should be.
    """

    plan: TablePlan
    after: SourceDefinition
    changes: tuple[Change, ...] = ()
    full_read: str | None = None
    whole_leaves: tuple[int, ...] = ()
    by_xid: bool = False
    prune: bool = False
    replace: bool = False
    pre_actions: tuple[TargetAction, ...] = ()
    interim: SourceDefinition | None = None
    actions: tuple[TargetAction, ...] = ()

    @cached_property
    def all_actions(self) -> tuple[TargetAction, ...]:
        """Every change that the target needs, in order."""
        return (*self.pre_actions, *self.actions)

    @property
    def altered(self) -> frozenset[str]:
        """Names of the target's columns that these changes concern."""
        pairs = ((a.old, a.new) if isinstance(a, RenameColumn) else (a.name,) for a in self.all_actions)
        return frozenset(name for names in pairs for name in names)

    @property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """(former name, current one) of each column that was renamed."""
        return tuple(
            (change.former, change.column) for change in self.changes if change.former and change.column
        )

    @cached_property
    def has_work(self) -> bool:
        """True if a run must report, read or alter anything because of it."""
        return bool(
            self.changes
            or self.pre_actions
            or self.actions
            or self.full_read
            or self.whole_leaves
            or self.by_xid
        )

    def definition_to_store(
        self, stored_definition: SourceDefinition | None, target: Mapping[str, str] | None
    ) -> SourceDefinition | None:
        """The definition for the ledger once everything is done, or None if the ledger has it already.

        target: the target's columns, name → type, None if they are not known.
        """
        after = self.after if target is None else self.after.with_target_columns(target, RESERVED)
        return None if after == stored_definition else after

    def without_definition(self, shape: str | None) -> Drift:
        """The drift of a table that an older version loaded, which stored no definition. shape: of its checkpoint."""
        converted = [f for f in self.plan.fields if f.type.conversion]
        if converted and shape != self.plan.shape:
            reason = f"column {converted[0].source} is loaded in another form: {converted[0].type.conversion}"
            return replace(self, full_read=reason, replace=any(f.key for f in converted))
        if shape == self.plan.shape != self.plan.older_shape:
            return replace(self, full_read="a column was added with a default")
        return self

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """One sentence for each change."""
        return tuple(change.text for change in self.changes)


def drift_of(stored_definition: SourceDefinition | None, plan: TablePlan) -> Drift:
    """The drift between a stored definition and `plan`, which has what the configuration and the source's catalog say.

    Pure: the result stays the same until `after` is stored. Without a stored definition nothing has drifted. Raises
    TypeChanged.
    """
    if stored_definition is None:
        return Drift(plan, definition_of(plan))
    changes = changes_of(stored_definition, plan)
    if stored_definition.target != str(plan.target):
        return _drift(stored_definition, plan, changes, Alignment({}, ()))
    alignment = align(stored_definition, plan, match_columns(stored_definition, plan.source))
    return _drift(stored_definition, plan, changes, alignment)


def _drift(
    stored_definition: SourceDefinition, plan: TablePlan, changes: Sequence[Change], alignment: Alignment
) -> Drift:
    aligned, after = _aligned(plan, alignment)
    kinds = {change.kind for change in changes}
    key = {field.source for field in plan.key}
    relabeled = any(c.kind == "labels" and c.outdates and c.column in key for c in changes)
    other_keys = relabeled or not kinds.isdisjoint(("key", "key form"))
    is_new = "re-created" in kinds
    attached, detached = ((), ()) if is_new else leaf_changes(stored_definition, plan.source)
    is_pruned = is_new or (bool(detached) and plan.config.on_detach is OnDetach.DELETE)
    reason = next((change.text for change in changes if change.outdates), None)
    if reason is None and is_pruned:
        reason = f"{detached[0].name} was detached or dropped"
    if reason is None:
        reason = next((m.filled for m in alignment.column_mapping.values() if m.filled), None)
    if reason is None and attached and not plan.source.may_read("tableoid"):
        reason = f"{attached[0].name} was attached, and the role may not read the system column tableoid"
    by_xid = reason is None and _must_read_by_xid(stored_definition, plan)
    if by_xid:
        text = f"{plan.source.name} was rewritten: rows are found by transaction, whatever their watermark"
        changes = [*changes, Change("rewritten", None, text)]
    return Drift(
        plan=aligned,
        after=after,
        changes=tuple(changes),
        full_read=reason,
        whole_leaves=() if reason else tuple(leaf.oid for leaf in attached),
        by_xid=by_xid,
        prune=is_pruned and not other_keys,
        replace=other_keys,
        pre_actions=alignment.pre_actions,
        interim=alignment.interim,
        actions=alignment.actions,
    )


def _must_read_by_xid(stored_definition: SourceDefinition, plan: TablePlan) -> bool:
    """True for a rewritten table whose reader relies on the watermark to find what changed."""
    lossless = plan.config.mode is TableMode.WATERMARK and plan.config.late_rows is LateRows.LOSSLESS
    return lossless and is_rewritten(stored_definition, plan.source)


def _aligned(plan: TablePlan, alignment: Alignment) -> tuple[TablePlan, SourceDefinition]:
    """(the plan with its output in the mapped columns, the definition that stores where they are)."""
    mapping = alignment.column_mapping
    output = tuple(
        replace(f, target=mapping[f.source].name) if f.source in mapping else f for f in plan.output
    )
    aligned = replace(plan, output=output)
    placed: Mapping[str, ColumnDefinition] = {
        name: ColumnDefinition(None, name, target=m.name, holds=m.holds, base=m.base, shadow=m.shadow)
        for name, m in mapping.items()
    }
    return aligned, replace(definition_of(aligned, placed), orphan_columns=alignment.orphan_columns)
