"""The changes that make a target follow its source: columns renamed, widened, added, dropped, one statement each.
Pure.

If they are interrupted after any statement and executed again, the result is the same: the existing columns decide
which statements are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgsnow.model.evolution.drift import AddColumn, DropColumn, RenameColumn, TargetAction, WidenColumn
from pgsnow.model.table import TargetName
from pgsnow.model.types.snowflake_types import is_wider
from pgsnow.snowflake.schema.target_table import DdlChange, TargetColumn
from pgsnow.snowflake.sql import statements as sql


@dataclass(frozen=True, slots=True)
class Evolution:
    """changes: the changes for a target, in order. columns: its columns afterwards. incomplete: why everything must
    be read although the drift did not require it."""

    changes: tuple[DdlChange, ...] = ()
    columns: tuple[TargetColumn, ...] = ()
    incomplete: str | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """change: None if no statement is needed. incomplete: as in Evolution."""

    change: DdlChange | None
    incomplete: str | None = None


def evolution(
    target: TargetName, actions: Sequence[TargetAction], there: Sequence[TargetColumn]
) -> Evolution:
    """The changes that these actions need on a target with these columns; none if it has no columns, as it does not
    exist."""
    kinds = {column.name: column.kind for column in there}
    steps = (
        [step for action in actions if (step := _step(target, action, kinds)) is not None] if there else []
    )
    known = {column.name: column for column in there}
    plain = TargetColumn("", "", required=False, computed=False)
    return Evolution(
        tuple(step.change for step in steps if step.change is not None),
        tuple(replace(known.get(name, plain), name=name, kind=kind) for name, kind in kinds.items()),
        next((step.incomplete for step in steps if step.incomplete), None),
    )


def _step(target: TargetName, action: TargetAction, kinds: dict[str, str]) -> _Step | None:
    """The step that this action needs if the columns are `kinds`, which it updates."""
    match action:
        case RenameColumn():
            return _rename(target, action, kinds)
        case AddColumn(name, kind):
            return _add(target, name, kind, kinds)
        case WidenColumn(name, kind):
            if name not in kinds or is_wider(kinds[name], kind):
                return None
            was, kinds[name] = kinds[name], kind
            return _Step(
                DdlChange(sql.widen_column(target, name, kind), f"column {name} of {target}: {was} → {kind}")
            )
        case DropColumn(name):
            if kinds.pop(name, None) is None:
                return None
            return _Step(DdlChange(sql.drop_column(target, name), f"dropped column {name} of {target}"))


def _rename(target: TargetName, action: RenameColumn, kinds: dict[str, str]) -> _Step | None:
    old, new = action.old, action.new
    if new in kinds:
        # If the old one exists too, another program has added this column: all its values must be loaded.
        return _Step(None, f"column {new} was in the target already") if old in kinds else None
    if old not in kinds:
        added = _add(target, new, action.kind, kinds)
        return replace(added, incomplete=f"column {old} was gone from the target") if added else None
    kinds[new] = kinds.pop(old)
    return _Step(DdlChange(sql.rename_column(target, old, new), f"renamed column {old} of {target} to {new}"))


def _add(target: TargetName, name: str, kind: str, kinds: dict[str, str]) -> _Step | None:
    if name in kinds:
        return None
    kinds[name] = kind
    return _Step(DdlChange(sql.add_column(target, name, kind), f"added column {name} {kind} to {target}"))
