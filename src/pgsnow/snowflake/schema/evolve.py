"""The target follows the source: columns renamed, widened, added, dropped, one statement after the other.

Cut after any statement and begun anew, the same actions lead to the same end: what is there decides what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgsnow.model.evolution.drift import AddColumn, DropColumn, RenameColumn, TargetAction, WidenColumn
from pgsnow.model.table import TargetName
from pgsnow.model.types.snowflake_types import is_wider
from pgsnow.snowflake.schema.target_table import TargetColumn, describe
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql


@dataclass(frozen=True, slots=True)
class Evolved:
    """What was done, as sentences. incomplete: why everything must be read although the drift did not say so."""

    events: tuple[str, ...] = ()
    incomplete: str | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """A statement (None: none is needed), in a sentence."""

    statement: str | None
    told: str
    incomplete: str | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """statements: what `evolve` would send. columns: what is there then. incomplete: as in Evolved."""

    statements: tuple[str, ...]
    columns: tuple[TargetColumn, ...]
    incomplete: str | None


def foresee(
    target: TargetName, actions: Sequence[TargetAction], there: Sequence[TargetColumn] | None
) -> tuple[str, ...]:
    """The statements that `evolve` would send to a target that has these columns (None: it is not there)."""
    return outlook(target, actions, there or ()).statements


def outlook(target: TargetName, actions: Sequence[TargetAction], there: Sequence[TargetColumn]) -> Outlook:
    """What `evolve` would do to a target that has these columns, and leave. Sends nothing."""
    kinds = {column.name: column.kind for column in there}
    steps = (
        [step for action in actions if (step := _step(target, action, kinds)) is not None] if there else []
    )
    known = {column.name: column for column in there}
    plain = TargetColumn("", "", required=False, computed=False)
    return Outlook(
        tuple(step.statement for step in steps if step.statement is not None),
        tuple(replace(known.get(name, plain), name=name, kind=kind) for name, kind in kinds.items()),
        next((step.incomplete for step in steps if step.incomplete), None),
    )


def evolve(
    session: Session,
    target: TargetName,
    actions: Sequence[TargetAction],
    there: Sequence[TargetColumn] | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Evolved | None:
    """Carry out the actions; `there`: the target's columns as DESCRIBE told just now (None: ask). `notify` is called
    with "evolved" after each statement. Idempotent.

    None, and nothing was done, if there is no target. Raises whatever Session.execute raises.
    """
    there = describe(session, target) if there is None else there
    if there is None:
        return None
    events, incomplete = [], None
    for step in _steps(target, actions, there):
        if step.statement is not None:
            session.execute(step.statement)
            notify("evolved")
            events.append(step.told)
        incomplete = incomplete or step.incomplete
    return Evolved(tuple(events), incomplete)


def _steps(
    target: TargetName, actions: Sequence[TargetAction], there: Sequence[TargetColumn]
) -> Iterator[_Step]:
    if not there:
        return
    kinds = {column.name: column.kind for column in there}
    for action in actions:
        step = _step(target, action, kinds)
        if step is not None:
            yield step


def _step(target: TargetName, action: TargetAction, kinds: dict[str, str]) -> _Step | None:
    """The step that this action needs where the columns are `kinds`, which it changes."""
    match action:
        case RenameColumn():
            return _rename(target, action, kinds)
        case AddColumn(name, kind):
            return _add(target, name, kind, kinds)
        case WidenColumn(name, kind):
            if name not in kinds or is_wider(kinds[name], kind):
                return None
            was, kinds[name] = kinds[name], kind
            return _Step(sql.widen_column(target, name, kind), f"column {name} of {target}: {was} → {kind}")
        case DropColumn(name):
            if kinds.pop(name, None) is None:
                return None
            return _Step(sql.drop_column(target, name), f"dropped column {name} of {target}")


def _rename(target: TargetName, action: RenameColumn, kinds: dict[str, str]) -> _Step | None:
    old, new = action.old, action.new
    if new in kinds:
        # With the old one there too, somebody else has made a column of this name: it is filled anew.
        found = f"column {new} was in the target already" if old in kinds else None
        return _Step(None, "", found) if found else None
    if old not in kinds:
        added = _add(target, new, action.kind, kinds)
        return _Step(added.statement, added.told, f"column {old} was gone from the target") if added else None
    kinds[new] = kinds.pop(old)
    return _Step(sql.rename_column(target, old, new), f"renamed column {old} of {target} to {new}")


def _add(target: TargetName, name: str, kind: str, kinds: dict[str, str]) -> _Step | None:
    if name in kinds:
        return None
    kinds[name] = kind
    return _Step(sql.add_column(target, name, kind), f"added column {name} {kind} to {target}")
